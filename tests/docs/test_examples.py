"""Every example of the README and the documentation runs as it stands."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from docpage import Block, PageError, blocks_of
from docrun import TEST_COMMAND, PageRun
from docshell import matches

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
LEFTOVERS = shutil.ignore_patterns(".hyperplane", "__pycache__")


def run_page(page: Path, folder: Path, name: str = "page.md") -> None:
    """Run the blocks of a page in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with PageRun(name, folder) as run:
        for block in blocks_of(page):
            run.run(block)
        run.finish()


def run_text(text: str, tmp_path: Path) -> None:
    """Run the blocks of a page that is made up for a test."""
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    run_page(page, tmp_path / "page")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_of_a_page_runs(page, tmp_path):
    """Each block of a page of the documentation does what the page says; a README runs beside its files."""
    if page.name == "README.md":
        shutil.copytree(page.parent, tmp_path / "page", ignore=LEFTOVERS)
    run_page(page, tmp_path / "page", str(page.relative_to(ROOT)))


def test_every_example_of_the_readme_runs(tmp_path):
    """The README's program runs, and so do its commands, from the first run to the next attempt."""
    folder = tmp_path / "clone"
    example = folder / "docs" / "examples" / "train"
    shutil.copytree(ROOT / "docs" / "examples" / "train", example, ignore=LEFTOVERS)
    (folder / ".venv").symlink_to(sys.prefix)
    run_page(ROOT / "README.md", folder, "README.md")


def test_ci_runs_the_test_command_of_the_readme():
    """The one line of the README that ends in `-m pytest` is what `.ci/run` finds and runs."""
    lines = re.findall(r"^.*-m pytest$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert [True] == [line.endswith(f"&& {TEST_COMMAND}") for line in lines]
    assert """eval "$(grep -m1 -x '.*-m pytest' README.md)\"""" in ci


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python\nimport warnings; warnings.warn('old')\n```\n", "UserWarning: old"),
        ("```python\nraise SystemExit(143)\n```\n", "exits with 143"),
        ("```python\nimport os; os._exit(3)\n```\n", "ended with 3"),
        ("```python\nprint(1)\n```\n\n<!-- output -->\n\n```text\n2\n```\n", "printed\n1"),
        ("```python\n# spare.py\nprint(1)\n```\n", "no later block uses spare.py"),
        ("```python\n# test_it.py\ndef test_it():\n    assert 1 == 2\n```\n", "1 failed"),
        ("```python\ndef test_it():\n    assert 1 == 2\n```\n", "1 failed"),
        ("```console\n$ false\n```\n", "exit code 1"),
        ("```console\n$ echo one\ntwo\n```\n", "the page shows\ntwo"),
        ("```console\n$ exit 0\n$ true\n```\n", "the shell ended early"),
        ("```yaml\nmain: train.py\nmian: 3\n```\n", "unknown key 'mian'"),
        ("```yaml\na: [\n```\n", "while parsing"),
        ("```dotenv\nA='\n```\n", "this is not a NAME=value line"),
        ("```json\n{\n```\n", "Expecting"),
        ("```bash\nls\n```\n", "belong in a console block"),
        ("```rust\nfn main() {}\n```\n", "nobody knows how to run rust"),
        ("```\nls\n```\n", "a block without a language"),
        ("Like so:\n\n    ls\n", "an indented block"),
        ("```{code-block} python\n1 / 0\n```\n", "would not be run"),
        ("<!-- output -->\n\nText.\n", "no block follows"),
        ("<!-- skip -->\n\n```python\n1 / 0\n```\n", "this comment is neither"),
    ],
)
def test_a_wrong_example_fails_its_page(text, problem, tmp_path):
    """Nothing wrong on a page is passed over, and the failure says what it is."""
    with pytest.raises((PageError, AssertionError), match=re.escape(problem)):
        run_text(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "```python\na = 1\n```\n\n```python\nprint(a)\n```\n\n<!-- output -->\n\n```text\n1\n```\n",
        "<!-- python\nb = 2\n-->\n\n```python\nassert b == 2\n```\n",
        "```python\n# mine.py\nc = 3\n```\n\n```python\nimport mine\n\nassert mine.c == 3\n```\n",
        "```console\n$ export D=4; mkdir in; cd in\n```\n\n```console\n$ echo $D ${PWD##*/}\n4 in\n```\n",
        "```console\n$ cat <<EOF\n> one\n> two\n> EOF\none\ntwo\n```\n",
        "```console\n$ false\n$ echo $?\n1\n```\n",
        "```yaml\nretries: 2\n```\n",
    ],
)
def test_a_right_example_passes(text, tmp_path):
    """Blocks of a page build on each other: names, files, the shell's folder and variables."""
    run_text(text, tmp_path)


@pytest.mark.parametrize(
    ("expected", "output", "is_match"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a", True),
        ("a\n", "b\n", False),
        ("run ...: done\n", "run 20260101: done\n", True),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\nc\n", "a\nc\n", True),
        ("a\n...\n", "b\n", False),
        ("a...c\n", "a\nc\n", False),
    ],
)
def test_dots_stand_for_anything(expected, output, is_match):
    """`...` stands for anything within a line, and for any lines where it stands alone."""
    assert is_match == matches(expected, output)


def test_a_block_knows_the_file_that_it_is():
    """A first line that is a comment with a file's name makes the block that file."""
    named = [
        Block("python", text, 1).file_name
        for text in ("# a/b.py\n", "# .env\n", "# See a.py there\n", "a = 1\n")
    ]

    assert ["a/b.py", ".env", None, None] == named
