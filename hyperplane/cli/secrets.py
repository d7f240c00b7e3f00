"""`hyperplane secrets`: keeps secrets in the local vault; their values never stand on a command line."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hyperplane.secretsources.vault import NewEntry, Vault

# what a terminal gives in one line, whatever was pasted
_LINE_LIMIT_BYTES = 4095
_VALUE_LIMIT_BYTES = 1 << 20
_CATEGORY_LIMIT = 100

Category = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What kind of secret it is, in your words.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    secrets = typer.Typer(
        no_args_is_help=True, help="Keep secrets in the local vault.", rich_markup_mode=None
    )
    secrets.command("set", context_settings={"allow_extra_args": True})(set_one)
    secrets.command("list")(list_all)
    secrets.command("remove")(remove)
    secrets.command("import")(import_file)
    app.add_typer(secrets, name="secrets")


def set_one(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The secret's name.", show_default=False)],
    category: Category = None,
) -> int:
    """Store a secret, or give it another value.

    The value is asked for without showing it, or read from standard input where that is no terminal, less
    one final newline. It is never an argument: those are seen by everybody on the machine.
    """
    from hyperplane.errors import UsageError
    from hyperplane.secretsources import checked_name

    if context.args:
        raise UsageError(
            "a secret's value is never an argument: others can read it there, and the shell keeps it",
            hint=f"hyperplane secrets set {name}   (and take it out of the shell's history)",
        )
    vault = _vault()
    checked, kind = checked_name(name), _checked_category(category)
    replaced = vault.put([_entered(checked, kind)])
    _say(f"{'replaced' if replaced else 'stored'} {checked} in {vault.path}")
    return 0


def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> int:
    """List the secrets in the vault: names, categories and when they were made, never values."""
    from hyperplane.cli import tables

    summaries = _vault().summaries()
    if as_json:
        rows = [{**one._asdict(), "created": one.created.isoformat()} for one in summaries]
        tables.print_json({"secrets": rows})
    else:
        tables.print_secrets(summaries)
    return 0


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="The secrets' names.", show_default=False)
    ],
) -> int:
    """Remove secrets from the vault."""
    from hyperplane.secretsources import checked_name

    vault = _vault()
    vault.remove(map(checked_name, names))
    _say(f"removed {', '.join(names)} from {vault.path}")
    return 0


def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of NAME=value lines.", show_default=False)
    ],
    category: Category = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is in the vault already.")] = False,
) -> int:
    """Store every value of a `.env` file as a secret, all or none.

    HYPERPLANE_SECRET_ is taken off the names, and other HYPERPLANE_ settings are left out.
    """
    vault = _vault()
    entries, left_out = _entries_in(file, _checked_category(category))
    vault.put(entries, may_replace=replace)
    _say(f"stored {', '.join(entry.name for entry in entries)} in {vault.path}")
    if left_out:
        _say(f"left out, for they are settings: {', '.join(left_out)}")
    _say(f"{file} still holds them in clear text: remove it when nothing else reads it")
    return 0


def _vault() -> "Vault":
    from hyperplane import settings
    from hyperplane.environment import Environment
    from hyperplane.errors import SettingsError
    from hyperplane.secretsources.vault import Vault

    _keep_out_of_core_files()
    environment = Environment.capture()
    vault = Vault.of(environment, settings.load(environment))
    if vault is None:
        raise SettingsError(
            "nothing says where the vault is: HOME is not set",
            hint="Set HYPERPLANE_VAULT_DIR and HYPERPLANE_VAULT_KEY_FILE.",
            names=("HYPERPLANE_VAULT_DIR", "HYPERPLANE_VAULT_KEY_FILE"),
        )
    return vault


def _keep_out_of_core_files() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _entered(name: str, category: str | None) -> "NewEntry":
    from hyperplane.errors import SecretValueError
    from hyperplane.secretsources.vault import NewEntry

    value = _typed(name) if sys.stdin is not None and sys.stdin.isatty() else _piped()
    if len(value) <= _VALUE_LIMIT_BYTES:
        return NewEntry(name, value, category)
    del value  # or the frames of the error would hold it
    raise SecretValueError(
        f"the secret {name!r} is larger than 1 MiB", hint="Keep a file of that size elsewhere.", name=name
    )


def _piped() -> bytes:
    from hyperplane.errors import UsageError
    from hyperplane.secretsources import without_final_newline

    if sys.stdin is None:
        raise UsageError("standard input is closed", hint="hyperplane secrets set NAME <FILE")
    return without_final_newline(sys.stdin.buffer.read(_VALUE_LIMIT_BYTES + 3))


def _typed(name: str) -> bytes:
    """Ask at the terminal, without showing what is typed."""
    from hyperplane.errors import UsageError

    value = _answer(f"{name}: ")
    if problem := _problem_of(value):
        del value  # or the frames of the error would hold it
        raise UsageError(problem, hint=f"Give it on standard input: hyperplane secrets set {name} <FILE")
    return value


def _answer(question: str) -> bytes:
    """Return what is typed; nothing, where it is no text or cannot be typed unseen."""
    import getpass
    import warnings

    # what they raise may hold the answer
    nothing = (UnicodeError, EOFError, getpass.GetPassWarning)
    with contextlib.suppress(*nothing), warnings.catch_warnings():
        # a terminal that would show it
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(question, stream=sys.stderr).encode()
    return b""


def _problem_of(value: bytes) -> str:
    if not value:
        return "nothing was typed that can be read unseen"
    if len(value) >= _LINE_LIMIT_BYTES:
        return "a terminal takes no line of that length, and the end would be lost"
    if value.startswith(b"-----BEGIN "):
        return "a value of several lines cannot be typed, and only the first would be stored"
    return ""


def _entries_in(file: Path, category: str | None) -> "tuple[list[NewEntry], list[str]]":
    from hyperplane.environment import read_env_file
    from hyperplane.errors import UsageError
    from hyperplane.secretsources import checked_name, stored_bytes
    from hyperplane.secretsources.vault import NewEntry
    from hyperplane.settings import PREFIX, SECRET_PREFIX, known_variables

    values = read_env_file(file)
    settings = known_variables()
    left_out = [
        name
        for name in values
        if name in settings or (name.startswith(PREFIX) and not name.startswith(SECRET_PREFIX))
    ]
    taken = {checked_name(name.removeprefix(SECRET_PREFIX)): name for name in values if name not in left_out}
    if not taken:
        raise UsageError(f"there is no secret in {file}", hint="Give a file of NAME=value lines.")
    entries = [NewEntry(name, stored_bytes(name, values[at]), category) for name, at in taken.items()]
    return entries, left_out


def _checked_category(category: str | None) -> str | None:
    from hyperplane.errors import UsageError

    if category is not None and (len(category) > _CATEGORY_LIMIT or not category.isprintable()):
        raise UsageError(
            f"a category is one line of at most {_CATEGORY_LIMIT} characters",
            hint='For example: --category "Access Tokens"',
        )
    return category


def _say(text: str) -> None:
    from hyperplane.journal import one_line, write_line

    write_line(sys.stdout, one_line(text))
