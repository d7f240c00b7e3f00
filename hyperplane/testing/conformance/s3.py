"""How `ctx.s3` behaves: objects copied, listed, read and written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hyperplane
from hyperplane.context import JobContext

MakeContext = Callable[..., JobContext[Any]]

OBJECTS = {
    "data/a.csv": b"1,2\n",
    "data/deep/b.csv": b"3,4\n",
    "data/notes.txt": b"read me",
    "data-2/c.csv": b"5,6\n",
    "single": b"one",
}


def files_below(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name there."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


class S3Conformance:
    """Fixture `make_context`: takes `objects`, by key, which its `ctx.s3` finds in a bucket of its own."""

    def test_an_object_is_copied_to_a_file(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Exactly that object, to exactly that path."""
        copied = make_context(objects=OBJECTS).s3.download("single", tmp_path / "there")
        assert (files_below(tmp_path), list(copied.files)) == ({"there": b"one"}, [tmp_path / "there"])

    def test_an_object_goes_into_a_folder(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Under its own name, where the target is a folder or ends in a slash."""
        make_context(objects=OBJECTS).s3.download("data/a.csv", f"{tmp_path}/new/")
        assert files_below(tmp_path) == {"new/a.csv": b"1,2\n"}

    def test_a_folder_is_copied_to_a_folder(self, make_context: MakeContext, tmp_path: Path) -> None:
        """All below it, and nothing of a neighbour whose name begins alike."""
        copied = make_context(objects=OBJECTS).s3.download("data/", tmp_path)
        assert files_below(tmp_path) == {
            "a.csv": b"1,2\n",
            "deep/b.csv": b"3,4\n",
            "notes.txt": b"read me",
        }
        assert (len(copied.files), copied.size_bytes) == (3, 15)

    def test_a_copy_says_what_it_copied(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Files and URLs, in the same order; every call takes the URLs."""
        s3 = make_context(objects=OBJECTS).s3
        copied = s3.download("data/", tmp_path, glob="*.csv")
        assert list(copied.files) == [tmp_path / "a.csv"]
        assert [s3.read_bytes(url) for url in copied.urls] == [b"1,2\n"]

    @pytest.mark.parametrize(
        ("filters", "names"),
        [
            ({"glob": "*.csv"}, ["a.csv"]),
            ({"glob": "**/*.csv"}, ["a.csv", "deep/b.csv"]),
            ({"regex": "deep"}, ["deep/b.csv"]),
            ({"regex": "s", "glob": "*"}, ["a.csv", "notes.txt"]),
        ],
    )
    def test_filters_choose_files(
        self, make_context: MakeContext, tmp_path: Path, filters: dict[str, Any], names: list[str]
    ) -> None:
        """By their names relative to the source, down, up, and in listings."""
        s3 = make_context(objects=OBJECTS).s3
        s3.download("data/", tmp_path, **filters)
        uploaded = s3.upload(tmp_path, "copy/", **filters)
        listed = [info.key for info in s3.list("data/", **filters)]
        assert sorted(files_below(tmp_path)) == names
        assert [url.partition("copy/")[2] for url in uploaded.urls] == names
        assert [key.partition("data/")[2] for key in listed] == names

    def test_too_few_files_are_an_error(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Nothing is copied then."""
        with pytest.raises(hyperplane.TransferError, match="at least 4"):
            make_context(objects=OBJECTS).s3.download("data/", tmp_path, min_files=4)
        assert files_below(tmp_path) == {}

    @pytest.mark.parametrize("source", ["data", "none", "none/"])
    def test_a_missing_source_is_an_error(
        self, make_context: MakeContext, tmp_path: Path, source: str
    ) -> None:
        """It names the source, and a folder without its slash is not one."""
        with pytest.raises(hyperplane.ObjectNotFoundError, match=source):
            make_context(objects=OBJECTS).s3.download(source, tmp_path / "x")

    def test_a_folder_is_copied_to_keys(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Below the target, with a slash or without one."""
        s3 = make_context(objects={}).s3
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "x").write_bytes(b"x")
        s3.upload(tmp_path, "one")
        s3.upload(f"{tmp_path}/", "two/")
        assert [info.key for info in s3.list()] == ["one/sub/x", "two/sub/x"]

    def test_a_file_is_copied_to_a_key(self, make_context: MakeContext, tmp_path: Path) -> None:
        """To the target itself, below one that ends in a slash, or to its own name."""
        s3 = make_context(objects={}).s3
        (tmp_path / "f").write_bytes(b"content")
        urls = [s3.upload(tmp_path / "f", target).urls[0] for target in ("key", "folder/", None)]
        assert [url.removeprefix(f"s3://{s3.bucket}/") for url in urls] == ["key", "folder/f", "f"]

    def test_what_has_not_changed_is_skipped(self, make_context: MakeContext, tmp_path: Path) -> None:
        """Down and up; what has changed is not."""
        s3 = make_context(objects=OBJECTS).s3
        s3.download("data/", tmp_path)
        (tmp_path / "a.csv").write_bytes(b"9,9\n")
        up = s3.upload(tmp_path, "data/", skip_unchanged=True)
        down = s3.download("data/", tmp_path, skip_unchanged=True)
        assert [path.name for path in up.files] == ["a.csv"]
        assert list(up.skipped) == ["deep/b.csv", "notes.txt"]
        assert (s3.read_bytes("data/a.csv"), len(down.skipped)) == (b"9,9\n", 3)

    def test_an_object_is_read_and_written(self, make_context: MakeContext) -> None:
        """Whole, as bytes."""
        s3 = make_context(objects=OBJECTS).s3
        url = s3.write_bytes("new", b"\0content")
        assert (url, s3.read_bytes(url)) == (f"s3://{s3.bucket}/new", b"\0content")

    def test_an_object_is_a_file(self, make_context: MakeContext) -> None:
        """It can be read from any place, as bytes and as text."""
        s3 = make_context(objects=OBJECTS).s3
        with s3.open("data/notes.txt") as file:
            file.seek(5)
            assert (file.read(), file.seek(0), file.read(4)) == (b"me", 0, b"read")
        with s3.open("data/notes.txt", "r") as text:
            assert text.readlines() == ["read me"]

    def test_what_is_written_is_there_when_it_is_whole(self, make_context: MakeContext) -> None:
        """Not before the file is closed."""
        s3 = make_context(objects={}).s3
        with s3.open("new", "w") as file:
            file.write("grüße\n")
            assert not s3.exists("new")
        assert s3.read_bytes("new") == "grüße\n".encode()

    def test_a_failed_writer_leaves_the_object_alone(self, make_context: MakeContext) -> None:
        """An exception in the block drops what was written."""
        s3: Any = make_context(objects={"key": b"before"}).s3
        for mode, text in (("w", "half"), ("wb", b"half")):
            with pytest.raises(ZeroDivisionError), s3.open("key", mode) as file:
                _ = file.write(text) / 0
        assert s3.read_bytes("key") == b"before"

    def test_what_exists_can_be_asked(self, make_context: MakeContext) -> None:
        """Of an object and, with a final slash, of a folder."""
        s3 = make_context(objects=OBJECTS).s3
        assert [s3.exists(key) for key in ("single", "data/", "data", "none/")] == [True, True, False, False]

    def test_objects_are_deleted(self, make_context: MakeContext) -> None:
        """One, or a folder of them, but not a whole bucket."""
        s3 = make_context(objects=OBJECTS).s3
        assert (s3.delete("single"), s3.delete("data/"), s3.delete("none")) == (1, 3, 1)
        assert [info.key for info in s3.list()] == ["data-2/c.csv"]
        with pytest.raises(hyperplane.UsageError, match="whole bucket"):
            s3.delete("")

    @pytest.mark.parametrize("call", ["read_bytes", "open"])
    def test_reading_what_is_not_there_is_an_error(self, make_context: MakeContext, call: str) -> None:
        """It is a FileNotFoundError that names the object."""
        with pytest.raises(hyperplane.ObjectNotFoundError, match="none") as caught:
            getattr(make_context(objects={}).s3, call)("none")
        assert isinstance(caught.value, FileNotFoundError)

    def test_it_closes_with_its_context(self, make_context: MakeContext) -> None:
        """After that it is an error that says so."""
        context = make_context(objects={})
        context.close()
        with pytest.raises(hyperplane.ContextClosedError):
            context.s3  # noqa: B018 - reading it is the point
