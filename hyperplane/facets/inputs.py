"""`ctx.inputs`: named inputs as local paths, wherever the platform put them, or fetched from S3."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from hyperplane.environment import Environment, Found, Origin
from hyperplane.errors import (
    CredentialsError,
    HyperplaneError,
    InputError,
    InputNotFoundError,
    Mask,
    StoreError,
    TransferError,
    did_you_mean,
    masked_errors,
    unmasked,
)
from hyperplane.explain import Row
from hyperplane.settings import INPUT_PREFIX
from hyperplane.stores import Location

if TYPE_CHECKING:
    from hyperplane.inputcache import InputCache

SAGEMAKER_PREFIX = "SM_CHANNEL_"


class Inputs:
    """Inputs by name: given in Python, in `HYPERPLANE_INPUT_<name>` or SageMaker's `SM_CHANNEL_<NAME>`.

    `cache`: gives what fetches `s3://` URLs; it is asked when one is met.
    """

    def __init__(
        self,
        given: Mapping[str, object],
        environment: Environment,
        *,
        cache: "Callable[[], InputCache] | None" = None,
        mask: Mask = unmasked,
    ) -> None:
        self._given = {name: str(value) for name, value in given.items()}
        self._environment = environment
        self._cache = cache
        self._mask = mask

    def __getitem__(self, name: str) -> Path:
        """Return the local path of an input, a file or a folder that exists.

        An `s3://` URL is fetched, unless the cache has what the store has now; the path is read-only,
        stays the same and is there until the context closes.

        Raises `InputNotFoundError` (a KeyError) when nobody names such an input, `InputError` (an
        OSError) when what is named is not there or cannot be fetched, `CredentialsError` when the store
        does not take the credentials, or there are none.
        """
        with masked_errors(self._mask):
            found = self._named(name)
            if not Location.is_url(found.value):
                return self._path(name, found)
            with self._errors(name, found):
                return self._remote().fetch(Location.parse(found.value))

    def check(self, name: str) -> None:
        """Raise what `[name]` would raise, without fetching: the store is only asked."""
        with masked_errors(self._mask):
            found = self._named(name)
            if not Location.is_url(found.value):
                self._path(name, found)
                return
            with self._errors(name, found):
                self._remote().probe(Location.parse(found.value))

    def _named(self, name: str) -> Found:
        found = self._find(name)
        if found is None:
            raise self._not_found(name)
        return found

    def _remote(self) -> "InputCache":
        if self._cache is None:
            raise InputError("nothing here can fetch it", hint="Let JobContext make its inputs.")
        return self._cache()

    @contextmanager
    def _errors(self, name: str, found: Found) -> Iterator[None]:
        try:
            with masked_errors(self._mask):
                yield
        except CredentialsError:
            raise
        except HyperplaneError as error:
            is_unknown = isinstance(error, StoreError) and error.status is None
            hints = (
                # that of a transfer is about data that stays with the cause
                "" if isinstance(error, TransferError) else error.hint,
                self._told_of_copy(found.value) if is_unknown else "",
                f"Its place came from {found.origin}.",
            )
            raise InputError(
                f"the input {name!r} cannot be fetched from {found.value}: {error.message}",
                hint=" ".join(filter(None, hints)),
                name=name,
            ) from error

    def _told_of_copy(self, place: str) -> str:
        fetched = self._remote().fetched_at(Location.parse(place))
        return f"The copy of {fetched} is not used: it may be out of date." if fetched is not None else ""

    def _path(self, name: str, found: Found) -> Path:
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
        """Return where each input was named, and whether a copy of a remote one is here."""
        found = ((name, self._find(name)) for name in self.names())
        return [
            Row("input", name, hit.value, hit.origin, hit.shadowed, self._note(hit.value))
            for name, hit in found
            if hit is not None
        ]

    def _note(self, place: str) -> str:
        if not Location.is_url(place) or self._cache is None:
            return ""
        try:
            fetched = self._cache().fetched_at(Location.parse(place))
        except HyperplaneError as error:
            return error.message
        return "not cached" if fetched is None else f"cached {fetched}"

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
    what = f"a {scheme}:// URL, which this version does not read" if is_url else "named, but empty"
    raise InputError(
        f"the input {name!r} is {what}",
        hint=f"Give a path, a file:/// URL or s3://bucket/key; this came from {found.origin}.",
        name=name,
    )
