"""What the libraries below raise, in words of ours, without the replies, which may hold credentials."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hyperplane.errors import (
    CredentialsError,
    HyperplaneError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreAccessError,
    StoreError,
)

_STATUS = re.compile(r"status code: (\d{3})")
# of a reply, or of one object of many that were to be deleted
_CODE = re.compile(r'<Code>(\w+)</Code>|^ +code: "(\w+)",$', re.MULTILINE)
_CLOCK_CODE = "RequestTimeTooSkewed"
EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_CREDENTIAL_CODES = EXPIRED_CODES | {
    "AuthorizationHeaderMalformed",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_THROTTLING_CODES = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
)
_PASSING_CODES = _THROTTLING_CODES | {
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted",
    "RequestTimeout", "ServiceUnavailable", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
}  # fmt: skip
_PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_BAD_CERTIFICATE = "its certificate"
# what obstore says of connections, in words that cannot come from a URL
_REASONS = {
    "InvalidCertificate(": _BAD_CERTIFICATE,
    "kind: TimedOut": "it does not answer in time",
    "TimedOut,": "it does not answer in time",
    "kind: ConnectionRefused": "the connection was refused",
    "kind: ConnectionReset": "the connection was reset",
    "dns error": "its host is not known",
}
# what botocore and urllib3 call the same
_WORDS_FOR = {
    "ConnectTimeoutError": "it does not answer in time",
    "ConnectionClosedError": "no answer",
    "EndpointConnectionError": "there is no connection to it",
    "IncompleteRead": "the answer broke off",
    "IncompleteReadError": "the answer broke off",
    "MaxRetryError": "there is no connection to it",
    "NewConnectionError": "there is no connection to it",
    "ProtocolError": "no answer",
    "ReadTimeoutError": "it does not answer in time",
    "ResponseStreamingError": "the answer broke off",
}


class PassingError(StoreError):
    """A failure that may pass: to be tried again. It leaves the package as its `settled` form."""

    is_throttling: bool = False


def error_of(url: str, *, status: int | None, code: str, reason: str = "") -> StoreError:
    """Return the error for a reply: `status` of HTTP, None where nothing came, and S3's code."""
    told: dict[str, object] = {"url": url, "code": code, "status": status}
    if status == 412 or code == "PreconditionFailed":
        return ObjectChangedError(f"{url} has changed meanwhile", hint="Try again.", **told)
    if code in _PASSING_CODES or (status in _PASSING_STATUS and code != "AccessDenied"):
        return _passing(url, reason, told)
    if status == 404:
        return _not_found(url, told)
    if code in _CREDENTIAL_CODES or status == 401 or (status == 400 and not code):
        # the reply to a HEAD has no code, and 400 is what an expired token gets
        return CredentialsError(
            f"the store does not take the credentials for {url}: {code or status}",
            hint=_credentials_hint(code),
            **told,
        )
    if status == 403 or code == "AccessDenied":
        return StoreAccessError(
            f"no permission for {url}: {code or 'AccessDenied'}", hint=_access_hint(code), **told
        )
    return _other(url, reason, told)


def may_have_expired(error: CredentialsError) -> bool:
    """Say whether new credentials may help."""
    return error.code in EXPIRED_CODES or (error.status == 400 and not error.code)


def _not_found(url: str, told: dict[str, object]) -> StoreError:
    if told["code"] == "NoSuchBucket":
        bucket = "/".join(url.split("/")[:3])
        return ObjectNotFoundError(
            f"there is no bucket {bucket}", hint="Mend HYPERPLANE_S3_BUCKET, the URL or the endpoint.", **told
        )
    return ObjectNotFoundError(f"there is no {url}", hint="A folder ends in `/`.", **told)


def _credentials_hint(code: str) -> str:
    if code in EXPIRED_CODES:
        return "They have expired: renew them where they come from."
    return "Mend the secrets s3_access_key_id and s3_access_key_secret, or the AWS credentials."


def _access_hint(code: str) -> str:
    if code == _CLOCK_CODE:
        return "Set the clock of this machine: it and the store's are too far apart."
    return "Ask for s3:GetObject, s3:PutObject and s3:ListBucket on the bucket, as the job needs them."


def _other(url: str, reason: str, told: dict[str, object]) -> StoreError:
    status, code = told["status"], told["code"]
    if isinstance(status, int) and 300 <= status < 400:
        return StoreError(
            f"the store sends {url} elsewhere: {code or status}",
            hint="Set HYPERPLANE_S3_REGION to the region of the bucket, or mend HYPERPLANE_S3_ENDPOINT_URL.",
            **told,
        )
    if reason == _BAD_CERTIFICATE:
        return StoreError(
            f"the certificate of the store is not trusted, for {url}",
            hint="Set AWS_CA_BUNDLE to the certificate of its authority, and check its name and date.",
            **told,
        )
    if status is None and not code:
        return _passing(url, reason, told)
    return refused(url, code or status, code=code, status=status)


