"""What is delivered is found again: restored by the next attempt, listed, fetched; no more is believed."""

import json
import shutil
from pathlib import Path

import pytest
from deliveries import LocalRun, destination_at, run_command

from hyperplane import HyperplaneWarning, JobContext
from hyperplane.delivery import index
from hyperplane.delivery.folder import FolderDestination
from hyperplane.delivery.places import prefix_of
from hyperplane.delivery.remote import runs_at
from hyperplane.errors import DeliveryError, OutputError
from hyperplane.rundir import Home
from hyperplane.runs import record


def deliver_once(place, **files):
    """Deliver a run with these outputs from a disk that is lost then; return it."""
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    for name, text in files.items():
        run.outputs.write_text(name, text)
    with run.outputs.saving("model") as path:
        path.mkdir()
        (path / "a").write_text("A")
        (path / "b").write_text("B")
    (run.folder / "loose").write_text("l")
    run.deliver(place)
    shutil.rmtree(Path.cwd() / "lost")
    return run


def enter(place, **more):
    """Return a context of the same job, which looks at the place."""
    told = {"HYPERPLANE_OUTPUT_URL": place.url, "HYPERPLANE_JOB_ID": "job-1", **place.variables, **more}
    return JobContext(environ=told)


def test_files_and_folders_are_restored_from_the_destination(place):
    """Another machine finds what an earlier attempt has delivered: sealed or left at a success."""
    deliver_once(place, last="checkpoint")
    with enter(place) as context:
        restored = {name: context.outputs.restore(name) for name in ("last", "loose", "model", "never")}
        assert ("checkpoint", "l") == (restored["last"].read_text(), restored["loose"].read_text())
        assert {"a": "A", "b": "B"} == {path.name: path.read_text() for path in restored["model"].iterdir()}
        assert restored["never"] is None


def test_the_newest_run_wins_wherever_it_is(folder_place):
    """A run on this disk and one at the destination are compared by their time."""
    deliver_once(folder_place, last="older")
    with enter(folder_place) as context:
        context.outputs.write_text("last", "newer")
    with enter(folder_place) as context:
        assert "newer" == context.outputs.restore("last").read_text()
        shutil.rmtree(only_other_run(context))
        assert "newer" == context.outputs.restore("last").read_text()


def only_other_run(context):
    """Return the folder of the earlier run on this disk."""
    (found,) = [run.path for run in Home.of(Path.cwd()).runs() if run.run_id != context.job.run_id]
    return found


def test_a_damaged_output_is_passed_over_with_a_warning(folder_place):
    """What is not as it was delivered is not restored; the version before it is."""
    deliver_once(folder_place, last="older")
    newer = deliver_once(folder_place, last="newer")
    (folder_place.folder / prefix_of(newer.run) / "outputs" / "last").write_text("damaged")
    with enter(folder_place) as context, pytest.warns(HyperplaneWarning, match="is passed over"):
        assert "older" == context.outputs.restore("last").read_text()


def test_an_unfinished_run_gives_what_had_been_sealed_and_sent(place):
    """The disk is gone, and the job never ended: what the store has and was sealed is restored, whole."""
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    deliverer = run.deliverer(place)
    run.outputs.write_text("last", "1")
    run.outputs.write_text("last2", "2")
    with run.outputs.saving("model") as path:
        path.mkdir()
        (path / "a").write_text("A")
    deliverer.step()
    run.outputs.write_text("late", "never sent")
    deliverer.close()
    shutil.rmtree(Path.cwd() / "lost")
    with enter(place) as context:
        assert "1" == context.outputs.restore("last").read_text()
        assert ["A"] == [path.read_text() for path in context.outputs.restore("model").iterdir()]
        assert context.outputs.restore("late") is None


