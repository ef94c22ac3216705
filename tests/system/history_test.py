"""Curves and a job's progress outlive the coordinator; a damaged file of curves stops nothing."""

import json
import os
import pathlib
import signal
import unittest
import urllib.request

from cluster import Cluster, sections_spec, wait_for


def kill_coordinator(cluster):
    os.kill(cluster.endpoint["coordinator_pid"], signal.SIGKILL)
    wait_for("the coordinator to return", lambda: cluster.run("ps").returncode == 0, 30)
    cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())


def curves(cluster, path, query=""):
    answer = cluster.http("GET", f"/api/v1/{path}/metrics{query}")
    return {series["name"]: series["points"] for series in answer["data"]}


class History(unittest.TestCase):
    def assert_replayed(self, cluster, job):
        """A client that saw the first event gets the others after the restart, each once."""
        all_events = cluster.http("GET", f"/api/v1/jobs/{job}/events")["data"]
        token = pathlib.Path(cluster.endpoint["token_file"]).read_text().strip()
        request = urllib.request.Request(
            f"{cluster.endpoint['url']}/api/v1/events?job={job}",
            headers={"Authorization": f"Bearer {token}", "Last-Event-ID": str(all_events[0]["seq"])})
        seen = []
        with urllib.request.urlopen(request, timeout=20) as stream:
            for line in stream:
                if line.startswith(b"data: "):
                    seen.append(json.loads(line[6:]))
                if len(seen) == len(all_events) - 1:
                    break
        self.assertEqual(seen, all_events[1:])

    def test_curves_and_progress_outlive_the_coordinator(self):
        with Cluster(slots=1) as cluster:
            spec = sections_spec("curves", max_steps=30, eval_steps=10)
            spec["resources"] = {"ranks": 1}
            job = cluster.submit(spec)["id"]
            self.assertEqual(cluster.wait(job), 0, cluster.show(job))
            wait_for("the curve", lambda: len(curves(cluster, f"jobs/{job}").get("loss", [])) > 0, 10)
            wait_for("its last point",
                     lambda: curves(cluster, f"jobs/{job}")["loss"][-1]["step"] == 30, 10)
            wait_for("its last evaluation",
                     lambda: curves(cluster, f"jobs/{job}")["eval.accuracy"][-1]["step"] == 30, 10)
            before = curves(cluster, f"jobs/{job}")
            steps = [point["step"] for point in before["loss"]]
            self.assertEqual(steps, sorted(set(steps)))
            self.assertLess(before["loss"][-1]["value"], before["loss"][0]["max"])
            for name in ("learning_rate", "grad_norm", "tokens_per_second", "phase_seconds.forward"):
                self.assertIn(name, before)

            running = cluster.submit({**spec, "name": "running", "training": {
                **spec["training"], "max_steps": 100000, "save_steps": 100000, "eval_steps": 100000}})["id"]
            cluster.wait_step(running, 5)
            # No report comes any more: what is shown afterwards was kept.
            for pid in cluster.ranks(running):
                os.kill(pid, signal.SIGSTOP)
            def kept():
                points = curves(cluster, f"jobs/{running}").get("loss", [])
                step = cluster.http("GET", f"/api/v1/jobs/{running}")["progress"]["step"]
                return step if points and points[-1]["step"] == step else None
            shown = wait_for("the progress to be kept", kept, 10)
            kill_coordinator(cluster)
            again = cluster.http("GET", f"/api/v1/jobs/{running}")
            self.assertEqual(again["progress"]["step"], shown)
            self.assertEqual(curves(cluster, f"jobs/{job}"), before)
            self.assertEqual(cluster.show(job)["progress"]["step"], 30)
            few = curves(cluster, f"jobs/{job}", "?names=loss&points=4&from_step=11")
            self.assertEqual(list(few), ["loss"])
            self.assertLessEqual(len(few["loss"]), 4)
            self.assertEqual(few["loss"][-1], before["loss"][-1] | {
                "min": few["loss"][-1]["min"], "max": few["loss"][-1]["max"]})
            wait_for("curves of the cluster", lambda: "slots_used" in curves(cluster, "cluster"), 20)
            worker = cluster.http("GET", "/api/v1/workers")["data"][0]["name"]
            wait_for("curves of the worker",
                     lambda: "memory_used_bytes" in curves(cluster, f"workers/{worker}"), 20)
            for bad in ("points=0", "points=x", "from_step=-1", "from_ms=now"):
                status, body = cluster.http("GET", f"/api/v1/jobs/{job}/metrics?{bad}", raw=True)
                self.assertEqual(status, 422, body)
            status, _ = cluster.http("GET", "/api/v1/jobs/no-such/metrics", raw=True)
            self.assertEqual(status, 404)
            self.assert_replayed(cluster, job)
            cluster.run("cancel", running, check=True)
            cluster.wait(running)

    def test_a_damaged_file_of_curves_is_moved_aside(self):
        with Cluster(slots=1) as cluster:
            path = cluster.dir / "coordinator/history.db"
            wait_for("the file", path.exists, 10)
            cluster.run("down", check=True, timeout=60)
            path.write_bytes(b"x" * 65536)
            cluster.up()
            self.assertTrue((cluster.dir / "coordinator/history.db.damaged").exists())
            self.assertIn("history_damaged", (cluster.dir / "logs/coordinator.log").read_text())
            wait_for("curves again", lambda: "slots_total" in curves(cluster, "cluster"), 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
