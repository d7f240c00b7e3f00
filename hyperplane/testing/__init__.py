"""What tests of jobs need: a context to inject, an S3 server, and suites that fakes and real objects pass."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperplane.testing.fake import FakeJobContext
    from hyperplane.testing.outputs import FakeOutputs
    from hyperplane.testing.recorded import Metric
    from hyperplane.testing.s3server import S3Server, s3_server

_MODULES = {
    "FakeJobContext": "fake",
    "FakeOutputs": "outputs",
    "Metric": "recorded",
    "S3Server": "s3server",
    "s3_server": "s3server",
}

__all__ = ["FakeJobContext", "FakeOutputs", "Metric", "S3Server", "s3_server"]

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept every misspelt name

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
