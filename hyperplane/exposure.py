"""Where secrets lie open: in files that others can read, in git, in an image, in a parameter."""

import fnmatch
import json
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hyperplane.environment import Environment, Layer
from hyperplane.secretsources import FoundSecret, sounds_secret
from hyperplane.secretsources.variables import Variables
from hyperplane.settings import JobSettings

GIT_TIMEOUT_S = 5.0
_DOCKERFILES = ("Dockerfile", "Dockerfile.*", "*.Dockerfile", "Containerfile")
_MIN_BYTES = 4


class Exposure(NamedTuple):
    """One place where a secret lies open, and what to do about it."""

    message: str
    hint: str


def of_env_file(environment: Environment, settings: JobSettings) -> Iterator[Exposure]:
    """Yield what is wrong with the `.env` file, where there is one that holds secrets."""
    path = environment.env_file
    if path is None or not _has_secrets(environment.layers[-1], settings):
        return
    quoted = shlex.quote(str(path))
    if is_readable_by_others(path):
        yield Exposure(f"other users can read the secrets in {path}", f"chmod 600 {quoted}")
    if is_tracked(path, environment.process_variables()):
        yield Exposure(
            f"git tracks {path}, and with it the secrets in it",
            f"git rm --cached {quoted}, name it in .gitignore, and replace the secrets: history keeps them.",
        )
    for dockerfile in images_with(path):
        yield Exposure(
            f"{dockerfile} copies {path} into an image, with the secrets in it",
            f"Add {path.name} to {path.parent / '.dockerignore'}.",
        )


def _has_secrets(layer: Layer, settings: JobSettings) -> bool:
    declared = Variables(layer, settings.secret_env).names()
    return bool(list(declared)) or any(sounds_secret(*pair) for pair in layer.variables.items())


def of_parameters(parameters: Mapping[str, str], secrets: Mapping[str, FoundSecret]) -> Iterator[Exposure]:
    """Yield which parameters have the value of a secret."""
    for secret, found in secrets.items():
        for parameter, value in parameters.items():
            if len(found.value) >= _MIN_BYTES and value.encode() == found.value:
                yield Exposure(
                    f"the parameter {parameter!r} has the value of the secret {secret!r}",
                    "Take the parameter out, and read ctx.secrets: everybody sees the job file.",
                )


def is_readable_by_others(path: Path) -> bool:
    """Say whether another user can read a file: it is open to them, and so is every folder above it."""
    folders = path.absolute().parents
    return bool(path.stat().st_mode & 0o044) and all(folder.stat().st_mode & 0o011 for folder in folders)


def is_tracked(path: Path, variables: Mapping[str, str]) -> bool:
    """Say whether git tracks a file; where nobody can tell, it does not."""
    # a repository may name a program of its own as the monitor
    command = ["git", "-c", "core.fsmonitor=false", "ls-files", "--error-unmatch", "--", path.name]
    try:
        done = subprocess.run(
            command,
            cwd=path.parent,
            env={name: variables[name] for name in ("HOME", "PATH") if name in variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def images_with(path: Path) -> list[Path]:
    """Return the Dockerfiles beside a file that copy it into their image."""
    found = {file for pattern in _DOCKERFILES for file in path.parent.glob(pattern) if file.is_file()}
    return sorted(
        dockerfile
        for dockerfile in found
        if not dockerfile.name.endswith(".dockerignore")
        and _is_copied(path.name, _text_of(dockerfile))
        and not _is_ignored(path.name, dockerfile)
    )


def _is_copied(name: str, dockerfile: str) -> bool:
    lines = dockerfile.replace("\\\n", " ").splitlines()
    return any(_covers(source, name) for line in lines for source in _sources_of(line))


def _sources_of(line: str) -> Iterable[str]:
    """Return what an instruction copies from the folder of the build."""
    instruction, _, rest = line.strip().partition(" ")
    if instruction.upper() not in {"COPY", "ADD"}:
        return ()
    words = rest.split()
    flags = [word for word in words if word.startswith("--")]
    if any(flag.startswith("--from") for flag in flags):
        return ()
    places = words[len(flags) :]
    if places and places[0].startswith("["):
        try:
            places = [str(place) for place in json.loads(" ".join(places))]
        except ValueError:
            return ()
    return places[:-1]


def _covers(source: str, name: str) -> bool:
    place = PurePosixPath(source).as_posix().lstrip("/")
    return place in {".", ""} or fnmatch.fnmatchcase(name, place)


def _is_ignored(name: str, dockerfile: Path) -> bool:
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    text = _text_of(own if own.is_file() else dockerfile.with_name(".dockerignore"))
    is_ignored = False
    for line in map(str.strip, text.splitlines()):
        pattern = line.removeprefix("!").removeprefix("/").removeprefix("**/").rstrip("/")
        if not line.startswith("#") and fnmatch.fnmatchcase(name, pattern):
            is_ignored = not line.startswith("!")
    return is_ignored


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
