"""Secrets in what is about to leave: said, kept back or not looked for, as the job file says."""

import json
from pathlib import Path

import pytest
from deliveries import SECRET, only_run, run_command

from hyperplane.delivery.inspection import Inspection
from hyperplane.errors import DeliveryError

FOUND = "out.txt, line 2: here stands the secret 'door'"
JOB = "main: python job.py\noutput_url: {url}\nsecret_scan: {mode}\n"


@pytest.fixture
def with_secret(local_run):
    """Give a run with an output that holds a secret, and one that does not."""
    local_run.outputs.write_text("out.txt", f"harmless\nand {SECRET}\n")
    local_run.outputs.write_text("plain.txt", "harmless")
    return local_run


def deliver(run, place, mode):
    """Deliver a run whose job file says what to do about secrets."""
    deliverer = run.deliverer(place)
    try:
        return deliverer.finish(run.ended(secret_scan=mode))
    finally:
        deliverer.close()


def test_a_secret_is_said_with_its_place(with_secret, place):
    """By default the file is delivered, and its name and line are told; the value never is."""
    done = deliver(with_secret, place, "warn")
    there = with_secret.there(place)

    assert (FOUND,) == done.problems
    assert {"outputs/out.txt", "outputs/plain.txt"} <= there.keys()
    assert [FOUND] == json.loads(there["final.json"])["problems"]
    assert SECRET.encode() not in there["final.json"] + there["manifest.json"] + there["run.json"]


def test_a_file_with_a_secret_can_be_kept_back(with_secret, folder_place):
    """`block`: it does not leave, and the run waits, whatever else is there."""
    for _ in range(2):
        with pytest.raises(DeliveryError, match=FOUND) as caught:
            deliver(with_secret, folder_place, "block")
        there = with_secret.there(folder_place)
        assert SECRET not in str(caught.value)
        assert "outputs/plain.txt" in there
        assert {"outputs/out.txt", "final.json"}.isdisjoint(there)


def test_nothing_is_kept_back_once_the_secret_is_gone(with_secret, folder_place):
    """The next delivery looks again."""
    with pytest.raises(DeliveryError):
        deliver(with_secret, folder_place, "block")
    with_secret.outputs.write_text("out.txt", "harmless now")

    assert () == deliver(with_secret, folder_place, "block").problems
    assert b"harmless now" == with_secret.there(folder_place)["outputs/out.txt"]


def test_nobody_looks_where_nobody_wants_to_know(with_secret, folder_place):
    """`off`: nothing is said."""
    assert () == deliver(with_secret, folder_place, "off").problems


def test_a_file_is_looked_into_before_it_is_sent_live(with_secret, folder_place):
    """While the job runs, too: what is kept back was never there."""
    with_secret.ended("running", None, secret_scan="block")
    deliverer = with_secret.deliverer(folder_place)
    deliverer.step()
    deliverer.close()

    assert "outputs/plain.txt" in with_secret.there(folder_place)
    assert "outputs/out.txt" not in with_secret.there(folder_place)


def test_several_findings_are_counted(with_secret, folder_place):
    """The first is named, and how many more there are."""
    with_secret.outputs.write_text("second.txt", SECRET)
    with pytest.raises(DeliveryError, match=f"{FOUND}, and 1 more"):
        deliver(with_secret, folder_place, "block")


@pytest.mark.parametrize("text", ["", "{", "[]"], ids=["empty", "torn", "a list"])
def test_without_a_record_it_warns(local_run, text):
    """The default holds where nobody can say what was wanted."""
    local_run.run.record.write_text(text)
    local_run.outputs.write_text("out.txt", SECRET)
    inspection = Inspection(local_run.run, local_run.masker)
    with (local_run.folder / "out.txt").open("rb") as file:
        assert inspection.lets_pass("outputs/out.txt", "out.txt", file.fileno())
    assert ["out.txt, line 1: here stands the secret 'door'"] == inspection.sentences


def test_the_runner_tells_of_it(tmp_path, folder_place):
    """`block` in a job file ends a run that succeeded with 75, and names file and line."""
    Path("job.py").write_text(
        "import os, pathlib\n"
        "secret = (pathlib.Path(os.environ['HYPERPLANE_SECRETS_DIR']) / 'door').read_text()\n"
        "pathlib.Path(os.environ['HYPERPLANE_OUTPUT_DIR'], 'out.txt').write_text('harmless\\n' + secret)\n"
    )
    Path("job.yaml").write_text(JOB.format(url=folder_place.url, mode="block"))
    done = run_command("run", "job.yaml", HYPERPLANE_SECRET_door=SECRET)

    assert (75, True) == (done.returncode, FOUND in done.stderr)
    assert SECRET not in done.stderr
    assert not [path for path in folder_place.objects() if path.endswith(("final.json", "out.txt"))]
    assert only_run().events.exists()
