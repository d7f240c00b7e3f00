"""A job killed at any system call: what it had sealed is there, and nothing is torn."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from outputruns import Runs, files_in

JOB = """
    import os, pathlib, sys
    from hyperplane.facets.outputs import Outputs
    from hyperplane.journal import Journal
    from hyperplane.masking import Masker
    run, masker = pathlib.Path(sys.argv[1]), Masker()
    outputs = Outputs(run / "outputs", masker=masker, journal=Journal(run / "events.jsonl", masker))
    say = lambda text: os.write(1, text.encode() + b"\\n")
    outputs.dir
    os.access("/the-job-begins", 0)
    for number in ("1", "2", "3"):
        with outputs.saving("model") as path:
            path.mkdir()
            for name in {"1": "ab", "2": "bc", "3": "a"}[number]:
                (path / name).write_text(number)
        say("model " + number)
        outputs.write_text("last.pt", number)
        say("last.pt " + number)
"""
FILES = {"1": "ab", "2": "bc", "3": "a"}
CALLS = "write,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat"


def run_killed(folder, count):
    """Run the job, killed before its system call of that number; say how it ended and what it said."""
    script = textwrap.dedent(JOB)
    trace = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={CALLS}:signal=KILL:when={count}"]
    ended = subprocess.run(
        [*trace, sys.executable, "-c", script, str(folder)],
        capture_output=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    said = dict(line.split() for line in ended.stdout.decode().splitlines())
    return ended, said


def version_of(path):
    """Return which version a restored folder is; it must be all of one."""
    files = files_in(path)
    (version,) = {data.decode() for data in files.values()}
    assert set(FILES[version]) == files.keys()
    return version


@pytest.mark.needs("strace")
@pytest.mark.parametrize("first", range(4))
def test_a_job_killed_at_any_call_loses_nothing_that_it_had_sealed(tmp_path, first):
    """Whatever was said to be sealed is restored in that version or the next one, whole."""
    is_over = False
    count = 1 + first
    while not is_over:
        runs = Runs(tmp_path / f"job-{count}")
        runs.outputs()
        ended, said = run_killed(runs.all[0].path, count)
        assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
        is_over = ended.returncode == 0
        outputs = runs.outputs()
        last, model = outputs.restore("last.pt"), outputs.restore("model")
        assert said.get("last.pt", "0") <= (last.read_text() if last else "0")
        assert said.get("model", "0") <= (version_of(model) if model else "0")
        runs.close()
        count += 4
