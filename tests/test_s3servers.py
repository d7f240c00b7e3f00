"""The servers that tests of S3 stand on."""

import pytest
from s3servers import client_of


@pytest.mark.parametrize("fixture", ["seaweed_bucket", "seaweed_tls_bucket", "moto_bucket"])
def test_a_test_has_a_bucket_of_its_own(fixture, request):
    """Each server gives an empty bucket that takes objects."""
    server = request.getfixturevalue(fixture)
    client = client_of(server)
    before = client.list_objects_v2(Bucket=server.bucket)["KeyCount"]
    client.put_object(Bucket=server.bucket, Key="a", Body=b"x")

    assert (0, b"x") == (before, client.get_object(Bucket=server.bucket, Key="a")["Body"].read())


@pytest.mark.parametrize("key", ["a//b", "../a", "a/./b", "a\x01\tb", "a\\b", "dir/", "a%2fb", "．．/x"])
def test_moto_keeps_every_key(moto_bucket, key):
    """A key that a path could not be comes back as it was given."""
    client = client_of(moto_bucket)
    client.put_object(Bucket=moto_bucket.bucket, Key=key, Body=b"x")

    assert [key] == [o["Key"] for o in client.list_objects_v2(Bucket=moto_bucket.bucket)["Contents"]]
