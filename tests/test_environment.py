"""The snapshot: what it holds, whose value wins, and when a `.env` file is read."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.environment import Environment, Found, Layer, Origin, export

LAYERS = st.dictionaries(st.sampled_from("ABCab"), st.text("xyz", max_size=3))


@pytest.fixture
def folder(tmp_path):
    """Give a project folder with a `.env` file that is not the working folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".env").write_text("A=file\nB=file\n")
    return folder


def test_the_process_goes_before_the_file(folder, monkeypatch):
    """A name that both have has the process's value, and remembers what it shadowed."""
    monkeypatch.setenv("A", "process")
    found = Environment.capture(folder=folder).find("A")

    shadowed = (Origin(str(folder / ".env"), "A"),)
    assert Found("process", Origin("environment", "A"), shadowed) == found


def test_what_only_the_file_has_comes_from_the_file(folder):
    """The origin of such a value is the absolute path and the name."""
    environment = Environment.capture(folder=folder)

    assert (Found("file", Origin(str(folder / ".env"), "B")), "file") == (
        environment.find("B"),
        environment.get("B"),
    )


def test_what_nobody_has_is_none():
    """An unknown name has no value, no origin, and is not in the snapshot."""
    environment = Environment({"A": "1"})

    assert (None, None, False) == (environment.find("B"), environment.get("B"), "B" in environment)


@pytest.mark.parametrize("name", ["path", "Path", "PATH "])
def test_names_have_exact_case(name):
    """Another case or a blank is another name, on every system."""
    environment = Environment({"PATH": "/bin"})

    assert (None, False, True) == (environment.get(name), name in environment, "PATH" in environment)


def test_an_empty_value_is_a_value():
    """A variable that is set to nothing is set, and hides what lies below."""
    environment = Environment({"A": ""})

    assert ("", True) == (environment.get("A"), "A" in environment)


def test_of_several_names_an_outer_layer_goes_before_an_earlier_name(folder):
    """A second name in the process goes before a first name in the file, and everything else is shadowed."""
    (folder / ".env").write_text("A=1\nC=2\n")
    environment = Environment({"C": "3"}, env_file=folder / ".env")
    file = str(folder / ".env")

    expected = Found("3", Origin("environment", "C"), (Origin(file, "A"), Origin(file, "C")))
    assert expected == environment.find("A", "C")


@given(LAYERS, LAYERS)
def test_precedence_is_that_of_the_layers(tmp_path_factory, process, file):
    """For any two layers the snapshot holds the file's values with the process's over them."""
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in file.items()))
    environment = Environment(process, env_file=path)

    expected = {name: (value, (file | process)[name]) for name, value in (file | process).items()}
    assert expected == {
        name: (environment.get(name), environment.find(name).value) for name in environment.names()
    }


@given(LAYERS, LAYERS)
def test_whatever_loses_is_shadowed(tmp_path_factory, process, file):
    """A name has a shadowed origin exactly when both layers have it."""
    path = tmp_path_factory.mktemp("env") / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in file.items()))
    environment = Environment(process, env_file=path)

    shadowed = {name for name in environment.names() if environment.find(name).shadowed}
    assert process.keys() & file.keys() == shadowed


def test_names_come_once_the_process_first(folder):
    """Each name is given once, whichever layers have it."""
    assert ["C", "B", "A"] == list(Environment({"C": "1", "B": "2"}, env_file=folder / ".env").names())


def test_a_snapshot_does_not_change_with_the_environment(monkeypatch):
    """What is set later is not seen, and the snapshot knows that it is out of date."""
    environment = Environment.capture()
    was_current = environment.is_current()
    monkeypatch.setenv("NEW", "1")

    assert (True, False, False) == (was_current, environment.is_current(), "NEW" in environment)


def test_a_snapshot_cannot_be_changed():
    """The variables of a layer are read-only, and a copy for a child process is the child's own."""
    environment = Environment({"A": "1"})
    environment.process_variables()["A"] = "2"

    with pytest.raises(TypeError):
        environment.layers[0].variables["A"] = "3"
    assert "1" == environment.get("A")


def test_a_child_process_gets_no_variables_of_the_file(folder):
    """What starts a child is the process environment alone."""
    environment = Environment({"A": "1"}, env_file=folder / ".env")

    assert {"A": "1"} == environment.process_variables()