def test_an_unfinished_run_without_seals_gives_nothing(folder_place):
    """A run that was begun, and died before it sealed anything, is passed over."""
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    run.ended()
    deliverer = run.deliverer(folder_place)
    deliverer.begin(folder_place.url, b"{}")
    deliverer.close()
    with enter(folder_place) as context:
        assert context.outputs.restore("last") is None


def test_a_mixture_of_versions_is_no_version(folder_place):
    """A folder of which only half had arrived in the newer version is not restored."""
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    deliverer = run.deliverer(folder_place)
    for number in "12":
        with run.outputs.saving("model") as path:
            path.mkdir()
            (path / "a").write_text(number)
            (path / "b").write_text(number)
        if number == "1":
            deliverer.step()
    deliverer.close()
    place = folder_place.folder / prefix_of(run.run)
    (place / "live" / "seals.jsonl").write_bytes(run.run.events.read_bytes())
    (place / "outputs" / "model" / "a").write_text("2")
    with enter(folder_place) as context:
        assert context.outputs.restore("model") is None


def test_what_was_there_before_a_newer_version_came_half_is_restored(place, monkeypatch):
    """An index that was shortened tells of what was there; nothing of the newer version is in it."""
    monkeypatch.setattr(index, "_LONG_BYTES", 0)
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    deliverer = run.deliverer(place)
    for name in ("b", "gone"):
        run.outputs.write_text(f"model/{name}", "1")
    run.outputs.write_text("gone", "1")
    deliverer.step()
    with run.outputs.saving("model") as path:
        path.mkdir()
        for name in "ab":
            (path / name).write_text("2")
    run.outputs.remove("gone")
    deliverer.destination.put("live/seals.jsonl", deliverer._index.data())
    deliverer.destination.put("outputs/model/a", b"2")
    deliverer.close()
    shutil.rmtree(Path.cwd() / "lost")
    with enter(place) as context:
        restored = context.outputs.restore("model")
        assert {"b": "1", "gone": "1"} == {path.name: path.read_text() for path in restored.iterdir()}
        assert context.outputs.restore("gone") is None


def test_an_older_version_that_is_there_is_restored(place, monkeypatch):
    """A job that is always writing outruns its delivery: what did arrive is whole, and no mixture is one."""
    monkeypatch.setattr(index, "_LONG_BYTES", 0)
    run = LocalRun(Home.of(Path.cwd() / "lost"))
    deliverer = run.deliverer(place)
    for number in "12":
        run.outputs.write_text("last", number)
        run.outputs.write_text("model/a", number)
        run.outputs.write_text("model/b", number)
        if number == "2":
            (run.folder / "last").write_text("3")
            (run.folder / "model" / "b").write_text("3")
        deliverer._index_at = 0.0
        deliverer.step()
    deliverer.destination.put("live/seals.jsonl", deliverer._index.data())
    deliverer.close()
    shutil.rmtree(Path.cwd() / "lost")
    with enter(place) as context:
        assert "1" == context.outputs.restore("last").read_text()
        assert ["2", "1"] == [context.outputs.restore(f"model/{name}").read_text() for name in "ab"]
        assert context.outputs.restore("model") is None


def test_a_store_that_cannot_be_asked_is_an_error(folder_place):
    """An older version than there is must not be taken for the newest."""
    deliver_once(folder_place, last="x")
    with enter(folder_place) as context:
        folder_place.folder.rename(folder_place.folder.with_name("aside"))
        folder_place.folder.write_text("in the way")
        with pytest.raises(OutputError, match="cannot be restored"):
            context.outputs.restore("last")
        folder_place.folder.unlink()
        folder_place.folder.with_name("aside").rename(folder_place.folder)


