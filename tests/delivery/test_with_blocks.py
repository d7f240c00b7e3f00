"""How a `with` block ends, and a script with it, when its run is delivered and when it cannot be."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
import scripts
from deliveries import check_invariants, check_there, objects_of, only_run, run_command, until_free

from hyperplane import DeliveryError, JobContext, JobStopped, current_context
from hyperplane.rundir import Home, is_locked
from hyperplane.runs import record

# with this, nothing can be written where the run goes once the job has begun
BREAK = """
    import os
    from pathlib import Path
    place = Path(os.environ["HYPERPLANE_OUTPUT_URL"].removeprefix("file://"))
    def break_it():
        os.rename(place, place.with_name("aside"))
        place.write_text("a file in the way")
"""
BODIES = {
    "ok": ("pass", 0, "succeeded"),
    "sys.exit()": ("sys.exit()", 0, "succeeded"),
    "sys.exit(0)": ("sys.exit(0)", 0, "succeeded"),
    "saw stopping": ("ctx._parts.stopping.request('x'); ctx.stopping", 143, "stopped"),
    "raises JobStopped": ("ctx._parts.stopping.request('x'); ctx.raise_if_stopping()", 143, "stopped"),
    "raises": ("raise ValueError('of the job')", 1, "failed"),
    "sys.exit(3)": ("sys.exit(3)", 3, "failed"),
    "sys.exit(text)": ("sys.exit('text')", 1, "failed"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", -signal.SIGINT, "failed"),
}
SCRIPT = """
    import sys, hyperplane
    with hyperplane.JobContext() as ctx:
        ctx.outputs.write_text("a.txt", "a")
        {before}
        {body}
"""
MAIN = """
    import sys, hyperplane
    def main(ctx):
        ctx.outputs.write_text("a.txt", "a")
        {before}
        {body}
    hyperplane.run(main, argv=())
"""


def script_of(template, body, *, breaks):
    """Return a script, which breaks its destination on the way or does not."""
    text = template.format(before="break_it()" if breaks else "pass", body=body)
    return (BREAK if breaks else "") + text


def mend(place):
    """Take away what was in the way."""
    place.folder.unlink()


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("template", [SCRIPT, MAIN], ids=["with", "run"])
def test_delivered_whatever_the_body_does(folder_place, template, name):
    """The run is there, with how it ended; the script ends as without delivery."""
    body, code, outcome = BODIES[name]
    ended = scripts.run(script_of(template, body, breaks=False), HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert code == ended.code, ended.err
    run = only_run()
    found = record.read(run)
    assert (outcome, "delivered", 128 - code if code < 0 else code) == (
        found.outcome,
        found.delivery,
        found.exit_code,
    )
    there = objects_of(run, folder_place.objects())
    check_there(there)
    assert outcome == json.loads(there["final.json"])["outcome"]
    assert b"a" == there["outputs/a.txt"]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("template", [SCRIPT, MAIN], ids=["with", "run"])
def test_pending_where_it_cannot_be_delivered(folder_place, template, name):
    """A success becomes 75; what else the body came to stays what it is, and one line says what waits."""
    body, code, outcome = BODIES[name]
    ended = scripts.run(script_of(template, body, breaks=True), HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert (75 if code == 0 else code) == ended.code, ended.err
    run = only_run()
    assert (outcome, "pending") == record.read(run)[record.RunRecord._fields.index("outcome") :][:2]
    said = [line for line in ended.err.splitlines() if line.startswith("hyperplane: ")]
    assert 1 == sum(f"the run {run.run_id} is not delivered" in line for line in said)
    if name == "raises":
        assert "ValueError: of the job" in ended.err
    mend(folder_place)
    check_invariants(
        run,
        folder_place,
        exit_code=ended.code,
        sealed={"a.txt": (b"a",)},
        deliver=lambda: run_command("deliver", run.run_id),
    )


def enter(place, **more):
    """Return a context that delivers to a place, in this process."""
    return JobContext(environ={"HYPERPLANE_OUTPUT_URL": place.url, **more})


def spoil(context, place, error):
    """Write an output, put a file in the way of its delivery, and fail."""
    context.outputs.write_text("a.txt", "a")
    place.folder.rename(place.folder.with_name("aside"))
    place.folder.write_text("in the way")
    raise error


def test_the_error_of_a_delivery_is_no_traceback(folder_place):
    """A script that catches nothing says in two lines what waits, and how to deliver it."""
    ended = scripts.run(script_of(SCRIPT, "pass", breaks=True), HYPERPLANE_OUTPUT_URL=folder_place.url)
    lines = ended.err.strip().splitlines()
    assert lines[0].startswith("hyperplane: error: the run ")
    assert f"hyperplane deliver {only_run().run_id}" in lines[1]
    assert "Traceback" not in ended.err


def test_the_error_is_raised_from_the_exit_of_the_body(folder_place):
    """Whoever catches it finds the `SystemExit` that the body ended with as its cause."""
    with pytest.raises(DeliveryError) as caught, enter(folder_place) as context:
        spoil(context, folder_place, SystemExit(0))
    assert isinstance(caught.value.__cause__, SystemExit)
    assert (75, 75, only_run().run_id) == (caught.value.code, caught.value.exit_code, caught.value.run_id)


def test_a_failure_of_the_job_has_the_delivery_as_a_note(folder_place):
    """The job's own exception comes out, with a note on what waits."""
    with pytest.raises(ValueError, match="of the job") as caught, enter(folder_place) as context:
        spoil(context, folder_place, ValueError("of the job"))
    assert "is not delivered" in caught.value.__notes__[0]


