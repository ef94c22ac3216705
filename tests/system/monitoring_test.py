"""Debian's Prometheus with our rules over a live cluster: a job runs, its ranks stop and die, a worker is
killed, and the right alerts are pending, fire and go; every query of every dashboard returns data."""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from cluster import BIN, ROOT, Cluster, sections_spec, wait_for

RULES = ROOT / "monitoring/prometheus/rules"
DASHBOARDS = sorted((ROOT / "monitoring/grafana").glob("*.json"))

# What no query of these metrics can return here, as nothing of the kind happens: they have to be
# families all the same (monitoring_metrics_promtool_test compares names with the code's).
NOT_REACHED = {
    "tutti_train_nonfinite_steps_total": "a loss that is not a number",
    "tutti_wire_dropped_frames_total": "a damaged frame from a worker",
    "tutti_wire_refused_peers_total": "a stranger at the workers' port",
    'code=~"5.."': "a request that fails",
}

# Shorter than what people get, so that the test lasts a minute. All that is changed is here.
SHORTER = [
    (re.compile(r"for: \d+m\b"), "for: 2s"),
    (re.compile(r"\[10m\]"), "[4s]"),
    (re.compile(r"\[5m\]"), "[5s]"),
    (re.compile(r"tutti_queue_oldest_wait_seconds > 900"), "tutti_queue_oldest_wait_seconds > 2"),
]


