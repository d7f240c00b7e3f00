"""Disks that are cut off, full, or locked: what was sealed survives, and arrives when there is room again."""

import pytest
from inmounts import run_in_mounts

SEALING = """
import sys, hyperplane
with hyperplane.JobContext() as ctx:
    for number in range(int(sys.argv[1]) if sys.argv[1:] else 60):
        ctx.outputs.write_text(f"file-{number % 7}", f"{number:04} " * 50)
        with ctx.outputs.saving("model") as path:
            path.mkdir()
            for name in "ab":
                (path / name).write_text(str(number))
        print(number, flush=True)
"""
POWER_CUT = """
work = Path(sys.argv[1])
cut_after = int(sys.argv[2])
os.chdir(work)
sh("truncate -s 64M disk && mkfs.ext4 -q -F disk && mkdir -p disk-1 disk-2 && mount -o loop disk disk-1")
os.chdir("disk-1")
Path("job.py").write_text(open("../job.py").read())
process = start()
for line in process.stdout:
    if int(line) >= cut_after:
        break
# what is on the disk now, and nothing that is on its way there
sh("cp --sparse=always ../disk ../cut")
said = int(line)
process.kill()
process.communicate()
until_free(only_run())
os.chdir(work)
sh("umount disk-1; mount -o loop cut disk-2")
os.chdir("disk-2")
(run,) = Home.of(Path.cwd()).runs()
sealed = {}
for number in range(said + 1):
    later = [n for n in range(number, 60) if n % 7 == number % 7]
    sealed[f"file-{number % 7}"] = tuple((f"{n:04} " * 50).encode() for n in later)
sealed["model/a"] = tuple(str(n).encode() for n in range(said, 60))
# the destination is another disk, and what it has was sent by the run that was cut off
check(run, None, sealed)
there = objects_of(run, place.objects())
assert there["outputs/model/a"] == there["outputs/model/b"]
os.chdir("/")
sh(f"umount {work}/disk-2")
"""


@pytest.mark.needs("mkfs.ext4", "unshare", "root")
@pytest.mark.parametrize("cut_after", [0, 3, 11, 25])
def test_what_was_sealed_survives_a_power_cut(tmp_path, cut_after):
    """An image of the disk, copied in the middle and mounted anew, has every sealed output, whole."""
    (tmp_path / "job.py").write_text(SEALING)
    run_in_mounts(POWER_CUT, tmp_path, cut_after)


FULL = """
work, options = Path(sys.argv[1]), sys.argv[2]
os.chdir(work)
sh(f"mkdir -p small && mount -t tmpfs -o {options} tmpfs small")
os.chdir("small")
Path("job.py").write_text(open("../job.py").read())
process = start()
out, err = process.communicate(timeout=60)
said = [int(line) for line in out.split()]
assert process.returncode != 0, err
runs = Home.of(Path.cwd()).runs()
sh(f"mount -o remount,size=64m,nr_inodes=10000 {work}/small")
if runs and runs[0].delivery.exists() and said:
    sealed = {}
    for number in said:
        later = [n for n in range(number, 400) if n % 7 == number % 7]
        sealed[f"file-{number % 7}"] = tuple((f"{n:04} " * 50).encode() for n in later)
    check(runs[0], process.returncode, sealed)
    print("delivered", len(said))
os.chdir("/")
sh(f"umount {work}/small")
"""
FILLING = SEALING.replace("print(number", "ctx.outputs.append('filling', b'x' * 9000); print(number").replace(
    "else 60", "else 400"
)


@pytest.mark.needs("unshare", "root")
@pytest.mark.parametrize("size", range(100, 700, 85))
def test_a_disk_that_is_full_at_any_byte_loses_nothing(tmp_path, size):
    """The job or the run fails, with a code that says so; with room again, all that was sealed arrives."""
    (tmp_path / "job.py").write_text(FILLING)
    run_in_mounts(FULL, tmp_path, f"size={size}k")


