"""Where a context writes: under a runner, on a platform, and on a laptop."""

import math
import time
from contextlib import closing

import pytest
import scripts

from hyperplane import HyperplaneWarning, JobContext, OutputError, OutputNameError, journal
from hyperplane.rundir import Home, Lock
from hyperplane.runs.record import RunRecord


@pytest.fixture
def run(tmp_path):
    """A run whose lock is held, as a living runner holds it."""
    run = Home.of(tmp_path / "project").claim("job-1")
    with closing(Lock.take(run.lock)):
        yield run


@pytest.fixture
def in_run(run):
    """The variables that a runner gives the job of that run."""
    return {"HYPERPLANE_RUN_DIR": str(run.path), "HYPERPLANE_JOB_ID": "job-1"}


def test_under_a_runner_the_run_is_the_runners(run, in_run, capsys):
    """The identity, the outputs and the events are those of the run."""
    with JobContext(environ=in_run) as context:
        context.report("hello")
        context.outputs.write_text("a.txt", "text")
    kinds = [event["kind"] for event in journal.read(run.events)]
    assert (run.run_id, run.outputs) == (context.job.run_id, run.outputs)
    assert ("text", "report", "sealed") == ((run.outputs / "a.txt").read_text("utf-8"), kinds[0], kinds[-1])


def test_the_log_goes_to_the_events_of_the_run(run, in_run, capsys):
    """What is logged is on stderr and in `events.jsonl`."""
    with JobContext(environ=in_run) as context:
        context.log.info("hello", epoch=3)
    events = [event for event in journal.read(run.events) if event["kind"] == "log"]
    assert [("hello", {"epoch": 3})] == [(event["message"], event["fields"]) for event in events]
    assert "hello" in capsys.readouterr().err


def test_a_stop_is_an_event_of_the_run(run, in_run):
    """The request is stored with its reason when the block has been left."""
    with JobContext(environ=in_run) as context:
        context._parts.stopping.request("SIGTERM")
    assert [("stop", "SIGTERM")] == [(event["kind"], event["reason"]) for event in journal.read(run.events)]


def test_the_signal_that_ends_a_job_is_an_event_of_the_run(run):
    """However quickly an uncooperative job ends, the stop is stored first."""
    ended = scripts.signalled(
        """
        import time, hyperplane
        with hyperplane.JobContext():
            print("ready", flush=True)
            time.sleep(20)
        """,
        HYPERPLANE_RUN_DIR=str(run.path),
    )
    stops = [(event["kind"], event["reason"]) for event in journal.read(run.events)]
    assert (143, [("stop", "SIGTERM")]) == (ended.code, stops)


def test_a_stop_without_a_run_is_stored_nowhere(tmp_path):
    """On a laptop a stop leaves no file behind."""
    with JobContext(environ={}) as context:
        context._parts.stopping.request("SIGTERM")
    assert [] == list((tmp_path / "work").iterdir())


def test_the_journal_is_closed_with_the_context(run, in_run, capsys):
    """No descriptor of the events file stays open."""
    with JobContext(environ=in_run) as context:
        context.report("hello")
        assert context._parts.journal._descriptor is not None
    assert context._parts.journal._descriptor is None


def test_files_still_open_are_sealed_when_the_job_succeeds(run, in_run):
    """A file that the job forgot to close is kept, with a warning."""
    with pytest.warns(HyperplaneWarning, match="still open"), JobContext(environ=in_run) as context:
        context.outputs.open("log.txt").write("text")
    assert "text" == (run.outputs / "log.txt").read_text("utf-8")


def test_files_still_open_are_dropped_when_the_job_fails(run, in_run):
    """What was half written by a job that raised is no output."""

    def job(context):
        context.outputs.open("log.txt").write("half")
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), JobContext(environ=in_run) as context:
        job(context)
    assert [] == list(run.outputs.iterdir())


