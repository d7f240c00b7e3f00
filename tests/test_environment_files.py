"""Reading `.env` files: what a line means, and what is a clear error that shows no text of the file."""

import os
import socket
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import open_descriptors, public_folder, unprivileged

from hyperplane.environment import Environment, read_env_file
from hyperplane.errors import SettingsError

SECRET = "open-sesame"


@pytest.fixture
def env_file(tmp_path):
    """Give the path of a file that does not exist yet."""
    return tmp_path / "project.env"


def error_of(path):
    """Return the error that reading a file gives, and everything that a traceback would print of it."""
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    return caught.value, "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", {}),
        (b"\n \n# only words\n", {}),
        (b"A=1\nB=2", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"A=$(id)\nB=`id`\n", {"A": "$(id)", "B": "`id`"}),
        (b"A=${B}\nB=${A}\n", {"A": "${B}", "B": "${A}"}),
        (b"A=$HOME\n", {"A": "$HOME"}),
        (b"export A=1\n", {"A": "1"}),
        (b"a # b\n", {}),
        (b"A=a # b\n", {"A": "a"}),
        (b"A=a#b\n", {"A": "a#b"}),
        (b"A='a # b'\n", {"A": "a # b"}),
        (b'A="a\\nb"\n', {"A": "a\nb"}),
        (b"A='a\\nb'\n", {"A": "a\\nb"}),
        (b'A="a\nb"\nB=1\n', {"A": "a\nb", "B": "1"}),
        (b"A=it's\n", {"A": "it's"}),
        (b"A=\nB=''\n", {"A": "", "B": ""}),
        (b"A=1\nA=2\n", {"A": "2"}),
        (b"a=1\nA=2\n", {"a": "1", "A": "2"}),
        (b"A=b=c==\n", {"A": "b=c=="}),
        ("A=größe\n".encode(), {"A": "größe"}),
        (
            b"LD_PRELOAD=/x.so\nPATH=/x\nPYTHONPATH=/y\n",
            {"LD_PRELOAD": "/x.so", "PATH": "/x", "PYTHONPATH": "/y"},
        ),
    ],
)
def test_a_file_holds_what_its_lines_say(env_file, text, expected):
    """Names and values are taken as they stand: nothing is run, looked up or folded."""
    env_file.write_bytes(text)

    assert expected == read_env_file(env_file)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b'A="open-sesame\n', 1),
        (b"A=1\n\n# words\n\nB='open-sesame\nC=3\n", 5),
        (b"A=1\r\n\r\nB='open-sesame\r\n", 3),
        (b"A=1\nopen-sesame is the word\n", 2),
        (b"=open-sesame\n", 1),
        (b"A='x' open-sesame\n", 1),
        (b"DB_PASSWORD: open-sesame\n", 1),
        (b"A=1\nB=open-sesame\0\n", 2),
        (b"A\0=open-sesame\n", 1),
        (b"A=1\nB=open-sesame\xff\nC=3\n", 2),
        (b"A=open-sesame\n" + "B=größe\n".encode("latin-1"), 2),
        (b"\xef\xbb\xbfA=open-sesame\n\n\xff", 3),
        ("A=open-sesame\n".encode("utf-16"), 1),
        ("A=open-sesame\n".encode("utf-16-le"), 1),
    ],
)
def test_a_malformed_line_is_an_error_that_names_file_and_line_alone(env_file, text, line):
    """Neither the message nor the traceback shows what stands in the file."""
    env_file.write_bytes(text)
    error, printed = error_of(env_file)

    assert (f"{env_file}, line {line}: ", False) == (error.message.partition("this")[0], SECRET in printed)


@pytest.mark.parametrize("text", [b"A='open-sesame\n", b"A=open-sesame\xff\n"])
def test_no_exception_with_the_text_hangs_on_the_error(env_file, text):
    """Tools that follow causes and contexts find no text of the file there."""
    env_file.write_bytes(text)
    error, _ = error_of(env_file)

    assert (None, None) == (error.__cause__, error.__context__)


def test_a_link_is_followed(env_file, tmp_path):
    """A `.env` that is a link to a file somewhere else is as good as the file."""
    (tmp_path / "elsewhere").write_text("A=1\n")
    env_file.symlink_to(tmp_path / "elsewhere")

    assert {"A": "1"} == read_env_file(env_file)


