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
_CODE = re.compile(r"<Code>(\w+)</Code>")
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
    "BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout",
    "ServiceUnavailable", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch",
}  # fmt: skip
_PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_REASONS = (
    "certificate",
    "UnknownIssuer",
    "timed out",
    "Connection refused",
    "dns error",
    "Connection reset",
)
_TLS_WORDS = ("certificate", "UnknownIssuer", "CERTIFICATE_VERIFY_FAILED", "SSLError")


class PassingError(StoreError):
    """A failure that may pass: to be tried again. It leaves the package as its `settled` form."""

    is_throttling: bool = False


def error_of(url: str, *, status: int | None, code: str, reason: str = "") -> StoreError:
    """Return the error for a reply: `status` of HTTP, None where nothing came, and S3's code."""
    told: dict[str, object] = {"url": url, "code": code, "status": status}
    if code == "PreconditionFailed" or status == 412:
        return ObjectChangedError(f"{url} has changed meanwhile", hint="Try again.", **told)
    if status == 404:
        return _not_found(url, told)
    if code in _CREDENTIAL_CODES or status == 401:
        return CredentialsError(
            f"the store does not take the credentials for {url}: {code or status}",
            hint=_credentials_hint(code),
            **told,
        )
    if status == 403:
        return StoreAccessError(
            f"no permission for {url}: {code or 'AccessDenied'}",
            hint="Ask for s3:GetObject, s3:PutObject and s3:ListBucket on the bucket, as the job needs them.",
            **told,
        )
    if status is not None and 300 <= status < 400:
        return StoreError(
            f"the store sends {url} elsewhere: {code or status}",
            hint="Set HYPERPLANE_S3_REGION to the region of the bucket, or mend HYPERPLANE_S3_ENDPOINT_URL.",
            **told,
        )
    return _other(url, status, code, reason, told)


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


def _other(url: str, status: int | None, code: str, reason: str, told: dict[str, object]) -> StoreError:
    if status is None and any(word in reason for word in _TLS_WORDS):
        return StoreError(
            f"the certificate of the store is not trusted, for {url}",
            hint="Set AWS_CA_BUNDLE to the certificate of its authority, and check its name and date.",
            **told,
        )
    is_passing = status is None or status in _PASSING_STATUS or code in _PASSING_CODES
    what = " ".join(str(part) for part in (status, code) if part) or reason or "it cannot be reached"
    if not is_passing:
        return StoreError(f"the store refused {url}: {what}", hint="See the message.", **told)
    return PassingError(
        f"the store failed for {url}: {what}",
        hint="It was tried several times; try again later.",
        is_throttling=code in _THROTTLING_CODES or status in (429, 503),
        **told,
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
        if is_new and isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
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
    status = _STATUS.search(text)
    code = _CODE.search(text)
    number = int(status[1]) if status else _status_of(error)
    if isinstance(error, exceptions.PreconditionError | exceptions.NotModifiedError):
        number = 412
    reason = "" if number else _reason(text)
    return error_of(url, status=number, code=code[1] if code else "", reason=reason)


def _status_of(error: Exception) -> int | None:
    from obstore import exceptions

    match error:
        case FileNotFoundError():
            return 404
        case exceptions.PermissionDeniedError():
            return 403
        case exceptions.UnauthenticatedError():
            return 401
    return None


def _reason(text: str) -> str:
    return next((word for word in _REASONS if word in text), "no answer")


@contextmanager
def botocore_errors(url: str, *, is_new: bool = False) -> Iterator[None]:
    """Have errors of botocore leave the block as ours; `is_new`: a failed condition means that it exists."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = told.get("Code", "")
        if is_new and (status == 412 or code in {"PreconditionFailed", "ConditionalRequestConflict"}):
            raise already_there(url) from None
        raise error_of(url, status=_number(status, code), code="" if code.isdigit() else code) from None
    except NoCredentialsError:
        raise CredentialsError(
            f"there are no credentials for {url}", hint=_credentials_hint(""), url=url
        ) from None
    except (BotoCoreError, OSError) as error:
        raise error_of(url, status=None, code="", reason=type(error).__name__) from None


def _number(status: int | None, code: str) -> int | None:
    # an error in the body of a reply that said 200
    return 500 if status == 200 and not code.isdigit() else status
