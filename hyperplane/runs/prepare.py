"""What a job is given: its command in full, its variables, its secrets."""

import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hyperplane import secretsources
from hyperplane.environment import Environment
from hyperplane.errors import (
    HyperplaneWarning,
    SecretNameError,
    SecretNotFoundError,
    SecretValueError,
    did_you_mean,
)
from hyperplane.masking import Masker, is_secret_name
from hyperplane.rundir import RunDir
from hyperplane.runs.plan import STRING_LIMIT_BYTES, Plan
from hyperplane.runs.process import cannot_execute, not_found
from hyperplane.secretsources import FoundSecret, SecretSource
from hyperplane.settings import INPUT_PREFIX, SECRET_PREFIX, JobSettings, known_variables

if TYPE_CHECKING:
    from hyperplane.runs.jobfile import SecretRequest

PYTHON_SUFFIX = ".py"


class FoundSecrets(NamedTuple):
    """The secrets of a run: by name for its folder, by variable for its environment."""

    by_name: Mapping[str, bytes]
    by_variable: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"<FoundSecrets: {len(self.by_name)} names>"


def find_secrets(
    requests: "Sequence[SecretRequest]",
    given: Sequence[SecretSource],
    stored: Sequence[SecretSource],
    masker: Masker,
) -> FoundSecrets:
    """Return every secret that we were given and all that the job file asks for, known to the masker.

    `given`: sources that can be listed. `stored`: those that are asked for what the job file names.

    Raises `SecretNotFoundError` with every missing name, `SecretValueError` for a value that no variable
    can hold.
    """
    # what can be listed goes to the job whether it asks or not; what cannot is looked up by name
    found = {name: secret for name, secret in secretsources.find_all(given).items() if _is_usable(name)}
    sources = (*given, *stored)
    names = {request.name: secretsources.checked_name(request.name) for request in requests}
    asked = secretsources.look_up(names.values(), sources)
    found |= asked
    masker.add_all((name, secret.value) for name, secret in found.items())
    if missing := [name for name, checked in names.items() if checked not in asked]:
        raise _not_found(missing, sources)
    by_variable = {
        request.env: _for_variable(request, asked[names[request.name]]) for request in requests if request.env
    }
    by_name = {name: secret.value for name, secret in found.items()}
    return FoundSecrets(by_name, by_variable)


def _is_usable(name: str) -> bool:
    try:
        secretsources.checked_name(name)
    except SecretNameError as error:
        warnings.warn(f"a secret is left out: {error.message}", HyperplaneWarning, stacklevel=2)
        return False
    return True


def _not_found(names: list[str], sources: Sequence[SecretSource]) -> SecretNotFoundError:
    looked_in = tuple(source.describe(name) for name in names for source in sources)
    known = {name for source in sources for name in source.names()}
    what = (
        f"the secret {names[0]!r} is" if len(names) == 1 else f"the secrets {', '.join(map(repr, names))} are"
    )
    return SecretNotFoundError(
        f"{what} asked for under `secrets:` and not found; looked in: {', '.join(looked_in)}",
        hint=did_you_mean(names[0], known)
        or f"Set {SECRET_PREFIX}{names[0]}, in the environment or in .env.",
        names=tuple(names),
        looked_in=looked_in,
    )


def _for_variable(request: "SecretRequest", secret: FoundSecret) -> bytes:
    size_bytes = len(secret.value) + len(str(request.env)) + len("=\0")
    if b"\0" in secret.value or size_bytes > STRING_LIMIT_BYTES:
        raise SecretValueError(
            f"the secret {request.name!r} holds a NUL byte or is too long for {request.env}",
            hint="Leave `env:` out, and read it with ctx.secrets.bytes(name) or .path(name).",
            name=request.name,
        )
    return secret.value


def register_parameters(parameters: Mapping[str, str], masker: Masker) -> None:
    """Make known to the masker the parameters whose names say that they are secrets."""
    masker.add_all((name, os.fsencode(value)) for name, value in parameters.items() if is_secret_name(name))


def variables_for(
    plan: Plan,
    run: RunDir,
    *,
    environment: Environment,
    settings: JobSettings,
    secrets: FoundSecrets,
    folder: Path,
) -> dict[str, str]:
    """Return the job's variables: what we inherited, under what it was given, under what we say of the run.

    Secrets are not among them, but for those that the job file wants in a variable; the others lie in
    `folder`.
    """
    # HYPERPLANE_SECRET_ENV begins like a secret and is a setting
    settings_names = known_variables()
    inherited = {
        name: value
        for name, value in environment.process_variables().items()
        if not name.startswith(SECRET_PREFIX) or name in settings_names
    }
    asked = {name: os.fsdecode(value) for name, value in secrets.by_variable.items()}
    inputs = {INPUT_PREFIX + name: place for name, place in plan.inputs.items()}
    ours = {
        "HYPERPLANE_JOB_ID": plan.job_id,
        "HYPERPLANE_JOB_NAME": plan.name,
        "HYPERPLANE_ATTEMPT": str(plan.attempt),
        "HYPERPLANE_RUN_DIR": str(run.path),
        "HYPERPLANE_OUTPUT_DIR": str(run.outputs),
        "HYPERPLANE_USER_OUTPUTS_DIR_ABS": str(run.outputs),
        "HYPERPLANE_SECRETS_DIR": str(folder),
    }
    # restore() looks there, and what the job file says counts for the job as well
    where = {} if plan.output_url is None else {"HYPERPLANE_OUTPUT_URL": plan.output_url}
    # an empty user would be another user than none
    user = {"HYPERPLANE_USER_ID": settings.user_id} if settings.user_id is not None else {}
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    return {**inherited, **unbuffered, **plan.parameters, **asked, **inputs, **where, **user, **ours}


def command_for(words: Sequence[str], *, folder: Path, path: str) -> tuple[str, ...]:
    """Return the words to execute: a Python script as the first one runs with this interpreter.

    `path`: the PATH that a name without a slash is looked up on.

    Raises `RunnerError` with exit code 127 when there is no such command, 126 when it cannot be executed.
    """
    first = words[0]
    if first.endswith(PYTHON_SUFFIX) and (folder / first).is_file():
        return (sys.executable, *words)
    if os.sep not in first:
        if shutil.which(first, path=path) is None:
            raise not_found(first, folder if first.endswith(PYTHON_SUFFIX) else None)
    elif not (folder / first).exists():
        raise not_found(first)
    # a folder is "executable" too: it can be entered
    elif (folder / first).is_dir() or not os.access(folder / first, os.X_OK):
        raise cannot_execute(first, "it is no executable file")
    return tuple(words)


def standard_input(is_interactive: bool) -> tuple[int, int | None]:
    """Return the descriptor for the job's stdin, and the terminal to hand over where there is one.

    A pipe or file is inherited; a terminal only when the run is interactive, and in the foreground.
    """
    import stat
    import subprocess

    mode = os.fstat(0).st_mode
    if is_interactive:
        # a runner in the background of its shell has no terminal to give
        is_ours = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
        return 0, 0 if is_ours else None
    is_inherited = stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
    return 0 if is_inherited else subprocess.DEVNULL, None
