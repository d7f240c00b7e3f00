"""Every error of the package, the tree on top, and the exit codes they end a process with.

    HyperplaneError
    ├── NoContextError (RuntimeError)          no context is open
    ├── ContextClosedError (RuntimeError)      a facet was used after the context closed
    ├── SettingsError (ValueError)             a HYPERPLANE_ variable or a `.env` file is wrong
    ├── SecretError
    │   ├── SecretNotFoundError (KeyError)     no source has a secret of that name
    │   ├── SecretNameError (ValueError)       not a name a secret can have
    │   ├── SecretValueError (ValueError)      the value is not what was asked for, or cannot be read
    │   └── SecretSourceError (OSError)        a place where secrets are kept cannot be asked
    │       └── VaultError                     the local vault or its key cannot be used, or was changed
    ├── ParamsError (ValueError)               parameters that do not fit what was declared
    │   └── ParamNotFoundError (KeyError)      no source has a parameter of that name
    ├── InputError (OSError)                   an input that is not there, cannot be read or fetched
    │   └── InputNotFoundError (KeyError)      no source names an input like that
    ├── OutputError (OSError)                  the outputs folder or a file in it cannot be used
    │   └── OutputNameError (ValueError)       a name that would leave the folder, or is ours
    ├── StoreError (OSError)                   an object store refused, failed or could not be reached
    │   ├── CredentialsError                   no credentials for it, or ones that it does not take
    │   ├── StoreAccessError (PermissionError) the credentials do not permit it
    │   ├── ObjectNotFoundError (FileNotFoundError)  no such object, folder or bucket
    │   ├── ObjectExistsError (FileExistsError)  an object that was to be new is there already
    │   └── ObjectChangedError                 an object or file changed while it was copied
    ├── DeliveryError (SystemExit)             a run could not be brought to its destination, and waits for it
    ├── TransferError (OSError)                files that could not be copied, beside others that were
    ├── JobFileError (ValueError)              a job file that cannot be run
    ├── RunNotFoundError (LookupError)         no run, or more than one, goes by that name
    ├── RunnerError (OSError)                  a run could not be prepared, started or stored
    ├── MissingExtraError (ImportError)        what was asked for needs an extra that is not installed
    ├── S3ServerError (OSError)                the S3 server for tests did not start
    └── UsageError (ValueError)                a command line or a call that makes no sense
    JobStopped (SystemExit)                    the job was asked to stop, and ends with 143

`JobStopped` is no `HyperplaneError` on purpose: `except Exception` in a job must not swallow it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

Mask = Callable[[Any], Any]
"""Returns a copy of a record without the secrets in its texts, as `Masker.mask_record` does."""

EXIT_USAGE = 64
EXIT_BAD_JOB_FILE = 65
EXIT_NOT_DELIVERED = 75
EXIT_MISSING_SETTING = 78
EXIT_TIMEOUT = 124
EXIT_STOPPED = 143


class HyperplaneError(Exception):
    """Base of every error of ours: `message` says what failed, `hint` what to do next.

    Keyword arguments become attributes (`error.name`), and survive pickling.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.__dict__.update(data)

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,), self.__dict__


class NoContextError(HyperplaneError, RuntimeError):
    """No `JobContext` is open in this task or process."""


class ContextClosedError(HyperplaneError, RuntimeError):
    """A facet was used after its context had closed."""


class SettingsError(HyperplaneError, ValueError):
    """A `HYPERPLANE_` setting or a `.env` file is wrong. `names`: the settings at fault."""

    names: tuple[str, ...] = ()
    exit_code = EXIT_MISSING_SETTING


class SecretError(HyperplaneError):
    """Base of what can be wrong with a secret. Never carries a value."""

    exit_code = EXIT_MISSING_SETTING


class SecretNotFoundError(SecretError, KeyError):
    """No source has the secret. `names`: the missing ones; `looked_in`: where it was looked for."""

    names: tuple[str, ...] = ()
    looked_in: tuple[str, ...] = ()


class SecretNameError(SecretError, ValueError):
    """Not a name that a secret can have. `name`: what was given."""

    name: object = None


class SecretValueError(SecretError, ValueError):
    """The value cannot be read, or is not what was asked for (JSON, text). `name`: the secret."""

    name: str = ""


class SecretSourceError(SecretError, OSError):
    """A source cannot be asked. `name`: the secret; `source`: where; `permission`: what is missing, if so."""

    name: str = ""
    source: str = ""
    permission: str = ""


class VaultError(SecretSourceError):
    """The local vault or its key cannot be used, or was changed by somebody else. `path`: the file."""

    source = "vault"
    path: "Path | None" = None


