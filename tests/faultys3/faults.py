"""What can go wrong: functions that make faults, to be put into rules.

faulty_s3.add(throttle(), operation="PutObject", key="a/*", calls=[1, 2])
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from faultys3.answers import Answer, S3Error
from faultys3.store import Stored, etag_of


class Dropped(Exception):  # noqa: N818 - it ends a call, and is no error
    """The connection is closed here, or reset."""

    def __init__(self, ending="close"):
        super().__init__(ending)
        self.ending = ending


class Hung(Exception):  # noqa: N818 - it ends a call, and is no error
    """Nothing more is read or sent, and the connection stays open."""


@dataclass(frozen=True)
class Fault:
    """What happens to a call, at these moments.

    `arrive(call)`: before its body is read. `cut`: where in the body it ends, and how: in the body of
    the request where that has one, else of the answer. `receive(data)`: changes the received body.
    `instead(call, store)`: returns an answer, and the operation is not carried out, or returns None.
    `answered(call, answer)`: changes the answer. All may raise `S3Error`, `Dropped` or `Hung`.
    """

    name: str
    arrive: Callable = lambda call: None
    cut: "Cut | None" = None
    receive: Callable = lambda data: data
    instead: Callable = lambda call, store: None
    answered: Callable = lambda call, answer: answer


@dataclass(frozen=True)
class Cut:
    """An end in mid-body. `after`: bytes (int) or share of it (float). `ending`: close, reset, stall."""

    after: float
    ending: str

    def limit(self, size):
        """Return after how many bytes of a body of this size it ends."""
        return int(size * self.after) if isinstance(self.after, float) else min(self.after, size)


def drop():
    """Close the connection before anything is done or answered."""
    return Fault("drop", instead=_raising(Dropped))


def reset(after=0.5):
    """Reset the connection in mid-body."""
    return Fault("reset", cut=Cut(after, "reset"))


def truncate(after=0.5):
    """Close the connection in mid-body; the Content-Length had promised more."""
    return Fault("truncate", cut=Cut(after, "close"))


def stall(after=0.5):
    """Stop in mid-body, and keep the connection open."""
    return Fault("stall", cut=Cut(after, "stall"))


def hang():
    """Accept the call, read none of its body, and never answer."""
    return Fault("hang", arrive=_raising(Hung))


def hang_after():
    """Do what was asked, and never answer."""
    return Fault("hang_after", answered=_raising(Hung))


def lose_reply(ending="close"):
    """Do what was asked, and end the connection without an answer."""
    return Fault("lose_reply", answered=_raising(lambda: Dropped(ending)))


def error(code="InternalError", status=None, headers=None):
    """Answer with an error of S3, and do nothing. `status`: where it is not the code's own."""
    return Fault(code, instead=_raising(lambda: S3Error(code, status=status, headers=headers)))


def throttle(status=503, retry_after_s=None):
    """Answer SlowDown, with or without a Retry-After."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return error("SlowDown", status, headers)


def error_in_200(code="InternalError"):
    """Do nothing, and answer 200 with an error in the body, as S3 can do for what takes it long."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>'
    answer = Answer(200, {"Content-Type": "application/xml"}, text.encode())
    return Fault("error_in_200", instead=lambda call, store: answer)


def corrupt(position=0.5):
    """Flip one bit: in the body that was received, or, where there is none, in that of the answer."""

    def flipped(data):
        at = min(int(len(data) * position), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if data else data

    def answered(call, answer):
        return answer if call.received_bytes else replace(answer, body=flipped(answer.body))

    return Fault("corrupt", receive=flipped, answered=answered)


def redirect(to, status=307, headers=None):
    """Send the client to the same path and query below another address, such as `http://localhost:1`."""

    def instead(call, store):
        query = f"?{call.raw_query}" if call.raw_query else ""
        return Answer(status, {"Location": f"{to}{call.raw_path}{query}", **(headers or {})})

    return Fault("redirect", instead=instead)


def replace_object(data):
    """Have somebody else write the object just before the call is carried out, or, with None, delete it."""

    def instead(call, store):
        if data is None:
            store.bucket(call.bucket).pop(call.key, None)
        else:
            store.put(call.bucket, call.key, Stored(data, etag_of(data, {})))

    return Fault("replace_object", instead=instead)


def answer_headers(headers):
    """Change headers of the answer, such as `{"ETag": '"0"'}`; None removes one."""

    def answered(call, answer):
        named = {name.lower() for name in headers}
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in named}
        return replace(answer, headers={**kept, **{n: v for n, v in headers.items() if v is not None}})

    return Fault("answer_headers", answered=answered)


def do(action):
    """Call a function with the call as it arrives: to kill a process, to change a file that is sent."""
    return Fault("do", arrive=action)


def cut_of(faults):
    """Return the first cut of some faults, or None."""
    return next((fault.cut for fault in faults if fault.cut is not None), None)


def _raising(make):
    def act(*_):
        raise make()

    return act