@pytest.mark.timeout(10)
def test_a_fifo_is_an_error_at_once(env_file):
    """Nobody waits for a writer that never comes."""
    os.mkfifo(env_file)
    error, _ = error_of(env_file)

    assert f"the env file {env_file} cannot be read: it is not a regular file" == error.message


@pytest.mark.timeout(10)
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/tty", "/proc/self/mem"])
def test_a_device_or_worse_is_an_error_at_once(env_file, path):
    """What never ends, or cannot be read, is refused."""
    env_file.symlink_to(path)
    error, _ = error_of(env_file)

    assert error.message.startswith(f"the env file {env_file} cannot be read: ")


def test_a_folder_is_an_error(env_file):
    """A virtual environment that is called `.env` is named as the trouble."""
    env_file.mkdir()
    error, _ = error_of(env_file)

    assert f"the env file {env_file} cannot be read: it is not a regular file" == error.message


def test_a_socket_is_an_error(env_file):
    """A socket in the place of the file cannot be read."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(env_file))
        error, _ = error_of(env_file)

    assert error.message.startswith(f"the env file {env_file} cannot be read: ")


def test_a_file_that_is_not_there_is_an_error(env_file):
    """A file that is named must exist; the error says what to set and how to do without."""
    error, _ = error_of(env_file)

    assert (("HYPERPLANE_ENV_FILE",), True) == (error.names, "env_file=None" in error.hint)


def test_a_dangling_link_is_an_error(folder_with_link):
    """A `.env` that leads nowhere is a mistake, and not the absence of one."""
    with pytest.raises(SettingsError, match="No such file"):
        Environment.capture(folder=folder_with_link)


@pytest.fixture
def folder_with_link(tmp_path):
    """Give a folder whose `.env` is a link to nothing."""
    (tmp_path / ".env").symlink_to(tmp_path / "nosuch")
    return tmp_path


def test_an_unreadable_file_is_an_error():
    """A file of another user's is not passed over."""
    with public_folder() as folder:
        path = folder / ".env"
        path.write_text(f"A={SECRET}\n")
        path.chmod(0o000)
        with unprivileged():
            error, _ = error_of(path)

    assert f"the env file {path} cannot be read: Permission denied" == error.message


def test_a_file_of_more_than_a_mebibyte_is_an_error(env_file):
    """A file of exactly that size is read, and one byte more is not."""
    env_file.write_bytes(b"A=" + b"x" * (1024 * 1024 - 2))
    size = len(read_env_file(env_file)["A"])
    with env_file.open("ab") as file:
        file.write(b"x")
    error, _ = error_of(env_file)

    assert (1024 * 1024 - 2, True) == (size, error.message.endswith("it is larger than 1 MiB"))


def test_no_descriptor_is_left_open(env_file):
    """A folder that is opened by mistake is closed again."""
    env_file.mkdir()
    before = open_descriptors()
    for _ in range(5):
        error_of(env_file)

    assert before == open_descriptors()


def test_nothing_of_a_file_is_ever_exported(env_file):
    """LD_PRELOAD and its like are read for who asks, and change no process."""
    env_file.write_text("LD_PRELOAD=/x.so\nPATH=/x\nPYTHONPATH=/y\nNEW=1\n")
    before = dict(os.environ)
    environment = Environment.capture(env_file=env_file)

    assert (before, before) == (dict(os.environ), environment.process_variables())


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text()))
def test_quoted_values_come_back_whatever_they_hold(tmp_path_factory, variables):
    """Any text in single quotes, with its quotes and backslashes escaped, is read as it was."""
    variables = {name: value.replace("\0", "") for name, value in variables.items()}
    quoted = {name: value.replace("\\", "\\\\").replace("'", "\\'") for name, value in variables.items()}
    path = tmp_path_factory.mktemp("env") / ".env"
    text = "".join(f"{name}='{value}'\n" for name, value in quoted.items())
    path.write_bytes(text.encode())

    assert variables == read_env_file(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    """No file gives anything but variables or our error."""
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_bytes(data)
    try:
        values = read_env_file(path)
    except SettingsError as error:
        values = {str(path): error.message}

    assert all(isinstance(value, str) for pair in values.items() for value in pair)
