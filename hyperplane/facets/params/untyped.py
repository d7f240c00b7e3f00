"""`ctx.params` when nothing was declared with types: text by name, or the type of a default."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, overload

from hyperplane.environment import Environment, Origin
from hyperplane.errors import (
    Mask,
    ParamNotFoundError,
    ParamsError,
    did_you_mean,
    masked_errors,
    unmasked,
)
from hyperplane.explain import Row
from hyperplane.facets.params import sources
from hyperplane.facets.params.converting import convert
from hyperplane.facets.params.texts import printable, shortened, text_of

T = TypeVar("T")


class Params:
    """Parameters by exact name: those given as an argument, else the environment, `.env`, the platform.

    `given`: values by name; one that is None is declared, but has no value of its own.
    `declared`: names that `keys()` lists too. `mask`: takes the secrets out of errors.
    A name of a `HYPERPLANE_` setting is never a parameter.
    """

    __slots__ = ("_environment", "_given", "_mask", "_names")

    def __init__(
        self,
        given: Mapping[str, object] | None,
        environment: Environment,
        *,
        declared: Iterable[str] = (),
        mask: Mask = unmasked,
    ) -> None:
        self._environment = environment
        self._mask = mask
        self._given = dict(given or {})
        self._names = list(dict.fromkeys((*self._given, *declared)))
        for name in self._names:
            _refuse_bad_name(name, mask)

    def __getitem__(self, name: str) -> str:
        text = self.get(name)
        if text is None:
            with masked_errors(self._mask):
                raise self._not_found(name)
        return text

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: T) -> T: ...
    def get(self, name: str, default: object = None) -> object:
        """Return the parameter as the type of the default, or the default where no source has it.

        Without a default it is text, or None. Lists are JSON or separated by commas, and their items
        of the type of the default's items; a dict is a JSON object.

        Raises `ParamsError` when the value is not of the default's type.
        """
        found = self._candidates(name)
        if not found:
            return default
        value, origin = found[0]
        if default is None:
            return text_of(value)
        try:
            return convert(value, default)
        except ValueError as error:
            expected = str(error)
        with masked_errors(self._mask):
            raise _wrong_type(name, value, origin, expected)

    def keys(self) -> list[str]:
        """Return the declared names; what else the environment holds is not listed."""
        return list(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._candidates(name))

    def rows(self) -> list[Row]:
        """Return where the value of every declared name came from."""
        return [self._row(name) for name in self._names]

    def __repr__(self) -> str:
        return f"<Params {', '.join(self._names)}>" if self._names else "<Params>"

    def _row(self, name: str) -> Row:
        found = self._candidates(name)
        if not found:
            return Row("parameter", name, None, Origin("not set"))
        value, origin = found[0]
        return Row(
            "parameter", name, printable(text_of(value)), origin, tuple(other for _, other in found[1:])
        )

    def _candidates(self, name: str) -> list[tuple[object, Origin]]:
        found: list[tuple[object, Origin]] = []
        if (value := self._given.get(name)) is not None:
            found.append((value, Origin(sources.ARGUMENT, name)))
        for hit in sources.find(self._environment, (name,)):
            found.append((hit.value, hit.origin))
            found.extend((None, origin) for origin in hit.shadowed)
        return found

    def _not_found(self, name: str) -> ParamNotFoundError:
        looked_in = ["the arguments", "the environment", "the platform"]
        if self._environment.env_file is not None:
            looked_in.insert(2, str(self._environment.env_file))
        return ParamNotFoundError(
            f"no parameter {shortened(self._mask(name))}: looked in {', '.join(looked_in)}",
            hint=self._hint(name),
            name=name,
            names=(name,),
            looked_in=tuple(looked_in),
        )

    def _hint(self, name: str) -> str:
        if name.startswith(sources.OWN_PREFIX):
            return f"{sources.OWN_PREFIX} names are settings, and never parameters."
        if not sources.can_name(name):
            return "A parameter's name is not empty and has no `=` in it."
        if suggestion := did_you_mean(name, self._names):
            return suggestion
        other_case = [other for other in self._environment.names() if other.lower() == name.lower()]
        if other_case:
            return f"Names are matched by exact case; {other_case[0]!r} is set."
        return (
            f"Set {name} in the environment or the job file's `environment_params:`, or give it in params=."
        )


def _refuse_bad_name(name: object, mask: Mask) -> None:
    if isinstance(name, str) and sources.can_name(name):
        return
    shown = mask(str(name))
    raise ParamsError(
        f"{shortened(shown)} cannot be a parameter's name",
        hint=f"A name is not empty, has no `=` in it and does not begin with {sources.OWN_PREFIX}.",
        names=(mask(name),),
    )


def _wrong_type(name: str, value: object, origin: Origin, expected: str) -> ParamsError:
    is_service_link = isinstance(value, str) and sources.is_service_link(origin, value)
    return ParamsError(
        f"the parameter {name} should be {expected}; its value comes from {origin}",
        hint=sources.SERVICE_LINK_HINT if is_service_link else f"Mend or unset {name}.",
        names=(name,),
    )
