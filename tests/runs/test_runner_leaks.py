"""A thousand secrets under `hyperplane run`: none of them, in any spelling, where others could read it."""

import base64
import html
import json
import random
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from hyperplane.secretsources.vault import NewEntry, Vault

COUNT = 1000
LETTERS = "abcdefghijkLMNOPQRSTUVWXYZ0123456789-_+/=%&?!$#@ <>'\"\\äß€"
EXPOSED = "s7"
JOB = """
import pathlib, sys, time
sys.path.insert(0, {folder!r})
from spellings import spellings_of
import hyperplane
with hyperplane.JobContext() as ctx:
    names = ctx.secrets.names()
    for name in names:
        for spelling in spellings_of(ctx.secrets[name]):
            print(spelling)
            print(spelling, file=sys.stderr)
        ctx.report(f"have {{name}}", value=ctx.secrets[name])
        ctx.log.info(ctx.secrets[name], spelling=spelling)
    print(len(names), "ready", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    raise ValueError([ctx.secrets[name] for name in names])
"""


def spellings_of(value):
    """Return the spellings of a value that logs are known to have."""
    data = value.encode()
    cores = []
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data)
        # without the characters that depend on what stands before and after
        cores.append(encoded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6].decode())
    return {
        value,
        *cores,
        *(core.replace("+", "-").replace("/", "_") for core in cores),
        data.hex(),
        data.hex().upper(),
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value))[3:-3],
        repr(value)[1:-1],
        html.escape(value),
        html.escape(value, quote=False),
        html.escape(value).replace("&#x27;", "&#39;"),
        re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(value, safe="")),
        value.replace("'", "'\\''"),
        value.replace("'", "'\"'\"'"),
        value.replace('"', '\\"'),
        json.dumps(json.dumps(value, ensure_ascii=False), ensure_ascii=False)[3:-3],
        ascii(value)[1:-1],
        repr(data)[2:-1],
        shlex.quote(value)[1:-1] if shlex.quote(value) != value else value,
    }


def random_secrets():
    """Return secrets of 12 to 40 characters; they can stand in a `.env` file and in the environment."""
    choice = random.Random(20261127)
    return {
        f"s{number}": "".join(choice.choices(LETTERS, k=choice.randint(12, 40))).strip() + "x"
        for number in range(COUNT)
    }


def placed(secrets, home):
    """Put each secret into one of four sources, and return the variables that say so."""
    vault = Vault(home / ".local/share/hyperplane/vault", home / ".config/hyperplane/vault.key")
    sources = [list(secrets.items())[kind::4] for kind in range(4)]
    vault.put([NewEntry(name, value.encode()) for name, value in sources[0]])
    Path("mounts").mkdir()
    for name, value in sources[1]:
        Path("mounts", name).write_text(value)
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in sources[2]}
    Path(".env").write_text("".join(f'HYPERPLANE_SECRET_{n}="{v}"\n' for n, v in quoted.items()))
    return {"HYPERPLANE_SECRETS_DIR": "mounts"} | {f"HYPERPLANE_SECRET_{n}": v for n, v in sources[3]}


def leaks(secrets, places):
    """Return which secrets stand where, in whichever spelling."""
    found = []
    for name, value in secrets.items():
        spellings = [spelling.encode() for spelling in spellings_of(value)]
        for place, data in places.items():
            found += [(name, place)] if any(spelling in data for spelling in spellings) else []
    return found


def processes_of(runner):
    """Return what others can see of a runner and its job, and the environment of the job."""
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    (job,) = [pid for pid in children if b"job.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    seen = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (str(runner), *children)}
    ps = subprocess.run(["ps", "auxww"], capture_output=True, check=True).stdout
    return {**seen, "ps": ps, "environment": Path(f"/proc/{job}/environ").read_bytes()}


@pytest.mark.needs("ps")
def test_no_secret_is_where_others_could_read_it(start, tmp_path, variables):
    """Not in run folders, manifests, tracebacks, `ps`, command lines, nor the job's environment."""
    secrets = random_secrets()
    Path("spellings.py").write_text(Path(__file__).read_text())
    Path("job.py").write_text(JOB.format(folder=str(Path.cwd())))
    names = [name for name in secrets if name != EXPOSED]
    Path("job.yaml").write_text(
        f"main: job.py\nsecrets: [{{{EXPOSED}: {{env: ASKED_FOR}}}}, {', '.join(names)}]\n"
    )
    given = placed(secrets, tmp_path / "home")
    runner = start("run", "job.yaml", text=False, env=variables(**given), stderr=subprocess.DEVNULL)
    shown = b""
    while b"ready" not in shown:
        shown += runner.stdout.readline()
    seen = processes_of(runner.pid)
    Path("go").touch()
    shown += runner.stdout.read()
    assert (1, True) == (runner.wait(), b"\n1000 ready\n" in shown)

    written = {str(path): path.read_bytes() for path in Path(".hyperplane").rglob("*") if path.is_file()}
    stderr = next(data for name, data in written.items() if name.endswith("stderr.log"))
    events = next(data for name, data in written.items() if name.endswith("events.jsonl"))
    assert (True, True) == (b"ValueError: [" in stderr, events.count(b'"kind": "report"') >= COUNT)
    assert [(EXPOSED, "environment")] == leaks(secrets, {**seen, **written, "stdout": shown})
