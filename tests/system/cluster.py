"""A real cluster for a test: `tutti up` in a scratch folder, driven through the command line.

    with Cluster(workers=1, slots=4) as cluster:
        job = cluster.submit(spec)
        assert cluster.wait(job["id"]) == 0

Every wait has a deadline. Leaving the block stops the cluster and asserts that nothing is left:
no process, no shared-memory segment, no temporary file.
"""

import glob
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TUTTI_BIN", ROOT / "build/release/bin"))
EXAMPLES = ROOT / "jobs/examples"


def wait_for(what, condition, seconds=30.0):
    """Polls `condition` until it is true; its value. Fails after `seconds`, saying what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)


def processes():
    """{pid: command line} of every process whose program is one of ours, zombies aside."""
    found = {}
    for path in glob.glob("/proc/[0-9]*"):
        try:
            with open(f"{path}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            with open(f"{path}/stat", encoding="utf-8", errors="replace") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        name = os.path.basename(words[0].decode(errors="replace"))
        if name.startswith("tutti") and state != "Z":
            found[int(path[6:])] = b" ".join(words).decode(errors="replace")
    return found


def gang_of(shown, workers):
    """{worker name: rank pids} of the present attempt of the job that is shown, in the order of ranks. Empty
    until they run, and once they are being stopped: what a worker still tells of an attempt before is dead."""
    return {worker["name"]: gang["rank_pids"] for worker in workers for gang in worker["gangs"]
            if gang["job"] == shown["id"] and gang["attempt"] == shown["attempt"] and gang["rank_pids"]
            and not gang["stopping"]}


def shared_memory():
    return set(os.listdir("/dev/shm"))


def mapped_memory():
    """The segments of /dev/shm that a living process has mapped."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/maps"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found.update(re.findall(r" /dev/shm/(\S+)", file.read()))
        except OSError:
            continue
    return found


