"""`ctx.log` and its standard-library handler: masked lines on stderr and in the run's events."""

import contextlib
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

from hyperplane.journal import Journal, one_line, presentable, write_line
from hyperplane.masking import Masker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Line = Mapping[str, Any]
_OF_EVERY_RECORD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"))


def make_logger(
    *,
    job_fields: Mapping[str, object],
    masker: Masker,
    journal: Journal | None = None,
    log_format: str = "auto",
    level: str = "INFO",
    stream: TextIO | None = None,
    is_local: bool = True,
    has_colors: bool | None = None,
) -> "FilteringBoundLogger":
    """Return a structlog logger that is bound to the fields of the job.

    `log_format`: "console", "json", or "auto": console on a terminal and where `is_local`, JSON where
    a platform collects the lines. `has_colors`: None where the terminal decides.
    `stream`: None stands for `sys.stderr` at each line. A user's `structlog.configure` plays no part.
    """
    import structlog

    sink = _Sink(job_fields, masker, journal, _renderer(log_format, stream, is_local, has_colors))
    # Everything is given and bound at once: what is left out, structlog takes from its global settings.
    least = logging.getLevelNamesMapping()[level.upper()]
    logger = structlog.wrap_logger(
        _Lines(stream),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            sink,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        context_class=dict,
        cache_logger_on_first_use=False,
    )
    return cast("FilteringBoundLogger", logger.bind(**job_fields))


def make_handler(
    *,
    job_fields: Mapping[str, object],
    masker: Masker,
    journal: Journal | None = None,
    log_format: str = "auto",
    level: str = "INFO",
    stream: TextIO | None = None,
    is_local: bool = True,
    has_colors: bool | None = None,
) -> logging.Handler:
    """Return a handler that writes standard-library records as `make_logger` writes its own."""
    sink = _Sink(job_fields, masker, journal, _renderer(log_format, stream, is_local, has_colors))
    return _Handler(sink, _Lines(stream), job_fields, level.upper())


class _Lines:
    """Writes each line with one write, and lets no failure reach the job; structlog's wrapped logger."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            write_line(self._stream if self._stream is not None else sys.stderr, line)

    debug = info = warning = error = critical = msg


class _Sink:
    """Stores a line as an event and returns it rendered; structlog's last processor."""

    def __init__(
        self,
        job_fields: Mapping[str, object],
        masker: Masker,
        journal: Journal | None,
        render: Callable[[Line], str],
    ) -> None:
        self._job_fields = dict(job_fields)
        self._masker = masker
        self._journal = journal
        self._render = render

    def __call__(self, _logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
        own = {
            "level": fields.pop("level"),
            "event": fields.pop("event"),
            "logger": fields.pop("logger", None),
            "exception": fields.pop("exception", None),
            "stack": fields.pop("stack", None),
        }
        line = presentable({name: value for name, value in own.items() if value is not None}, self._masker)
        rest = presentable({"fields": fields}, self._masker)["fields"]
        rest = rest if isinstance(rest, dict) else {"fields": rest}
        self._store(line, rest)
        taken = {*own, "timestamp"}
        return self._render({**line, **{name + "_" * (name in taken): rest[name] for name in rest}})

    def _store(self, line: Line, rest: Line) -> None:
        if self._journal is None:
            return
        event = {name: value for name, value in line.items() if name != "event"}
        rank = {"rank": rest["rank"]} if rest.get("rank") else {}
        fields = {name: value for name, value in rest.items() if value != self._job_fields.get(name)}
        self._journal.note("log", message=line.get("event"), **event, **rank, fields=fields)


class _Handler(logging.Handler):
    """Writes records of the standard library as the job's logger writes its lines."""

    def __init__(self, sink: _Sink, lines: _Lines, job_fields: Mapping[str, object], level: str) -> None:
        super().__init__(level)
        self._sink = sink
        self._lines = lines
        self._job_fields = dict(job_fields)
        self._emitting = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, its traceback too. What logs while it is being written is passed over."""
        # stderr may itself be a logger that this handler is attached to.
        if getattr(self._emitting, "now", False):
            return
        self._emitting.now = True
        try:
            self._lines.msg(self._sink(None, "", self._fields(record)))
        except Exception as error:  # noqa: BLE001 - a record that breaks its own formatting must not end the job
            self._lines.msg(f"hyperplane: a log record was lost: {type(error).__name__}")
        finally:
            self._emitting.now = False

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        extra = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        return {
            **self._job_fields,
            **extra,
            "level": record.levelname.lower(),
            "event": _message(record),
            "logger": record.name,
            "exception": _exception(record),
            "stack": record.stack_info,
        }


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are shown beside the text
        return f"{record.msg} % {record.args!r}"


def _exception(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return record.exc_text


def _renderer(
    log_format: str, stream: TextIO | None, is_local: bool, has_colors: bool | None
) -> Callable[[Line], str]:
    is_terminal = _is_terminal(stream if stream is not None else sys.stderr)
    if log_format == "json" or (log_format == "auto" and not (is_local or is_terminal)):
        return _as_json
    return _Console(has_colors if has_colors is not None else is_terminal)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def _as_json(line: Line) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps({"timestamp": now, **line})


class _Console:
    """Renders a line for people; the job and the run, which are the same in every line, are left out."""

    def __init__(self, has_colors: bool) -> None:
        import structlog

        self._render = structlog.dev.ConsoleRenderer(
            colors=has_colors, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, line: Line) -> str:
        shown = {one_line(name): _printable(name, value) for name, value in line.items()}
        for name in ("job", "run", *(() if line.get("rank") else ("rank",))):
            shown.pop(name, None)
        now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        return self._render(None, "", {"timestamp": now, **shown})


def _printable(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in {"exception", "stack"}:
        return "\n".join(one_line(part) for part in value.split("\n"))
    return one_line(value)
