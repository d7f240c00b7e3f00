"""The command line of declared parameters, cut into the words that each option was given."""

import dataclasses
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hyperplane.errors import Mask, ParamsError, nearest
from hyperplane.facets.params.fields import Field, walk
from hyperplane.facets.params.texts import shortened

_HELP = ("--help", "-h")
_NUMBER = re.compile(r"-(\d|\.\d|inf|nan)", re.IGNORECASE)


@dataclass(slots=True)
class Given:
    """What one option was given: its words, or True or False where it stood alone."""

    option: str
    words: list[str] = dataclasses.field(default_factory=list)
    flag: bool | None = None


def parse(argv: Sequence[str], fields: Iterable[Field], mask: Mask) -> dict[str, Given]:
    """Return what every parameter was given on a command line, by its name.

    Raises `ParamsError` with everything that is wrong with it; unknown words go through the mask
    before they are cut to be quoted.
    """
    parser = _Parser(fields, mask)
    parser.read(argv)
    if parser.problems:
        raise ParamsError(
            "the command line is wrong: " + "; ".join(parser.problems),
            hint="--help lists the options.",
            names=tuple(parser.at_fault),
        )
    return parser.given


def asks_for_help(argv: Iterable[str], fields: Iterable[Field]) -> bool:
    """Say whether `--help` or `-h` is on the command line, and no parameter is called so."""
    options = _Options(fields)
    return any(word in _HELP and options.find(word) is None for word in _before_end(argv))


def known_options(argv: Iterable[str], fields: Iterable[Field]) -> list[str]:
    """Return the options of a command line that name one of the parameters."""
    options = _Options(fields)
    return list(dict.fromkeys(word.partition("=")[0] for word in _before_end(argv) if options.find(word)))


def is_option(word: str) -> bool:
    """Say whether a word is an option and no value: a dash and a number is a value."""
    return len(word) > 1 and word.startswith("-") and not _NUMBER.match(word)


def _before_end(argv: Iterable[str]) -> Iterator[str]:
    for word in argv:
        if word == "--":
            return
        yield word


def _spelled(option: str) -> str:
    return option.replace("-", "_")


class _Options:
    """The options there are, with and without `no-`."""

    def __init__(self, fields: Iterable[Field]) -> None:
        every = list(walk(fields))
        aliases = {_spelled(alias): each for each in every for alias in each.spellings}
        self.fields = aliases | {_spelled(each.name): each for each in every}

    def find(self, word: str) -> tuple[Field, bool] | None:
        """Return the parameter that an option names and what it says standing alone, or None."""
        name = self.name_in(word)
        if name is None:
            return None
        if (exact := self.fields.get(name)) is not None:
            return exact, True
        group, dot, last = name.rpartition(".")
        for positive in (name.removeprefix("no_"), group + dot + last.removeprefix("no_")):
            denied = self.fields.get(positive) if positive != name else None
            if denied is not None and denied.shape.stands_alone:
                return denied, False
        return None

    def name_in(self, word: str) -> str | None:
        """Return the name in an option's word: two dashes, or one where the name is one letter."""
        option = word.partition("=")[0]
        if option.startswith("--") and len(option) > 2:
            return _spelled(option[2:])
        return option[1:] if is_option(option) and len(option) == 2 else None

    def suggestion(self, word: str) -> str:
        """Return the question after the nearest option, or an empty string."""
        near = nearest(_spelled(word.lstrip("-")), self.fields)
        return f", did you mean --{near}?" if near is not None else ""


class _Parser:
    def __init__(self, fields: Iterable[Field], mask: Mask) -> None:
        self.options = _Options(fields)
        self._mask = mask
        self.given: dict[str, Given] = {}
        self.problems: list[str] = []
        self.at_fault: list[str] = []
        self._words: deque[str] = deque()

    def read(self, argv: Iterable[str]) -> None:
        self._words = deque(argv)
        while self._words:
            word = self._words.popleft()
            if word == "--":
                for positional in self._words:
                    self._refuse_positional(positional)
                return
            if is_option(word):
                self._read_option(word)
            else:
                self._refuse_positional(word)

    def _read_option(self, word: str) -> None:
        found = self.options.find(word)
        if found is not None:
            self._read_values(word, *found)
        else:
            option = word.partition("=")[0]
            shown = self._mask(option)
            self._refuse(shown, f"unknown option {_shown(shown)}{self.options.suggestion(option)}")
            self._take_all()

    def _read_values(self, word: str, field: Field, is_positive: bool) -> None:
        option, has_value, value = word.partition("=")
        given = Given(option)
        if not is_positive:
            given.flag = False
            if has_value:
                self._refuse(field.name, f"{option} takes no value")
        elif has_value:
            given.words = [value]
        elif field.shape.takes_many:
            given.words = self._take_all()
        else:
            self._take_one(field, given)
        if given.flag is None and not given.words:
            self._refuse(field.name, f"{option} needs a value ({option}=VALUE when it begins with a dash)")
        self._keep(field, given)

    def _take_one(self, field: Field, given: Given) -> None:
        next_is_value = bool(self._words) and not is_option(self._words[0])
        if next_is_value and field.shape.accepts(self._words[0]):
            given.words = [self._words.popleft()]
        elif field.shape.stands_alone:
            given.flag = True

    def _take_all(self) -> list[str]:
        words = []
        while self._words and not is_option(self._words[0]):
            words.append(self._words.popleft())
        return words

    def _keep(self, field: Field, given: Given) -> None:
        earlier = self.given.get(field.name)
        if earlier is None:
            self.given[field.name] = given
        elif field.shape.takes_many:
            earlier.words += given.words
        else:
            self._refuse(field.name, f"{given.option} is given twice")

    def _refuse_positional(self, word: str) -> None:
        shown = self._mask(word)
        self._refuse(shown, f"{shortened(shown)} belongs to no option")

    def _refuse(self, name: str, problem: str) -> None:
        self.at_fault.append(name)
        self.problems.append(problem)


def _shown(option: str) -> str:
    return shortened(option)[1:-1]