def prometheus_program():
    """The path of Debian's prometheus beside its promtool; None when it cannot be had."""
    found = subprocess.run([ROOT / "packaging/promtool.sh"], capture_output=True, text=True)
    program = pathlib.Path(found.stdout.strip() or "/").parent / "prometheus"
    return program if program.is_file() else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """With the shipped configuration and rules, but for paths, the target and times."""

    def __init__(self, program, cluster):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tutti-test-prometheus-"))
        (self.dir / "rules").mkdir()
        for path in sorted(RULES.glob("*.yml")):
            (self.dir / "rules" / path.name).write_text(self.shorten(path))
        config = (RULES.parent / "prometheus.yml").read_text()
        target = cluster.endpoint["url"].removeprefix("https://")
        for old, new in [("15s", "1s"), ("/etc/prometheus/tutti.pem", str(cluster.dir / "coordinator/tls/cert.pem")),
                         ("[tutti.example.com:7717]", f"['{target}']")]:
            assert old in config, old
            config = config.replace(old, new)
        (self.dir / "prometheus.yml").write_text(config)
        self.port = free_port()
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(
            [program, f"--config.file={self.dir / 'prometheus.yml'}", f"--storage.tsdb.path={self.dir / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.started = time.time()

    @staticmethod
    def shorten(path):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            for pattern, shorter in SHORTER:
                lines[number] = pattern.sub(shorter, lines[number])
            if lines[number] != line:
                print(f"{path.name}:{number + 1}: {lines[number].strip()}")
        return "\n".join(lines) + "\n"

    def close(self, failed):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        if failed:
            print((self.dir / "log").read_text()[-8000:])
        shutil.rmtree(self.dir)

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error

    def serves(self):
        assert self.process.poll() is None, "Prometheus ended"
        try:
            targets = self.get("targets")["activeTargets"]
        except (OSError, AssertionError):
            return False  # not yet
        if targets and targets[0]["lastError"]:
            print(targets[0]["lastError"])
        return bool(targets) and targets[0]["health"] == "up"

    def alerts(self, name, state, **labels):
        return [a for a in self.get("alerts")["alerts"]
                if a["labels"]["alertname"] == name and a["state"] == state and labels.items() <= a["labels"].items()]

    def values(self, query):
        """Finite values of every series over the test so far."""
        series = self.get("query_range", query=query, start=self.started, end=time.time(), step="1s")["result"]
        return [v for each in series for _, v in each["values"] if math.isfinite(float(v))]


def spec(name, ranks, **training):
    made = sections_spec(name, **{"max_steps": 100000, "save_steps": 50, "eval_steps": 100, "shards": 2,
                                  "micro_batch_size": 4, "global_batch_size": 8, "save_total_limit": 2, **training})
    made["data"]["max_length"] = 32
    made["resources"] = {"ranks": ranks}
    return made


class Monitoring(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(workers=1, slots=1, extra=["--tls"]).__enter__()
        self.prometheus = None
        try:
            self.join("--join", self.cluster.run("worker", "token", check=True).stdout.strip(), "--name", "two",
                      "--slots", "1")
            self.prometheus = Prometheus(PROGRAM, self.cluster)
            wait_for("Prometheus to scrape", self.prometheus.serves, 30)
        except BaseException:
            self.finish(failed=True)
            raise

    def tearDown(self):
        result = self._outcome.result
        self.finish(failed=bool(result.failures or result.errors))

    def finish(self, failed):
        if self.prometheus is not None:
            self.prometheus.close(failed)
        if self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait(30)
        self.cluster.__exit__(RuntimeError if failed else None, None, None)

    def join(self, *words):
        """The worker that no supervisor starts again."""
        log = open(self.cluster.dir / "logs/two.log", "ab")
        self.worker = subprocess.Popen([BIN / "tutti-worker", "--dir", self.cluster.dir / "two", *words],
                                       env=self.cluster.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for("worker two", lambda: any(
            w["name"] == "two" and w["state"] == "up" and w["pid"] == self.worker.pid
            for w in self.cluster.http("GET", "/api/v1/workers")["data"]), 30)

    def gang(self, job, ranks):
        """Pids of a running gang of so many ranks."""
        def found():
            pids = self.cluster.rank_pids(job)
            return self.cluster.show(job)["state"] == "running" and len(pids) == ranks and pids
        return wait_for(f"{job} to run on {ranks}", found, 40)

    def fires(self, name, pending=True, **labels):
        if pending:
            wait_for(f"{name} to be pending", lambda: self.prometheus.alerts(name, "pending", **labels), 30)
        wait_for(f"{name} to fire", lambda: self.prometheus.alerts(name, "firing", **labels), 30)
        print(f"{name} fires")

    def is_over(self, name, **labels):
        wait_for(f"{name} to be over", lambda: not self.prometheus.alerts(name, "firing", **labels), 30)

    def wait_seen(self, what, query):
        wait_for(f"Prometheus to see {what}", lambda: self.prometheus.get("query", query=query)["result"], 20)

    def checkpoint_after(self, job, attempt):
        wait_for("a checkpoint", lambda: any(
            c["attempt"] >= attempt for c in self.cluster.http("GET", f"/api/v1/jobs/{job}/checkpoints")["data"]), 30)

    # ---- the test ------------------------------------------------------------------------------

    def test_alerts_fire_and_every_panel_has_data(self):
        stream = self.follow_events()
        self.cluster.http("GET", "/api/v1/jobs", raw=True, headers={"Authorization": "Bearer nobody"})
        tiny = self.cluster.submit(spec("tiny", 1, max_steps=20))["id"]
        self.assertEqual(self.cluster.wait(tiny), 0, self.cluster.show(tiny))
        job = self.cluster.submit(spec("long", {"min": 1, "max": 2}))["id"]
        self.checkpoint_after(job, 1)
        self.assertEqual(self.prometheus.alerts("TuttiNodeDown", "firing"), [])
        self.ranks_stop(job)
        self.ranks_die(job)
        self.worker_dies(job)
        self.worker_returns(job)
        self.panels_have_data()
        self.rules_are_healthy()
        stream.close()

    def follow_events(self):
        token = pathlib.Path(self.cluster.endpoint["token_file"]).read_text().strip()
        return urllib.request.urlopen(
            urllib.request.Request(self.cluster.endpoint["url"] + "/api/v1/events",
                                   headers={"Authorization": f"Bearer {token}"}),
            timeout=120, context=self.cluster.tls_context())

    def ranks_stop(self, job):
        """A stopped rank is named, the job makes no steps; both are over when it goes on, or its gang is
        started anew."""
        pid = self.gang(job, 2)[1]
        self.wait_seen("its steps", f'changes(tutti_train_step{{job="{job}"}}[4s]) > 0')
        os.kill(pid, signal.SIGSTOP)
        self.fires("TuttiRanksStalled", job=job)
        self.fires("TuttiJobStalled", pending=False, job=job)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
        self.is_over("TuttiRanksStalled", job=job)
        self.is_over("TuttiJobStalled", job=job)

    def ranks_die(self, job):
        for _ in range(2):
            attempt = self.cluster.wait_state(job, "running")["attempt"]
            self.checkpoint_after(job, attempt)
            os.kill(self.gang(job, 2)[0], signal.SIGKILL)
            wait_for("the next attempt", lambda: self.cluster.show(job)["attempt"] > attempt, 30)
        self.gang(job, 2)
        self.wait_seen("two recoveries", 'tutti_job_recovery_duration_seconds_count{reason="crash"} >= 2')
        self.cluster.run("resize", job, "--ranks", "1", check=True)
        self.gang(job, 1)
        self.cluster.run("resize", job, "--ranks", "2", check=True)
        self.gang(job, 2)

    def worker_dies(self, job):
        """Its alert is pending, then fires; the job, which needs both workers, waits beside a free slot."""
        self.worker.kill()
        self.worker.wait()
        killed = time.monotonic()
        self.fires("TuttiNodeDown", node="two")
        print(f"{time.monotonic() - killed:.1f} s after the kill")
        self.assertEqual([a["labels"]["node"] for a in self.prometheus.alerts("TuttiNodeDown", "firing")], ["two"])
        self.fires("TuttiQueueStuck", pending=False, queue="default")
        self.assertEqual(self.cluster.show(job)["state"], "recovering")

    def worker_returns(self, job):
        self.join()
        self.gang(job, 2)
        self.is_over("TuttiNodeDown")
        self.is_over("TuttiQueueStuck")
        self.cluster.run("cancel", job, check=True)
        self.cluster.wait(job)

    # ---- dashboards and rules ------------------------------------------------------------------

    def panels_have_data(self):
        self.assertEqual(len(DASHBOARDS), 4)
        checked, empty, left_out = 0, [], set()
        for path in DASHBOARDS:
            board = json.loads(path.read_text())
            self.check_layout(path.name, board)
            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                    matched = self.prometheus.get(f"label/{label}/values", **{"match[]": self.filled(metric)})
                    self.assertTrue(matched, f"{path.name}: {variable['definition']}")
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    checked += 1
                    why = {w for part, w in NOT_REACHED.items() if part in target["expr"]}
                    if self.prometheus.values(self.filled(target["expr"])):
                        continue
                    if why:
                        left_out |= why
                    else:
                        empty.append(f"{path.name}: {panel['title']}: {target['expr']}")
        print(f"{checked} queries; without data, for want of: {', '.join(sorted(left_out))}")
        self.assertEqual(empty, [])

    @staticmethod
    def filled(expr):
        for variable, value in [("$__rate_interval", "10s"), ("$instance", ".*"), ("$job", ".*"), ("$queue", ".*")]:
            expr = expr.replace(variable, value)
        assert "$" not in expr, expr
        return expr

    def check_layout(self, name, board):
        """Panels do not lie over each other, have ids of their own and ask the chosen data source."""
        cells, ids = set(), set()
        self.assertEqual(board["uid"] + ".json", name)
        for panel in board["panels"]:
            self.assertNotIn(panel["id"], ids, name)
            ids.add(panel["id"])
            at = panel["gridPos"]
            mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24, f"{name}: {panel['title']}")
            self.assertFalse(cells & mine, f"{name}: {panel['title']} lies over another panel")
            cells |= mine
            for target in panel.get("targets", []):
                self.assertEqual(target["datasource"]["uid"], "${datasource}")

    def rules_are_healthy(self):
        rules = [rule for group in self.prometheus.get("rules")["groups"] for rule in group["rules"]]
        self.assertEqual([r["name"] for r in rules if r["health"] != "ok"], [])
        # Of a rule that records, the other side of its name is never empty.
        for rule in rules:
            if rule["type"] == "recording":
                self.assertTrue(self.prometheus.values(rule["name"]), rule["name"])


if __name__ == "__main__":
    PROGRAM = prometheus_program()
    if PROGRAM is None:
        print("NOT CHECKED: packaging/promtool.sh found no Prometheus")
        sys.exit(1 if os.environ.get("CI") == "true" else 77)
    unittest.main(verbosity=2)
