"""A scripted S3 that fails as real ones do: it keeps objects in memory, verifies all, and records all.

    with FaultyS3() as faulty_s3:
        faulty_s3.add(throttle(), operation="PutObject", calls=[1, 2])
        ...
        assert 3 == len(faulty_s3.calls_of("PutObject"))

It knows nothing of the package under test.
"""

from faultys3.calls import Call
from faultys3.faults import (
    Fault,
    answer_headers,
    corrupt,
    do,
    drop,
    error,
    error_in_200,
    hang,
    hang_after,
    lose_reply,
    redirect,
    replace_object,
    reset,
    stall,
    throttle,
    truncate,
)
from faultys3.rules import Rule
from faultys3.server import FaultyS3
from faultys3.signatures import Keys

__all__ = [
    "Call",
    "Fault",
    "FaultyS3",
    "Keys",
    "Rule",
    "answer_headers",
    "corrupt",
    "do",
    "drop",
    "error",
    "error_in_200",
    "hang",
    "hang_after",
    "lose_reply",
    "redirect",
    "replace_object",
    "reset",
    "stall",
    "throttle",
    "truncate",
]
