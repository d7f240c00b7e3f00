"""Write a job once; it finds its secrets, parameters, inputs, outputs and logs wherever it runs.

    with hyperplane.JobContext() as ctx:
        ...

Nothing heavy is imported before the first name is used.
"""

# type checkers know this name; importing it from typing would cost more than all the rest
TYPE_CHECKING = False

if TYPE_CHECKING:
    from hyperplane.context import JobContext
    from hyperplane.current import current_context
    from hyperplane.errors import (
        ContextClosedError,
        CredentialsError,
        DeliveryError,
        HyperplaneError,
        HyperplaneWarning,
        InputError,
        InputNotFoundError,
        JobFileError,
        JobStopped,
        MissingExtraError,
        NoContextError,
        ObjectChangedError,
        ObjectExistsError,
        ObjectNotFoundError,
        OutputError,
        OutputNameError,
        ParamNotFoundError,
        ParamsError,
        RunnerError,
        RunNotFoundError,
        S3ServerError,
        SecretError,
        SecretNameError,
        SecretNotFoundError,
        SecretSourceError,
        SecretValueError,
        SettingsError,
        StoreAccessError,
        StoreError,
        TransferError,
        UsageError,
        VaultError,
    )
    from hyperplane.facets.params import Params
    from hyperplane.job import Job
    from hyperplane.running import run
    from hyperplane.shortcuts import (
        get_env_param,
        get_job_id,
        get_s3_credentials,
        get_secret,
        get_user_id,
        print_to_file,
        report,
    )

    OUTPUT_FILES_DIR_ABS: str

__version__ = "0.1.0"

_MODULES = {
    "Job": "job",
    "JobContext": "context",
    "OUTPUT_FILES_DIR_ABS": "shortcuts",
    "Params": "facets.params",
    "current_context": "current",
    "get_env_param": "shortcuts",
    "get_job_id": "shortcuts",
    "get_s3_credentials": "shortcuts",
    "get_secret": "shortcuts",
    "get_user_id": "shortcuts",
    "print_to_file": "shortcuts",
    "report": "shortcuts",
    "run": "running",
}  # every other name is an error

__all__ = [
    "OUTPUT_FILES_DIR_ABS",
    "ContextClosedError",
    "CredentialsError",
    "DeliveryError",
    "HyperplaneError",
    "HyperplaneWarning",
    "InputError",
    "InputNotFoundError",
    "Job",
    "JobContext",
    "JobFileError",
    "JobStopped",
    "MissingExtraError",
    "NoContextError",
    "ObjectChangedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OutputError",
    "OutputNameError",
    "ParamNotFoundError",
    "Params",
    "ParamsError",
    "RunNotFoundError",
    "RunnerError",
    "S3ServerError",
    "SecretError",
    "SecretNameError",
    "SecretNotFoundError",
    "SecretSourceError",
    "SecretValueError",
    "SettingsError",
    "StoreAccessError",
    "StoreError",
    "TransferError",
    "UsageError",
    "VaultError",
    "current_context",
    "get_env_param",
    "get_job_id",
    "get_s3_credentials",
    "get_secret",
    "get_user_id",
    "print_to_file",
    "report",
    "run",
]

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept every misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'hyperplane' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"hyperplane.{_MODULES.get(name, 'errors')}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
