"""Run folders: what they are called, how they are found, and that ids are unique and sort by time."""

import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperplane.errors import RunNotFoundError, SettingsError
from hyperplane.rundir import Home, RunDir, is_part, new_part_name, new_run_id, runs_in

CLAIM = """
import sys
from pathlib import Path
from hyperplane import rundir

rundir.secrets.randbits = lambda bits: 0  # ids differ by the microsecond alone, so that claims collide
sys.stdin.read()
for _ in range(300):
    print(rundir.Home(Path(sys.argv[1])).claim("train").run_id)
"""


def made(home, job_id, *run_ids):
    """Make runs of a job with ids of our choice."""
    folders = [home.job_folder(job_id) / run_id for run_id in run_ids]
    for folder in folders:
        folder.mkdir(parents=True)
    return [RunDir(folder) for folder in folders]


@pytest.fixture
def home(tmp_path):
    """Give the home of an empty project."""
    return Home.of(tmp_path)


def test_the_files_of_a_run_have_fixed_names(tmp_path):
    """Each file of the layout lies where the documentation says."""
    run = RunDir(tmp_path / "jobs" / "train" / "7")

    expected = ["run.json", "run.lock", "stdout.log", "stderr.log", "events.jsonl", "outputs", "restored"]
    files = (run.record, run.lock, run.stdout_log, run.stderr_log, run.events, run.outputs, run.restored)
    assert expected == [str(path.relative_to(run.path)) for path in files]


def test_a_run_knows_its_id_its_job_and_its_home(home):
    """The id of a run is the name of its folder, which lies in the folder of its job, in a home."""
    run = home.claim("train")

    assert (run.path.name, home.job_folder("train"), home) == (run.run_id, run.job_folder, run.home)


def test_a_run_id_is_the_time_and_six_hexadecimal_digits():
    """The id says when the run began, in UTC."""
    before = datetime.now(UTC).replace(microsecond=0)
    run_id = new_run_id()

    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", run_id)
    assert before <= datetime.strptime(run_id[:15] + "+0000", "%Y%m%d-%H%M%S%z") <= datetime.now(UTC)


def test_claimed_ids_sort_by_time(home):
    """Runs that are claimed one after the other are listed in that order, the newest first."""
    claimed = [home.claim(f"job-{number % 3}") for number in range(50)]

    assert claimed[::-1] == home.runs()


def test_many_processes_claim_ids_of_their_own(home):
    """Processes that claim at the same time never get the same run, even when their ids collide."""
    claimers = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, home.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    time.sleep(0.5)
    for claimer in claimers:
        claimer.stdin.close()
    claimed = [run_id for claimer in claimers for run_id in claimer.stdout.read().split()]
    for claimer in claimers:
        claimer.stdout.close()
        claimer.wait()

    folders = [run.run_id for run in home.runs()]
    assert (1200, sorted(folders)) == (len(set(claimed)), sorted(claimed))


def test_an_id_that_is_taken_is_not_claimed_again(home, monkeypatch):
    """A run whose folder exists is left alone, and the next id is tried."""
    ids = iter(["20260101-000000-000000", "20260101-000000-000000", "20260101-000000-000001"])
    monkeypatch.setattr("hyperplane.rundir.new_run_id", lambda: next(ids))

    assert ["20260101-000000-000000", "20260101-000000-000001"] == [home.claim("a").run_id for _ in range(2)]


def test_a_home_keeps_itself_out_of_version_control(home):
    """The first claim writes a .gitignore that names everything, and later ones leave it as it is."""
    home.claim("train")
    (home.path / ".gitignore").write_text("mine\n")
    home.claim("train")

    assert "mine\n" == (home.path / ".gitignore").read_text()


def test_a_new_home_ignores_everything_in_it(home):
    """Nothing of a run is ever committed by accident."""
    home.claim("train")

    assert "*\n" == (home.path / ".gitignore").read_text()


