"""A cache of inputs over a server, and what its tests look at."""

import stat
from pathlib import Path

from s3servers import value_of

from hyperplane.environment import Environment
from hyperplane.inputcache import InputCache
from hyperplane.inputcache.entry import Entry
from hyperplane.settings import JobSettings
from hyperplane.stores import Location
from hyperplane.stores.account import account_of
from hyperplane.stores.buckets import AccountBuckets
from hyperplane.stores.credentials import Credentials, GivenCredentials
from hyperplane.stores.retrying import PATIENCE

FOLDER = "s3://test/data/"
# a job that reads its input, and says what it has
JOB = """
    import hyperplane
    with hyperplane.JobContext() as ctx:
        path = ctx.inputs["train"]
        print(path, *sorted(f"{file.name}={file.read_text()}" for file in path.rglob("*") if file.is_file()))
"""
# one that has its input, says so, and waits until it is killed
WAITING_JOB = """
    import time, hyperplane
    with hyperplane.JobContext() as ctx:
        print(ctx.inputs["train"], flush=True)
        time.sleep(60)
"""


class Told(list):
    """What a cache has told, as texts."""

    def log(self, level, event, **fields):
        self.append(event)


def cache_of(folder, server, *, limit_bytes=10**12, patience=PATIENCE, log=None, **options):
    """Return a cache over a server; `told` is what it tells."""
    account = account_of(
        Environment({}),
        JobSettings(s3_endpoint_url=server.endpoint_url),
        GivenCredentials(lambda: Credentials(server.access_key_id, server.secret_access_key)),
        learn=lambda name, value: None,
    )
    buckets = AccountBuckets(account, Environment({}), secret=None, learn=None, patience=patience)
    told = Told() if log is None else log
    cache = InputCache(folder, lambda: buckets, limit_bytes=limit_bytes, log=lambda: told, **options)
    cache.told = told
    return cache


def fetched(folder, server, url=FOLDER, **options):
    """Return what a run that has ended had as its input: its path."""
    cache = cache_of(folder, server, **options)
    path = cache.fetch(Location.parse(url))
    cache.close()
    return path


def files_of(path):
    """Return the content of the files below a folder, by name."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def entries_in(folder):
    """Return the entries of a cache, those that are not whole too."""
    return [Entry(path) for path in Path(folder, "inputs").glob(f"{'?' * 32}-{'?' * 32}")]


def mode_of(path):
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def variables_of(server, cache, url=FOLDER):
    """Return the variables of a job whose input `train` is in a server."""
    return {**value_of(server).environ(), "HYPERPLANE_CACHE_DIR": str(cache), "HYPERPLANE_INPUT_train": url}
