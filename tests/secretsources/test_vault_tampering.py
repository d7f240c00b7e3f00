"""A vault file that somebody changed: never a wrong value, always an error that names it."""

import itertools
import random

import pytest

from hyperplane.errors import VaultError
from hyperplane.secretsources.vault import NewEntry, Vault

SECRETS = {f"name-{number}": f"value-of-{number}".encode() * 3 for number in range(5)}


@pytest.fixture
def vault(tmp_path):
    """Return a vault with some entries."""
    made = Vault(tmp_path / "vault", tmp_path / "vault.key")
    made.put([NewEntry(name, value) for name, value in SECRETS.items()])
    return made


def accepted(vault, variants):
    """Return those of the changed files that were read without an error, or with one that is not clear."""
    wrong = []
    for what, data in variants:
        vault.path.write_bytes(data)
        try:
            vault.read()
        except VaultError as error:
            if str(vault.path) in error.message and error.hint and error.path == vault.path:
                continue
        wrong.append(what)
    return wrong


def test_every_byte_flipped_is_found(vault):
    """One bit of any byte, header and tag too, and the whole file is refused."""
    data = vault.path.read_bytes()
    flipped = ((at, data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]) for at in range(len(data)))
    assert [] == accepted(vault, flipped)


def test_every_truncation_is_found(vault):
    """A file that ends early is refused at every length, also at none."""
    data = vault.path.read_bytes()
    assert [] == accepted(vault, ((size, data[:size]) for size in range(len(data))))


def test_something_behind_the_end_is_found(vault):
    """Nothing can be appended."""
    data = vault.path.read_bytes()
    assert [] == accepted(vault, [(tail, data + tail) for tail in (b"\0", b"\n", data)])


def test_pieces_swapped_removed_and_doubled_are_found(vault):
    """Entries lie in one sealed document: no part of it moves, goes or comes twice, whatever its size."""
    data = vault.path.read_bytes()
    choice = random.Random(7)
    variants = []
    for size in (1, 4, 16, 48):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        for first, second in itertools.islice(
            ((choice.randrange(len(pieces)), choice.randrange(len(pieces))) for _ in itertools.count()), 100
        ):
            swapped = pieces.copy()
            swapped[first], swapped[second] = swapped[second], swapped[first]
            variants += [
                ("swapped", b"".join(swapped)),
                ("removed", b"".join(pieces[:first] + pieces[first + 1 :])),
                ("doubled", b"".join(pieces[:first] + pieces[first : first + 1] + pieces[first:])),
                ("reordered", b"".join(pieces[:first] + pieces[first:][::-1])),
            ]
    changed = [(what, variant) for what, variant in variants if variant != data]
    assert len(changed) > 1000
    assert [] == accepted(vault, changed)


def test_parts_of_two_files_of_one_vault_do_not_fit_together(vault):
    """The header of an older file does not open a newer one, nor the other way."""
    older = vault.path.read_bytes()
    vault.put([NewEntry("name-0", SECRETS["name-0"])])
    newer = vault.path.read_bytes()
    mixed = [
        (at, one[:at] + two[at:])
        for at in (20, 30, 39, 60, -16)
        for one, two in [(older, newer), (newer, older)]
    ]
    assert [] == accepted(vault, [(at, data) for at, data in mixed if data not in (older, newer)])


def test_a_changed_vault_is_not_written_over(vault):
    """Storing a secret in it is refused too, so that nothing is lost that a copy could mend."""
    data = vault.path.read_bytes()
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    vault.path.write_bytes(damaged)
    with pytest.raises(VaultError, match="was changed since"):
        vault.put([NewEntry("new", b"x")])
    assert damaged == vault.path.read_bytes()
