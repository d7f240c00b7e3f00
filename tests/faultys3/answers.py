"""What the server answers: XML documents, and errors in the words of S3."""

import re
from dataclasses import dataclass, field

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
STATUS = {
    "AccessDenied": 403,
    "BadDigest": 400,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedXML": 400,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}


class S3Error(Exception):
    """An error that S3 would answer; its code says its status unless another is given."""

    def __init__(self, code, message="", *, status=None, headers=None):
        super().__init__(code)
        self.code = code
        self.message = message or f"{code}, says the scripted server"
        self.status = status or STATUS[code]
        self.headers = headers or {}


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""


class Xml(str):
    """Text that is XML already."""

    __slots__ = ()


def tag(name, *parts):
    """Return an element with these parts, which are elements or plain values; None is left out."""
    texts = (part if isinstance(part, Xml) else escape(str(part)) for part in parts if part is not None)
    return Xml(f"<{name}>{''.join(texts)}</{name}>")


def escape(text):
    """Return text as it stands in XML; control characters as S3 does it, though no parser takes most."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"&#x{ord(match[0]):x};", text)


def document(name, *parts, status=200, headers=None):
    """Return an answer with an XML document."""
    text = tag(name, *parts).replace(f"<{name}>", f'<{name} xmlns="{NAMESPACE}">', 1)
    return _xml(text, status, headers)


def error_document(error, *, resource="", is_head=False):
    """Return the answer that says an error; that to a HEAD has no body."""
    if is_head or error.status == 304:
        return Answer(error.status, error.headers)
    text = tag(
        "Error",
        tag("Code", error.code),
        tag("Message", error.message),
        tag("Resource", resource),
        tag("RequestId", "0000000000000001"),
    )
    return _xml(text, error.status, error.headers)


def _xml(text, status, headers):
    declared = '<?xml version="1.0" encoding="UTF-8"?>\n' + text
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, declared.encode())
