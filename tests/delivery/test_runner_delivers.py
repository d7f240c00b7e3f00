"""The runner delivers: whatever becomes of the job or of the runner, nothing sealed is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from deliveries import COMMAND, check_invariants, check_there, objects_of, only_run, run_command, until_free
from processes import children_of

from hyperplane.rundir import Home
from hyperplane.runs import record

# an uncatchable secret of the environment, which must be nowhere
SECRET = "sesame-opens-it"
JOB = """
import os, signal, sys, time
import hyperplane
with hyperplane.JobContext() as ctx:
    ctx.outputs.write_text("sealed.txt", "s")
    print("said", os.environ.get("HYPERPLANE_SECRETS_DIR") and ctx.secrets["door"], flush=True)
    {body}
"""


def write_job(body):
    """Write a job that seals an output, says its secret, and goes on in some way."""
    Path("job.py").write_text(JOB.format(body=body))
    return "job.py"


def told(place, **more):
    """Return the variables of a runner that delivers to a place."""
    return {"HYPERPLANE_OUTPUT_URL": place.url, "HYPERPLANE_SECRET_door": SECRET, **place.variables, **more}


def start(place, *words, **more):
    """Start the runner."""
    return subprocess.Popen(
        [*COMMAND, "run", *words],
        env={**os.environ, **told(place, **more)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition, timeout_s=30.0):
    """Wait until something holds."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come to hold"
        time.sleep(0.01)


def has_sealed():
    """Say whether the only run has sealed its output, and the runner has read what it said then."""
    runs = Home.of(Path.cwd()).runs()
    has_log = bool(runs) and runs[0].stdout_log.is_file()
    has_said = has_log and b"said ***\n" in runs[0].stdout_log.read_bytes()
    return has_said and b"sealed.txt" in runs[0].events.read_bytes()


def check(place, exit_code, *, outcome, run=None):
    """Check that the only run is there, or arrives, and how it is said to have ended."""
    run = run or only_run()
    there = check_invariants(
        run,
        place,
        exit_code=exit_code,
        sealed={"sealed.txt": (b"s",)},
        deliver=lambda: run_command("deliver", run.run_id, **place.variables),
    )
    assert outcome == json.loads(there["final.json"])["outcome"]
    assert b"said ***\n" == there["stdout.log"]
    return there


