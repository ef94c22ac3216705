"""What a person does to a cluster and a job: up twice, a taken port, hold, pause, cancel, bad specs."""

import json
import os
import socket
import time
import unittest

from cluster import BIN, EXAMPLES, Cluster, ClusterTest, processes, sections_spec, wait_for


class Jobs(ClusterTest):
    @classmethod
    def start(cls):
        return Cluster(slots=2)

    def test_hold_waits_and_release_runs(self):
        job = self.cluster.submit(sections_spec("held", max_steps=2), "--hold")["id"]
        shown = self.cluster.wait_state(job, "queued")
        wait_for("the reason", lambda: self.cluster.show(job)["reason"] == "held", 10)
        self.assertIsNone(shown["result"])
        self.cluster.run("resume", job, check=True)
        self.assertEqual(self.cluster.wait(job), 0)

    def test_cancel_while_running_leaves_no_rank(self):
        job = self.cluster.submit(sections_spec("cancelled", max_steps=100000, save_total_limit=2))["id"]
        self.cluster.wait_step(job, 2)
        pids = self.cluster.ranks(job)
        self.cluster.run("cancel", job, check=True)
        self.assertEqual(self.cluster.wait(job), 1)
        self.assertEqual(self.cluster.show(job)["state"], "cancelled")
        wait_for("the ranks to go", lambda: not set(pids) & set(processes()), 10)
        self.assertNotEqual(self.cluster.run("cancel", job).returncode, 0)

    def test_cancel_while_queued(self):
        job = self.cluster.submit(sections_spec("cancelled-early"), "--hold")["id"]
        self.cluster.run("cancel", job, check=True)
        self.assertEqual(self.cluster.show(job)["state"], "cancelled")

    def test_higher_priority_goes_first(self):
        first = self.cluster.submit(sections_spec("long", max_steps=100000, save_total_limit=2))["id"]
        self.cluster.wait_state(first, "running")
        low = self.cluster.submit({**sections_spec("low", max_steps=1), "schedule": {"priority": 0}})["id"]
        high = self.cluster.submit({**sections_spec("high", max_steps=1), "schedule": {"priority": 9}})["id"]
        self.cluster.wait_state(low, "queued")
        self.cluster.wait_state(high, "queued")
        self.cluster.run("cancel", first, check=True)
        self.assertEqual(self.cluster.wait(low), 0)
        self.assertEqual(self.cluster.wait(high), 0)
        started = {job: self.cluster.show(job)["attempts"][0]["started_at"] for job in (low, high)}
        self.assertLessEqual(started[high], started[low])

    def test_bad_spec_exits_3_with_line_and_column(self):
        path = self.cluster.dir / "bad.yaml"
        path.write_text("name: x\ntask: text-classification\nmodel: ./m\nlearning_rate: 1\n"
                        "training:\n  learning_rte: 5e-5\n")
        result = self.cluster.run("submit", path)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("bad.yaml:6:3", result.stderr)
        self.assertIn("learning_rate", result.stderr)

    def test_bad_row_is_named_by_file_and_line(self):
        data = self.cluster.dir / "rows.jsonl"
        data.write_text('{"text": "a", "label": "x"}\n{"text": "b"\n')
        spec = sections_spec("bad-row")
        spec["data"] = {"train": str(data)}
        spec["training"].pop("eval_steps")
        job = self.cluster.submit(spec)["id"]
        self.assertEqual(self.cluster.wait(job), 1)
        shown = self.cluster.show(job)
        self.assertEqual((shown["state"], shown["reason"]), ("failed", "data"))
        self.assertIn("rows.jsonl:2", shown["message"])
        dry = self.cluster.run("submit", self.cluster.dir / "bad-row.json", "--dry-run")
        self.assertEqual(dry.returncode, 3)
        self.assertIn("rows.jsonl:2", dry.stderr)

    def test_dry_run_estimates_and_creates_nothing(self):
        before = len(self.cluster.json("ps", "--all")["data"])
        path = self.cluster.dir / "dry.json"
        path.write_text(json.dumps(sections_spec("dry")))
        result = self.cluster.run("submit", path, "--dry-run", "--json", check=True)
        estimate = json.loads(result.stdout)["estimate"]
        self.assertEqual(estimate["total_steps"], 30)
        self.assertGreater(estimate["memory_bytes_per_rank"], 10 << 20)
        self.assertEqual(len(self.cluster.json("ps", "--all")["data"]), before)

    def test_too_large_a_gang_is_refused_with_the_numbers(self):
        spec = sections_spec("huge")
        spec["resources"] = {"ranks": 64}
        spec["training"].update(shards=64, micro_batch_size=1, global_batch_size=64)
        path = self.cluster.dir / "huge.json"
        path.write_text(json.dumps(spec))
        result = self.cluster.run("submit", path)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("64", result.stderr)

    def test_unknown_job_exits_5_and_no_token_401(self):
        self.assertEqual(self.cluster.run("show", "j-00000000").returncode, 5)
        code, body = self.cluster.http("GET", "/api/v1/jobs", headers={"Authorization": "Bearer x"}, raw=True)
        self.assertEqual(code, 401)
        self.assertIn("error", json.loads(body))

    def test_logs_reach_the_user(self):
        job = self.cluster.submit(sections_spec("logged", max_steps=2))["id"]
        self.assertEqual(self.cluster.wait(job), 0)
        self.assertIn("step", self.cluster.run("logs", job, check=True).stdout)

    def test_the_same_idempotency_key_makes_one_job(self):
        spec = self.cluster.http("GET", f"/api/v1/jobs/{self.any_job()}/spec")
        spec = {**spec, "name": "once"}
        headers = {"Idempotency-Key": "key-1"}
        body = {"spec": spec, "hold": True}
        first = self.cluster.http("POST", "/api/v1/jobs", body, headers)
        again = self.cluster.http("POST", "/api/v1/jobs", body, headers)
        self.assertEqual(first["id"], again["id"])
        code, _ = self.cluster.http("POST", "/api/v1/jobs", {**body, "hold": False}, headers, raw=True)
        self.assertEqual(code, 409)
        self.cluster.run("cancel", first["id"], check=True)

    def any_job(self):
        return self.cluster.submit(sections_spec("any", max_steps=1), "--hold")["id"]


class Up(unittest.TestCase):
    def test_taken_port_is_no_error_and_a_second_up_says_so(self):
        with socket.create_server(("127.0.0.1", 0)) as taken, Cluster() as cluster:
            second = cluster.run("up", "--detach")
            self.assertEqual(second.returncode, 2, second.stderr)
            self.assertIn(str(cluster.endpoint["pid"]), second.stderr)
            cluster.run("down", check=True)
            self.assertFalse((cluster.dir / "endpoint.json").exists())
            port = taken.getsockname()[1]
            result = cluster.run("up", "--detach", "--http", f"127.0.0.1:{port}", check=True)
            cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())
            self.assertNotIn(f":{port}", cluster.endpoint["url"])
            self.assertIn("taken", (result.stdout + result.stderr))

    def test_jobs_survive_a_restart_of_the_cluster(self):
        with Cluster(slots=2) as cluster:
            job = cluster.submit(sections_spec("kept", max_steps=60))["id"]
            cluster.wait_step(job, 5)
            cluster.run("down", check=True, timeout=60)
            cluster.up()
            self.assertEqual(cluster.wait(job), 0)
            attempts = cluster.show(job)["attempts"]
            self.assertGreater(attempts[-1]["from_step"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
