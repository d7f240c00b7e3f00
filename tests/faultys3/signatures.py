"""Who may do what: signatures of version 4, session tokens, and clocks that agree."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote, unquote_to_bytes

from faultys3.answers import S3Error

MAX_SKEW_S = 900
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass
class Keys:
    """A pair of keys that the server knows, with the session token that belongs to them, if any."""

    secret: str
    token: str | None = None
    is_expired: bool = False


@dataclass(frozen=True)
class _Signed:
    key_id: str
    scope: str
    headers: tuple
    signature: str
    date: str
    token: str | None
    payload: str
    expires_s: float


def check(call, known, now):
    """Raise what S3 answers to a call that is not signed with keys that it knows."""
    signed = _signed(call)
    keys = known.get(signed.key_id)
    if keys is None:
        raise S3Error("InvalidAccessKeyId", "the access key id does not exist in our records")
    if signed.token != keys.token:
        raise S3Error("InvalidToken", "the token is malformed or otherwise invalid")
    if keys.is_expired:
        raise S3Error("ExpiredToken", "the token has expired")
    if not hmac.compare_digest(_signature(call, signed, keys.secret), signed.signature):
        raise S3Error("SignatureDoesNotMatch", "the signature is not the one that we computed")
    sent = datetime.strptime(signed.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if not -MAX_SKEW_S <= now - sent <= signed.expires_s:
        raise S3Error("RequestTimeTooSkewed", "the request's time and ours are too far apart")


def _signed(call):
    authorization = call.headers.get("authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256 "):
        fields = dict(each.strip().partition("=")[::2] for each in authorization[17:].split(","))
        return _of_fields(fields, call.headers, call.headers.get("x-amz-content-sha256", _UNSIGNED))
    if "X-Amz-Signature" in call.query:
        fields = {name.removeprefix("X-Amz-"): value for name, value in call.query.items()}
        values = {name.lower(): value for name, value in call.query.items()}
        return _of_fields(fields, values, _UNSIGNED, float(fields["Expires"]))
    raise S3Error("AccessDenied", "access denied: the request is not signed")


def _of_fields(fields, values, payload, expires_s=MAX_SKEW_S):
    key_id, _, scope = fields["Credential"].partition("/")
    headers = tuple(fields["SignedHeaders"].split(";"))
    date, token = values["x-amz-date"], values.get("x-amz-security-token")
    return _Signed(key_id, scope, headers, fields["Signature"], date, token, payload, expires_s)


def _signature(call, signed, secret):
    digest = hashlib.sha256(_canonical(call, signed).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{signed.date}\n{signed.scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for word in signed.scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(call, signed):
    headers = "".join(f"{name}:{' '.join(call.headers.get(name, '').split())}\n" for name in signed.headers)
    path = quote(unquote_to_bytes(call.raw_path), safe="/~")
    names = ";".join(signed.headers)
    return "\n".join((call.method, path, _canonical_query(call), headers, names, signed.payload))


def _canonical_query(call):
    pairs = (each.partition("=") for each in call.raw_query.split("&") if each)
    quoted = sorted((quote(unquote(n), safe="~"), quote(unquote(v), safe="~")) for n, _, v in pairs)
    return "&".join(f"{name}={value}" for name, value in quoted if name != "X-Amz-Signature")