def test_a_destination_that_cannot_be_written_is_known_before_the_job(folder_place):
    """Entering fails, with exit code 78 and a line; nothing runs, and nothing waits."""
    folder_place.folder.write_text("a file in the way")
    ended = scripts.run(
        script_of(SCRIPT, "print('ran')", breaks=False), HYPERPLANE_OUTPUT_URL=folder_place.url
    )
    assert (78, "") == (ended.code, ended.out)
    assert "nothing can be delivered to" in ended.err
    assert ("failed", "none") == record.read(only_run())[record.RunRecord._fields.index("outcome") :][:2]


def test_entering_writes_the_record_there(folder_place):
    """The run can be seen at the destination while it runs; its lock is held."""
    with enter(folder_place) as context:
        run = only_run()
        assert (run.run_id, True) == (context.job.run_id, is_locked(run.lock))
        there = objects_of(run, folder_place.objects())
        assert ("running", {"run.json"}) == (json.loads(there["run.json"])["outcome"], there.keys())
        assert current_context() is context
    assert not is_locked(run.lock)


def test_outputs_lie_in_the_run_or_where_it_was_said(folder_place, tmp_path):
    """Without HYPERPLANE_OUTPUT_DIR they are the run's own; with it, they are delivered from there."""
    with enter(folder_place, HYPERPLANE_JOB_ID="one") as context:
        assert only_run().outputs == context.outputs.dir
    with enter(folder_place, HYPERPLANE_OUTPUT_DIR=str(tmp_path / "out"), HYPERPLANE_JOB_ID="two") as context:
        context.outputs.write_text("sealed", "s")
        (tmp_path / "out" / "loose").write_text("l")
    (run,) = [run for run in Home.of(Path.cwd()).runs() if run.job_folder.name == "two"]
    there = objects_of(run, folder_place.objects())
    check_there(there)
    assert (b"s", b"l") == (there["outputs/sealed"], there["outputs/loose"])


def test_a_folder_given_to_the_context_is_delivered(folder_place, tmp_path):
    """`outputs=` names a folder as the variable does."""
    with JobContext(environ={"HYPERPLANE_OUTPUT_URL": folder_place.url}, outputs=tmp_path / "out") as context:
        context.outputs.write_text("a.txt", "a")
    assert b"a" == objects_of(only_run(), folder_place.objects())["outputs/a.txt"]


