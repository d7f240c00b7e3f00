"""Where files land: below the target, through no link, whole, under names that can be names."""

import os
from pathlib import Path

import pytest
from copying import fetch, make_tree, tree
from processes import open_below, public_folder, unprivileged

from hyperplane.errors import TransferError, UsageError
from hyperplane.rundir import is_part
from hyperplane.transfer import landing as landing_module
from hyperplane.transfer.landing import Landing
from hyperplane.transfer.workers import Cancelled


@pytest.fixture
def outer(tmp_path):
    """Give a folder with files around the target that must stay as they are."""
    return make_tree(tmp_path / "outer", {"secret": b"mine", "other/x": b"mine", "target/keep": b"mine"})


def put_all(server, *keys):
    """Put an object under each key."""
    for key in keys:
        server.put(key, b"theirs")


@pytest.mark.parametrize(
    "name",
    ["../secret", "a/../../secret", "/secret", "a//b", "./a", "a/.", "..", "a/..", "\0", "x" * 256],
)  # fmt: skip
def test_a_key_that_is_no_name_is_told(faulty_s3, store, outer, name):
    """It is written nowhere, the error names it, and the rest is copied."""
    put_all(faulty_s3, f"d/{name}", "d/good")
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", outer / "target")

    assert [name] == list(caught.value.failures)
    assert isinstance(caught.value.failures[name], UsageError)
    assert repr(name) in str(caught.value.failures[name])
    assert {"secret": b"mine", "other/x": b"mine", "target/keep": b"mine", "target/good": b"theirs"} == tree(
        outer
    )


@pytest.mark.parametrize(
    "name", ["．．/x", "%2e%2e%2f", "a\nb", "a\\..\\b", "~", "-rf", "$(id)", "A/x", "a:b", " "]
)
def test_a_key_that_is_only_odd_is_a_name(faulty_s3, store, outer, name):
    """It becomes exactly that file."""
    put_all(faulty_s3, f"d/{name}", "d/a/x")
    fetch(store, "d/", outer / "target")

    assert {"keep", "a/x", name} == set(tree(outer / "target"))


def test_the_longest_key_is_a_path(faulty_s3, store, outer):
    """1,024 bytes, in parts as long as a file system takes them."""
    name = "/".join(["x" * 255] * 3 + ["y" * 254])
    put_all(faulty_s3, f"d/{name}")
    fetch(store, "d/", outer / "target")

    assert {"keep": b"mine", name: b"theirs"} == tree(outer / "target")


@pytest.mark.parametrize("link", ["l", "l/sub", "sub/l"])
@pytest.mark.parametrize("leads_to", ["..", "../other", "/", "nowhere", "keep", "l", "sub"])
def test_nothing_is_written_through_a_link(faulty_s3, store, outer, link, leads_to):
    """A link in place of a folder is an error, wherever it leads."""
    target = outer / "target"
    make_tree(target, {"sub/x": b"mine"})
    place = target / ("l" if link == "l/sub" else link)
    place.symlink_to(leads_to)
    before = tree(outer)
    put_all(faulty_s3, f"d/{link}/secret", f"d/{link}/x")
    with pytest.raises(TransferError) as caught:
        fetch(store, "d/", target)

    assert [f"{link}/secret", f"{link}/x"] == list(caught.value.failures)
    assert "is a link or a file" in str(caught.value.failures[f"{link}/x"])
    assert before == tree(outer)


@pytest.mark.parametrize("leads_to", ["../secret", "/dev/null", "nowhere", "keep"])
def test_a_link_under_the_files_name_is_replaced(faulty_s3, store, outer, leads_to):
    """What it led to stays as it was."""
    target = outer / "target"
    (target / "l").symlink_to(leads_to)
    put_all(faulty_s3, "d/l")
    fetch(store, "d/", target)

    assert {"keep": b"mine", "l": b"theirs"} == tree(target)
    assert b"mine" == (outer / "secret").read_bytes()