@pytest.mark.parametrize(
    ("job_id", "expected"),
    [
        ("train-7", "train-7"),
        ("a/b", "a%2Fb"),
        ("../../etc", "%2E.%2F..%2Fetc"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("a b@c=d+e:f,g~h", "a b@c=d+e:f,g~h"),
        ("100%", "100%25"),
        ("a\nb\0c", "a%0Ab%00c"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("\udcff", "%ED%B3%BF"),
        ("x" * 255, "x" * 255),
    ],
)
def test_any_job_id_names_one_folder_below_the_runs(home, job_id, expected):
    """What a path cannot hold is percent-encoded, so that no id leaves the folder of runs."""
    assert home.path / "runs" / expected == home.job_folder(job_id)


@pytest.mark.parametrize("job_id", ["", "x" * 300, "ö" * 100])
def test_a_job_id_that_is_no_folder_name_is_an_error_that_names_the_variable(home, job_id):
    """An id that is empty or too long, once encoded, is the fault of HYPERPLANE_JOB_ID."""
    with pytest.raises(SettingsError, match="job id") as caught:
        home.job_folder(job_id)

    assert ("HYPERPLANE_JOB_ID",) == caught.value.names


@given(st.lists(st.text(min_size=1, max_size=20), unique=True, min_size=2, max_size=2))
def test_two_job_ids_never_share_a_folder(job_ids):
    """Encoding is one to one, and gives exactly one part of a path."""
    folders = {Home(Path("home")).job_folder(job_id) for job_id in job_ids}

    assert (2, {Path("home/runs")}) == (len(folders), {folder.parent for folder in folders})


def test_the_newest_run_goes_by_last(home):
    """`last` is the newest run of any job."""
    made(home, "b", "20260101-000000-000001", "20260103-000000-000001")
    made(home, "a", "20260102-000000-000001")

    assert "20260103-000000-000001" == home.find("last").run_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20260102-000000-00000a", "20260102-000000-00000a"),
        ("20260102", "20260102-000000-00000a"),
        ("train", "20260101-000000-000002"),
        ("tra", "20260101-000000-000002"),
        ("eval/nightly", "20260102-000000-00000a"),
        ("eval/", "20260102-000000-00000a"),
        ("eval%2Fnightly", "20260102-000000-00000a"),
        ("20260101", "20260101-000000-000002"),
    ],
)
def test_a_run_is_found_by_a_prefix_of_its_id_or_of_its_job(home, name, expected):
    """A prefix that fits runs of one job alone means the newest of them."""
    made(home, "train", "20260101-000000-000001", "20260101-000000-000002")
    made(home, "eval/nightly", "20260102-000000-00000a")

    assert expected == home.find(name).run_id


def test_a_whole_job_id_goes_before_a_prefix_of_another(home):
    """`train` is the job of that name, also where there is a `train-big`."""
    made(home, "train", "20260101-000000-000001")
    made(home, "train-big", "20260102-000000-000001")

    assert "20260101-000000-000001" == home.find("train").run_id


@pytest.mark.parametrize("name", ["2026", "train-"])
def test_a_prefix_that_fits_several_jobs_is_an_error(home, name):
    """Runs of more than one job are never chosen among."""
    made(home, "train-a", "20260101-000000-000001")
    made(home, "train-b", "20260102-000000-000001")

    with pytest.raises(RunNotFoundError, match=f"2 runs go by '{name}'") as caught:
        home.find(name)
    assert name == caught.value.name


@pytest.mark.parametrize("name", ["", "nosuch", "ast", "x" * 5000, "\udcff"])
def test_a_name_that_nothing_goes_by_is_an_error(home, name):
    """An empty name, an unknown one and an absurd one are not found."""
    made(home, "train", "20260101-000000-000001")

    with pytest.raises(RunNotFoundError, match="no run goes by") as caught:
        home.find(name)
    assert name == caught.value.name


def test_a_project_without_runs_has_no_last_one(home):
    """`last` in an empty project is an error too."""
    with pytest.raises(RunNotFoundError, match="no run goes by 'last'"):
        home.find("last")


def test_files_among_the_runs_are_no_runs(home):
    """What somebody left in a folder of runs is passed over."""
    (run,) = made(home, "train", "20260101-000000-000001")
    (run.job_folder / "notes.txt").touch()
    (home.path / "runs" / "notes.txt").touch()

    assert [run] == home.runs()


def test_earlier_runs_are_the_others_of_the_job_newest_first(home):
    """A run does not count itself, nor the runs of other jobs."""
    first, second, third = made(
        home, "train", "20260101-000000-000001", "20260102-000000-000001", "20260103-000000-000001"
    )
    made(home, "eval", "20260104-000000-000001")

    assert [third, first] == second.earlier_runs()


def test_a_job_without_a_folder_has_no_runs(tmp_path):
    """A folder that does not exist holds no runs, and is not made."""
    assert ([], False) == (runs_in(tmp_path / "nosuch"), (tmp_path / "nosuch").exists())


def test_the_nearest_home_is_found_upward(home, tmp_path):
    """From a folder deep in a project, its home is found, and the closest of two."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    home.path.mkdir()
    (tmp_path / "a" / ".hyperplane").mkdir()

    assert (Home.of(tmp_path / "a"), home) == (Home.nearest(inner), Home.nearest(tmp_path))


def test_a_file_of_that_name_is_no_home(tmp_path, monkeypatch):
    """Only a folder is a home, and without one there is none."""
    (tmp_path / ".hyperplane").touch()
    found = Home.nearest(tmp_path)

    assert found is None or found.path.parent not in {tmp_path, *tmp_path.iterdir()}


def test_temporary_names_are_told_from_others():
    """A name of ours is recognised, and one that only looks like it is not."""
    assert (True, False) == (is_part(new_part_name()), is_part("hyperplane-0123456789ab.part"))
