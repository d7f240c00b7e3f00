"""`hyperplane s3`: objects from the command line, as `ctx.s3` has them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from hyperplane.facets.s3 import S3
    from hyperplane.transfer import Transfer

Glob = Annotated[
    str | None,
    typer.Option(metavar="GLOB", help="Only names that fit, as in `**/*.csv`.", show_default=False),
]
Regex = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Only names in which this is found.", show_default=False)
]
MinFiles = Annotated[int, typer.Option(min=0, metavar="N", help="Fail where fewer files fit.")]
SkipUnchanged = Annotated[bool, typer.Option("--skip-unchanged", help="Leave alone what has not changed.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="List and copy objects in S3.", rich_markup_mode=None)
    group.command("ls")(ls)
    group.command()(download)
    group.command()(upload)
    app.add_typer(group, name="s3")


def ls(
    source: Annotated[str, typer.Argument(help="s3://bucket/key, or a key; a final / means a folder.")] = "",
    glob: Glob = None,
    regex: Regex = None,
    as_json: Json = False,
) -> None:
    """List objects: time, size in bytes and key."""
    from hyperplane.cli import tables

    with _opened() as s3:
        found = s3.list(source, glob=glob, regex=regex)
    if as_json:
        tables.print_json({"objects": [tables.object_dict(info) for info in found]})
    else:
        tables.print_objects(found)


def download(
    source: Annotated[str, typer.Argument(help="s3://bucket/key, or a key; a final / means a folder.")],
    target: Annotated[
        str | None, typer.Argument(help="A file or folder. [default: its own name, here]", show_default=False)
    ] = None,
    glob: Glob = None,
    regex: Regex = None,
    min_files: MinFiles = 0,
    skip_unchanged: SkipUnchanged = False,
    as_json: Json = False,
) -> None:
    """Copy an object to a file, or a folder of objects to a folder."""
    with _opened() as s3:
        copied = s3.download(
            source, target, glob=glob, regex=regex, min_files=min_files, skip_unchanged=skip_unchanged
        )
    _print_transfer("downloaded", copied, as_json=as_json)


def upload(
    source: Annotated[str, typer.Argument(help="A file or folder.")],
    target: Annotated[
        str | None,
        typer.Argument(
            help="s3://bucket/key, or a key. [default: its own name, in the bucket]", show_default=False
        ),
    ] = None,
    glob: Glob = None,
    regex: Regex = None,
    min_files: MinFiles = 0,
    skip_unchanged: SkipUnchanged = False,
    as_json: Json = False,
) -> None:
    """Copy a file to an object, or a folder to the keys below one."""
    with _opened() as s3:
        copied = s3.upload(
            source, target, glob=glob, regex=regex, min_files=min_files, skip_unchanged=skip_unchanged
        )
    _print_transfer("uploaded", copied, as_json=as_json)


@contextmanager
def _opened() -> "Iterator[S3]":
    """Give what a job here would have as `ctx.s3`; it does not log what the command prints.

    SIGTERM ends the command as Ctrl-C does, so that nothing unfinished stays behind.
    """
    from hyperplane.given import Given
    from hyperplane.parts import Parts

    before = signal.signal(signal.SIGTERM, _stop)
    try:
        parts = Parts(Given())
        # a command is no job: it makes no run, and delivers none
        parts.begin(is_guest=True)
        try:
            yield parts.make_s3()
        finally:
            parts.close(is_success=False)
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _print_transfer(verb: str, copied: "Transfer", *, as_json: bool) -> None:
    from hyperplane.cli import tables
    from hyperplane.journal import write_line

    if as_json:
        tables.print_json(tables.transfer_dict(copied))
    else:
        write_line(sys.stdout, f"{verb} {tables.transfer_text(copied)}")