@pytest.mark.parametrize("leads_to", ["../secret", "nowhere"])
def test_unchanged_is_not_asked_of_a_link(faulty_s3, store, outer, leads_to):
    """A link that leads to the same content is no copy."""
    target = outer / "target"
    (target / "l").symlink_to(leads_to)
    faulty_s3.put("d/l", b"mine")
    transfer = fetch(store, "d/", target, skip_unchanged=True)

    assert ({"keep": b"mine", "l": b"mine"}, []) == (tree(target), list(transfer.skipped))


def test_a_fifo_under_the_files_name_is_replaced(faulty_s3, store, outer):
    """Nobody waits for its other end."""
    os.mkfifo(outer / "target" / "f")
    put_all(faulty_s3, "d/f")
    fetch(store, "d/", outer / "target", skip_unchanged=True)

    assert b"theirs" == (outer / "target" / "f").read_bytes()


def test_the_target_itself_may_be_a_link(faulty_s3, store, outer):
    """Who gave it meant where it leads."""
    (outer / "link").symlink_to("target")
    put_all(faulty_s3, "d/a")
    fetch(store, "d/", outer / "link")

    assert {"keep": b"mine", "a": b"theirs"} == tree(outer / "target")


def test_a_folder_that_becomes_a_link_meanwhile_leads_nobody_out(faulty_s3, store, outer):
    """The folder was opened, and its place taken by a link: the file lands in the folder, or nowhere."""
    from faultys3 import do

    target = outer / "target"
    make_tree(target, {"sub/x": b"mine"})

    def swap(call):
        if not (target / "sub").is_symlink():
            (target / "sub").rename(outer / "moved")
            (target / "sub").symlink_to("../other")

    put_all(faulty_s3, "d/sub/new")
    faulty_s3.add(do(swap), operation="GetObject")
    fetch(store, "d/", target)

    assert {"x": b"mine"} == tree(outer / "other")
    assert {"x": b"mine", "new": b"theirs"} == tree(outer / "moved")


def test_a_folder_without_permission_is_told(tmp_path):
    """The reason is that of the system."""
    target = tmp_path / "target"
    (target / "sub").mkdir(parents=True)
    for folder in (*tmp_path.parents, tmp_path, target):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(0o755)
    landing = Landing(target)
    with unprivileged(), pytest.raises(PermissionError), landing.part(("sub", "a")):
        pass
    landing.close()


@pytest.fixture(params=["nameless", "named"])
def can_be_nameless(request, monkeypatch):
    """Have files without a name, or none, as on some file systems."""
    if request.param == "named":
        monkeypatch.setattr(landing_module, "_NAMELESS_FILE", os.O_RDWR | os.O_CLOEXEC)
    return request.param == "nameless"


def test_a_part_takes_its_name(tmp_path, can_be_nameless):
    """A free one, and one that a file has already."""
    landing = Landing(tmp_path / "t")
    for content in (b"first", b"second"):
        with landing.part(("a",)) as part:
            part.write(content, 0)
            part.finish(None)
    landing.close()

    assert {"a": b"second"} == tree(tmp_path / "t")


def test_files_need_a_name_where_proc_is_not_mounted(tmp_path, monkeypatch):
    """Without /proc there is no way to give a nameless file one."""
    monkeypatch.setattr(landing_module, "_OWN_FILES", "/no-such-proc")
    landing = Landing(tmp_path / "t")
    with landing.part(("a",)):
        names = [path.name for path in (tmp_path / "t").iterdir()]
    landing.close()

    assert [True] == [is_part(name) for name in names]


def test_a_folder_that_cannot_be_entered_is_told(tmp_path):
    """It is no link and no file, and the reason is that of the system."""
    with public_folder() as folder:
        (folder / "closed").mkdir(mode=0o700)
        landing = Landing(folder)
        with unprivileged(), pytest.raises(PermissionError), landing.part(("closed", "a")):
            pass
        landing.close()