def test_parameters_that_the_run_was_given_are_declared(run, in_run):
    """`keys()` lists what the job file and `-p` have set, beside what was given in Python."""
    RunRecord(job_id="job-1", run_id=run.run_id, parameters={"FROM_FILE": "1"}).save(run)
    assert {"FROM_FILE", "OWN"} == set(JobContext(environ=in_run, params={"OWN": 1}).params.keys())


def test_under_a_runner_the_job_has_less_time_than_the_grace_without_its_reserve(in_run):
    """It must have unwound when the runner kills it."""
    contexts = [JobContext(environ={**variables, "HYPERPLANE_GRACE_S": "20"}) for variables in ({}, in_run)]
    for context in contexts:
        context._parts.stopping.request("reason")
    alone, under_runner = (context.seconds_left for context in contexts)
    assert 8 < under_runner <= 9 < alone <= 10


@pytest.mark.parametrize("place", ["gone", "a-file", "a-file/below"])
def test_a_run_that_no_runner_holds_is_ignored_with_a_warning(tmp_path, place):
    """A stale variable, inherited from a runner that is gone, sends nothing to an old run."""
    (tmp_path / "work" / "a-file").write_text("", encoding="utf-8")
    context = JobContext(environ={"HYPERPLANE_RUN_DIR": place})
    with pytest.warns(HyperplaneWarning, match="no runner is alive that holds"):
        folder = context.outputs.dir
    assert tmp_path / "work" == folder


def test_the_folder_for_outputs_is_the_working_folder_by_default(tmp_path):
    """Without a runner and without a setting, files written through us lie where the job runs."""
    assert tmp_path / "work" == JobContext(environ={}).outputs.dir


@pytest.mark.parametrize("variable", ["HYPERPLANE_OUTPUT_DIR", "HYPERPLANE_USER_OUTPUTS_DIR_ABS"])
def test_a_setting_names_the_folder_for_outputs(tmp_path, variable, in_run):
    """Either variable does, under a runner too; a relative one is taken from the project folder."""
    assert tmp_path / "work" / "out" == JobContext(environ={**in_run, variable: "out"}).outputs.dir


def test_the_argument_wins_over_the_setting(tmp_path):
    """A folder given in Python is the one."""
    context = JobContext(environ={"HYPERPLANE_OUTPUT_DIR": "setting"}, outputs="argument")
    assert tmp_path / "work" / "argument" == context.outputs.dir


@pytest.mark.parametrize("home", ["", "elsewhere"])
def test_runs_are_no_outputs_of_the_project_folder(home):
    """A job that writes into its working folder cannot write into `.hyperplane`."""
    variables = {"HYPERPLANE_HOME": home} if home else {}
    with pytest.raises(OutputNameError):
        JobContext(environ=variables).outputs.path(f"{home}/.hyperplane/x".lstrip("/"))


