"""Measures transfers: `python tests/benchmarks/transfers.py [--runs 5] [--only NAME] [--files N]`.

Whole processes of `hyperplane s3`, s5cmd and boto3 with 16 threads take turns against one SeaweedFS on
loopback; the figures are ratios of medians. Needs the extra `benchmarks`.

No folder of many files is removed before the end: for minutes after that ext4 takes ten times as long to
make new ones, for every tool alike, because it passes over the inodes that have become free.
"""

import argparse
import functools
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from measuring import Cost, cost_of
from transfertools import SEED_TOOL, TOOLS, Place

from hyperplane.testing import S3Server, s3_server

OURS = "hyperplane"
PIECE_BYTES = 1 << 20
FILES_FOR_BASE = 1000


@dataclass(frozen=True)
class Aim:
    """What must hold: a figure of ours is at most this many times that of a peer, or at most a number."""

    figure: str
    peer: str
    at_most: float


@dataclass(frozen=True)
class Work:
    """What is measured: so many files of a size, one way. `direction`: download, upload or unchanged."""

    name: str
    direction: str
    files: int
    size_bytes: int
    aims: tuple[Aim, ...]

    @property
    def tools(self) -> list[str]:
        """Ours, and every peer that an aim names."""
        return [OURS, *dict.fromkeys(aim.peer for aim in self.aims if aim.peer)]

    def names(self) -> list[str]:
        """Return the files, a thousand in a folder; one alone lies in none."""
        if self.files == 1:
            return ["data.bin"]
        return [f"{number // 1000:03}/{number:06}.bin" for number in range(self.files)]


def aims(**at_most: float) -> tuple[Aim, ...]:
    """Return aims from names like `wall_s5cmd`; those without a peer are about ours alone."""
    split = ((name.partition("_"), value) for name, value in at_most.items())
    return tuple(Aim(figure, peer, value) for (figure, _, peer), value in split)


SMALL = {"wall_s5cmd": 0.9, "cpu_s5cmd": 0.7, "wall_boto3": 0.15}
BIG = {"wall_s5cmd": 1.0, "cpu_s5cmd": 1.0, "mib": 128.0}
MANY = {"wall_s5cmd": 0.9, "growth": 1024.0}
WORKS = (
    Work("small-down", "download", 4000, 10_000, aims(**SMALL)),
    Work("small-up", "upload", 4000, 10_000, aims(**SMALL)),
    Work("big-down", "download", 1, 1 << 30, aims(**BIG, wall_boto3=0.6)),
    Work("big-up", "upload", 1, 1 << 30, aims(**BIG, wall_boto3=0.9)),
    Work("many-down", "download", 100_000, 1000, aims(**MANY)),
    Work("many-up", "upload", 100_000, 1000, aims(**MANY)),
    Work("unchanged", "unchanged", 10_000, 10_000, aims(wall_s5cmd=1.0)),
)