def test_no_repr_shows_a_value(folder):
    """Snapshot, layer and found value can be printed without a secret in sight."""
    (folder / ".env").write_text("B=open sesame\n")
    environment = Environment({"A": "open sesame"}, env_file=folder / ".env")
    shown = repr([environment, environment.layers, environment.find("A"), environment.find("B")])

    assert "sesame" not in shown
    assert f"<Environment of 2 variables, env_file={folder / '.env'}>" in shown


def test_an_origin_is_words():
    """The text of an origin names the source and what in it, without a blank where there is nothing."""
    assert ("environment A", "default") == (str(Origin("environment", "A")), str(Origin("default")))


def test_a_layer_says_where_its_variables_come_from():
    """The origin is the kind of the layer and the name."""
    assert Origin("environment", "A") == Layer("environment", {}).origin("A")


def test_the_file_of_the_working_folder_is_read():
    """Without a word about it, `.env` in the working folder counts."""
    Path(".env").write_text("A=here\n")
    environment = Environment.capture()

    assert ("here", Path.cwd() / ".env", Path.cwd()) == (
        environment.get("A"),
        environment.env_file,
        environment.folder,
    )


def test_no_file_is_no_layer():
    """Without a `.env` file there is the process alone."""
    environment = Environment.capture()

    assert (1, None) == (len(environment.layers), environment.env_file)


def test_on_a_platform_the_file_is_not_read(folder, monkeypatch):
    """A `.env` that came along with the code says nothing on a cluster."""
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    environment = Environment.capture(folder=folder)

    assert ("slurm", None, None) == (environment.platform.name, environment.env_file, environment.get("A"))


def test_on_a_platform_a_file_that_is_named_is_read(folder, monkeypatch):
    """HYPERPLANE_ENV_FILE asks for it by name, also relative to the project folder."""
    (folder / "cluster.env").write_text("A=cluster\n")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", "cluster.env")

    assert "cluster" == Environment.capture(folder=folder).get("A")


def test_a_file_that_is_named_goes_before_the_usual_one(folder, monkeypatch):
    """HYPERPLANE_ENV_FILE replaces `.env` rather than adding to it."""
    (folder / "other.env").write_text("A=other\n")
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", str(folder / "other.env"))
    environment = Environment.capture(folder=folder)

    assert ("other", None) == (environment.get("A"), environment.get("B"))


def test_an_empty_name_of_a_file_is_none_at_all(folder, monkeypatch):
    """HYPERPLANE_ENV_FILE set to nothing is as if it were unset."""
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", "")

    assert folder / ".env" == Environment.capture(folder=folder).env_file


def test_the_argument_goes_before_the_variable(folder, monkeypatch):
    """`env_file` is read whatever HYPERPLANE_ENV_FILE and the platform say."""
    (folder / "argument.env").write_text("A=argument\n")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", "other.env")

    assert "argument" == Environment.capture(env_file="argument.env", folder=folder).get("A")


def test_no_file_can_be_asked_for(folder, monkeypatch):
    """`env_file=None` reads none, even one that is named."""
    monkeypatch.setenv("HYPERPLANE_ENV_FILE", ".env")

    assert None is Environment.capture(env_file=None, folder=folder).env_file


def test_with_injected_variables_no_file_is_looked_for(folder):
    """A mapping in the place of the environment comes without a `.env`."""
    assert None is Environment.capture({"C": "1"}, folder=folder).env_file


def test_injected_variables_can_name_a_file(folder):
    """HYPERPLANE_ENV_FILE in the mapping is as good as in the process."""
    environment = Environment.capture({"HYPERPLANE_ENV_FILE": ".env"}, folder=folder)

    assert "file" == environment.get("A")


def test_a_relative_folder_is_made_absolute(monkeypatch, folder):
    """Origins name absolute paths, from wherever the project is spoken of."""
    monkeypatch.chdir(folder.parent)
    environment = Environment.capture(folder=Path("project"))

    assert (folder, folder / ".env") == (environment.folder, environment.env_file)


@pytest.mark.parametrize("before", [None, "", "old"])
def test_an_exported_variable_is_put_back(monkeypatch, before):
    """The variable is there for children, and afterwards it is what it was."""
    if before is not None:
        monkeypatch.setenv("PGPASSWORD", before)
    put_back = export("PGPASSWORD", "new")
    during = os.environ.get("PGPASSWORD")
    put_back()

    assert ("new", before) == (during, os.environ.get("PGPASSWORD"))


def test_putting_back_does_not_mind_that_the_variable_is_gone(monkeypatch):
    """Whoever removed the variable in between did no harm."""
    put_back = export("NEW_ONE", "1")
    monkeypatch.delenv("NEW_ONE")
    put_back()

    assert "NEW_ONE" not in os.environ
