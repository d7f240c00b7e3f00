"""Runs the examples of one page, in order, in one folder; no block is passed over in silence."""

import json
import os
import re
import select
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml
from docpage import Block, PageError
from docshell import Command, run_session, session_of

from hyperplane.environment import read_env_file
from hyperplane.runs import jobfile

LIMIT_S = 120
DRIVER = Path(__file__).with_name("docdriver.py")
# shown, and nothing that could be run: trees and tables, and other programs' files
SHOWN = frozenset({"text", "dockerfile", "sql"})
TEST_COMMAND = ".venv/bin/python -m pytest"
_SET_UP = re.compile(r"python3 -m venv \.venv && \.venv/bin/python -m pip install [^&]+ && ")


class PageRun:
    """The run of one page: its folder, and the one process that its Python blocks share."""

    def __init__(self, page: str, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._variables = _variables(folder)
        self._driver: _Driver | None = None
        self._unused: dict[str, str] = {}
        self._unnamed: list[str] = []
        self._printed = ""

    def __enter__(self) -> Self:
        return self

    def run(self, block: Block) -> None:
        """Run a block, or check what it shows. Raises `PageError` with its line when it is wrong."""
        try:
            self._use_files_named_in(block)
            self._run(block)
        except (AssertionError, ValueError, OSError, yaml.YAMLError) as error:
            raise PageError(f"{self._page}, line {block.line}: {error}") from None

    def finish(self) -> None:
        """Run the tests that the page shows. Raises `PageError` for a file that nothing uses."""
        if any("\ndef test_" in text for text in self._unnamed):
            self._write(Block("python", "\n\n".join(self._unnamed), 1), "test_page.py")
        tests = [name for name in self._unused if Path(name).name.startswith("test_")]
        if tests:
            run_session([Command(f"python -m pytest -q -W error {' '.join(tests)}")], **self._place())
        if unused := [name for name in self._unused if name not in tests]:
            raise PageError(f"{self._page}: no later block uses {', '.join(unused)}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._driver is not None:
            self._driver.close()

    def _run(self, block: Block) -> None:
        if block.is_output:
            assert block.text == self._printed, f"the block before it printed\n{self._printed}"
        elif block.file_name is not None:
            self._write(block, block.file_name)
        elif block.language in self._kinds():
            self._kinds()[block.language](block)
        else:
            what = block.language or "a block without a language"
            assert block.language in SHOWN, f"nobody knows how to run {what}"

    def _kinds(self) -> dict[str, Callable[[Block], None]]:
        return {
            "python": self._python,
            "console": lambda block: run_session(session_of(block.text), **self._place()),
            "sh": self._set_up,
            "bash": self._batch_script,
            "yaml": lambda block: _check_yaml(block, self._folder / "unnamed.yaml"),
            "dotenv": self._env_file,
            "toml": lambda block: _checked(tomllib.loads(block.text)),
            "json": lambda block: _checked(json.loads(block.text)),
            "jsonl": lambda block: _checked([json.loads(line) for line in block.text.splitlines()]),
        }

    def _python(self, block: Block) -> None:
        if self._driver is None:
            self._driver = _Driver(self._folder, self._variables)
        self._printed = self._driver.run(block, self._page)
        self._unnamed.append(f"\n{block.text}")

    def _set_up(self, block: Block) -> None:
        lines = [_SET_UP.sub("", line) for line in block.text.splitlines()]
        if lines != [TEST_COMMAND]:  # that is what runs us
            run_session([Command(line) for line in lines], **self._place())

    def _batch_script(self, block: Block) -> None:
        assert "\n#SBATCH " in block.text, "this is no batch script; commands belong in a console block"
        run_session([Command(f"bash -n <<'SCRIPT'\n{block.text}SCRIPT")], **self._place())

    def _env_file(self, block: Block) -> None:
        path = self._folder / "unnamed.env"
        path.write_text(block.text, encoding="utf-8")
        assert read_env_file(path), "it sets nothing"

    def _write(self, block: Block, name: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.suffix == ".py":
            compile(block.text, name, "exec")
            self._unused[name] = path.stem
        if block.language == "yaml":
            _check_yaml(block, path)

    def _use_files_named_in(self, block: Block) -> None:
        used = [name for name, stem in self._unused.items() if re.search(rf"\b{stem}\b", block.text)]
        for name in used:
            del self._unused[name]

    def _place(self) -> dict[str, object]:
        return {"folder": self._folder, "variables": self._variables}


class _Driver:
    """The process that Python blocks run in, with warnings as errors."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        reader, writer = os.pipe()
        self._replies = os.fdopen(reader, encoding="utf-8")
        self._output = (folder / ".printed").open("w+", encoding="utf-8")
        self._errors = (folder / ".said").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", DRIVER, str(writer)],
            cwd=folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            pass_fds=[writer],
            text=True,
        )
        os.close(writer)

    def run(self, block: Block, page: str) -> str:
        """Run a block and return what it printed on stdout."""
        offset = os.fstat(self._output.fileno()).st_size
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"text": block.text, "line": block.line, "name": page}) + "\n")
        self._process.stdin.flush()
        assert select.select([self._replies], [], [], LIMIT_S)[0], f"it takes longer than {LIMIT_S} s"
        reply = self._replies.readline()
        self._errors.seek(0)
        assert reply, f"the interpreter ended with {self._process.wait()}:\n{self._errors.read()}"
        problem = json.loads(reply)
        assert not problem, f"{problem}\n{self._errors.read()}"
        self._output.seek(offset)
        return self._output.read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=LIMIT_S)
        for file in (self._replies, self._output, self._errors):
            file.close()


def _variables(folder: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name.startswith("COVERAGE_") or name == "TMPDIR"
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(folder.parent / "home"), "LANG": "C.UTF-8", "COLUMNS": "120"}


def _check_yaml(block: Block, path: Path) -> None:
    documents = [document for document in yaml.safe_load_all(block.text) if document is not None]
    assert documents, "it holds nothing"
    keys = documents[0].keys() if isinstance(documents[0], dict) else set()
    if keys and (keys <= set(jobfile.KEYS) or "main" in keys):
        path.write_text(block.text if "main" in keys else f"main: true\n{block.text}", encoding="utf-8")
        jobfile.read(path)


def _checked(value: object) -> None:
    assert value, "it holds nothing"