class Bench:
    """A server and a folder in which works are measured."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._buckets = 0
        self._targets = 0

    def measure(self, work: Work, runs: int) -> dict[str, list[Cost]]:
        """Return what each run of each tool cost; every result is checked."""
        data = self._folder / f"data-{work.name}-{work.files}"
        write_files(work, data)
        begin = {"download": self._downloads, "upload": self._uploads, "unchanged": self._unchanged}
        measure_once = begin[work.direction](work, data)
        costs: dict[str, list[Cost]] = {tool: [] for tool in work.tools}
        for run in range(runs):
            # none is always first, or always after the same one
            for tool in work.tools[run % len(work.tools) :] + work.tools[: run % len(work.tools)]:
                costs[tool].append(measure_once(tool))
        return costs

    def _downloads(self, work: Work, data: Path) -> Callable[[str], Cost]:
        bucket = self._new_bucket()
        self._cost(SEED_TOOL, work, Place("upload", bucket, data))

        def measure_once(tool: str) -> Cost:
            self._targets += 1
            target = self._folder / f"target-{self._targets}"
            target.mkdir()
            cost = self._cost(tool, work, Place("download", bucket, target))
            check(work, sizes_below(target), lambda name: (target / name).read_bytes(), data)
            if work.files == 1:
                shutil.rmtree(target)
            return cost

        return measure_once

    def _uploads(self, work: Work, data: Path) -> Callable[[str], Cost]:
        def measure_once(tool: str) -> Cost:
            bucket = self._new_bucket()
            cost = self._cost(tool, work, Place("upload", bucket, data))
            self._check_bucket(work, bucket, data)
            self._client.delete_bucket(Bucket=bucket)  # SeaweedFS deletes what is in it, too
            return cost

        return measure_once

    def _unchanged(self, work: Work, data: Path) -> Callable[[str], Cost]:
        buckets = {tool: self._new_bucket() for tool in work.tools}
        for tool, bucket in buckets.items():
            self._cost(tool, work, Place("upload", bucket, data))

        def measure_once(tool: str) -> Cost:
            before = self._written_at(buckets[tool])
            cost = self._cost(tool, work, Place("unchanged", buckets[tool], data))
            if before != self._written_at(buckets[tool]):
                raise AssertionError(f"{tool} sent what had not changed")
            return cost

        return measure_once

    def _cost(self, tool: str, work: Work, place: Place) -> Cost:
        make = TOOLS[tool]
        name = work.names()[0] if work.files == 1 else None
        os.sync()  # what the tool before has left to the system is not on the bill of this one
        return cost_of(*make(self._server, place, name))

    def _new_bucket(self) -> str:
        self._buckets += 1
        bucket = f"bench-{self._buckets}"
        self._client.create_bucket(Bucket=bucket)
        # the first object takes longer, for it makes the server find room for a bucket
        self._client.put_object(Bucket=bucket, Key="first", Body=b"first")
        self._client.delete_object(Bucket=bucket, Key="first")
        return bucket

    def _check_bucket(self, work: Work, bucket: str, data: Path) -> None:
        def read(name: str) -> bytes:
            content: bytes = self._client.get_object(Bucket=bucket, Key=name)["Body"].read()
            return content

        check(work, {name: found["Size"] for name, found in self._listing(bucket)}, read, data)

    def _written_at(self, bucket: str) -> dict[str, Any]:
        return {name: found["LastModified"] for name, found in self._listing(bucket)}

    def _listing(self, bucket: str) -> list[tuple[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [(found["Key"], found) for page in pages for found in page.get("Contents", [])]

    @functools.cached_property
    def _client(self) -> Any:
        import boto3

        server = self._server
        session = boto3.session.Session(server.access_key_id, server.secret_access_key)
        return session.client("s3", endpoint_url=server.endpoint_url, region_name=server.region)


def write_files(work: Work, folder: Path) -> None:
    """Write the files of a work, no two alike."""
    for number, name in enumerate(work.names()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, work.size_bytes, PIECE_BYTES):
                piece = f"{number:09},{start:011}\n".encode() * (PIECE_BYTES // 22 + 1)
                file.write(piece[: min(PIECE_BYTES, work.size_bytes - start)])


def sizes_below(folder: Path) -> dict[str, int]:
    """Return the size of every file below a folder, by its path there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def check(work: Work, sizes: dict[str, int], read: Callable[[str], bytes], data: Path) -> None:
    """Raise unless every file has arrived with its size, and some with their content."""
    names = work.names()
    if sizes != dict.fromkeys(names, work.size_bytes):
        raise AssertionError(f"{work.name}: {len(sizes)} files, or of another size, instead of {work.files}")
    for name in {names[0], names[-1], names[len(names) // 2]}:
        if read(name) != (data / name).read_bytes():
            raise AssertionError(f"{work.name}: {name} has another content")


def median(costs: list[Cost], figure: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(cost, figure) for cost in costs)


def show(work: Work, costs: dict[str, list[Cost]]) -> None:
    """Print the medians of each tool."""
    print(f"\n{work.name}: {work.files:,} x {work.size_bytes:,} bytes")
    for tool in work.tools:
        wall, cpu, mib = (median(costs[tool], figure) for figure in ("wall", "cpu", "mib"))
        print(f"  {tool:<12}{wall:9.2f} s{cpu:9.2f} s CPU{mib:9.0f} MiB")


def reached(aim: Aim, costs: dict[str, list[Cost]], growth_bytes: float) -> bool:
    """Print what became of an aim, and say whether it is reached."""
    if aim.figure == "growth":
        seen, name = growth_bytes, "bytes of memory a file"
    elif aim.peer:
        seen = median(costs[OURS], aim.figure) / median(costs[aim.peer], aim.figure)
        name = f"{aim.figure} / {aim.peer}"
    else:
        seen, name = median(costs[OURS], aim.figure), "MiB of memory"
    verdict = "" if seen <= aim.at_most else "   MISSED"
    print(f"  {name:<24}{seen:9.2f}   at most {aim.at_most:g}{verdict}")
    return seen <= aim.at_most


def growth_of(bench: Bench, work: Work, costs: dict[str, list[Cost]], runs: int) -> float:
    """Return by how many bytes our memory grows with each file."""
    few = replace(work, files=min(FILES_FOR_BASE, work.files // 10), aims=())
    base = median(bench.measure(few, runs)[OURS], "mib")
    return (median(costs[OURS], "mib") - base) * (1 << 20) / (work.files - few.files)


def measured(bench: Bench, work: Work, runs: int) -> bool:
    """Measure a work, print its table, and say whether all aims are reached."""
    costs = bench.measure(work, runs)
    growth = 0.0
    if any(aim.figure == "growth" for aim in work.aims):
        growth = growth_of(bench, work, costs, runs)
    show(work, costs)
    outcomes = [reached(aim, costs, growth) for aim in work.aims]
    return all(outcomes)


def chosen_works(words: argparse.Namespace) -> list[Work]:
    """Return the works that the command line asks for, smaller where it says so."""
    works = [work for work in WORKS if not words.only or work.name in words.only]
    return [
        replace(work, files=min(work.files, words.files), size_bytes=min(work.size_bytes, words.bytes))
        for work in works
    ]


def main() -> int:
    """Print a table for each work; exit with 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool")
    parser.add_argument("--only", action="append", choices=[work.name for work in WORKS])
    parser.add_argument("--files", type=int, default=1_000_000, help="at most so many, for a quick trial")
    parser.add_argument("--bytes", type=int, default=1 << 40, help="at most so many a file, likewise")
    parser.add_argument("--folder", help="where server and data lie; by default the temporary folder")
    words = parser.parse_args()
    tempfile.tempdir = words.folder
    with s3_server() as server, tempfile.TemporaryDirectory(prefix="transfers-") as folder:
        bench = Bench(server, Path(folder))
        outcomes = [measured(bench, work, words.runs) for work in chosen_works(words)]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
