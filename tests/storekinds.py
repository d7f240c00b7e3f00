"""Stores of every kind over every server, for suites that all of them pass."""

from hyperplane.stores import fast
from hyperplane.stores.account import Account
from hyperplane.stores.credentials import Credentials, GivenCredentials
from hyperplane.stores.fast import FastStore
from hyperplane.stores.retrying import Patience
from hyperplane.stores.s3 import S3Store

QUICK = Patience(base_s=0.001, longest_s=0.01)
PATHS = ("fast", "plain")


def account_of_server(server, *, token=None, **options):
    """Return the account that a server's value tells of."""
    given = Credentials(server.access_key_id, server.secret_access_key, token)
    told = {"endpoint_url": server.endpoint_url, "region": server.region, "ca_file": server.ca_file}
    return Account(**{"credentials": GivenCredentials(lambda: given), **told, **options})


def store_of(server, path="fast", *, patience=QUICK, **options):
    """Return the store of a server's bucket, over one of the two paths."""
    account = account_of_server(server, **options)
    return S3Store(account, server.bucket, patience=patience, is_plain=path == "plain")


def memory_store():
    """Return a store in memory, over obstore."""
    from obstore.store import MemoryStore

    memory = MemoryStore()
    return FastStore("memory://test", lambda: memory)


def disk_store(folder):
    """Return a store in a folder, over obstore."""
    from obstore.store import LocalStore

    return FastStore(f"file://{folder}", lambda: LocalStore(folder, mkdir=True))


def content_of(store, key, *span, **options):
    """Return the bytes of an object, or of a range of it."""
    return b"".join(bytes(chunk) for chunk in store.read(key, *span, **options).chunks)


def keys_of(store, prefix="", **options):
    """Return all keys that a listing shows, in its order."""
    return [info.key for page in store.pages(prefix, **options) for info in page]


def forget_first_use(monkeypatch):
    """Have this process count as one that has not used obstore."""
    monkeypatch.setattr(fast, "_first_pid", None)
