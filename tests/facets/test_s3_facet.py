"""`ctx.s3` over real servers and in a fake: what it copies, whom it asks, and what it says."""

from pathlib import Path

import pytest
from s3servers import client_of, with_new_bucket

import hyperplane
from hyperplane.testing import FakeJobContext
from hyperplane.testing.conformance import S3Conformance

PARTNER = "HYPERPLANE_SECRET_partner_access_key"


class RealContexts:
    """Contexts over a bucket of a real server."""

    def __init__(self, server):
        self.server = server
        self.made = []

    def make(self, *, objects, **keywords):
        client = client_of(self.server)
        for key, content in objects.items():
            client.put_object(Bucket=self.server.bucket, Key=key, Body=content)
        self.made.append(hyperplane.JobContext(environ=self.server.environ(), **keywords))
        return self.made[-1]

    def close(self):
        for context in self.made:
            context.close()


@pytest.fixture(params=["seaweed", "moto", "fake"])
def make_context(request):
    """Make contexts over one kind of store."""
    if request.param == "fake":
        yield FakeJobContext
        return
    contexts = RealContexts(request.getfixturevalue(f"{request.param}_bucket"))
    yield contexts.make
    contexts.close()


class TestS3(S3Conformance):
    """Real servers and the fake pass the same suite."""


@pytest.fixture
def context(seaweed_bucket):
    """Give a context over an empty bucket."""
    with hyperplane.JobContext(environ=seaweed_bucket.environ()) as made:
        yield made


def test_the_client_is_plain_boto3(context):
    """It speaks to the same store as everything else."""
    context.s3.write_bytes("key", b"content")
    reply = context.s3.client.get_object(Bucket=context.s3.bucket, Key="key")
    assert b"content" == reply["Body"].read()


def test_the_file_system_is_fsspec(context):
    """It opens `bucket/key` with the same credentials."""
    context.s3.write_bytes("dir/key", b"content")
    files = context.s3.filesystem()
    with files.open(f"{context.s3.bucket}/dir/key") as file:
        assert b"content" == file.read()
    assert [f"{context.s3.bucket}/dir/key"] == files.ls(f"{context.s3.bucket}/dir", detail=False)


def test_the_file_system_needs_an_extra(context, monkeypatch):
    """Without fsspec the error says which to install."""
    monkeypatch.setitem(__import__("sys").modules, "obstore.fsspec", None)
    with pytest.raises(hyperplane.MissingExtraError, match=r"hyperplane-job\[fsspec\]"):
        context.s3.filesystem()


def test_the_credentials_are_those_of_the_secrets(context, seaweed_bucket):
    """Their repr shows no secret."""
    found = context.s3.credentials
    assert seaweed_bucket.secret_access_key == found.secret_access_key
    assert seaweed_bucket.secret_access_key not in repr(found)


def test_another_bucket_is_used(context, seaweed):
    """`using` changes the bucket alone."""
    other = with_new_bucket(seaweed).bucket
    context.s3.using(other).write_bytes("key", b"there")
    assert b"there" == context.s3.read_bytes(f"s3://{other}/key")
    assert not context.s3.exists("key")


def test_another_account_is_used(seaweed_bucket, moto_bucket):
    """Another store, with credentials of other secrets, beside the usual one."""
    partner = {
        f"{PARTNER}_id": moto_bucket.access_key_id,
        f"{PARTNER}_secret": moto_bucket.secret_access_key,
    }
    with hyperplane.JobContext(environ={**seaweed_bucket.environ(), **partner}) as ctx:
        theirs = ctx.s3.using(
            moto_bucket.bucket, endpoint_url=moto_bucket.endpoint_url, region="us-east-1", secrets="partner"
        )
        theirs.write_bytes("key", b"theirs")
        assert moto_bucket.access_key_id == theirs.credentials.access_key_id
        assert not ctx.s3.exists("key")
    assert b"theirs" == client_of(moto_bucket).get_object(Bucket=moto_bucket.bucket, Key="key")["Body"].read()


def test_half_an_account_is_an_error(seaweed_bucket):
    """It names the secret that is missing."""
    with hyperplane.JobContext(
        environ={**seaweed_bucket.environ(), f"{PARTNER}_id": "an-id-of-theirs"}
    ) as ctx:
        theirs = ctx.s3.using("bucket", secrets="partner")
        with pytest.raises(hyperplane.CredentialsError, match="partner_access_key_secret"):
            theirs.read_bytes("key")


