"""Durable submits: 64 clients against a coordinator with its SQLite, beside the disk's own rate of fsyncs.

A coordinator alone, without workers: what is measured is the way from a request to its durable answer.
"""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request
import uuid

from cluster import BIN, EXAMPLES, wait_for

CLIENTS = 64
COUNT = 15_000  # a run; all runs together stay below the 100,000 live jobs a cluster may have
RUNS_MAX = 6


@contextlib.contextmanager
def coordinator(env):
    """(data folder, {"url", …}) of one that serves; stopped and removed at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tutti-bench-"))
    with open(folder / "coordinator.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen([BIN / "tutti-coordinator", "--data-dir", folder, "--http", "127.0.0.1:0",
                                    "--zmq", "127.0.0.1:0"], stdout=log, stderr=log, env=env)
    try:
        serving = folder / "coordinator/serving.json"
        wait_for("the coordinator", lambda: serving.exists() or process.poll() is not None, 30)
        yield folder, json.loads(serving.read_text())
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def body_of(folder, url, token):
    """What a client sends: the spec of an example, resolved, its files uploaded."""
    env = {"TUTTI_URL": url, "TUTTI_TOKEN": token, "TUTTI_DATA_DIR": str(folder)}
    made = subprocess.run([BIN / "tutti", "submit", EXAMPLES / "package-sections.yaml", "--hold", "--json"],
                          env={**os.environ, **env}, check=True, timeout=60, capture_output=True, text=True)
    request = urllib.request.Request(f"{url.rstrip('/')}/api/v1/jobs/{json.loads(made.stdout)['id']}/spec",
                                     headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        spec = json.load(answer)
    return {"spec": {**spec, "name": f"bench-{uuid.uuid4().hex[:8]}"}, "hold": True}


def measure(program, runs, sync_ms=0):
    """[(syncs a second, submits a second, median ms, 99th percentile ms)] of each run; with a disk whose syncs
    take so much longer."""
    env = {**os.environ}
    if sync_ms:
        env.update({"LD_PRELOAD": str(program.parent / "slow_disk.so"), "SLOW_DISK_MS": str(sync_ms)})
    with coordinator(env) as (folder, serving):
        token = (folder / "token").read_text().strip()
        body = folder / "body.json"
        body.write_text(json.dumps(body_of(folder, serving["url"], token)))
        out = subprocess.run([program, serving["url"].rsplit(":", 1)[1].strip("/"), token, body, folder, str(CLIENTS),
                              str(COUNT), str(min(runs, RUNS_MAX))], check=True, timeout=600, capture_output=True,
                             text=True, env=env).stdout
    return [tuple(float(word) for word in line.split()) for line in out.splitlines()]
