"""The S3 functions of hyperplane-client, and what the original got wrong in them."""

from pathlib import Path

import pytest
from s3servers import client_of

import hyperplane
from hyperplane.aws_s3_utils import download_from_s3, upload_to_s3
from hyperplane.testing import FakeJobContext


def context(**objects):
    """Return a fake context with objects; `__` in a name stands for a slash, a final one too."""
    return FakeJobContext(objects={name.replace("__", "/"): content for name, content in objects.items()})


def files():
    """Return every file of the working folder by its name."""
    found = (path for path in Path().rglob("*") if path.is_file())
    return {path.as_posix(): path.read_bytes() for path in found}


def test_an_object_without_a_target_comes_here():
    """The original's first documented example failed: the path of a key relative to itself is `.`."""
    with context(dir__file=b"content"):
        assert "s3://fake/dir/file" == download_from_s3("dir/file")
    assert {"file": b"content"} == files()


def test_one_object_is_one_object():
    """The original fetched `d/a.txt2` too, into the same file."""
    with FakeJobContext(objects={"d/a.txt": b"1", "d/a.txt2": b"2"}):
        download_from_s3("d/a.txt", "here")
    assert {"here": b"1"} == files()


def test_a_folder_marker_stops_nothing():
    """The original stopped at the first empty object whose key ends in a slash."""
    with context(dir__=b"", dir__sub__=b"", dir__sub__file=b"1", dir__z=b"2"):
        assert ["s3://fake/dir/sub/file", "s3://fake/dir/z"] == download_from_s3("dir/", "out/")
    assert {"out/sub/file": b"1", "out/z": b"2"} == files()


def test_a_folder_is_not_its_neighbour():
    """The original wrote `../dir-20/x` outside the target for the prefix `dir-2`."""
    with FakeJobContext(objects={"dir-2/x": b"1", "dir-20/x": b"2"}):
        download_from_s3("dir-2/", "out/")
        with pytest.raises(hyperplane.ObjectNotFoundError):
            download_from_s3("dir-2", "other/")
    assert {"out/x": b"1"} == files()


def test_a_filter_means_the_same_both_ways():
    """The original searched the relative path on the way down, and the whole local one on the way up."""
    Path("match/sub").mkdir(parents=True)
    Path("match/sub/one").write_bytes(b"1")
    Path("match/two").write_bytes(b"2")
    with context() as ctx:
        assert ["s3://fake/up/sub/one"] == upload_to_s3("match/", "up/", "sub")
        assert [] == upload_to_s3("match/", "up/", "match")
        assert ["s3://fake/up/sub/one"] == download_from_s3("up/", "down/", "sub")
        assert ["up/sub/one"] == list(ctx.objects)


@pytest.mark.parametrize("source", ["none", "none/"])
def test_a_missing_local_path_is_an_error(source):
    """The original said nothing."""
    with context(), pytest.raises(hyperplane.UsageError, match="none"):
        upload_to_s3(source, "up/")


def test_an_empty_prefix_is_an_error():
    """The original said nothing of a folder in which there is nothing."""
    with context(dir__file=b""), pytest.raises(hyperplane.ObjectNotFoundError, match="s3://fake/none/"):
        download_from_s3("none/", "out/")


def test_a_missing_bucket_is_an_error(moto_server, monkeypatch):
    """The original said nothing."""
    for name, value in moto_server.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HYPERPLANE_S3_BUCKET", "there-is-none")
    with pytest.raises(hyperplane.ObjectNotFoundError, match="there is no bucket s3://there-is-none"):
        download_from_s3("dir/", "out/")


@pytest.mark.parametrize("target", ["out/", "out/file"])
def test_a_missing_target_folder_may_be_an_error(target):
    """The original printed something, and returned None."""
    with context(dir__file=b"1"):
        with pytest.raises(hyperplane.UsageError, match="out"):
            download_from_s3("dir/file", target, create_target_path=False)
        Path("out").mkdir()
        download_from_s3("dir/file", target, create_target_path=False)
    assert {"out/file": b"1"} == files()


def test_a_file_goes_below_a_target_with_a_slash():
    """The original made an object called `tdir/`."""
    Path("f").write_bytes(b"1")
    with context() as ctx:
        assert "s3://fake/tdir/f" == upload_to_s3("f", "tdir/")
        assert {"tdir/f": b"1"} == ctx.objects


def test_nothing_that_fits_is_said_in_the_log():
    """It is no error, and it is not silent."""
    with context(dir__file=b"1") as ctx:
        assert [] == download_from_s3("dir/", "out/", "nothing like this")
        assert ("no file was copied", "warning") == (ctx.log_events[-1]["event"], ctx.log_events[-1]["level"])


def test_a_single_object_that_does_not_fit_is_none():
    """The filter is for its name."""
    with context(dir__file=b"1"):
        assert [] == download_from_s3("dir/file", "here", "other")


def test_what_they_return_every_call_takes():
    """`s3://bucket/key` is a source, and a target."""
    Path("f").write_bytes(b"1")
    with context():
        url = upload_to_s3("f", "key")
        assert "s3://fake/key" == download_from_s3(url, "g") == upload_to_s3("g", url)


def test_uploading_needs_no_permission_to_ask_for_the_bucket(moto_bucket, monkeypatch):
    """Without an open context the variables alone say where; the object is there."""
    for name, value in moto_bucket.environ().items():
        monkeypatch.setenv(name, value)
    Path("f").write_bytes(b"1")
    upload_to_s3("f", "dir/")
    assert b"1" == client_of(moto_bucket).get_object(Bucket=moto_bucket.bucket, Key="dir/f")["Body"].read()


def test_the_credentials_are_a_dictionary(moto_bucket, monkeypatch):
    """With the names that the original gave them; the bucket's URL is its name."""
    variables = {
        "HYPERPLANE_SECRET_s3_bucket_name": "my_aws_bucket_name",
        "HYPERPLANE_SECRET_s3_access_key_secret": "my_aws_access_key_secret",
        "HYPERPLANE_SECRET_s3_access_key_id": "my_aws_access_key_id",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    expected = {
        "access_key_id": "my_aws_access_key_id",
        "secret_access_key": "my_aws_access_key_secret",
        "bucket_url": "my_aws_bucket_name",
    }
    assert expected == hyperplane.get_s3_credentials()
    monkeypatch.setenv("HYPERPLANE_SECRET_s3_session_token", "my_session_token")
    assert expected | {"session_token": "my_session_token"} == hyperplane.get_s3_credentials()


def test_paths_may_be_objects(tmp_path):
    """What `os.fspath` takes is a path."""
    (tmp_path / "f").write_bytes(b"1")
    with context():
        assert "s3://fake/f" == upload_to_s3(tmp_path / "f")
        assert "s3://fake/f" == download_from_s3("f", tmp_path / "g")
    assert b"1" == (tmp_path / "g").read_bytes()
