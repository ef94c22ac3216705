"""The numerics contract: the same bits at any size, after any death. No digest is written here: it
depends on the CPU; runs are compared with each other."""

import os
import random
import signal
import unittest

from cluster import Cluster, ClusterTest, sections_spec


class SameBits(ClusterTest):
    @classmethod
    def start(cls):
        return Cluster(slots=4)

    @classmethod
    def prepare(cls):
        cls.expected = cls.digest(cls.submit("undisturbed", 1))

    @classmethod
    def submit(cls, name, ranks, **training):
        spec = sections_spec(name, **training)
        spec["resources"] = {"ranks": {"min": 1, "max": ranks} if ranks == "any" else ranks}
        return cls.cluster.submit(spec)["id"]

    @classmethod
    def digest(cls, job):
        code = cls.cluster.wait(job, 180)
        shown = cls.cluster.show(job)
        assert code == 0, shown
        return shown["result"]["digest"]

    def test_two_ranks(self):
        self.assertEqual(self.digest(self.submit("two", 2)), self.expected)

    def test_four_ranks(self):
        self.assertEqual(self.digest(self.submit("four", 4)), self.expected)

    def test_two_workers_with_one_rank_each_and_with_two(self):
        for slots, ranks in ((1, 2), (2, 4)):
            with Cluster(workers=2, slots=slots) as cluster:
                spec = sections_spec(f"over-{ranks}")
                spec["resources"] = {"ranks": ranks}
                job = cluster.submit(spec)["id"]
                self.assertEqual(cluster.wait(job, 180), 0, cluster.show(job))
                shown = cluster.show(job)
                self.assertEqual(len(shown["attempts"][0]["workers"]), 2)
                self.assertEqual(shown["result"]["digest"], self.expected)

    def test_one_two_one_by_pause_and_resume(self):
        spec = sections_spec("resized")
        spec["resources"] = {"ranks": {"min": 1, "max": 2}}
        job = self.cluster.submit(spec, "--hold")["id"]
        sizes = []
        for ranks, step in ((1, 6), (2, 14), (1, None)):
            self.cluster.run("resume", job, "--ranks", ranks, check=True)
            if step is not None:
                self.cluster.wait_step(job, step)
                self.cluster.run("pause", job, check=True)
                self.cluster.wait_state(job, "paused")
        self.assertEqual(self.digest(job), self.expected)
        sizes = [attempt["ranks"] for attempt in self.cluster.show(job)["attempts"]]
        self.assertEqual(sizes, [1, 2, 1])

    def test_a_rank_killed_at_random_moments(self):
        seed = int(os.environ.get("TUTTI_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}")
        chance = random.Random(seed)
        spec = sections_spec("killed", save_steps=5)
        spec["resources"] = {"ranks": 2}
        spec["retry"] = {"max_attempts": 10}
        job = self.cluster.submit(spec)["id"]
        kills = 0
        for step in sorted(chance.sample(range(1, 28), 5)):
            shown = self.cluster.wait_state(job, "running")
            self.cluster.wait_step(job, step)
            pids = self.cluster.rank_pids(job)
            if not pids:
                continue
            os.kill(chance.choice(pids), signal.SIGKILL)
            kills += 1
            attempt = shown["attempt"]
            from cluster import wait_for
            wait_for("another attempt", lambda a=attempt: self.cluster.show(job)["attempt"] > a or
                     self.cluster.show(job)["state"] == "succeeded", 30)
        self.assertEqual(self.digest(job), self.expected)
        self.assertGreaterEqual(len(self.cluster.show(job)["attempts"]), kills)
        self.assertGreaterEqual(kills, 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
