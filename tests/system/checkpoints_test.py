"""`tutti checkpoint`: what lies on disk, whether it is good, and making room without losing a job."""

import json
import pathlib
import unittest

from cluster import Cluster, sections_spec, wait_for


class Checkpoints(unittest.TestCase):
    def test_list_verify_and_gc_of_a_job_that_goes_on(self):
        with Cluster(slots=1) as cluster:
            spec = sections_spec("kept", max_steps=24, save_steps=2, save_total_limit=4, eval_steps=1000,
                                 micro_batch_size=4, global_batch_size=16)
            spec["data"]["max_length"] = 32
            job = cluster.submit(spec)["id"]
            self.assertEqual(cluster.json("checkpoint", "verify", job)["data"], [])
            cluster.wait_step(job, 8)
            cluster.run("pause", job, check=True)
            cluster.wait_state(job, "paused")

            listed = cluster.json("checkpoint", "list", job)["data"]
            self.assertGreaterEqual(len(listed), 3)
            self.assertEqual(listed[0]["path"], cluster.show(job)["checkpoints"][-1]["path"])
            self.assertEqual(cluster.run("checkpoint", "verify", job).returncode, 0)

            newest = pathlib.Path(listed[0]["path"])
            damaged = bytearray(newest.read_bytes())
            damaged[len(damaged) // 2] ^= 1
            newest.write_bytes(damaged)
            result = cluster.run("checkpoint", "verify", job)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(f"BAD   step {listed[0]['step']}", result.stdout)
            self.assertIn(f"good  step {listed[1]['step']}", result.stdout)
            result = cluster.run("checkpoint", "verify", job, str(listed[1]["step"]))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(cluster.run("checkpoint", "verify", job, "99999").returncode, 5)

            would = cluster.json("checkpoint", "gc", job, "--keep", "0", "--dry-run")
            self.assertEqual(len(cluster.json("checkpoint", "list", job)["data"]), len(listed))
            did = cluster.json("checkpoint", "gc", "--keep", "0")
            self.assertEqual(did["freed_bytes"], would["freed_bytes"])
            self.assertGreater(did["freed_bytes"], 0)
            left = cluster.json("checkpoint", "list", job)["data"]
            self.assertEqual([c["step"] for c in left], [listed[1]["step"]])

            # The good one that stayed is enough to go on.
            cluster.run("resume", job, check=True)
            self.assertEqual(cluster.wait(job), 0, cluster.show(job))
            self.assertEqual(cluster.show(job)["attempts"][-1]["from_step"], listed[1]["step"])

            # Of a finished job all may go.
            result = cluster.run("checkpoint", "gc", job, "--keep", "0", check=True)
            self.assertIn("freed", result.stdout)
            self.assertEqual(cluster.json("checkpoint", "list", job)["data"], [])
            self.assertEqual(cluster.run("checkpoint", "list", "nobody").returncode, 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