@pytest.mark.needs("unshare", "root")
@pytest.mark.parametrize("inodes", [12, 24, 27])
def test_a_disk_without_inodes_loses_nothing(tmp_path, inodes):
    """The same where there is room and no file can be made."""
    (tmp_path / "job.py").write_text(FILLING)
    run_in_mounts(FULL, tmp_path, f"size=2m,nr_inodes={inodes}")


LOCKED = """
work = Path(sys.argv[1])
os.chdir(work)
sh("mkdir -p disk && mount -t tmpfs tmpfs disk")
os.chdir("disk")
killing = "import os; os.kill(os.getppid(), 9); print("
Path("job.py").write_text(open("../job.py").read().replace("print(", killing))
process = start()
process.communicate()
run = only_run()
until_free(run)
sh(f"mount -o remount,ro {work}/disk")
done = deliver(run)
assert done.returncode not in (0, None), done.stdout
assert "Traceback" not in done.stderr, done.stderr
assert "pending" == record.read(run).delivery
sh(f"mount -o remount,rw {work}/disk")
check(run, None, {})
os.chdir("/")
sh(f"umount {work}/disk")
"""


@pytest.mark.needs("unshare", "root")
def test_a_disk_that_is_locked_is_said(tmp_path):
    """A run on a disk that was remounted read-only waits, with an error in words."""
    (tmp_path / "job.py").write_text(SEALING)
    run_in_mounts(LOCKED, tmp_path)


LIMITED = """
work, limit = Path(sys.argv[1]), sys.argv[2]
os.chdir(work)
told = f"HYPERPLANE_OUTPUT_URL={place.url} HYPERPLANE_JOB_ID=job"
done = subprocess.run(
    f"ulimit {limit}; {told} {sys.executable} -m hyperplane run {sys.executable} job.py 60",
    shell=True, capture_output=True, text=True, timeout=60, executable="/bin/bash",
)
runs = Home.of(Path.cwd()).runs()
said = [int(line) for line in done.stdout.split()]
if runs and runs[0].delivery.exists() and record.read(runs[0]).delivery != "none":
    sealed = {f"file-{n % 7}": tuple((f"{m:04} " * 50).encode() for m in range(n, 60)) for n in said}
    check(runs[0], done.returncode, sealed)
else:
    assert done.returncode != 0
print(done.returncode)
"""


@pytest.mark.needs("unshare", "root")
@pytest.mark.parametrize("limit", ["-f 8", "-f 40", "-n 12", "-n 20", "-n 40"])
def test_limits_of_the_process_lose_nothing(tmp_path, limit):
    """Small limits on the size of files and on open ones fail in words; what was sealed arrives."""
    (tmp_path / "job.py").write_text(SEALING)
    run_in_mounts(LIMITED, tmp_path, limit)


FAILING = """
work, inject = Path(sys.argv[1]), sys.argv[2]
os.chdir(work)
told = {"HYPERPLANE_OUTPUT_URL": place.url, "HYPERPLANE_JOB_ID": "job", "PATH": os.environ["PATH"]}
done = subprocess.run(
    ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={inject}",
     *COMMAND, "run", sys.executable, "job.py", "6"],
    env=told, capture_output=True, text=True, timeout=60,
)
runs = Home.of(Path.cwd()).runs()
said = [int(line) for line in done.stdout.split()]
if runs and runs[0].delivery.exists() and record.read(runs[0]).delivery != "none":
    sealed = {f"file-{n}": tuple((f"{m:04} " * 50).encode() for m in range(n, 60)) for n in said}
    check(runs[0], done.returncode, sealed)
else:
    assert done.returncode != 0, done.stderr
"""


@pytest.mark.needs("strace", "unshare", "root")
@pytest.mark.parametrize(
    "call", ["fsync:error=EIO", "rename,renameat,renameat2:error=EXDEV", "fdatasync:error=EIO"]
)
@pytest.mark.parametrize("when", [1, 2, 4, 7, 12])
def test_calls_that_fail_once_lose_nothing(tmp_path, call, when):
    """A disk that fails a sync or a rename is no success, or it did not matter; what was sealed arrives."""
    (tmp_path / "job.py").write_text(SEALING)
    run_in_mounts(FAILING, tmp_path, f"{call}:when={when}")