class ParamsError(HyperplaneError, ValueError):
    """Parameters that do not fit what was declared. `names`: the parameters at fault."""

    names: tuple[str, ...] = ()
    exit_code = EXIT_USAGE


class ParamNotFoundError(ParamsError, KeyError):
    """No source has the parameter. `name`: what was asked for."""

    name: str = ""


class InputError(HyperplaneError, OSError):
    """An input is not there, or cannot be read or fetched. `name`: the input."""

    name: str = ""
    exit_code = EXIT_MISSING_SETTING


class InputNotFoundError(InputError, KeyError):
    """No source names such an input. `name`: what was asked for."""


class OutputError(HyperplaneError, OSError):
    """The outputs folder, or a file in it, cannot be used. `name`: the output, where there is one."""

    name: str = ""


class OutputNameError(OutputError, ValueError):
    """The name leaves the outputs folder, or is one of ours. `name`: what was given."""


class StoreError(HyperplaneError, OSError):
    """An object store refused, failed or could not be reached.

    `url`: what was asked for; `code`: the store's word for it (`SlowDown`), `status`: of HTTP, or None.
    """

    url: str = ""
    code: str = ""
    status: int | None = None


class CredentialsError(StoreError):
    """There are no credentials for a store, or ones that it does not take."""

    exit_code = EXIT_MISSING_SETTING


class StoreAccessError(StoreError, PermissionError):
    """The credentials do not permit what was asked for."""


class ObjectNotFoundError(StoreError, FileNotFoundError):
    """There is no such object, folder or bucket in the store."""


class ObjectExistsError(StoreError, FileExistsError):
    """An object that was to be new is there already."""


class ObjectChangedError(StoreError):
    """An object, or the file that was to become one, changed while it was copied."""


class DeliveryError(HyperplaneError, SystemExit):
    """A run could not be brought to its destination; it stays on the disk, to be delivered later.

    `run_id`: which run; `url`: where it was to go. A `SystemExit` too: a script that nobody catches it in
    ends with the exit code that says so. `is_said`: a context has told of it on stderr.
    """

    run_id: str = ""
    url: str = ""
    is_said: bool = False
    exit_code = EXIT_NOT_DELIVERED

    def __init__(self, message: str, *, hint: str = "", **data: Any) -> None:
        super().__init__(message, hint=hint, **data)
        self.code = self.exit_code


class TransferError(HyperplaneError, OSError):
    """Files that could not be copied. `failures`: name -> error; `transfer`: what was copied."""

    failures: Mapping[str, Exception] = MappingProxyType({})
    transfer: Any = None


class JobFileError(HyperplaneError, ValueError):
    """A job file that cannot be run. `path`: the file; `line`: from 1, where it is known."""

    path: "Path | None" = None
    line: int | None = None
    exit_code = EXIT_BAD_JOB_FILE


class RunNotFoundError(HyperplaneError, LookupError):
    """No run, or more than one, goes by that name. `name`: what was given."""

    name: str = ""
    exit_code = EXIT_USAGE


class RunnerError(HyperplaneError, OSError):
    """A run could not be prepared, started or stored."""


class MissingExtraError(HyperplaneError, ImportError):
    """What was asked for needs an extra that is not installed. `extra`: which one; `name`: the package."""

    extra: str = ""
    # in place of ImportError's own, which would not be among what an error of ours carries
    name: str | None = None


class S3ServerError(HyperplaneError, OSError):
    """The S3 server for tests did not start."""


class UsageError(HyperplaneError, ValueError):
    """A command line or a call that makes no sense."""

    exit_code = EXIT_USAGE


class JobStopped(SystemExit):
    """The job was asked to stop (a signal or its deadline) and ends with exit code 143.

    A `SystemExit`, so that it passes through `except Exception`.
    """

    def __init__(self, reason: str = "asked to stop") -> None:
        super().__init__(EXIT_STOPPED)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,), self.__dict__


def unmasked(record: Any) -> Any:
    """Return a record as it is: the `Mask` of whoever knows no secrets."""
    return record


@contextmanager
def masked_errors(mask: Mask) -> Iterator[None]:
    """Have errors of ours leave the block without the secrets in what they were told."""
    try:
        yield
    except HyperplaneError as error:
        error.args = mask(error.args)
        # value by value, for the name of an attribute may read like a secret
        vars(error).update({name: mask(value) for name, value in vars(error).items()})
        raise


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to a mistyped one in any case, or None when nothing is close."""
    import difflib

    names = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.75)
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the closest known name, or an empty string."""
    close = nearest(name, known)
    return f"Did you mean {close!r}?" if close is not None else ""


class HyperplaneWarning(UserWarning):
    """Something that works, but probably not as it was meant."""
