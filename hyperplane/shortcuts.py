"""The functions of hyperplane-client, one line each, over the open context or a default one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperplane import current
from hyperplane.context import JobContext
from hyperplane.locks import ForkSafeLock
from hyperplane.settings import PREFIX

OUTPUT_FILES_DIR_ABS: str

_lock = ForkSafeLock()
_default: JobContext[Any] | None = None


def get_secret(secret_name: str) -> str:
    """Return a secret. Raises `SecretNotFoundError` (a KeyError) where no source has it."""
    return current_or_default().secrets[secret_name]


def get_env_param(env_param_name: str) -> str | None:
    """Return a parameter, or None where it is not set; settings of ours are no parameters."""
    if env_param_name.startswith(PREFIX):
        return None
    from hyperplane.facets.params import Params

    context = current_or_default()
    params = context.params
    return (params if isinstance(params, Params) else context.environment).get(env_param_name)


def print_to_file(file_name: str, *payloads: str) -> None:
    """Append the payloads to an output file as they are, with nothing between or after them."""
    current_or_default().outputs.append(file_name, *payloads)


def report(message: object) -> None:
    """Report something important: one line on stdout, and an event."""
    current_or_default().report(message)


def get_job_id() -> str | None:
    """Return the id that the job was given, or None where nobody gave it one."""
    return current_or_default().settings.job_id


def get_user_id() -> str | None:
    """Return who started the job, or None where nobody said."""
    return current_or_default().job.user


def get_s3_credentials() -> dict[str, str]:
    """Return what a client of S3 needs: `access_key_id`, `secret_access_key`, `bucket_url` (a bucket's name).

    `session_token` is there too where the credentials have one.
    """
    s3 = current_or_default().s3
    found = s3.credentials
    token = {} if found.session_token is None else {"session_token": found.session_token}
    keys = {"access_key_id": found.access_key_id, "secret_access_key": found.secret_access_key}
    return {**keys, "bucket_url": s3.bucket, **token}


def current_or_default() -> JobContext[Any]:
    """Return the context that is current, else one that is made for the functions of this module."""
    return current.find() or _default_context()


def _default_context() -> JobContext[Any]:
    """Return a context that installs and delivers nothing, made anew when the environment has changed."""
    global _default
    with _lock:
        if _default is None or not _default.environment.is_current():
            _default = JobContext()
        return _default


if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept every misspelt name

    def __getattr__(name: str) -> str:
        if name != "OUTPUT_FILES_DIR_ABS":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return str(Path(current_or_default().outputs.dir).absolute())
