"""The two services of AWS that keep secrets, and how each is asked for many at once."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from hyperplane.errors import SecretSourceError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_ACTION = re.compile(r"perform: ([A-Za-z0-9-]+:[A-Za-z0-9]+)")
_VERSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Wanted(NamedTuple):
    """A secret as a service knows it: its full name, and a version, stage or label where one was said."""

    full_name: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.full_name}:{self.version}" if self.version else self.full_name


class Service(Protocol):
    """A service that keeps secrets."""

    title: ClassVar[str]
    code: ClassVar[str]
    action: ClassVar[str]

    def could_have(self, wanted: Wanted) -> bool:
        """Say whether the service allows such a name."""
        ...

    def read(self, client: Any, wanted: Sequence[Wanted]) -> Mapping[Wanted, bytes]:
        """Return those of the secrets that are there. Raises what botocore raises, and `Refused`."""
        ...


class Refused(Exception):  # noqa: N818 - it says what happened; nobody outside of this package sees it
    """The service gave an answer for one secret that is neither its value nor that it is not there."""

    def __init__(self, wanted: Wanted, code: str, message: str) -> None:
        super().__init__(code)
        self.wanted = wanted
        self.code = code
        self.message = message


class SecretsManager:
    """AWS Secrets Manager: a version is the name of a stage, as AWSPREVIOUS, or the id of a version."""

    title: ClassVar[str] = "AWS Secrets Manager"
    code: ClassVar[str] = "secretsmanager"
    action: ClassVar[str] = "secretsmanager:GetSecretValue"
    _BATCH = 20
    _NAME = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,512}")

    def could_have(self, wanted: Wanted) -> bool:
        """Say whether the service allows such a name."""
        return self._NAME.fullmatch(wanted.full_name) is not None

    def read(self, client: Any, wanted: Sequence[Wanted]) -> Mapping[Wanted, bytes]:
        """Return those of the secrets that are there; only current versions can be read many at once."""
        current = [one for one in wanted if not one.version]
        single = [one for one in wanted if one.version]
        if len(current) == 1:
            current, single = [], list(wanted)
        found: dict[Wanted, bytes] = {}
        for batch in _batches(current, self._BATCH):
            try:
                found.update(self._read_batch(client, batch))
            except client.exceptions.ClientError as error:
                # reading many at once is a permission of its own, which not everybody has
                if error.response["Error"]["Code"] not in _DENIED:
                    raise _refused(batch[0], error.response["Error"]) from error
                single += batch
        for one in single:
            found.update(self._read_one(client, one))
        return found

    def _read_one(self, client: Any, one: Wanted) -> Mapping[Wanted, bytes]:
        kind = "VersionId" if _VERSION_ID.fullmatch(one.version) else "VersionStage"
        version = {kind: one.version} if one.version else {}
        try:
            return {one: _secret_bytes(client.get_secret_value(SecretId=one.full_name, **version))}
        except client.exceptions.ResourceNotFoundException:
            return {}
        except client.exceptions.ClientError as error:
            raise _refused(one, error.response["Error"]) from error

    def _read_batch(self, client: Any, batch: Sequence[Wanted]) -> Mapping[Wanted, bytes]:
        answer = client.batch_get_secret_value(SecretIdList=[one.full_name for one in batch])
        for problem in answer.get("Errors", []):
            if problem["ErrorCode"] != "ResourceNotFoundException":
                raise Refused(Wanted(problem["SecretId"]), problem["ErrorCode"], problem.get("Message", ""))
        by_name = {key: value for value in answer["SecretValues"] for key in (value["Name"], value["ARN"])}
        return {one: _secret_bytes(by_name[one.full_name]) for one in batch if one.full_name in by_name}


class ParameterStore:
    """AWS SSM Parameter Store, decrypted: a version is a number or a label."""

    title: ClassVar[str] = "AWS SSM Parameter Store"
    code: ClassVar[str] = "ssm"
    action: ClassVar[str] = "ssm:GetParameters"
    _BATCH = 10
    _NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,1011}")

    def could_have(self, wanted: Wanted) -> bool:
        """Say whether the service allows such a name."""
        return self._NAME.fullmatch(wanted.full_name) is not None

    def read(self, client: Any, wanted: Sequence[Wanted]) -> Mapping[Wanted, bytes]:
        """Return those of the parameters that are there; only current ones are read many at once."""
        found = {}
        current = [one for one in wanted if not one.version]
        # an answer does not tell for certain which of several versions it is
        single = [[one] for one in wanted if one.version]
        for batch in (*_batches(current, self._BATCH), *single):
            names = {one.full_name: one for one in batch}
            for parameter in self._read_batch(client, batch):
                found[names[parameter["Name"]]] = parameter["Value"].encode()
        return found

    def _read_batch(self, client: Any, batch: Sequence[Wanted]) -> Sequence[Mapping[str, str]]:
        try:
            answer = client.get_parameters(Names=[str(one) for one in batch], WithDecryption=True)
        except client.exceptions.ClientError as error:
            raise _refused(batch[0], error.response["Error"]) from error
        parameters: Sequence[Mapping[str, str]] = answer["Parameters"]
        return parameters


def _batches(wanted: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    yield from (wanted[at : at + size] for at in range(0, len(wanted), size))


def _secret_bytes(answer: Mapping[str, Any]) -> bytes:
    text = answer.get("SecretString")
    return bytes(answer["SecretBinary"]) if text is None else text.encode()


def _refused(wanted: Wanted, error: Mapping[str, str]) -> Refused:
    return Refused(wanted, error["Code"], error.get("Message", ""))


def problem_of(
    service: Service, name_of: Callable[[Wanted], str], asked: Wanted, error: Exception
) -> SecretSourceError:
    """Return the error of ours for what a service or boto3 has raised; of theirs nothing is quoted.

    `name_of`: the secret's name for whoever asks. `asked`: the first secret that was asked for.
    """
    wanted, permission = asked, ""
    reason, hint = _reason_of(error)
    if isinstance(error, Refused):
        wanted = error.wanted
        if error.code in _DENIED:
            permission = _permission(service, error.message)
            reason, hint = f"{permission} is not allowed", f"Allow {permission} for it to who runs the job."
    name = name_of(wanted)
    return SecretSourceError(
        f"the secret {name!r} cannot be read from {service.title} ({wanted}): {reason}",
        hint=hint,
        name=name,
        source=service.title,
        permission=permission,
    )


def _permission(service: Service, message: str) -> str:
    told = _ACTION.search(message)
    if told:
        return told[1]
    return "kms:Decrypt" if "KMS" in message else service.action


_REASONS = {
    "NoCredentialsError": (
        "there are no credentials",
        "Log in, as with `aws sso login`, or name AWS_PROFILE.",
    ),
    "NoRegionError": ("no region is named", "Set AWS_REGION."),
    "ProfileNotFound": ("there is no such profile", "AWS_PROFILE names one that `aws configure` has made."),
}
_STALE = frozenset(
    {"ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidSignatureException"}
)


def _reason_of(error: Exception) -> tuple[str, str]:
    if isinstance(error, Refused):
        hint = "Renew the credentials, as with `aws sso login`." if error.code in _STALE else "AWS says so."
        return error.code, hint
    kind = type(error).__name__
    return _REASONS.get(kind, (kind, "Is the network up, and are AWS_REGION and AWS_ENDPOINT_URL right?"))
