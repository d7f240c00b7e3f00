"""Runs the commands of console blocks in bash, one after the other, and compares what they print."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 120
_MARK = "\x1e"
_STATE = ".shell-state"


@dataclass(frozen=True, slots=True)
class Command:
    """One command and what the page shows of its output; None where it shows nothing."""

    text: str
    expected: str | None = None


def session_of(text: str) -> list[Command]:
    """Read a console block: `$ ` begins a command, `> ` goes on with it, other lines are its output."""
    commands: list[Command] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(line[2:]))
            continue
        assert commands, f"a console block begins with `$ `, not with {line!r}"
        last = commands[-1]
        if line.startswith("> ") and last.expected is None:
            commands[-1] = Command(f"{last.text}\n{line[2:]}")
        else:
            commands[-1] = Command(last.text, f"{last.expected or ''}{line}\n")
    return commands


def run_session(commands: list[Command], *, folder: Path, variables: Mapping[str, str]) -> None:
    """Run the commands where the block before them left off, and check how each ends and what it prints.

    A command that fails is followed by `echo $?`, or fails the page.
    """
    results = _results(commands, folder, variables)
    followers = [*commands[1:], Command("")]
    for command, follower, (output, status) in zip(commands, followers, results, strict=True):
        said = f"$ {command.text}\n{output}"
        assert status == 0 or follower.text.startswith("echo $?"), f"exit code {status}:\n{said}"
        if command.expected is not None:
            assert matches(command.expected, output), f"the page shows\n{command.expected}\nbut\n{said}"


def matches(expected: str, output: str) -> bool:
    """Say whether an output is the expected one, where `...` is anything in a line, or any lines."""
    lines = (line.rstrip() for line in expected.splitlines())
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"[ \t]*\n"
        for line in lines
    )
    return re.fullmatch(pattern, output if output.endswith("\n") else output + "\n") is not None


def _results(commands: list[Command], folder: Path, variables: Mapping[str, str]) -> list[tuple[str, int]]:
    mark = f"status=$?; printf '{_MARK}%d{_MARK}' $status; (exit $status)"
    lines = [f"test ! -e {_STATE} || . ./{_STATE}", *(f"{command.text}\n{mark}" for command in commands)]
    lines.append(f'{{ printf "cd %q\\n" "$PWD"; export -p; }} > {folder}/{_STATE}')
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(lines)],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    pieces = done.stdout.split(_MARK)[:-1]
    assert len(pieces) == 2 * len(commands), f"the shell ended early:\n{done.stdout}"
    return list(zip(pieces[::2], map(int, pieces[1::2]), strict=True))
