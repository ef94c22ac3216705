#!/usr/bin/python3
"""A short life of a coordinator: jobs submitted through the command line, many clients at once,
cancelled, SIGTERM, SIGKILL, and everything is still there.

    tests/sanitize.d/life.py BIN      a folder with tutti and tutti-coordinator
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "jobs/examples"
PATIENCE_S = 120


class Coordinator:
    def __init__(self, folder, bin_dir):
        self.dir, self.bin = pathlib.Path(folder), pathlib.Path(bin_dir).resolve()
        self.process = None

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "tutti-coordinator", "--data-dir", self.dir, "--http", "127.0.0.1:0",
                 "--zmq", "127.0.0.1:0"], stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self.process.poll() is None, f"it ended: {self.log()}"
            assert time.monotonic() < deadline, f"it does not serve: {self.log()}"
            try:
                where = json.loads((self.dir / "coordinator/serving.json").read_text())
                if where["pid"] == self.process.pid:
                    break
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        self.url = where["url"]
        self.token = (self.dir / "token").read_text().strip()

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        expected = 0 if number == signal.SIGTERM else -number
        assert code == expected, f"exit {code}, expected {expected}: {self.log()}"

    def log(self):
        return (self.dir / "log").read_text(errors="replace")[-4000:]

    def run(self, *words, code=0):
        env = {**os.environ, "TUTTI_URL": self.url, "TUTTI_TOKEN": self.token, "NO_COLOR": "1",
               "TUTTI_DATA_DIR": str(self.dir)}
        result = subprocess.run([self.bin / "tutti", *map(str, words)], env=env, capture_output=True,
                                text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        assert result.returncode == code, f"{words}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout

    def get(self, path):
        request = urllib.request.Request(self.url + path,
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.read()

    def stream(self, stop):
        """Follows every event until `stop` is set; how many lines came."""
        request = urllib.request.Request(self.url + "/api/v1/events",
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            lines = 0
            while not stop.is_set() and answer.readline():
                lines += 1
            return lines


def spec_file(folder, name):
    path = pathlib.Path(folder) / f"{name}.json"
    path.write_text(json.dumps({
        "name": name, "task": "text-classification", "model": str(EXAMPLES / "models/bert-tiny"),
        "data": {"train": str(EXAMPLES / "data/sections.train.jsonl"), "eval": 0.1}}))
    return path


def many_clients(coordinator, specs):
    """Submits each spec from a thread of its own while others read, and one follows the events."""
    failures, stop = [], threading.Event()

    def guarded(work, *arguments):
        try:
            work(*arguments)
        except Exception as error:  # of a thread: told by the main one
            failures.append(error)

    def read():
        for path in ["/api/v1/jobs?all=1", "/api/v1/cluster", "/metrics", "/api/v1/queues",
                     "/api/v1/workers", "/api/v1/models", "/healthz", "/api/v1/openapi.json"] * 4:
            coordinator.get(path)

    follower = threading.Thread(target=guarded, args=(coordinator.stream, stop))
    follower.start()
    threads = [threading.Thread(target=guarded, args=(coordinator.run, "submit", spec, "--hold"))
               for spec in specs]
    threads += [threading.Thread(target=guarded, args=(read,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    stop.set()
    coordinator.run("submit", spec_file(coordinator.dir, "last"), "--hold")  # ends the follower's wait
    follower.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in [*threads, follower]), "a client hangs"
    assert not failures, failures


def main():
    bin_dir = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="tutti-life-") as folder:
        coordinator = Coordinator(folder, bin_dir)
        coordinator.start()
        try:
            many_clients(coordinator, [spec_file(folder, f"job-{i}") for i in range(3)])
            names = {"job-0", "job-1", "job-2", "last"}
            coordinator.run("cancel", "job-1")
            for number in (signal.SIGTERM, signal.SIGKILL):
                coordinator.end(number)
                coordinator.start()
                jobs = json.loads(coordinator.get("/api/v1/jobs?all=1"))["data"]
                assert {job["name"] for job in jobs} == names, jobs
                states = {job["name"]: job["state"] for job in jobs}
                assert states["job-1"] == "cancelled" and states["job-0"] != "cancelled", states
                assert "job-2" in coordinator.run("ps", "--all")
                assert "job-0" in coordinator.run("show", "job-0")
            coordinator.end(signal.SIGTERM)
        finally:
            if coordinator.process.poll() is None:
                coordinator.process.kill()
                coordinator.process.wait()
    print("life: ok")


if __name__ == "__main__":
    main()
