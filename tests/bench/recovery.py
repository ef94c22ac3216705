"""Recovery: a rank is killed; how long until the gang has trained its next step from the checkpoint.

Ours is a two-rank job on a worker. The peer is the same engine, model, data and checkpoint under mpirun with a loop
around it that starts it again when it ends, as people do. Both start from the same checkpoint each time, and the clock
stops at the first step that is trained beyond it.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import urllib.request

from cluster import BIN, EXAMPLES, Cluster, sections_spec, wait_for

SAVED = 10  # the step of the checkpoint; attempts are killed before the next one


def job_spec():
    spec = sections_spec("recovery", max_steps=100_000, save_steps=SAVED, save_total_limit=2,
                         micro_batch_size=8, global_batch_size=32)
    spec["data"] = {"train": spec["data"]["train"], "max_length": 64}
    spec["training"].pop("eval_steps")
    spec["resources"] = {"ranks": 2}
    spec["retry"] = {"max_attempts": 100, "on": ["crash"]}
    return spec


class Phases:
    """Milliseconds from the kill to each named moment, by run."""

    def __init__(self):
        self.times = {}

    def add(self, moments):
        for name, seconds in moments.items():
            self.times.setdefault(name, []).append(seconds * 1e3)

    def show(self):
        parts, before = [], 0.0
        for name, times in self.times.items():
            now = statistics.median(times)
            parts.append(f"{name} {now - before:.0f}")
            before = now
        return ", ".join(parts)


# ---- ours ------------------------------------------------------------------------------------------------------------


class Events:
    """A job's events with the time at which they came, from a thread that reads the stream."""

    def __init__(self, cluster, job):
        token = pathlib.Path(cluster.endpoint["token_file"]).read_text(encoding="utf-8").strip()
        request = urllib.request.Request(f"{cluster.endpoint['url']}/api/v1/events?job={job}",
                                         headers={"Authorization": f"Bearer {token}"})
        self.stream = urllib.request.urlopen(request, timeout=120)
        self.seen = []
        self.news = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for line in self.stream:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    with self.news:
                        self.seen.append((time.monotonic(), event))
                        self.news.notify_all()
        except (OSError, ValueError, AttributeError):
            pass  # the cluster goes down

    def first(self, kind, begin, **wanted):
        """The moment of the first event of a kind from index `begin` on, and its index."""
        def find():
            for index in range(begin, len(self.seen)):
                at, event = self.seen[index]
                if event["type"] == kind and all(event.get(k) == v for k, v in wanted.items()):
                    return at, index
            return None
        with self.news:
            assert self.news.wait_for(find, 60), f"no {kind} within a minute"
            return find()


def ours(cluster, runs):
    job = cluster.submit(job_spec())["id"]
    events = Events(cluster, job)
    events.first("checkpoint", 0, step=SAVED)
    kept = cluster.dir / "kept"
    shutil.copytree(cluster.dir / "jobs" / job / "checkpoints", kept,
                    ignore=lambda _, names: [n for n in names if f"{SAVED:08}" not in n])
    spec = cluster.http("GET", f"/api/v1/jobs/{job}/spec")
    phases = Phases()
    for run in range(runs):
        begin = len(events.seen)
        victim = cluster.ranks(job)[run % 2]
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        failed, at = events.first("attempt_failed", begin)
        placed, at = events.first("placed", at)
        started, at = events.first("started", at)
        step, _ = events.first("progress", at)
        phases.add({"gang gone": failed - killed, "placed": placed - killed, "ranks ready": started - killed,
                    "first step": step - killed})
    cluster.run("cancel", job, check=True)
    return phases, spec, kept


# ---- mpirun ----------------------------------------------------------------------------------------------------------


class Rank:
    """One rank's link to whoever started it: JSON lines over a socket (docs/formats/enginelink.md)."""

    def __init__(self, connection):
        self.file = connection.makefile("rwb")
        self.pid, self.rank = map(int, self.file.readline().split())

    def send(self, message):
        self.file.write(json.dumps(message).encode() + b"\n")
        self.file.flush()

    def until(self, kind):
        said = None
        while True:
            line = self.file.readline()
            assert line, f"rank {self.rank} ended before it said {kind}; its last words: {said}"
            said = json.loads(line)
            if said["type"] == kind:
                return


class Mpirun:
    def __init__(self, command, folder, spec, checkpoints):
        self.command, self.folder, self.spec, self.checkpoints = command, folder, spec, checkpoints
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(60)
        self.attempt = 1000
        for name in ("export", "cache"):
            (folder / name).mkdir(parents=True)

    def plan(self, rank):
        return {"type": "plan", "job": "j-00000000", "attempt": self.attempt, "spec": self.spec, "rank": rank, "size": 2,
                "local_rank": rank, "local_size": 2, "memory_fd": -1, "model_dir": str(EXAMPLES / "models/bert-tiny"),
                "train_path": str(EXAMPLES / "data/sections.train.jsonl"), "checkpoint_dir": str(self.checkpoints),
                "export_dir": str(self.folder / "export"), "cache_dir": str(self.folder / "cache"), "checkpoints": [],
                "resume": True, "cpus_per_rank": 1, "lease_until_ns": 0}

    def start(self):
        self.attempt += 1
        memory = os.memfd_create("recovery")
        rank = (f"exec 3<>/dev/tcp/127.0.0.1/{self.server.getsockname()[1]} 4<>/proc/{os.getpid()}/fd/{memory}; "
                f"echo $$ $OMPI_COMM_WORLD_RANK >&3; exec {BIN}/tutti-engine train --link-fd 3 --memory-fd 4")
        process = subprocess.Popen([*self.command, "bash", "-c", rank], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, cwd=self.folder,
                                   env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                                        "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"})
        ranks = sorted((Rank(self.server.accept()[0]) for _ in range(2)), key=lambda r: r.rank)
        for each in ranks:
            each.send(self.plan(each.rank))
        os.close(memory)  # theirs are open: they have said who they are
        return process, ranks

    def recover(self, process, ranks, run):
        killed = time.monotonic()
        os.kill(ranks[run % 2].pid, signal.SIGKILL)
        process.wait(60)
        gone = time.monotonic()
        process, ranks = self.start()
        loaded = time.monotonic()
        ranks[0].until("ready")
        ready = time.monotonic()
        ranks[0].until("progress")
        step = time.monotonic()
        return process, ranks, {"gang gone": gone - killed, "processes loaded": loaded - killed,
                                "ranks ready": ready - killed, "first step": step - killed}


def measure(runs, mpirun):
    """(ours, peer): the phases of each, in one run of the benchmark."""
    with Cluster(slots=2) as cluster:
        mine, spec, kept = ours(cluster, runs)
        peer = Mpirun(mpirun, cluster.dir / "mpirun", spec, kept)
        theirs = Phases()
        process, ranks = peer.start()
        ranks[0].until("progress")
        for run in range(runs):
            process, ranks, moments = peer.recover(process, ranks, run)
            theirs.add(moments)
        for each in ranks:
            os.kill(each.pid, signal.SIGKILL)
        process.wait(60)
    return mine, theirs