def test_outputs_that_cannot_be_sealed_are_not_delivered(folder_place):
    """A success with an output that cannot be sealed waits, and both errors are told."""
    script = """
        import os, hyperplane
        with hyperplane.JobContext() as ctx:
            (ctx.outputs.dir / "bell\\a").write_text("x")
    """
    ended = scripts.run(script, HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert ended.code != 0
    assert "its outputs are not sealed" in ended.err
    assert "pending" == record.read(only_run()).delivery


def test_what_a_killed_script_sealed_is_delivered_by_the_next(folder_place):
    """A line says so, and then the next one runs; restoring finds what was sealed."""
    killed = """
        import os, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.outputs.write_text("last.pt", "1")
            os.kill(os.getpid(), 9)
    """
    following = """
        import hyperplane
        with hyperplane.JobContext() as ctx:
            print(ctx.outputs.restore("last.pt").read_text())
    """
    told = {"HYPERPLANE_OUTPUT_URL": folder_place.url, "HYPERPLANE_JOB_ID": "job"}
    assert -signal.SIGKILL == scripts.run(killed, **told).code
    run = only_run()
    until_free(run)
    assert "interrupted" == record.read(run).outcome
    ended = scripts.run(following, **told)
    assert "1\n" == ended.out
    assert f"delivering run {run.run_id}, which waits for it" in ended.err
    there = objects_of(run, folder_place.objects())
    check_there(there)
    assert "interrupted" == json.loads(there["final.json"])["outcome"]


def test_forked_children_write_and_do_not_deliver(folder_place):
    """Fork and multiprocessing inside the block write outputs of the one run, which its parent delivers."""
    script = """
        import multiprocessing, os, hyperplane
        def work(ctx, number):
            ctx.outputs.write_text(f"{number}.txt", str(number))
        with hyperplane.JobContext() as ctx:
            for method in ("fork", "spawn"):
                process = multiprocessing.get_context(method).Process(target=work, args=(ctx, method))
                process.start()
                process.join()
                assert process.exitcode == 0
            if os.fork() == 0:
                with ctx:
                    ctx.outputs.write_text("child.txt", "c")
                os._exit(0)
            os.wait()
    """
    Path("forking.py").write_text(
        "name = 'body.py' if __name__ == '__main__' else 'work.py'\nexec(open(name).read())\n"
    )
    lines = [line[8:] for line in script.splitlines()]
    begin = next(number for number, line in enumerate(lines) if line.startswith("with"))
    Path("work.py").write_text("\n".join(lines[:begin]))
    Path("body.py").write_text("\n".join(lines))
    ended = subprocess.run(
        [scripts.sys.executable, "forking.py"],
        env={**scripts.os.environ, "HYPERPLANE_OUTPUT_URL": folder_place.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 0 == ended.returncode, ended.stderr
    there = objects_of(only_run(), folder_place.objects())
    check_there(there)
    names = {path for path in there if path.startswith("outputs/")}
    assert {"outputs/fork.txt", "outputs/spawn.txt", "outputs/child.txt"} == names


def test_a_stop_leaves_the_grace_for_the_delivery(folder_place):
    """A job that goes on is ended when the reserve begins, and what it had sealed is delivered in that."""
    script = """
        import time, hyperplane
        with hyperplane.JobContext() as ctx:
            ctx.outputs.write_text("a.txt", "a")
            ctx.stopping
            print("ready", flush=True)
            while True:
                time.sleep(0.01)
    """
    ended = scripts.signalled(script, HYPERPLANE_OUTPUT_URL=folder_place.url, HYPERPLANE_GRACE_S="4")
    assert (143, True) == (ended.code, ended.seconds < 4.0), ended.err
    there = objects_of(only_run(), folder_place.objects())
    check_there(there)
    assert ("stopped", b"a") == (json.loads(there["final.json"])["outcome"], there["outputs/a.txt"])


def test_ranks_are_runs_of_their_own_in_one_group(folder_place):
    """Ranks without a runner each deliver a run, which say which group and rank they are."""
    for rank in "01":
        told = {"RANK": rank, "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "job"}
        with enter(folder_place, **told) as context:
            context.outputs.write_text("a.txt", rank)
    finals = [
        json.loads(data) for path, data in folder_place.objects().items() if path.endswith("/final.json")
    ]
    assert {("job", 0), ("job", 1)} == {(final["group"], final["rank"]) for final in finals}


def test_a_context_of_a_runner_delivers_nothing_itself(folder_place):
    """Under the runner there is one run, and the runner delivers it."""
    Path("job.py").write_text(
        "import hyperplane\nwith hyperplane.JobContext() as ctx:\n    ctx.outputs.write_text('a.txt', 'a')\n"
    )
    done = run_command("run", "job.py", HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert 0 == done.returncode, done.stderr
    there = objects_of(only_run(), folder_place.objects())
    check_there(there)
    assert b"a" == there["outputs/a.txt"]


def test_a_stop_is_told_before_a_failed_delivery(folder_place):
    """`JobStopped` comes out of the block, with what waits as its note."""
    with pytest.raises(JobStopped) as caught, enter(folder_place) as context:
        spoil(context, folder_place, JobStopped("x"))
    assert "is not delivered" in caught.value.__notes__[0]