def _passing(url: str, reason: str, told: dict[str, object]) -> "PassingError":
    status, code = told["status"], told["code"]
    what = " ".join(str(part) for part in (status, code) if part) or reason or "no answer"
    return PassingError(
        f"the store failed for {url}: {what}",
        hint="It was tried several times; try again later.",
        is_throttling=code in _THROTTLING_CODES or status in (429, 503),
        **told,
    )


def refused(url: str, why: object, **told: object) -> StoreError:
    """Return the error for what will not work however often it is tried."""
    hint = "Look at the URL, the endpoint and the settings of the store."
    return StoreError(f"{url} was refused: {why}", hint=hint, url=url, **told)


def upload_gone(error: StoreError) -> PassingError:
    """Return what a multipart upload that is not known any more means: to be sent again."""
    return PassingError(
        f"the store does not know the upload of {error.url} any more",
        hint="It may have been completed: look whether the object is there, else try again.",
        url=error.url,
        code=error.code,
        status=error.status,
    )


def truncated(url: str, expected: int, received: int) -> PassingError:
    """Return the error for a reply that ended too early."""
    return PassingError(
        f"{url} broke off after {received} of {expected} bytes",
        hint="Try again later.",
        url=url,
        code="Truncated",
    )


def corrupted(url: str, algorithm: str) -> PassingError:
    """Return the error for bytes that are not those the store has."""
    return PassingError(
        f"{url} does not arrive as it is stored: its {algorithm} differs",
        hint="Something between here and the store changes data.",
        url=url,
        code="BadDigest",
    )


@contextmanager
def obstore_errors(url: str, *, is_new: bool = False) -> Iterator[None]:
    """Have errors of obstore leave the block as ours; `is_new`: a failed condition means that it exists."""
    from obstore import exceptions

    try:
        yield
    except HyperplaneError:
        raise
    except (exceptions.BaseError, OSError, ValueError) as error:
        is_there = isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError)
        if is_new and is_there and _first(_CODE, str(error)) not in _PASSING_CODES:
            raise already_there(url) from None
        raise _of_obstore(url, error) from None


def already_there(url: str) -> ObjectExistsError:
    """Return the error for an object that was to be new."""
    return ObjectExistsError(
        f"{url} exists already", hint="It was left as it is.", url=url, code="PreconditionFailed"
    )


def _of_obstore(url: str, error: Exception) -> StoreError:
    from obstore import exceptions

    text = str(error)
    status = _status_of(error) or _first(_STATUS, text)
    code = _first(_CODE, text) or ""
    if not status and not code and not isinstance(error, exceptions.GenericError):
        return refused(url, type(error).__name__)
    reason = next((words for found, words in _REASONS.items() if found in text), "no answer")
    return error_of(url, status=int(status) if status else None, code=code, reason=reason)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[found.lastindex or 0] if found else None


def _words_for(error: Exception) -> str:
    name = type(error).__name__
    return _WORDS_FOR.get(name, name)


def _status_of(error: Exception) -> int | None:
    from obstore import exceptions

    match error:
        case FileNotFoundError():
            return 404
        case exceptions.PermissionDeniedError():
            return 403
        case exceptions.UnauthenticatedError():
            return 401
        case exceptions.PreconditionError() | exceptions.NotModifiedError():
            return 412
    return None


@contextmanager
def botocore_errors(url: str, *, is_new: bool = False) -> Iterator[None]:
    """Have errors of botocore leave the block as ours; `is_new`: a failed condition means that it exists."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = told.get("Code", "")
        if is_new and status == 412:
            raise already_there(url) from None
        # an error can come in the body of a reply that said 200
        number = None if status == 200 else status
        raise error_of(url, status=number, code="" if code.isdigit() else code) from None
    except (BotoCoreError, ResponseParserError, OSError) as error:
        raise _of_botocore(url, error) from None


def _of_botocore(url: str, error: Exception) -> StoreError:
    from botocore import exceptions

    name = type(error).__name__
    match error:
        case exceptions.FlexibleChecksumError():
            return corrupted(url, "checksum")
        case exceptions.SSLError():
            return error_of(url, status=None, code="", reason=_BAD_CERTIFICATE)
        case exceptions.ConnectionError() | exceptions.HTTPClientError() | exceptions.IncompleteReadError():
            return error_of(url, status=None, code="", reason=_words_for(error))
        case exceptions.BotoCoreError():
            return refused(url, name)
    return error_of(url, status=None, code="", reason=_words_for(error))


@contextmanager
def urllib3_errors(url: str) -> Iterator[None]:
    """Have errors of urllib3 leave the block as ours."""
    from urllib3.exceptions import HTTPError, SSLError

    try:
        yield
    except HTTPError as error:
        reason = _BAD_CERTIFICATE if isinstance(error, SSLError) else _words_for(error)
        raise error_of(url, status=None, code="", reason=reason) from None
