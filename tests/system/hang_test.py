"""Ranks and workers that stop: named in time, taken back when they go on, restarted when they do not."""

import json
import os
import pathlib
import signal
import statistics
import threading
import time
import unittest
import urllib.request

from cluster import Cluster, processes, sections_spec, wait_for


def two_ranks(name, ranks=2, **training):
    spec = sections_spec(name, **training)
    spec["resources"] = {"ranks": ranks}
    return spec


class Events:
    """Every event of a job from now on, read in the background; `close` ends it."""

    def __init__(self, cluster, job):
        token = pathlib.Path(cluster.endpoint["token_file"]).read_text().strip()
        request = urllib.request.Request(f"{cluster.endpoint['url']}/api/v1/events?job={job}",
                                         headers={"Authorization": f"Bearer {token}"})
        self.seen = []
        self.stream = urllib.request.urlopen(request, timeout=120)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            for line in self.stream:
                if line.startswith(b"data: "):
                    self.seen.append(json.loads(line[6:]))
        except (OSError, ValueError, AttributeError):
            pass  # closed

    def of(self, kind, **fields):
        return [e for e in self.seen if e["type"] == kind and fields.items() <= e.items()]

    def median_step(self):
        """Seconds; waits for ten steps."""
        wait_for("ten steps", lambda: len(self.of("progress")) >= 10, 60)
        return statistics.median(e["step_seconds"] for e in self.of("progress"))

    def close(self):
        self.stream.close()


def metric(cluster, name, job):
    status, text = cluster.http("GET", "/metrics", raw=True)
    assert status == 200
    for line in text.decode().splitlines():
        if line.startswith(f'{name}{{job="{job}"}}'):
            return float(line.split()[-1])
    return None


def job_of(cluster, job):
    return cluster.http("GET", f"/api/v1/jobs/{job}")


