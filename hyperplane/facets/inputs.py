"""`ctx.inputs`: named inputs as local paths, wherever the platform put them."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from hyperplane.environment import Environment, Found, Origin
from hyperplane.errors import InputError, InputNotFoundError, Mask, did_you_mean, masked_errors, unmasked
from hyperplane.explain import Row
from hyperplane.settings import INPUT_PREFIX

SAGEMAKER_PREFIX = "SM_CHANNEL_"


class Inputs:
    """Inputs by name: given in Python, in `HYPERPLANE_INPUT_<name>` or SageMaker's `SM_CHANNEL_<NAME>`."""

    def __init__(
        self, given: Mapping[str, object], environment: Environment, *, mask: Mask = unmasked
    ) -> None:
        self._given = {name: str(value) for name, value in given.items()}
        self._environment = environment
        self._mask = mask

    def __getitem__(self, name: str) -> Path:
        """Return the local path of an input, a file or a folder that exists.

        Raises `InputNotFoundError` (a KeyError) when nobody names such an input, `InputError` (an
        OSError) when what is named is not there.
        """
        with masked_errors(self._mask):
            return self._path(name)

    def _path(self, name: str) -> Path:
        found = self._find(name)
        if found is None:
            raise self._not_found(name)
        path = self._environment.folder / _local(name, found)
        try:
            path.stat()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(
                f"the input {name!r} cannot be read from {path}: {reason}",
                hint=f"Its place came from {found.origin}.",
                name=name,
            ) from error
        return path

    def _not_found(self, name: str) -> InputNotFoundError:
        # masked before it is part of a variable's name, where a masker would not know it
        shown = self._mask(name)
        return InputNotFoundError(
            f"no input {shown!r}; looked in: inputs[{shown!r}], {', '.join(_variables(shown))}",
            hint=did_you_mean(name, self.names())
            or f"Set {INPUT_PREFIX}{shown}, or `inputs:` of the job file.",
            name=shown,
        )

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def names(self) -> list[str]:
        """Return the names of all inputs, sorted."""
        prefixes = (INPUT_PREFIX, SAGEMAKER_PREFIX)
        variables = [name for name in self._environment.names() if name.startswith(prefixes)]
        ours = {name.removeprefix(INPUT_PREFIX) for name in variables if name.startswith(INPUT_PREFIX)}
        theirs = {name.removeprefix(SAGEMAKER_PREFIX).lower() for name in variables if name.startswith("SM_")}
        return sorted((ours | theirs | self._given.keys()) - {""})

    def rows(self) -> list[Row]:
        """Return where each input was named."""
        found = ((name, self._find(name)) for name in self.names())
        return [
            Row("input", name, hit.value, hit.origin, hit.shadowed) for name, hit in found if hit is not None
        ]

    def _find(self, name: str) -> Found | None:
        found = self._environment.find(*_variables(name))
        if name not in self._given:
            return found
        origins = () if found is None else (found.origin, *found.shadowed)
        return Found(self._given[name], Origin("argument", f"inputs[{name!r}]"), origins)


def _variables(name: str) -> tuple[str, str]:
    return INPUT_PREFIX + name, SAGEMAKER_PREFIX + name.upper()


def _local(name: str, found: Found) -> Path:
    scheme, is_url, rest = found.value.partition("://")
    if found.value and not is_url:
        return Path(found.value)
    if scheme == "file" and rest.startswith(("/", "localhost/")):
        return Path(unquote(rest.removeprefix("localhost")))
    what = f"a {scheme}:// URL, and this version reads local inputs alone" if is_url else "named, but empty"
    raise InputError(
        f"the input {name!r} is {what}",
        hint=f"Give a path or a file:/// URL; this came from {found.origin}.",
        name=name,
    )
