"""Keys that no path could be, over both paths to S3: each is what it says, and no other."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from storekinds import content_of, keys_of, store_of
from storemarks import EXACT_STORES, over

from hyperplane.errors import StoreError
from hyperplane.stores.fast import can_name

ODD = [
    "a//b", "/a", "//", "/", "a/../b", "../a", "a/./b",
    ".", "..", "./", "d/", "d//", "a\tb", "a\x01b",
    "a\\b", " ", "a b/ ", "%2e%2e%2f", "a%2Fb", "a+b", "．．/x",
    "a\u2028b", "\xe9", "e\u0301", "\x7f", "*", "a/b/.", "?x=1",
    "#y", "~", "!'()*", "a&b=c;d", '"quoted"', "<a>", "[x]",
    "{y}", "^`|", "\U0001f600", "-rf", "\xa0",
]  # fmt: skip


@over("fast-faulty_s3", "plain-faulty_s3")
@pytest.mark.parametrize("key", ODD)
def test_an_odd_key_is_a_key(store, key):
    """It is written, listed, asked for, read in part and deleted, and nothing else is."""
    store.write("neighbour", b"other")
    store.write(key, b"0123456789")
    facts = (store.head(key).size_bytes, content_of(store, key), content_of(store, key, 2, 4))
    listed = set(keys_of(store))
    store.delete([key])

    assert ((10, b"0123456789", b"23"), {key, "neighbour"}) == (facts, listed)
    assert ["neighbour"] == keys_of(store)


@EXACT_STORES
def test_an_odd_key_can_be_written_in_parts(store):
    """As any other."""
    store.write_chunks("a//../b/", lambda: [b"x" * (5 << 20), b"y"], part_bytes=5 << 20)

    assert (5 << 20) + 1 == store.head("a//../b/").size_bytes


@EXACT_STORES
def test_a_listing_with_odd_keys_is_whole(store):
    """Each key is there once, as it is, and none is taken for another."""
    keys = ["a", "/a", "a/", "a//", "a/b", "./a", "../a", "a//b", "b\x01"]
    for key in keys:
        store.write(key, key.encode())

    assert sorted(keys) == keys_of(store)
    assert ["a/", "a//", "a//b", "a/b"] == keys_of(store, "a/")
    assert ["/a"] == keys_of(store, "/")
    assert [key.encode() for key in keys] == [content_of(store, key) for key in keys]


@pytest.mark.parametrize("path", ["fast", "plain"])
def test_any_text_is_a_key(faulty_s3, path):
    """What the server has is exactly what was written."""
    store = store_of(faulty_s3, path)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
    )
    def check(key):
        faulty_s3.store.buckets["test"].clear()
        store.write(key, b"x")
        assert ({key: b"x"}, [key], b"x") == (faulty_s3.objects, keys_of(store), content_of(store, key))
        store.delete([key])
        assert {} == faulty_s3.objects

    check()


@pytest.mark.parametrize("key", ["a", "a/b", "ä ö", "a.b/..c", "a\u00ad"])
def test_ordinary_keys_are_for_obstore(key):
    """Those that it does not change."""
    assert can_name(key) == key.isprintable()


@over("fast-faulty_s3", "plain-faulty_s3")
def test_a_key_that_is_too_long_is_refused(store):
    """1,024 bytes is what S3 takes, and nothing is tried again."""
    with pytest.raises(StoreError, match="s3://") as caught:
        store.write("x" * 1025, b"")

    assert "KeyTooLongError" == caught.value.code
