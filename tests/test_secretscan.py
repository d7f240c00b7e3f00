"""The scan before delivery: every secret in outputs, names and events is found, with its line and name."""

import base64
import errno
import os
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane import secretscan
from hyperplane.errors import OutputError
from hyperplane.masking import Masker
from hyperplane.secretscan import Finding, scan, scan_open

SECRET = "correct-horse-battery"
PIN = "k4t7"


@pytest.fixture
def masker():
    """Return a masker that knows a long secret and a short one."""
    made = Masker()
    made.add("db", SECRET)
    made.add("pin", PIN)
    return made


def scan_file(masker, name, path):
    """Scan a file, and see that the same is found in its content."""
    with path.open("rb") as file:
        found = scan_open(masker, name, file.fileno())
    if path.stat().st_size < 1 << 26:
        assert found == scan(masker, name, path.read_bytes())
    return found


@pytest.fixture
def found(masker, tmp_path):
    """Return a function that scans one output with this content."""

    def look(content, name="result.txt"):
        path = tmp_path / "output"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return scan_file(masker, name, path)

    return look


def test_the_first_line_of_each_secret_is_told(found):
    """File, line and the secret's name; its value is nowhere."""
    content = f"one\ntwo {SECRET}\n{SECRET}\nfour {PIN}.\n"
    findings = found(content)
    assert [Finding("result.txt", 2, "db"), Finding("result.txt", 4, "pin")] == findings
    assert "result.txt, line 2: here stands the secret 'db'" == str(findings[0])


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        SECRET.encode().hex(),
        "\x1b[31mcorrect\x1b[0m-horse-battery",
        f"a{PIN} and {PIN}",
        SECRET,
    ],
)
def test_every_form_that_is_masked_is_found(masker, found, text):
    """The scan and the masker agree on what a secret is."""
    assert masker.contains_secret(text)
    assert 1 == len(found(f"first\n{text}"))


@pytest.mark.parametrize(
    "text", ["", "\n\n", "nothing here\n", f"x{PIN}x", SECRET[:-1], f"{SECRET[:9]}\n{SECRET[9:]}"]
)
def test_what_is_no_secret_is_not_found(masker, found, text):
    """Nor is a short secret inside a word, nor one that a line end cuts."""
    assert (False, []) == (masker.contains_secret(text), found(text))


def test_a_name_that_holds_a_secret_is_told_masked(found):
    """The finding has no line, and the name without the secret."""
    findings = found(f"see {SECRET}", name=f"out-{SECRET}.txt")
    assert [Finding("out-***.txt", None, "db"), Finding("out-***.txt", 1, "db")] == findings
    assert "the name of out-***.txt holds the secret 'db'" == str(findings[0])


@given(data=st.data())
def test_it_does_not_matter_where_the_pieces_are_cut(tmp_path_factory, data):
    """Whatever the size of a piece, a file has the findings that it has in one piece."""
    masker = Masker()
    masker.add_all({"db": SECRET, "pin": PIN, "hex": "00ff-00ff-00ff"})
    parts = st.sampled_from(
        ["\n", " ", "x" * 9, SECRET, PIN, SECRET[:12], "\x1b[1m", "00ff-00ff-00ff", "\0", "ä"]
    )
    content = "".join(data.draw(st.lists(parts, max_size=30)))
    path = tmp_path_factory.mktemp("scan") / "output"
    path.write_text(content)
    name = data.draw(st.sampled_from(["a", "ä", f"to/{SECRET}", PIN, f"{PIN}x"]))
    whole = scan_file(masker, name, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secretscan, "CHUNK_BYTES", data.draw(st.integers(1, 40)))
        assert whole == scan_file(masker, name, path)
    assert masker.contains_secret(name) == any(finding.line is None for finding in whole)
    in_content = any(finding.line is not None for finding in whole)
    assert in_content == masker.contains_secret(content) or "\0" in content


def test_a_long_line_is_found_wherever_it_is_cut(found, monkeypatch):
    """A file without line ends is one line, and a secret across two pieces of it one secret."""
    monkeypatch.setattr(secretscan, "CHUNK_BYTES", 20_000)
    for at in (0, 19_990, 20_000, 39_999, 59_000):
        content = b"\xfe" * at + SECRET.encode() + b"\xfe" * (60_000 - at)
        assert [Finding("result.txt", 1, "db")] == found(content)


def test_binary_files_are_looked_through_as_they_are(found):
    """Escapes mean nothing there, and no time goes into them."""
    noise = random.Random(1).randbytes(3 << 20)
    assert [] == found(noise)
    assert ["db"] == [finding.secret for finding in found(noise + b"\n" + SECRET.encode() + noise)]


def test_a_large_file_takes_no_more_memory_than_a_piece(masker, tmp_path):
    """A file of 64 MiB with a secret at its end is read a piece at a time."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))
        file.write(f" {SECRET}".encode())
    tracemalloc.start()
    assert [Finding("large", 1, "db")] == scan_file(masker, "large", path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_holes_cost_nothing(masker, tmp_path):
    """A sparse file of 1 TiB is looked through in a moment, before, between and behind its holes."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"one\n")
        for at in (1 << 39, 1 << 40):
            file.seek(at)
            file.write(f"\ntwo\n{SECRET}".encode() if at == 1 << 39 else PIN.encode())
        file.truncate((1 << 40) + (1 << 30))
    assert [Finding("sparse", 4, "db"), Finding("sparse", 4, "pin")] == scan_file(masker, "sparse", path)


def test_two_names_of_one_value_are_told_by_the_first(masker, tmp_path):
    """A value has one name in a finding, that under which it came to be known."""
    masker.add("same_as_db", SECRET)
    (tmp_path / "a").write_text(SECRET)
    assert ["db"] == [finding.secret for finding in scan_file(masker, "a", tmp_path / "a")]


def test_a_secret_that_became_known_later_is_named(masker, tmp_path):
    """Names are looked up anew when the masker has learned more."""
    (tmp_path / "a").write_text(f"{SECRET}\nanother-secret-value")
    scan_file(masker, "a", tmp_path / "a")
    masker.add("later", "another-secret-value")
    assert ["db", "later"] == [finding.secret for finding in scan_file(masker, "a", tmp_path / "a")]


def test_a_disk_that_fails_is_an_error(masker, tmp_path, monkeypatch):
    """Where the end is not reached, nobody says that nothing was found."""

    def failing(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a").write_text("clean")
    monkeypatch.setattr(os, "lseek", failing)
    with pytest.raises(OutputError, match="a cannot be looked through for secrets: Input/output error"):
        scan_file(masker, "a", tmp_path / "a")


def test_without_secrets_nothing_is_found(tmp_path):
    """A masker that knows nothing looks for nothing."""
    (tmp_path / "a").write_text(SECRET)
    assert [] == scan_file(Masker(), "a", tmp_path / "a")