def test_names_that_lead_elsewhere_are_not_restored(folder_place):
    """Whoever writes a manifest cannot write outside of the copy's folder."""
    run = deliver_once(folder_place, last="x")
    place = folder_place.folder / prefix_of(run.run)
    (remote,) = runs_at(destination_at(folder_place), "job-1")
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"].append({**manifest["files"][-1], "path": "outputs/../../escaped"})
    data = json.dumps(manifest).encode()
    (place / "manifest.json").write_bytes(data)
    final = json.loads((place / "final.json").read_text())
    import hashlib

    final["manifest"] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (place / "final.json").write_text(json.dumps(final))
    target = Path.cwd() / "target" / "deep"
    from hyperplane.masking import Masker

    remote.fetch(target, Masker())
    assert not list(Path.cwd().rglob("escaped"))


def test_a_run_is_fetched_and_verified(place):
    """Everything that was delivered comes back; what is there already is not fetched again."""
    run = deliver_once(place, last="x")
    told = dict(place.variables)
    done = run_command("fetch", "last", "--from", place.url, **told)
    assert 0 == done.returncode, done.stderr
    folder = Path(run.run.run_id)
    files = [path for path in folder.rglob("*") if path.is_file()]
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    expected = run.there(place)
    assert {path: data for path, data in expected.items() if path != "run.json"} == there
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("outputs/*")}
    (folder / "outputs" / "last").write_text("changed here")
    done = run_command("fetch", run.run.run_id[:13], str(folder), "--from", place.url, "--json", **told)
    assert 0 == done.returncode, done.stderr
    answer = json.loads(done.stdout)
    assert ("succeeded", len(expected) - 3) == (answer["outcome"], answer["files"])
    assert b"x" == (folder / "outputs" / "last").read_bytes()
    kept = [path for path in stamps if path.name != "last"]
    assert all(stamps[path] == path.stat().st_mtime_ns for path in kept)