def test_a_profile_is_used(seaweed_bucket, tmp_path):
    """One of AWS's files, which `.env` or the environment may name."""
    file = tmp_path / "credentials"
    file.write_text(
        f"[other]\naws_access_key_id = {seaweed_bucket.access_key_id}\n"
        f"aws_secret_access_key = {seaweed_bucket.secret_access_key}\n"
    )
    environ = {
        "HYPERPLANE_S3_ENDPOINT_URL": seaweed_bucket.endpoint_url,
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
    }
    with hyperplane.JobContext(environ=environ) as ctx:
        s3 = ctx.s3.using(seaweed_bucket.bucket, profile="other")
        s3.write_bytes("key", b"content")
        ctx.report(f"the key is {seaweed_bucket.secret_access_key}")
        assert b"content" == s3.read_bytes("key")
        assert "***" == ctx._parts.masker.mask(seaweed_bucket.secret_access_key)


def test_the_bucket_may_be_a_secret_of_the_triplet(seaweed_bucket):
    """Its name is in the messages: it is no secret."""
    environ = seaweed_bucket.environ()
    environ["HYPERPLANE_SECRET_s3_bucket_name"] = environ.pop("HYPERPLANE_S3_BUCKET")
    with hyperplane.JobContext(environ=environ) as ctx:
        assert seaweed_bucket.bucket == ctx.s3.bucket
        with pytest.raises(hyperplane.ObjectNotFoundError, match=f"s3://{seaweed_bucket.bucket}/none"):
            ctx.s3.read_bytes("none")


def test_no_bucket_is_an_error():
    """It says what to set; a URL needs none."""
    with hyperplane.JobContext(environ={}) as ctx:
        with pytest.raises(hyperplane.UsageError, match="HYPERPLANE_S3_BUCKET"):
            ctx.s3.read_bytes("key")
        assert "<S3 without a usual bucket>" == repr(ctx.s3)


def test_no_credentials_are_an_error(monkeypatch):
    """It says which to set, and asks no instance for its role where the tests run."""
    with hyperplane.JobContext(environ={"HYPERPLANE_S3_REGION": "eu-west-1"}) as ctx:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(hyperplane.CredentialsError, match="s3_access_key_id"):
            ctx.s3.read_bytes("s3://bucket/key")


def test_wrong_credentials_are_an_error(seaweed_bucket):
    """It does not show them."""
    environ = seaweed_bucket.environ() | {"HYPERPLANE_SECRET_s3_access_key_secret": "a-wrong-secret-key"}
    with hyperplane.JobContext(environ=environ) as ctx, pytest.raises(hyperplane.StoreError) as caught:
        ctx.s3.write_bytes("key", b"content")
    assert isinstance(caught.value, hyperplane.CredentialsError)
    assert "a-wrong-secret-key" not in str(caught.value)


@pytest.mark.parametrize("mode", ["a", "r+", "x"])
def test_other_modes_are_refused(mode):
    """Objects are read or written, and nothing between."""
    with pytest.raises(hyperplane.UsageError, match=repr(mode).replace("+", r"\+")):
        FakeJobContext().s3.open("key", mode)


@pytest.mark.parametrize("call", ["read_bytes", "open"])
def test_a_folder_is_no_object(call):
    """A final slash means a folder, everywhere."""
    with pytest.raises(hyperplane.UsageError, match="is a folder"):
        getattr(FakeJobContext().s3, call)("folder/")


@pytest.mark.parametrize(("source", "told"), [("none", "there is no file or folder"), ("file/", "is a file")])
def test_a_local_source_that_is_not_there_is_an_error(source, told):
    """The file system says what is a folder."""
    Path("file").touch()
    with pytest.raises(hyperplane.UsageError, match=told):
        FakeJobContext().s3.upload(source, "key")


def test_the_working_folder_goes_to_its_own_name():
    """`upload(".")` is the folder that one is in."""
    Path("f").touch()
    assert ["work/f"] == [url.partition("fake/")[2] for url in FakeJobContext().s3.upload(".").urls]


def test_a_copy_is_logged():
    """Files, bytes and time, so that an empty one is seen too."""
    context = FakeJobContext(objects={"a": b"123"})
    context.s3.download("a")
    assert [("downloaded", 1, 3)] == [
        (found["event"], found["fields"]["files"], found["fields"]["size_bytes"])
        for found in context.log_events
    ]


def test_progress_is_told():
    """The callback has the whole in the end."""
    told = []
    FakeJobContext(objects={"d/a": b"123", "d/b": b"45"}).s3.download("d/", progress=told.append)
    assert (2, 5, 0) == (told[-1].files, told[-1].size_bytes, told[-1].skipped)


def test_boto3_is_loaded_by_what_needs_it_alone(seaweed_bucket):
    """Copies with plain credentials do without it."""
    import scripts

    script = """
        import sys, hyperplane
        with hyperplane.JobContext() as ctx:
            assert not {"boto3", "obstore", "botocore"} & set(sys.modules)
            ctx.s3.write_bytes("d/key", b"1")
            ctx.s3.download("d/", "d")
            assert not {"boto3", "botocore"} & set(sys.modules)
    """
    ended = scripts.run(script, **seaweed_bucket.environ(), HYPERPLANE_LOG_LEVEL="ERROR")
    assert (0, "") == (ended.code, ended.err)
