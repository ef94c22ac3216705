"""Disks that are full, on small file systems of their own (root alone may mount them): nothing is
acknowledged that is not kept, reads work, and everything goes on once there is room."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from cluster import Cluster, sections_spec, wait_for

MIB = 1 << 20


@contextlib.contextmanager
def small_disk(folder, mib):
    """A data directory whose `folder` is a file system of so many MiB."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="tutti-test-"))
    small = base / folder
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", small], check=True)
    try:
        yield base, small
    finally:
        subprocess.run(["umount", "-l", small], check=True)
        shutil.rmtree(base, ignore_errors=True)


def fill(folder, leave=0):
    """Takes all of the disk's room but `leave` bytes; the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                space = os.statvfs(folder)
                left = space.f_bavail * space.f_frsize - leave
                if left <= 0:
                    break
                file.write(b"x" * min(left, MIB))
    return ballast


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class Coordinator(unittest.TestCase):
    def submit(self, cluster, spec, number):
        """The new job's id, or None for 507."""
        code, body = cluster.http("POST", "/api/v1/jobs", {"spec": {**spec, "name": f"n{number}"}, "hold": True},
                                  {"Idempotency-Key": f"key-{number}"}, raw=True)
        answer = json.loads(body)
        if code == 507:
            self.assertEqual(answer["error"]["code"], "disk_full")
            self.assertIn("free space", answer["error"]["hint"])
            return None
        self.assertIn(code, (200, 201), body)
        return answer["id"]

    def submit_until_full(self, cluster, spec, kept):
        """Submits while that works and then a few more; ids go to `kept` by their number."""
        refused = 0
        for number in range(len(kept), 20_000):
            job = self.submit(cluster, spec, number)
            if job is None:
                refused += 1
                if refused == 20:
                    return
            else:
                kept[number] = job
        self.fail("the disk never was full")

    def ids(self, cluster):
        return sorted(job["id"] for job in cluster.json("ps", "--all")["data"])

    def test_no_job_is_acknowledged_that_is_not_kept(self):
        with small_disk("coordinator", 24) as (base, small), Cluster(data_dir=base, slots=1) as cluster:
            first = cluster.submit(sections_spec("first"), "--hold")["id"]
            spec = cluster.http("GET", f"/api/v1/jobs/{first}/spec")
            ballast = fill(small)
            kept = {}
            self.submit_until_full(cluster, spec, kept)
            expected = sorted([first, *kept.values()])

            # Reads work, and say what is the matter.
            self.assertEqual(self.ids(cluster), expected)
            self.assertTrue(cluster.http("GET", "/healthz")["read_only"])
            self.assertEqual(cluster.show(first)["id"], first)
            self.assertEqual(cluster.json("worker", "list")["data"][0]["state"], "up")
            self.assertIn("read-only", cluster.run("doctor").stdout)
            code, body = cluster.http("PUT", "/api/v1/blobs/sha256:" + "0" * 64, {"not": "that"}, raw=True)
            self.assertIn(code, (422, 507), body)

            # It goes on by itself.
            ballast.unlink()
            wait_for("the store to be writable", lambda: not cluster.http("GET", "/healthz")["read_only"], 15)
            more = self.submit(cluster, spec, 30_000)
            self.assertIsNotNone(more)
            expected = sorted([*expected, more])

            # Full again, and killed: what was acknowledged is there, once, and nothing else.
            fill(small)
            again = {number: None for number in kept}
            self.submit_until_full(cluster, spec, again)
            expected = sorted([*expected, *(job for job in again.values() if job)])
            os.kill(cluster.endpoint["coordinator_pid"], signal.SIGKILL)
            wait_for("the coordinator to return on the full disk", lambda: cluster.run("ps").returncode == 0, 30)
            cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())
            self.assertEqual(self.ids(cluster), expected)
            ballast.unlink()
            wait_for("the store to be writable", lambda: not cluster.http("GET", "/healthz")["read_only"], 15)
            self.assertEqual(self.submit(cluster, spec, 30_000), more)
            self.assertEqual(self.ids(cluster), expected)
            last = self.submit(cluster, spec, 30_001)
            self.assertEqual(self.ids(cluster), sorted([*expected, last]))


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class Worker(unittest.TestCase):
    def spec(self, name, **training):
        spec = sections_spec(name, max_steps=40, save_steps=5, save_total_limit=2, eval_steps=1000,
                             micro_batch_size=4, global_batch_size=16, **training)
        spec["data"]["max_length"] = 32
        return spec

    def test_a_job_that_no_disk_could_hold_is_refused_with_the_numbers(self):
        with small_disk("jobs", 8) as (base, _), Cluster(data_dir=base, slots=1) as cluster:
            job = cluster.submit(self.spec("large"))["id"]
            self.assertEqual(cluster.wait(job), 1)
            shown = cluster.show(job)
            self.assertEqual((shown["state"], shown["reason"], shown["attempts"]), ("failed", "disk_full", []))
            self.assertIn("8.0 MiB", shown["message"])
            self.assertIn("save_total_limit", shown["message"])
            dry = cluster.run("submit", cluster.dir / "large.json", "--dry-run")
            self.assertEqual(dry.returncode, 3, dry.stderr)
            self.assertIn("8.0 MiB", dry.stderr)

    def test_a_job_waits_for_disk_and_one_that_runs_out_of_it_keeps_its_checkpoint(self):
        with small_disk("jobs", 120) as (base, small), Cluster(data_dir=base, slots=1) as cluster:
            ballast = fill(small, leave=MIB)
            wait_for("the worker to say so", lambda: cluster.json("worker", "list")["data"][0]["disk_free_bytes"]
                     <= 2 * MIB, 10)
            waits = cluster.submit({**self.spec("waits"), "retry": {"max_attempts": 3, "on": ["disk_full"]}})["id"]
            wait_for("the reason", lambda: cluster.show(waits)["reason"] == "resources", 60)
            self.assertIn("disk", cluster.show(waits)["message"])
            self.assertIn("checkpoint gc", cluster.json("why", waits)["advice"])
            dry = cluster.run("submit", cluster.dir / "waits.json", "--dry-run")
            self.assertEqual(dry.returncode, 0, dry.stderr)
            self.assertIn("would wait for disk", dry.stderr)
            ballast.unlink()
            cluster.wait_state(waits, "running")

            # The disk fills while it runs: the attempt fails, and the next waits for room.
            wait_for("a checkpoint", lambda: cluster.show(waits)["checkpoints"], 60)
            fill(small)
            wait_for("the attempt to fail",
                     lambda: (cluster.show(waits)["attempts"][0]["reason"] == "disk_full"), 60)
            shown = cluster.show(waits)
            self.assertIn(shown["state"], ("recovering", "queued"))
            self.assertIn("space", shown["attempts"][0]["message"])
            self.assertEqual(cluster.run("checkpoint", "verify", waits).returncode, 0)
            ballast.unlink()
            self.assertEqual(cluster.wait(waits), 0, cluster.show(waits))
            self.assertGreaterEqual(cluster.show(waits)["attempts"][-1]["from_step"], 5)

            # Without that retry it is the end of the job, said clearly.
            ends = cluster.submit(self.spec("ends"))["id"]
            wait_for("a checkpoint", lambda: cluster.show(ends)["checkpoints"], 60)
            fill(small)
            self.assertEqual(cluster.wait(ends), 1)
            self.assertEqual(cluster.show(ends)["reason"], "disk_full")
            self.assertEqual(cluster.run("checkpoint", "verify", ends).returncode, 0)
            ballast.unlink()


if __name__ == "__main__":
    unittest.main(verbosity=2)
