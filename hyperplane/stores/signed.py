"""Listings and HEAD as the store has them: obstore takes some keys for others, and boto3 is slow to start."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit

from hyperplane.locks import ForkSafeLock
from hyperplane.stores.account import Account
from hyperplane.stores.credentials import Credentials
from hyperplane.stores.failures import error_of, refused, urllib3_errors
from hyperplane.stores.objects import Checksums, ObjectInfo, checksums_in

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_CONNECTIONS = 32


class Page(NamedTuple):
    """Some objects of a listing, in order; `token` leads to the next page, None where there is none."""

    objects: list[ObjectInfo]
    token: str | None


class _Request(NamedTuple):
    """What is signed; `query` is in its canonical form: sorted and quoted."""

    method: str
    address: str
    query: str
    headers: Mapping[str, str]


class Asking:
    """Requests without a body to one bucket, each sent once; redirects are not followed."""

    def __init__(self, account: Account, bucket: str) -> None:
        self._account = account
        self._bucket = bucket
        self._lock = ForkSafeLock()
        self._pool: PoolManager | None = None
        self._pid = 0

    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of one object."""
        told = self._head(key).headers
        size, modified = told.get("content-length"), told.get("last-modified")
        if size is None:
            raise refused(f"s3://{self._bucket}/{key}", "the reply does not tell its size")
        when = None if modified is None else parsedate_to_datetime(modified)
        return ObjectInfo(key, int(size), when, told.get("etag"))

    def checksums(self, key: str) -> Checksums:
        """Return what the store knows of the bytes of one object."""
        return checksums_in({name.lower(): value for name, value in self._head(key).headers.items()})

    def page(self, prefix: str, *, after: str, token: str | None) -> Page:
        """Return a page of the objects whose keys begin with the prefix, behind the key `after`."""
        told = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
        told |= {"start-after": after} if token is None else {"continuation-token": token}
        url = f"s3://{self._bucket}/{prefix}"
        query = "&".join(f"{name}={quote(value, safe='~')}" for name, value in sorted(told.items()))
        reply = self._send("GET", url, query=query)
        return _page_in(reply.data, url)

    def _head(self, key: str) -> "BaseHTTPResponse":
        url = f"s3://{self._bucket}/{key}"
        return self._send("HEAD", url, path=quote(key, safe="/~"), x_amz_checksum_mode="ENABLED")

    def _send(
        self, method: str, url: str, *, path: str = "", query: str = "", **headers: str
    ) -> "BaseHTTPResponse":
        address = f"{self._account.url_of(self._bucket)}/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = _Request(method, address, query, named)
        signed = signed_headers(request, self._account.credentials.get(), self._account.region)
        with urllib3_errors(url):
            reply = _sent(self._opened, request, signed)
        if reply.status != HTTPStatus.OK:
            raise error_of(url, status=reply.status, code=_code_in(reply.data))
        return reply

    @property
    def _opened(self) -> "PoolManager":
        with self._lock:
            # connections of a parent are not to be shared
            if self._pool is None or self._pid != os.getpid():
                self._pool, self._pid = _pool(self._account), os.getpid()
            return self._pool


def _sent(manager: "PoolManager", request: _Request, headers: dict[str, str]) -> "BaseHTTPResponse":
    # given a whole URL, urllib3 would normalise it; a proxy for plain HTTP needs one
    is_relayed = manager.proxy is not None and request.address.startswith("http://")
    target = request.address if is_relayed else urlsplit(request.address).path
    return manager.connection_from_url(request.address).urlopen(
        request.method,
        f"{target}?{request.query}" if request.query else target,
        headers=headers,
        redirect=False,
        assert_same_host=False,
    )


def _pool(account: Account) -> "PoolManager":
    from urllib.request import getproxies, proxy_bypass

    from urllib3 import PoolManager, ProxyManager, Timeout

    host = urlsplit(account.endpoint)
    options: Any = {
        "timeout": Timeout(connect=account.connect_timeout_s, read=account.read_timeout_s),
        "maxsize": _CONNECTIONS,
        "retries": False,
        "ca_certs": str(account.ca_file or _usual_authorities()),
    }
    proxy = getproxies().get(host.scheme)
    if proxy and not proxy_bypass(host.hostname or ""):
        return ProxyManager(proxy, **options)
    return PoolManager(**options)


def _usual_authorities() -> Path:
    spec = find_spec("botocore")
    if spec is None or spec.origin is None:  # pragma: no cover - it is a dependency
        raise ImportError("botocore is not installed")
    return Path(spec.origin).with_name("cacert.pem")


def signed_headers(request: _Request, credentials: Credentials, region: str) -> dict[str, str]:
    """Return the headers of a request without a body, signed by AWS Signature Version 4.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    parts = urlsplit(request.address)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {"host": parts.netloc, "x-amz-content-sha256": _EMPTY_SHA256, "x-amz-date": moment}
    sent |= request.headers
    if credentials.session_token is not None:
        sent["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    canonical = f"{request.method}\n{parts.path}\n{request.query}\n{lines}\n{names}\n{_EMPTY_SHA256}"
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = _signature(text, credentials.secret_access_key, scope)
    told = f"Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**sent, "authorization": f"AWS4-HMAC-SHA256 {told}"}


def _signature(text: str, secret_access_key: str, scope: str) -> str:
    key = f"AWS4{secret_access_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _page_in(data: bytes, url: str) -> Page:
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - expat refuses what would blow up
    except ElementTree.ParseError:
        raise refused(url, "the reply is no listing of S3") from None
    space = root.tag.removesuffix("ListBucketResult")
    if space == root.tag:
        raise error_of(url, status=None, code=_code_in(data) or "no listing of S3")
    is_quoted = root.findtext(f"{space}EncodingType") == "url"
    objects = [_object_in(found, space, is_quoted=is_quoted) for found in root.iter(f"{space}Contents")]
    is_last = root.findtext(f"{space}IsTruncated") != "true"
    token = root.findtext(f"{space}NextContinuationToken")
    if not is_last and not token:
        raise refused(url, "the listing ends in the middle, without a continuation token")
    return Page(objects, None if is_last else token)


def _object_in(found: Any, space: str, *, is_quoted: bool) -> ObjectInfo:
    told = {child.tag.removeprefix(space): child.text or "" for child in found}
    key = unquote_plus(told["Key"]) if is_quoted else told["Key"]
    return ObjectInfo(key, int(told["Size"]), datetime.fromisoformat(told["LastModified"]), told.get("ETag"))


def _code_in(data: bytes) -> str:
    _, found, rest = data.partition(b"<Code>")
    return rest.partition(b"</Code>")[0].decode(errors="replace") if found else ""