def test_a_thread_goes_from_folder_to_folder(tmp_path):
    """To the same one again, to others, and to the target itself."""
    landing = Landing(tmp_path / "t")
    names = [("d", "a"), ("d", "b"), ("e", "c"), ("f",), ("e", "g"), ("d", "h", "i")]
    for parts in names:
        with landing.part(parts) as part:
            part.write("/".join(parts).encode(), 0)
            part.finish(None)
    landing.close()

    assert {"/".join(parts): "/".join(parts).encode() for parts in names} == tree(tmp_path / "t")


def test_an_unfinished_part_goes(tmp_path, can_be_nameless):
    """A block that does not finish, or raises, leaves nothing."""
    landing = Landing(tmp_path / "t")
    with landing.part(("a",)) as part:
        part.write(b"x", 0)
        names = [path.name for path in (tmp_path / "t").iterdir()]
    with pytest.raises(ZeroDivisionError), landing.part(("b", "a")):
        raise ZeroDivisionError
    landing.close()

    assert ([] if can_be_nameless else [True]) == [is_part(name) for name in names]
    assert {} == tree(tmp_path / "t")


def test_closing_removes_the_parts_of_workers_that_go_on(tmp_path, can_be_nameless):
    """What they finish later is not there, and they can begin nothing new."""
    landing = Landing(tmp_path / "t")
    with landing.part(("a",)) as part:
        part.write(b"torn", 0)
        landing.close()
        with pytest.raises(Cancelled):
            part.finish(None)
    for use in (
        lambda: landing.part(("b",)).__enter__(),
        lambda: landing.stat(("a",)),
        lambda: landing.open(("a",)),
    ):
        with pytest.raises(Cancelled):
            use()

    assert {} == tree(tmp_path / "t")


def test_a_large_write_is_whole(tmp_path):
    """However much the system takes at once."""
    landing = Landing(tmp_path / "t")
    content = os.urandom(3 << 20)
    with landing.part(("a",)) as part:
        part.write(content[1:], 1)
        part.write(content[:1], 0)
        part.finish(None)
    landing.close()

    assert content == (tmp_path / "t" / "a").read_bytes()


def test_names_that_are_one_here_are_told(faulty_s3, store, outer, monkeypatch):
    """On a file system that takes them for one, the first is copied, and the error names both."""
    monkeypatch.setattr(landing_module, "_folds_names", lambda _: True)
    put_all(faulty_s3, "d/README", "d/readme", "d/sub/x")
    with pytest.raises(
        TransferError, match="'readme' cannot be a file here: it is the same name as 'README'"
    ):
        fetch(store, "d/", outer / "target")

    assert {"keep", "README", "sub/x"} == set(tree(outer / "target"))


def folds_names(folder):
    """Say what a landing knows of the names in a folder."""
    landing = Landing(folder)
    landing.close()
    return landing.folds_names


def test_a_file_system_is_asked_whether_it_folds_names(tmp_path, monkeypatch):
    """With a file that does not stay; where none can be made, nothing is known."""
    assert not folds_names(tmp_path / "here")
    assert not folds_names(Path("/proc"))
    monkeypatch.setattr(landing_module, "new_part_name", lambda: "123")  # its own other spelling
    assert folds_names(tmp_path / "here")
    assert {} == tree(tmp_path / "here")


def test_a_part_that_is_begun_as_all_is_closed_gets_no_name(tmp_path, monkeypatch):
    """Its worker had asked a moment before."""
    landing = Landing(tmp_path / "t")

    class LatePart(landing_module.Part):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            landing.close()

    monkeypatch.setattr(landing_module, "Part", LatePart)
    with pytest.raises(Cancelled), landing.part(("a",)):
        pass

    assert {} == tree(tmp_path / "t")
    assert [] == open_below(tmp_path / "t")
