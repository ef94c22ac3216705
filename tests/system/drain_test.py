"""An administrator empties a worker: its job goes on elsewhere with the same bits, and the worker stays
empty, over a restart of the coordinator too, until it is undrained."""

import json
import os
import signal
import unittest

from cluster import Cluster, sections_spec, wait_for


class Drain(unittest.TestCase):
    def spec(self, name, steps=100):
        spec = sections_spec(name, max_steps=steps, save_steps=1000, eval_steps=1000, micro_batch_size=4,
                             global_batch_size=16)
        spec["data"]["max_length"] = 32
        spec["resources"] = {"ranks": 2}
        spec["retry"] = {"max_attempts": 1}
        return spec

    def worker(self, cluster, name):
        return next(w for w in cluster.json("worker", "list")["data"] if w["name"] == name)

    def test_a_drained_workers_job_goes_on_elsewhere_with_the_same_bits(self):
        with Cluster(workers=2, slots=2) as cluster:
            calm = cluster.submit(self.spec("calm"))["id"]
            self.assertEqual(cluster.wait(calm), 0, cluster.show(calm))
            expected = cluster.show(calm)["result"]["digest"]

            job = cluster.submit(self.spec("moved"))["id"]
            cluster.wait_step(job, 5)
            [first] = cluster.show(job)["attempts"][0]["workers"]
            shown = cluster.json("worker", "drain", first, "--wait", "--timeout", "60s")
            self.assertEqual((shown["name"], shown["draining"], shown["gangs"]), (first, True, []))
            self.assertEqual(cluster.wait(job), 0, cluster.show(job))
            shown = cluster.show(job)
            self.assertEqual(shown["result"]["digest"], expected)
            before, after = shown["attempts"]
            self.assertEqual((before["reason"], after["workers"] == [first]), ("drain", False))
            self.assertGreaterEqual(after["from_step"], 5)

            # Both drained: a job waits, and says for what.
            [second] = after["workers"]
            cluster.run("worker", "drain", second, check=True)
            waiting = cluster.submit(self.spec("waiting", 5))["id"]
            why = cluster.json("why", waiting)
            self.assertEqual(why["reason"], "pool_down")
            self.assertIn("draining", why["message"])

            os.kill(cluster.endpoint["coordinator_pid"], signal.SIGKILL)
            wait_for("the coordinator to return", lambda: cluster.run("ps").returncode == 0, 20)
            cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())
            wait_for("both workers to be back",
                     lambda: all(w["state"] == "up" for w in cluster.json("worker", "list")["data"]), 20)
            self.assertTrue(self.worker(cluster, first)["draining"])
            self.assertTrue(self.worker(cluster, second)["draining"])
            self.assertIn("draining", cluster.run("worker", "list", check=True).stdout)
            self.assertEqual(cluster.show(waiting)["state"], "queued")

            cluster.run("worker", "undrain", first, check=True)
            self.assertEqual(cluster.wait(waiting), 0, cluster.show(waiting))
            self.assertEqual(cluster.show(waiting)["attempts"][0]["workers"], [first])

    def test_an_unknown_worker_exits_5_and_a_drain_that_takes_too_long_8(self):
        with Cluster(slots=2) as cluster:
            self.assertEqual(cluster.run("worker", "drain", "nobody").returncode, 5)
            spec = self.spec("long")
            spec["training"]["max_steps"] = 100_000
            job = cluster.submit(spec)["id"]
            cluster.wait_step(job, 2)
            [name] = [w["name"] for w in cluster.json("worker", "list")["data"]]
            # A stopped rank cannot checkpoint: the drain goes on, the command does not.
            pid = cluster.ranks(job)[0]
            os.kill(pid, signal.SIGSTOP)
            try:
                self.assertEqual(
                    cluster.run("worker", "drain", name, "--wait", "--timeout", "1s").returncode, 8)
            finally:
                os.kill(pid, signal.SIGCONT)
            cluster.run("cancel", job, check=True)
            self.assertEqual(cluster.run("worker", "drain", name, "--wait").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
