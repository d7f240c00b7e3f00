"""A source of a user's own, loaded by the name of the function that makes it."""

from importlib import import_module

from hyperplane.environment import Environment
from hyperplane.errors import SettingsError
from hyperplane.secretsources import SecretSource
from hyperplane.settings import JobSettings

VARIABLE = "HYPERPLANE_SECRET_SOURCE"


def load_source(environment: Environment, settings: JobSettings) -> SecretSource:
    """Return what the function `module:function` of the settings makes; it is called without arguments.

    Raises `SettingsError` where it is not there, makes no source, or is named by a `.env` file: a file
    that lies in a folder must not say which code runs.
    """
    origin, named = settings.origin("secret_source"), str(settings.secret_source)
    if environment.env_file is not None and origin.kind == str(environment.env_file):
        raise _error(f"{origin} would have code run", "Set it in the environment or in the site file.")
    module_name, _, function_name = named.partition(":")
    try:
        make = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise _error(
            f"{origin} names {named!r}, which cannot be loaded: {error}",
            "Give module:function, with the module installed or on PYTHONPATH.",
        ) from error
    source = make()
    if not isinstance(source, SecretSource):
        raise _error(
            f"{origin} names {named!r}, which returned a {type(source).__name__}: no source of secrets",
            "A source has the methods find, names and describe.",
        )
    return source


def _error(message: str, hint: str) -> SettingsError:
    return SettingsError(message, hint=hint, names=(VARIABLE,))
