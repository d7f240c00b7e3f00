"""Places in object stores, as people write them: `s3://bucket/key`, or a key of the usual bucket."""

import re
from typing import NamedTuple

from hyperplane.errors import UsageError

S3_SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Location(NamedTuple):
    """A key in a bucket; one that is empty or ends in `/` is a folder, any other exactly one object."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str, *, bucket: str | None = None) -> "Location":
        """Read `s3://bucket/key`, or a key of `bucket`; keys are taken as they are written.

        Raises `UsageError` for another scheme, a key without any bucket, or what can be neither.
        """
        if not is_text(text):
            raise UsageError(f"{text!r} is no UTF-8 text, as keys are", hint="Mend the key.")
        scheme, separator, rest = text.partition("://")
        if separator and scheme.lower() == "s3":
            name, _, key = rest.partition("/")
            if not name:
                raise UsageError(f"{text!r} names no bucket", hint="Write s3://bucket/key.")
            return cls(_checked(name), key)
        if separator and scheme.isalnum():
            raise UsageError(f"{text!r} is not in S3", hint="Write s3://bucket/key, or a key of the bucket.")
        if bucket is None:
            raise UsageError(
                f"no bucket for the key {text!r}",
                hint="Set HYPERPLANE_S3_BUCKET or the secret s3_bucket_name, or write s3://bucket/key.",
            )
        return cls(_checked(bucket), text)

    @staticmethod
    def is_url(text: str) -> bool:
        """Say whether a text is a URL of S3."""
        return text[: len(S3_SCHEME)].lower() == S3_SCHEME

    @property
    def is_folder(self) -> bool:
        """Whether this stands for all objects below it."""
        return not self.key or self.key.endswith("/")

    @property
    def name(self) -> str:
        """The last part of the key, without the final slash."""
        return self.key.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return f"{S3_SCHEME}{self.bucket}/{self.key}"


def _checked(bucket: str) -> str:
    # the name is part of an address, and must not change it
    if _BUCKET.fullmatch(bucket) is None:
        raise UsageError(f"{bucket!r} is no name of a bucket", hint="Write s3://bucket/key.")
    return bucket


def is_text(key: str) -> bool:
    """Say whether a key can be written as UTF-8."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
