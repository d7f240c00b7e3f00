"""How `ctx.outputs` behaves: whole or not at all, in its folder or nowhere, found by the next attempt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]
NextAttempt = Callable[[JobContext[Any]], JobContext[Any]]


class OutputsConformance:
    """Writing, refusing and finding again.

    Fixtures: `make_context` returns a context made with the keywords that it is given; `next_attempt`
    returns the context of a further run of the same job.
    """

    def test_saving_gives_a_file_its_name_at_the_end(self, make_context: MakeContext) -> None:
        """Inside the block there is only a temporary path; after it the output is whole."""
        outputs = make_context().outputs
        with outputs.saving("last.pt") as path:
            path.write_bytes(b"weights")
            before = (outputs.dir / "last.pt").exists()
        assert (before, (outputs.dir / "last.pt").read_bytes()) == (False, b"weights")

    def test_saving_takes_a_folder(self, make_context: MakeContext) -> None:
        """What was made a folder becomes one output with all that is in it."""
        outputs = make_context().outputs
        with outputs.saving("checkpoint") as path:
            (path / "shards").mkdir(parents=True)
            (path / "shards" / "0.bin").write_bytes(b"zero")
        assert (outputs.dir / "checkpoint" / "shards" / "0.bin").read_bytes() == b"zero"

    def test_saving_that_fails_leaves_what_was_there(self, make_context: MakeContext) -> None:
        """An exception in the block keeps the last whole one, and nothing else."""
        outputs = make_context().outputs
        outputs.write_text("last.pt", "old")
        with pytest.raises(ZeroDivisionError), outputs.saving("last.pt") as path:
            _write_half(path)
        assert _names_in(outputs.dir) == ["last.pt"]
        assert (outputs.dir / "last.pt").read_text() == "old"

    def test_open_writes_text_and_bytes(self, make_context: MakeContext) -> None:
        """`open` gives a file of either kind; its name appears as it is closed."""
        outputs = make_context().outputs
        with outputs.open("a.txt", "w") as text, outputs.open("b.bin", "wb") as data:
            text.write("süß\n")
            data.write(b"\xff")
            assert _names_in(outputs.dir) == []
        assert [(outputs.dir / name).read_bytes() for name in ("a.txt", "b.bin")] == [
            b"s\xc3\xbc\xc3\x9f\n",
            b"\xff",
        ]

    def test_open_that_fails_leaves_nothing(self, make_context: MakeContext) -> None:
        """An exception while the file is open drops it."""
        outputs = make_context().outputs
        with pytest.raises(ZeroDivisionError), outputs.open("a.txt", "w") as file:
            _write_half_to(file)
        assert _names_in(outputs.dir) == []

    def test_append_writes_payloads_as_they_are(self, make_context: MakeContext) -> None:
        """Nothing is put between the payloads or after them."""
        outputs = make_context().outputs
        outputs.append("lines.csv", "line 1", "line 1 cont.\n")
        outputs.append("lines.csv", "line 2\n")
        assert (outputs.dir / "lines.csv").read_text() == "line 1line 1 cont.\nline 2\n"

    def test_what_is_written_at_once_is_whole(self, make_context: MakeContext) -> None:
        """`write_text`, `write_bytes` and `write_json` make the file and the folders it is in."""
        outputs = make_context().outputs
        outputs.write_text("deep/a.txt", "text")
        outputs.write_bytes("deep/b.bin", b"bytes")
        outputs.write_json("deep/c.json", {"loss": 0.5})
        deep = outputs.dir / "deep"
        read = (
            (deep / "a.txt").read_text(),
            (deep / "b.bin").read_bytes(),
            json.loads((deep / "c.json").read_text()),
        )
        assert read == ("text", b"bytes", {"loss": 0.5})

    def test_path_lies_in_the_folder(self, make_context: MakeContext) -> None:
        """`path` makes the folders that lead there, and leaves the file to the job."""
        outputs = make_context().outputs
        path = outputs.path("plots/loss.png")
        assert (path.relative_to(outputs.dir).as_posix(), path.parent.is_dir(), path.exists()) == (
            "plots/loss.png",
            True,
            False,
        )

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../x", "/etc/x", "a/../../b", "a\nb", "a\0b", "x" * 256]
    )
    @pytest.mark.parametrize("method", ["path", "write_text", "append", "seal", "restore", "remove"])
    def test_names_that_lead_elsewhere_are_refused(
        self, make_context: MakeContext, method: str, name: str
    ) -> None:
        """No method takes a name that leaves the folder or that no store could hold."""
        outputs = make_context().outputs
        payloads = ("text",) if method in {"write_text", "append"} else ()
        with pytest.raises(hyperplane.OutputNameError):
            getattr(outputs, method)(name, *payloads)

    def test_a_name_with_a_secret_is_refused(self, make_context: MakeContext) -> None:
        """An output whose name holds a secret is an error that does not show it."""
        outputs = make_context(secrets={"db_password": "sesame-opens-it"}).outputs
        with pytest.raises(hyperplane.OutputNameError) as caught:
            outputs.write_text("of-sesame-opens-it.txt", "text")
        assert "sesame-opens-it" not in str(caught.value)

    def test_a_link_that_leads_out_is_not_followed(self, make_context: MakeContext, tmp_path: Path) -> None:
        """A link in the folder lets nothing be written outside it."""
        outputs = make_context().outputs
        outside = tmp_path / "outside"
        outside.mkdir()
        outputs.path("a.txt")
        (outputs.dir / "link").symlink_to(outside)
        with pytest.raises(hyperplane.OutputError):
            outputs.write_text("link/x.txt", "text")
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize("seal", ["saving", "open", "write_text", "seal"])
    def test_the_next_attempt_restores_what_was_sealed(
        self, make_context: MakeContext, next_attempt: NextAttempt, seal: str
    ) -> None:
        """However it was sealed, the next attempt finds it, even where this one failed."""
        context = make_context()
        _seal(context.outputs, seal)
        restored = next_attempt(context).outputs.restore("last.txt")
        assert restored is not None
        assert restored.read_text() == "of attempt 1"

    def test_what_was_not_sealed_is_not_restored(
        self, make_context: MakeContext, next_attempt: NextAttempt
    ) -> None:
        """A file that the job was still writing is none to go on from."""
        context = make_context()
        context.outputs.path("last.txt").write_text("half of i")
        assert next_attempt(context).outputs.restore("last.txt") is None

    def test_the_newest_copy_is_restored(self, make_context: MakeContext, next_attempt: NextAttempt) -> None:
        """Of several attempts the last that sealed it counts."""
        first = make_context()
        first.outputs.write_text("last.txt", "of attempt 1")
        second = next_attempt(first)
        second.outputs.write_text("last.txt", "of attempt 2")
        restored = next_attempt(second).outputs.restore("last.txt")
        assert restored is not None
        assert restored.read_text() == "of attempt 2"

    def test_the_first_attempt_restores_nothing(self, make_context: MakeContext) -> None:
        """Where no earlier run sealed it there is None."""
        assert make_context().outputs.restore("last.txt") is None

    def test_what_was_removed_is_gone(self, make_context: MakeContext, next_attempt: NextAttempt) -> None:
        """A removed output is neither in the folder nor found by the next attempt."""
        context = make_context()
        context.outputs.write_text("last.txt", "of attempt 1")
        context.outputs.remove("last.txt")
        assert _names_in(context.outputs.dir) == []
        assert next_attempt(context).outputs.restore("last.txt") is None


def _write_half(path: Path) -> None:
    path.write_text("half of i")
    raise ZeroDivisionError


def _write_half_to(file: Any) -> None:
    file.write("half of i")
    raise ZeroDivisionError


def _seal(outputs: Any, how: str) -> None:
    text = "of attempt 1"
    if how == "saving":
        with outputs.saving("last.txt") as path:
            path.write_text(text)
    elif how == "open":
        with outputs.open("last.txt", "w") as file:
            file.write(text)
    elif how == "write_text":
        outputs.write_text("last.txt", text)
    else:
        outputs.path("last.txt").write_text(text)
        outputs.seal("last.txt")


def _names_in(folder: Path) -> list[str]:
    from hyperplane.rundir import is_part

    files = (path for path in folder.rglob("*") if path.is_file() and not is_part(path.name))
    return sorted(path.relative_to(folder).as_posix() for path in files)