def test_a_damaged_run_is_not_fetched(folder_place):
    """An object that is not as it was delivered is an error that names it, and no file."""
    run = deliver_once(folder_place, last="x")
    (folder_place.folder / prefix_of(run.run) / "outputs" / "last").write_text("damaged")
    done = run_command("fetch", "last", HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert 75 == done.returncode
    assert "outputs/last is not as it was delivered" in done.stderr
    assert not (Path(run.run.run_id) / "outputs" / "last").exists()


def test_a_run_that_was_not_delivered_is_not_fetched(folder_place):
    """Only `final.json` says that a run is there."""
    run = deliver_once(folder_place, last="x")
    folder_place.remove(f"{prefix_of(run.run)}final.json")
    done = run_command("fetch", "job-1", HYPERPLANE_OUTPUT_URL=folder_place.url)
    assert 64 == done.returncode
    assert "is not delivered: there is no" in done.stderr


def test_runs_at_a_destination_are_listed(place):
    """Delivered ones with how they ended, and those that were begun as pending, newest first."""
    delivered = deliver_once(place, last="x")
    begun = LocalRun(Home.of(Path.cwd() / "lost"))
    ending = begun.ended("running", None)
    deliverer = begun.deliverer(place)
    deliverer.begin(place.url, json.dumps(dict(ending.record)).encode())
    deliverer.close()
    done = run_command("runs", "--from", place.url, "--json", **place.variables)
    assert 0 == done.returncode, done.stderr
    found = [(run["run_id"], run["delivery"]) for run in json.loads(done.stdout)["runs"]]
    assert [(begun.run.run_id, "pending"), (delivered.run.run_id, "delivered")] == found
    (folder,) = [path for path in [prefix_of(begun.run)] if path]
    place.remove(f"{folder}run.json")
    for path in [path for path in place.objects() if path.startswith(folder)]:
        place.remove(path)


@pytest.mark.parametrize(
    ("words", "variables", "problem"),
    [
        (["runs", "--from", "ftp://x/"], {}, "is no destination"),
        (["runs", "--from", "none"], {}, "no destination is named"),
        (["fetch", "last"], {}, "no destination is named"),
        (["fetch", "2000", "--from", "{url}"], {}, "no run goes by '2000'"),
        (["fetch", "2", "--from", "{url}"], {}, "runs go by '2'"),
    ],
)
def test_what_cannot_be_found_is_said(folder_place, words, variables, problem):
    """Each with exit code 64 and in words."""
    deliver_once(folder_place, last="x")
    other = LocalRun(Home.of(Path.cwd() / "other"))
    shutil.copytree(
        folder_place.folder / "job-1", folder_place.folder / "job-2", copy_function=shutil.copyfile
    )
    assert other.run.run_id[0] == "2"
    done = run_command(*(word.format(url=folder_place.url) for word in words), **variables)
    assert 64 == done.returncode
    assert problem in done.stderr


def test_a_record_that_is_gone_is_no_reason_to_list_nothing(folder_place):
    """A run of which only the folder is there is listed as pending."""
    (folder_place.folder / "job-1" / "20260101-000000-000000" / "outputs").mkdir(parents=True)
    done = run_command("runs", "--from", folder_place.url)
    assert "20260101-000000-000000" in done.stdout


def test_a_manifest_that_is_another_is_not_believed(folder_place):
    """Only the one that `final.json` speaks of counts."""
    run = deliver_once(folder_place, last="x")
    (remote,) = runs_at(destination_at(folder_place), "job-1")
    (folder_place.folder / prefix_of(run.run) / "manifest.json").write_text("{}")
    with pytest.raises(DeliveryError, match=r"manifest\.json is not as it was delivered"):
        remote.manifest(remote.final())
    assert isinstance(remote.place, FolderDestination)


def test_deliver_says_what_it_did_and_what_waits(folder_place):
    """One line a run; with `--json` the same for programs, and 75 while something waits."""
    run = LocalRun()
    run.outputs.write_text("a", "a" * 1000)
    deliverer = run.deliverer(folder_place)
    deliverer.ledger.note_begun(folder_place.url, str(run.folder))
    deliverer.close()
    run.ended(output_url=folder_place.url)
    run.lock.close()
    folder_place.folder.write_text("in the way")
    done = run_command("deliver", "--all")
    assert (75, True) == (done.returncode, f"{run.run.run_id}  pending: " in done.stdout)
    done = run_command("deliver", "last", "--json")
    assert ("pending", 75) == (json.loads(done.stdout)["runs"][0]["delivery"], done.returncode)
    folder_place.folder.unlink()
    assert "waiting      1 sealed outputs, 1000 B" in run_command("show").stdout
    done = run_command("deliver", "--json", "--all")
    assert ("delivered", 0) == (json.loads(done.stdout)["runs"][0]["delivery"], done.returncode)
    assert "no run waits to be delivered" in run_command("deliver", "--all").stdout
    assert "was delivered already" in run_command("deliver").stdout
    shown = run_command("show").stdout
    assert f"destination  {folder_place.url}" in shown
    assert "delivered    2 files" in shown
    assert "delivered" == record.read(run.run).delivery


@pytest.mark.parametrize("lock", [True, False])
def test_what_cannot_be_delivered_is_refused(lock):
    """A run that goes on, and one that goes nowhere."""
    run = LocalRun()
    run.ended(delivery="none", started=None)
    if not lock:
        run.lock.close()
    done = run_command("deliver")
    assert 64 == done.returncode
    assert ("is still running" if lock else "has no destination") in done.stderr


def test_a_run_whose_record_is_lost_is_delivered_and_never_pruned(folder_place):
    """A `run.json` that cannot be read makes no run worthless."""
    run = LocalRun()
    run.outputs.write_text("a", "a")
    deliverer = run.deliverer(folder_place)
    deliverer.ledger.note_begun(folder_place.url, str(run.folder))
    deliverer.close()
    run.run.record.write_text("{")
    run.lock.close()
    run_command("prune", "--keep", "0")
    assert run.run.path.exists()
    done = run_command("deliver", "--all")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert b"a" == run.there(folder_place)["outputs/a"]
