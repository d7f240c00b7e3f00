"""Runs on disk as the tests of outputs want them: an outputs folder, its journal, and earlier runs."""

from hyperplane import journal
from hyperplane.facets.outputs import Outputs
from hyperplane.journal import Journal
from hyperplane.masking import Masker
from hyperplane.rundir import RunDir, is_part

SECRET = "sesame-opens-it"
_NOT_COMPARED = frozenset({"time", "pid", "seq", "mtime_ns", "ctime_ns", "inode"})


class Runs:
    """The runs of one job, made one after the other; the masker knows a secret."""

    def __init__(self, folder):
        self.masker = Masker()
        self.masker.add("door", SECRET)
        self.all = []
        self._folder = folder
        self._made = []

    def outputs(self, **keywords):
        """Return the outputs of a further run, which knows the earlier ones."""
        run = RunDir(self._folder / f"run-{len(self.all)}")
        run.path.mkdir(parents=True)
        earlier = tuple(reversed(self.all))
        self.all.append(run)
        stored = Journal(run.events, self.masker)
        outputs = Outputs(
            **{
                "folder": run.outputs,
                "masker": self.masker,
                "journal": stored,
                "earlier": earlier,
                **keywords,
            }
        )
        self._made.append((outputs, stored))
        return outputs

    @property
    def events(self):
        """The events of the newest run, without their stamps and times."""
        return [
            {name: value for name, value in event.items() if name not in _NOT_COMPARED}
            for event in journal.read(self.all[-1].events)
        ]

    @property
    def kinds(self):
        """The kinds and names of the events of the newest run."""
        return [(event["kind"], event.get("name")) for event in self.events]

    def close(self):
        """Close every run."""
        for outputs, stored in self._made:
            outputs.close()
            stored.close()


def files_in(folder):
    """Return what lies below a folder: names and contents of files, None for folders; ours marked `part`."""
    return {
        "/".join("part" if is_part(part) else part for part in path.relative_to(folder).parts): (
            None if path.is_dir() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
    }