ENDINGS = {
    "an exception": ("raise ValueError('x')", 1, "failed"),
    "sys.exit(3)": ("sys.exit(3)", 3, "failed"),
    "os._exit(0)": ("os._exit(0)", 0, "succeeded"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", 137, "failed"),
    "a segmentation fault": ("import ctypes; ctypes.string_at(0)", 139, "failed"),
    "success": ("pass", 0, "succeeded"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_run_is_there_however_its_job_ends(folder_place, name):
    """The exit code is the job's, and everything that was sealed is at its destination."""
    body, code, outcome = ENDINGS[name]
    done = run_command("run", write_job(body), **told(folder_place))
    assert code == done.returncode, done.stderr
    assert f"delivered to {folder_place.url}" in done.stderr
    check(folder_place, code, outcome=outcome)


@pytest.mark.parametrize("name", ENDINGS)
def test_a_run_that_cannot_be_delivered_waits(folder_place, name):
    """A success becomes 75; any other exit code stays, and the last line says what waits."""
    body, code, outcome = ENDINGS[name]
    spoil = (
        "os.rename(os.environ['HYPERPLANE_OUTPUT_URL'][7:-1], 'aside');"
        " open(os.environ['HYPERPLANE_OUTPUT_URL'][7:-1], 'w').close();"
    )
    done = run_command("run", write_job(f"{spoil} {body}"), **told(folder_place))
    assert (code or 75) == done.returncode, done.stderr
    assert f"hyperplane deliver {only_run().run_id}" in done.stderr
    assert "pending" == record.read(only_run()).delivery
    shown = run_command("show").stdout
    assert "is not delivered" in shown
    assert "waiting      1 sealed outputs" in shown or "waiting      0 sealed outputs" in shown
    folder_place.folder.unlink()
    check(folder_place, done.returncode, outcome=outcome)


def test_a_destination_that_cannot_be_written_is_known_before_the_job(folder_place):
    """Nothing runs, and the exit code is that of a missing setting."""
    folder_place.folder.write_text("in the way")
    done = run_command("run", write_job("pass"), **told(folder_place))
    assert (78, "") == (done.returncode, done.stdout)
    assert "nothing can be delivered to" in done.stderr
    assert "none" == record.read(only_run()).delivery


def test_sealed_files_are_on_their_way_while_the_job_runs(folder_place):
    """Before the job has ended, what it sealed is at the destination."""
    process = start(folder_place, write_job("time.sleep(60)"))
    until(lambda: any(path.endswith("outputs/sealed.txt") for path in folder_place.objects()))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert 143 == process.returncode
    check(folder_place, 143, outcome="stopped")


@pytest.mark.parametrize("who", ["job", "runner", "both", "deliverer"])
def test_whoever_is_killed_loses_nothing(folder_place, who):
    """SIGKILL to the job, to the runner, to both, or to what delivers: the next delivery brings it all."""
    process = start(folder_place, write_job("print(os.getpid(), file=open('pid', 'w')); time.sleep(60)"))
    until(lambda: Path("pid").is_file() and Path("pid").read_text() and has_sealed())
    job = int(Path("pid").read_text())
    if who == "deliverer":
        deliverers = [
            child for child in children_of(process.pid) if "hyperplane.delivery" in command_of(child)
        ]
        os.kill(deliverers[0], signal.SIGKILL)
        os.kill(job, signal.SIGKILL)
    for pid in {"job": [job], "runner": [process.pid], "both": [process.pid, job]}.get(who, []):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=30)
    run = only_run()
    until_free(run)
    outcome = {"job": "failed", "deliverer": "failed"}.get(who, "interrupted")
    code = process.returncode if process.returncode >= 0 else None
    assert (code is None) == (who in {"runner", "both"})
    check(folder_place, code, outcome=outcome)


def command_of(pid):
    """Return the command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")


def interrupted_run(place):
    """Return a run whose runner was killed when it had sealed its output."""
    process = start(place, write_job("time.sleep(60)"))
    until(has_sealed)
    process.kill()
    process.communicate()
    run = only_run()
    until_free(run)
    return run


def test_an_interrupted_run_is_delivered_by_the_next_start(folder_place):
    """A line says so, before the next run begins."""
    run = interrupted_run(folder_place)
    done = run_command("run", "true", **told(folder_place))
    assert 0 == done.returncode
    assert f"hyperplane: delivering run {run.run_id}, which waits for it" in done.stderr
    check(folder_place, None, outcome="interrupted", run=run)


def test_a_run_that_waits_in_vain_does_not_keep_the_next_from_running(folder_place, tmp_path):
    """Where an earlier run cannot be delivered, that is said, and the new one runs."""
    interrupted_run(folder_place)
    folder_place.folder.rename(tmp_path / "aside")
    folder_place.folder.write_text("in the way")
    other = {**told(folder_place), "HYPERPLANE_OUTPUT_URL": (tmp_path / "other").as_uri()}
    done = run_command("run", "true", **other)
    assert 0 == done.returncode
    assert "it waits on" in done.stderr


def test_a_job_that_ignores_the_stop_is_killed_and_delivered_within_the_grace(folder_place):
    """When the reserve begins the job is killed; the process is gone before the grace is over."""
    job = write_job(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', file=open('pid', 'w')); time.sleep(60)"
    )
    process = start(folder_place, job, HYPERPLANE_GRACE_S="4")
    until(lambda: Path("pid").is_file())
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (143, True) == (process.returncode, time.monotonic() - began < 4)
    check(folder_place, 143, outcome="stopped")


def test_a_second_interrupt_ends_at_once_and_leaves_it_pending(faulty_place):
    """Whoever presses Ctrl-C twice does not wait for a store that hangs."""
    from faultys3 import hang

    process = start(faulty_place, write_job("time.sleep(60)"), HYPERPLANE_GRACE_S="60")
    until(lambda: any(path.endswith("outputs/sealed.txt") for path in faulty_place.objects()))
    faulty_place.server.add(hang(), operation="PutObject")
    process.send_signal(signal.SIGINT)
    until(lambda: "running" != record.read(only_run()).outcome)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (130, True) == (process.returncode, time.monotonic() - began < 2)
    faulty_place.server.clear()
    check(faulty_place, 130, outcome="stopped")


def test_a_stop_during_a_hanging_delivery_exits_within_the_grace(faulty_place):
    """A success whose store falls silent is pending, 75, when the grace is over and not later."""
    from faultys3 import hang

    process = start(faulty_place, write_job("pass"), HYPERPLANE_GRACE_S="3")
    faulty_place.server.add(hang(), operation="PutObject", key="*stdout.log")
    until(lambda: Home.of(Path.cwd()).runs() and "succeeded" == record.read(only_run()).outcome)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert (75, True) == (process.returncode, time.monotonic() - began < 3), said
    assert "there was no time to deliver everything" in said
    faulty_place.server.clear()
    check(faulty_place, 75, outcome="succeeded")


def test_a_stop_before_the_job_begins_is_no_start(faulty_place):
    """While the destination is asked, a stop ends it: the job never runs, and the exit code says so."""
    from faultys3 import Fault

    faulty_place.server.add(
        Fault("slow", arrive=lambda call: time.sleep(2)), operation="PutObject", calls=[1]
    )
    process = start(faulty_place, write_job("pass"))
    until(lambda: faulty_place.server.calls_of("PutObject"))
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=30)
    assert (143, "") == (process.returncode, out), said
    assert "a stop came before the job began" in said
    assert "stopped" == record.read(only_run()).outcome


def test_a_grandchild_that_keeps_the_output_open_does_not_keep_the_delivery(folder_place):
    """What a job leaves behind is ended first; then it is delivered."""
    body = "import subprocess; subprocess.Popen(['sleep', '60'])"
    done = run_command("run", write_job(body), **told(folder_place))
    assert 0 == done.returncode, done.stderr
    check(folder_place, 0, outcome="succeeded")


def test_a_stopped_and_continued_runner_goes_on(folder_place):
    """SIGSTOP for a while is only a pause."""
    process = start(folder_place, write_job("time.sleep(0.5)"))
    until(has_sealed)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert 0 == process.returncode
    check(folder_place, 0, outcome="succeeded")


def test_retries_are_delivered_each(folder_place):
    """A failed attempt is there as well as the one that succeeds."""
    Path("job.yaml").write_text(f"main: python try.py\nretries: 1\noutput_url: {folder_place.url}\n")
    Path("try.py").write_text(
        "import hyperplane, sys\n"
        "with hyperplane.JobContext() as ctx:\n"
        "    found = ctx.outputs.restore('n.txt')\n"
        "    ctx.outputs.write_text('n.txt', str(ctx.job.attempt))\n"
        "    sys.exit(0 if found and found.read_text() == '1' else 1)\n"
    )
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = run_command("run", "job.yaml", **environment)
    assert 0 == done.returncode, done.stderr
    finals = [
        json.loads(data) for path, data in folder_place.objects().items() if path.endswith("final.json")
    ]
    assert {("failed", 1), ("succeeded", 2)} == {
        (final["outcome"], final["record"]["attempt"]) for final in finals
    }


def test_a_command_that_cannot_be_started_leaves_no_run_waiting(folder_place):
    """What never ran is there as failed, and nothing waits."""
    Path("broken").write_text("#!/no/such/interpreter\n")
    Path("broken").chmod(0o755)
    done = run_command("run", "./broken", **told(folder_place))
    assert done.returncode in {126, 127}
    assert ("failed", "delivered") == record.read(only_run())[record.RunRecord._fields.index("outcome") :][:2]
    check_there(objects_of(only_run(), folder_place.objects()))


@pytest.mark.needs("unshare", "root")
def test_the_runner_as_process_1_reaps_and_passes_signals_on(folder_place):
    """In a container of its own, orphans do not pile up, a stop reaches the job, and all is delivered."""
    body = (
        "import subprocess; subprocess.run(['sh', '-c', 'sleep 0.1 & true']); time.sleep(0.5);"
        " pids = filter(str.isdigit, os.listdir('/proc'));"
        " states = [open(f'/proc/{pid}/stat').read().split()[2] for pid in pids];"
        " print(states.count('Z'), file=open('zombies', 'w')); open('ready', 'w').close(); time.sleep(60)"
    )
    process = subprocess.Popen(
        ["unshare", "-pf", "--mount-proc", "--kill-child", *COMMAND, "run", write_job(body)],
        env={**os.environ, **told(folder_place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: Path("ready").is_file())
    assert "0\n" == Path("zombies").read_text()
    (init,) = children_of(process.pid)
    os.kill(init, signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert 143 == process.returncode, said
    check(folder_place, 143, outcome="stopped")


@pytest.fixture
def little_memory():
    """Give a file that takes who writes 0 to it into a control group with 300 MiB."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (second, "memory.max")
    group = parent / f"hyperplane-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(f"{300 << 20}")
    except OSError as error:
        pytest.skip(f"this system lends no control groups for memory: {error}")
    yield group / "cgroup.procs"
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.mark.needs("root")
def test_a_job_that_runs_out_of_memory_is_delivered(folder_place, little_memory):
    """The kernel kills the largest process, which is the job; the runner delivers what was sealed."""
    words = [*COMMAND, "run", write_job("hoard = [bytes([n]) * (16 << 20) for n in range(1, 100)]")]
    done = subprocess.run(
        ["sh", "-c", 'echo 0 > "$0" && exec "$@"', little_memory, *words],
        env={**os.environ, **told(folder_place)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 137 == done.returncode, done.stderr
    assert f"delivered to {folder_place.url}" in done.stderr
    check(folder_place, 137, outcome="failed")