def test_ranks_write_beside_each_other(tmp_path):
    """Rank n > 0 has a folder of its own."""
    variables = {"TORCHELASTIC_RUN_ID": "r", "RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "2"}
    assert tmp_path / "work" / "rank-2" == JobContext(environ=variables).outputs.dir


def test_what_an_earlier_run_of_the_job_sealed_is_restored(run, in_run, tmp_path):
    """A further attempt finds it, under a runner and without."""
    with JobContext(environ=in_run) as context:
        context.outputs.write_text("last.txt", "epoch 3")
    following = run.home.claim("job-1")
    with (
        closing(Lock.take(following.lock)),
        JobContext(environ={"HYPERPLANE_RUN_DIR": str(following.path)}) as second,
    ):
        restored = second.outputs.restore("last.txt")
        assert "epoch 3" == restored.read_text("utf-8")
    assert not restored.exists()
    alone = {"HYPERPLANE_JOB_ID": "job-1", "HYPERPLANE_HOME": str(tmp_path / "project")}
    with JobContext(environ=alone) as third:
        assert "epoch 3" == third.outputs.restore("last.txt").read_text("utf-8")


def test_a_job_with_a_made_up_id_has_no_earlier_runs():
    """Nothing is restored where nobody says which job it is."""
    assert JobContext(environ={}).outputs.restore("last.txt") is None


def test_outputs_of_a_context_that_is_not_entered_go_nowhere_and_say_so(tmp_path):
    """Nobody knows when a job without a `with` block ends: the first use of its outputs warns."""
    context = JobContext(environ={"HYPERPLANE_OUTPUT_URL": f"file://{tmp_path}/there/"})
    with pytest.warns(HyperplaneWarning, match="not delivered to HYPERPLANE_OUTPUT_URL") as caught:
        context.outputs.write_text("a.txt", "a")
    context.close()
    assert [__file__] == [warned.filename for warned in caught]
    assert not (tmp_path / "there").exists()


def test_no_delivery_may_be_said_on_purpose(tmp_path):
    """`none` is a destination like none at all."""
    assert tmp_path / "work" == JobContext(environ={"HYPERPLANE_OUTPUT_URL": "none"}).outputs.dir


def test_outputs_on_a_disk_that_is_lost_are_refused_at_first_use():
    """In a pod nothing would be left; whoever uses no outputs is not disturbed."""
    with JobContext(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) as context:
        assert "kubernetes" == context.job.platform
        with pytest.raises(OutputError, match="disk of a kubernetes job is gone"):
            context.outputs  # noqa: B018 - its first use is the point


@pytest.mark.parametrize(
    "variables",
    [{"HYPERPLANE_OUTPUT_URL": "none"}, {"HYPERPLANE_OUTPUT_DIR": "volume"}],
    ids=["none", "folder"],
)
def test_outputs_on_such_a_disk_are_wanted_where_somebody_says_so(variables):
    """`none` says that losing them is fine, and a folder that it stays."""
    context = JobContext(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1", **variables})
    assert context.outputs.dir.is_dir()


def test_a_folder_given_in_python_is_one_that_stays(tmp_path):
    """The argument counts as much as the setting."""
    context = JobContext(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, outputs=tmp_path / "volume")
    assert tmp_path / "volume" == context.outputs.dir


def test_runs_on_a_disk_that_is_lost_need_a_home_that_stays(run, in_run):
    """Under a runner in a pod, outputs lie in the run, which HYPERPLANE_HOME puts on a volume."""
    in_pod = {**in_run, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(OutputError, match="is gone"):
        JobContext(environ=in_pod).outputs  # noqa: B018 - its first use is the point
    assert (
        run.outputs
        == JobContext(environ={**in_pod, "HYPERPLANE_HOME": str(run.home.path.parent)}).outputs.dir
    )


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [({}, 5), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 15), ({"HYPERPLANE_GRACE_S": "4"}, 2)],
    ids=["default", "platform", "setting"],
)
def test_a_stopped_job_has_the_grace_without_its_reserve(variables, seconds):
    """The grace is the setting's, the platform's or 10 s, and half of it is the job's."""
    context = JobContext(environ=variables)
    context._parts.stopping.request("reason")
    assert seconds - 1 < context.seconds_left <= seconds


def test_slurms_deadline_says_how_much_time_is_left():
    """The job has until the reserve before the end; without a deadline there is no end."""
    in_slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": str(int(time.time()) + 1000)}
    with JobContext(environ=in_slurm) as context:
        assert 980 < context.seconds_left < 986
    assert math.inf == JobContext(environ={}).seconds_left


@pytest.mark.parametrize(("poll", "said"), [("", "interrupted\n"), ("ctx.stopping", "polled\n")])
def test_slurms_deadline_stops_a_job(poll, said):
    """Near the end a job that polls sees the stop, and one that does not is ended."""
    ended = scripts.run(
        f"""
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            {poll}
            try:
                for _ in range(1000):
                    time.sleep(0.01)
                    if {bool(poll)} and ctx.stopping:
                        print("polled")
                        break
            except hyperplane.JobStopped as stopped:
                print("interrupted")
                raise
        """,
        SLURM_JOB_ID="1",
        SLURM_JOB_END_TIME=str(int(time.time()) + 34),
    )
    assert (143, said) == (ended.code, ended.out)