def environment(pid):
    """The variables a process was started with, as NAME=value bytes; empty for one that is gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return set(file.read().split(b"\0"))
    except OSError:
        return set()


class Cluster:
    def __init__(self, workers=1, slots=None, extra=(), data_dir=None, http="127.0.0.1:0"):
        self.workers, self.slots, self.extra, self.address = workers, slots, list(extra), http
        self.keep = data_dir is not None
        self.dir = pathlib.Path(data_dir or tempfile.mkdtemp(prefix="tutti-test-"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_U")}
        self.env.update(TUTTI_DATA_DIR=str(self.dir), NO_COLOR="1")
        self.tmp = self.dir / "tmp"
        self.tmp.mkdir(parents=True, exist_ok=True)
        self.env["TMPDIR"] = str(self.tmp)

    # ---- life ----------------------------------------------------------------------------------

    def __enter__(self):
        self.memory_before = shared_memory()
        self.up()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.print_logs()
        self.down()
        if kind is None:
            self.assert_nothing_left()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def up(self):
        words = ["up", "--detach", "--http", self.address, "--workers", str(self.workers)]
        if self.slots:
            words += ["--slots-per-worker", str(self.slots)]
        self.run(*words, *self.extra, check=True)
        self.endpoint = json.loads((self.dir / "endpoint.json").read_text())

    def down(self):
        if (self.dir / "endpoint.json").exists() or self.supervisor_alive():
            self.run("down", timeout=60)
        for pid in self.ours():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def supervisor_alive(self):
        return hasattr(self, "endpoint") and self.endpoint["pid"] in processes()

    def ours(self):
        # Other clusters may run on this machine: only processes that were started for this directory.
        mark = f"TUTTI_DATA_DIR={self.dir}".encode()
        return {pid: line for pid, line in processes().items() if mark in environment(pid)}

    def assert_nothing_left(self):
        wait_for("processes to go", lambda: not self.ours(), 10)
        # Another cluster's segments are mapped, but for the moment in which they are made.
        wait_for(f"these to go from /dev/shm: {self.shared_memory_left()}",
                 lambda: not self.shared_memory_left(), 10)
        self.assert_no_temporaries()

    def shared_memory_left(self):
        return shared_memory() - self.memory_before - mapped_memory()

    def assert_no_temporaries(self):
        left = [str(p) for p in self.dir.rglob("*.tmp-*")]
        left += [str(p) for p in self.dir.glob("workers/*/run/*")]
        left += [str(p) for p in self.dir.glob("coordinator/uploads/*")]
        left += [str(p) for p in self.tmp.iterdir()]
        assert not left, f"temporary files left: {left}"

    def print_logs(self):
        for log in sorted((self.dir / "logs").glob("*.log")):
            print(f"---- {log}")
            print("".join(log.read_text(errors="replace").splitlines(True)[-40:]))

    # ---- commands ------------------------------------------------------------------------------

    def run(self, *words, check=False, timeout=120, stdin=None, env=None):
        result = subprocess.run(
            [str(BIN / "tutti"), *map(str, words)], env={**self.env, **(env or {})}, timeout=timeout,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True,
            text=True)
        if check and result.returncode != 0:
            raise AssertionError(f"tutti {' '.join(map(str, words))} gave {result.returncode}\n"
                                 f"{result.stdout}{result.stderr}")
        return result

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", check=True, **options).stdout)

    def submit(self, spec, *options):
        """The job object of a submitted spec: a path, or a dict written as JSON."""
        if isinstance(spec, dict):
            path = self.dir / f"{spec['name']}.json"
            path.write_text(json.dumps(spec))
            spec = path
        return self.json("submit", spec, *options)

    def show(self, job):
        return self.json("show", job)

    def wait(self, job, seconds=120):
        return self.run("wait", job, "--timeout", f"{seconds}s", timeout=seconds + 30).returncode

    def wait_state(self, job, *states, seconds=60):
        def reached():
            shown = self.show(job)
            if shown["state"] in states:
                return shown
            if shown["state"] in ("failed", "cancelled", "succeeded"):
                raise AssertionError(f"{job} is {shown['state']}, not {states}: {shown['message']}")
            return None
        return wait_for(f"{job} to be {' or '.join(states)}", reached, seconds)

    def wait_step(self, job, step, seconds=60):
        return wait_for(f"{job} to reach step {step}",
                        lambda: (self.show(job).get("progress") or {}).get("step", 0) >= step, seconds)

    def gang(self, job):
        return gang_of(self.http("GET", f"/api/v1/jobs/{job}"), self.http("GET", "/api/v1/workers")["data"])

    def rank_pids(self, job):
        return [pid for pids in self.gang(job).values() for pid in pids]

    def ranks(self, job):
        """The pids of the job's ranks, once it has some."""
        return wait_for(f"ranks of {job}", lambda: self.rank_pids(job))

    def tls_context(self):
        if "pin" not in self.endpoint:
            return None
        return ssl.create_default_context(cafile=self.dir / "coordinator/tls/cert.pem")

    def http(self, method, path, body=None, headers=None, raw=False):
        token = pathlib.Path(self.endpoint["token_file"]).read_text().strip()
        request = urllib.request.Request(
            self.endpoint["url"] + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json",
                     **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls_context()) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            data = error.read()
            if not raw:
                raise AssertionError(f"{method} {path}: {error.code} {data.decode()}") from error
            return error.code, data
        return (answer.status, data) if raw else json.loads(data or b"null")


class ClusterTest(unittest.TestCase):
    """Tests that share `cls.cluster`. It is stopped whatever happens, and prints its logs when `prepare` fails."""

    @classmethod
    def start(cls):
        return Cluster()

    @classmethod
    def prepare(cls):
        """What all of the tests need, once the cluster is up."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.start().__enter__()
        try:
            cls.prepare()
        except BaseException:
            cls.cluster.__exit__(RuntimeError, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)


def sections_spec(name, **training):
    """A short job on the shipped sections data; keyword arguments go below `training`."""
    return {
        "name": name,
        "task": "text-classification",
        "model": str(EXAMPLES / "models/bert-tiny"),
        "data": {"train": str(EXAMPLES / "data/sections.train.jsonl"),
                 "eval": str(EXAMPLES / "data/sections.eval.jsonl"), "max_length": 64},
        "training": {"max_steps": 30, "global_batch_size": 32, "micro_batch_size": 8, "shards": 4,
                     "learning_rate": 1e-3, "save_steps": 10, "eval_steps": 30, "logging_steps": 1,
                     **training},
        "resources": {"ranks": {"min": 1, "max": 4}},
    }