class Hangs(unittest.TestCase):
    def named(self, cluster, job, events, pid):
        """Stops `pid` and returns what the job says once a rank is named, within FAULTS.md's bound."""
        bound = 3 * events.median_step() + 1.0
        start = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        stalled = wait_for("the rank to be named", lambda: job_of(cluster, job)["stalled"], bound + 5)
        elapsed = time.monotonic() - start
        print(f"named after {elapsed:.3f} s, bound {bound:.3f} s: {stalled[0]['message']}")
        self.assertLessEqual(elapsed, bound)
        return stalled

    def test_a_stopped_rank_is_named_everywhere_and_taken_back_when_it_goes_on(self):
        with Cluster(slots=2) as cluster:
            job = cluster.submit(two_ranks("stopped", max_steps=100000, save_steps=100000))["id"]
            cluster.wait_state(job, "running")
            events = Events(cluster, job)
            events.median_step()
            (worker, pids), = cluster.gang(job).items()
            try:
                stalled = self.named(cluster, job, events, pids[1])
                self.assertEqual([(s["rank"], s["worker"], s["stopped"]) for s in stalled],
                                 [(1, worker, True)])
                self.assertIn(stalled[0]["collective"], ("reduce", "update"))
                self.assertGreater(stalled[0]["sequence"], 0)
                self.assertGreaterEqual(stalled[0]["step"], 10)
                self.assertIn(f"rank 1 on worker {worker}", cluster.run("show", job).stdout)
                self.assertEqual(cluster.show(job)["stalled"][0]["rank"], 1)
                self.assertEqual(metric(cluster, "tutti_train_stalled_ranks", job), 1)
                said = wait_for("the warning", lambda: events.of("warning", code="stalled"), 2)
                self.assertEqual(len(said), 1)
                for fact in (f"rank 1 on worker {worker}", f"step {stalled[0]['step']} ",
                             f"collective {stalled[0]['sequence']}:"):
                    self.assertIn(fact, said[0]["message"])
                log = (cluster.dir / "logs" / f"{worker}.log").read_text()
                self.assertIn("rank_stalled", log)
                self.assertIn("job_warning", (cluster.dir / "logs/coordinator.log").read_text())
            finally:
                os.kill(pids[1], signal.SIGCONT)
            wait_for("the warning to be taken back", lambda: not job_of(cluster, job)["stalled"], 5)
            wait_for("the event", lambda: events.of("warning", code="stall_over"), 5)
            wait_for("the metric", lambda: metric(cluster, "tutti_train_stalled_ranks", job) == 0, 5)
            step = job_of(cluster, job)["progress"]["step"]
            cluster.wait_step(job, step + 5)
            self.assertEqual(len(job_of(cluster, job)["attempts"]), 1)
            events.close()
            cluster.run("cancel", job, check=True)
            cluster.wait(job)

    def test_a_rank_that_stays_stopped_is_replaced_and_no_bit_changes(self):
        with Cluster(slots=2) as cluster:
            calm = cluster.submit(two_ranks("calm", max_steps=120))["id"]
            self.assertEqual(cluster.wait(calm), 0, cluster.show(calm))
            job = cluster.submit(two_ranks("hung", max_steps=120))["id"]
            # Rank 0 writes it in the background, and cannot once it is stopped.
            wait_for("the checkpoint of step 10", lambda: cluster.show(job)["checkpoints"])
            os.kill(cluster.ranks(job)[0], signal.SIGSTOP)
            self.assertEqual(cluster.wait(job, 120), 0, cluster.show(job))
            shown = cluster.show(job)
            self.assertEqual([a["reason"] for a in shown["attempts"]], ["hang", None])
            self.assertIn("rank 0 on worker", shown["attempts"][0]["message"])
            self.assertGreaterEqual(shown["attempts"][1]["from_step"], 10)
            self.assertEqual(shown["result"]["digest"], cluster.show(calm)["result"]["digest"])
            self.assertEqual(shown["stalled"], [])

    def test_of_two_workers_the_one_that_holds_the_gang_up_is_named(self):
        with Cluster(workers=2, slots=2) as cluster:
            job = cluster.submit(two_ranks("spread", ranks=4, max_steps=100000, save_steps=100000))["id"]
            cluster.wait_state(job, "running")
            events = Events(cluster, job)
            events.median_step()
            workers = job_of(cluster, job)["attempts"][0]["workers"]
            pids = wait_for("both gangs", lambda: (lambda g: g if len(g) == 2 else None)(cluster.gang(job)))
            second = workers[1]
            try:
                stalled = self.named(cluster, job, events, pids[second][1])
                self.assertEqual([(s["rank"], s["worker"]) for s in stalled], [(3, second)])
                # While it stands nobody else is named, longer than it takes to name one.
                until = time.monotonic() + 2
                while time.monotonic() < until:
                    now = job_of(cluster, job)["stalled"]
                    self.assertEqual([(s["rank"], s["worker"]) for s in now], [(3, second)])
            finally:
                os.kill(pids[second][1], signal.SIGCONT)
            wait_for("the warning to be taken back", lambda: not job_of(cluster, job)["stalled"], 5)
            self.assertEqual(len(job_of(cluster, job)["attempts"]), 1)
            events.close()
            cluster.run("cancel", job, check=True)
            cluster.wait(job)

    def test_a_slow_rank_is_reported_and_not_killed(self):
        with Cluster(slots=2) as cluster:
            job = cluster.submit(two_ranks("slow", max_steps=100000, save_steps=100000))["id"]
            cluster.wait_state(job, "running")
            events = Events(cluster, job)
            events.median_step()
            pids = cluster.gang(job).popitem()[1]
            done = threading.Event()

            def hold_up():
                while not done.wait(0.02):  # it runs a fifth of the time
                    os.kill(pids[1], signal.SIGSTOP)
                    done.wait(0.08)
                    os.kill(pids[1], signal.SIGCONT)
            holder = threading.Thread(target=hold_up)
            holder.start()
            try:
                slow = wait_for("the straggler", lambda: job_of(cluster, job)["straggler"], 30)
                said = wait_for("the warning", lambda: events.of("warning", code="straggler"), 2)
                delay = wait_for("the metric",
                                 lambda: metric(cluster, "tutti_train_straggler_delay_seconds", job))
            finally:
                done.set()
                holder.join()
            self.assertEqual(slow["rank"], 1)
            self.assertGreater(slow["delay_seconds"], 0)
            self.assertGreater(delay, 0)
            self.assertEqual(said[0]["rank"], 1)
            self.assertEqual(len(job_of(cluster, job)["attempts"]), 1)
            self.assertEqual(set(pids) & set(processes()), set(pids))
            wait_for("it to be fast again", lambda: not job_of(cluster, job)["straggler"], 30)
            events.close()
            cluster.run("cancel", job, check=True)
            cluster.wait(job)


class StoppedWorkers(unittest.TestCase):
    def test_a_stopped_worker_is_replaced_and_its_ranks_are_gone_before(self):
        with Cluster(workers=2, slots=2) as cluster:
            job = cluster.submit(two_ranks("frozen", max_steps=400, save_steps=50))["id"]
            cluster.wait_step(job, 60)
            (name, ranks), = cluster.gang(job).items()
            frozen = next(w["pid"] for w in cluster.http("GET", "/api/v1/workers")["data"]
                          if w["name"] == name)
            os.kill(frozen, signal.SIGSTOP)
            try:
                def placed_anew():
                    attempts = job_of(cluster, job)["attempts"]
                    # Never two live attempts: whoever is placed anew finds the older ranks dead.
                    return len(attempts) == 2 and attempts
                attempts = wait_for("the next attempt", placed_anew, 30)
                self.assertEqual(set(ranks) & set(processes()), set())
                self.assertEqual(attempts[0]["reason"], "worker_lost")
                self.assertNotEqual(attempts[1]["workers"], [name])
                cluster.wait_state(job, "running")
            finally:
                os.kill(frozen, signal.SIGCONT)
            wait_for("the worker to be back", lambda: all(
                w["state"] == "up" for w in cluster.http("GET", "/api/v1/workers")["data"]), 20)
            self.assertEqual(cluster.wait(job, 300), 0, cluster.show(job))
            self.assertEqual(len(cluster.show(job)["attempts"]), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
