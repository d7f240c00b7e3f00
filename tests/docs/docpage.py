"""The examples of a page of the documentation: every fenced block, in order, with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

# what they show is written and tested elsewhere
DIRECTIVES = frozenset({"{toctree}", "{include}", "{literalinclude}", "{eval-rst}"})
_FILE_NAME = re.compile(r"# ([\w./-]*\.\w+)")
_HIDDEN = re.compile(r"<!-- (python|console|yaml|dotenv)\n(.*)\n-->\s*", re.DOTALL)
_OUTPUT_MARK = "<!-- output -->"


class PageError(Exception):
    """A page holds something that is no example we know how to run."""


@dataclass(frozen=True, slots=True)
class Block:
    """One example. `is_output`: it shows what the Python block before it prints."""

    language: str
    text: str
    line: int
    is_output: bool = False

    @property
    def file_name(self) -> str | None:
        """The file that the block is the content of, when its first line is a comment that names one."""
        found = _FILE_NAME.fullmatch(self.text.partition("\n")[0].rstrip())
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    """Return the examples of a page. Raises `PageError` for code that cannot be run."""
    return list(_blocks(MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))))


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    is_output = False
    for token in tokens:
        line = (token.map or [0])[0] + 1
        if is_output and token.type != "fence":
            raise PageError(f"line {line}: no block follows {_OUTPUT_MARK}")
        if token.type == "code_block":
            raise PageError(f"line {line}: an indented block has no language, so that nobody can run it")
        if token.type == "html_block":
            yield from _hidden(token, line)
            is_output = token.content.strip() == _OUTPUT_MARK
        if token.type == "fence":
            yield from _fenced(token, line, is_output=is_output)
            is_output = False


def _hidden(token: Token, line: int) -> Iterator[Block]:
    found = _HIDDEN.fullmatch(token.content)
    if found:
        yield Block(found[1], found[2] + "\n", line + 1)
    elif token.content.strip() != _OUTPUT_MARK:
        raise PageError(f"line {line}: this comment is neither {_OUTPUT_MARK} nor code to prepare the page")


def _fenced(token: Token, line: int, *, is_output: bool) -> Iterator[Block]:
    language = token.info.partition(" ")[0]
    if not language.startswith("{"):
        yield Block(language, token.content, line + 1, is_output)
    elif language not in DIRECTIVES or "code-block::" in token.content:
        raise PageError(f"line {line}: code in the directive {language} would not be run")
