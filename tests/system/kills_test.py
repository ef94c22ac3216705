"""One job over two workers while its processes are killed at random: it ends with the weights of an
undisturbed run. TUTTI_KILLS (20) and TUTTI_TEST_SEED choose how many and which."""

import json
import os
import random
import signal
import unittest

from cluster import Cluster, processes, sections_spec, wait_for

KILLS = int(os.environ.get("TUTTI_KILLS", "20"))
RUN_SECONDS = 600 + 2 * KILLS  # what either job may take on a busy machine


class Kills(unittest.TestCase):
    def spec(self, name):
        spec = sections_spec(name, max_steps=40 + 20 * KILLS, save_steps=5, eval_steps=10_000, save_total_limit=3,
                             micro_batch_size=4, global_batch_size=16)
        spec["data"]["max_length"] = 32
        spec["resources"] = {"ranks": 2}
        spec["retry"] = {"max_attempts": 1000, "on": ["worker_lost", "crash", "hang", "internal"]}
        return spec

    def victim(self, cluster, job, kind):
        """A live pid of that kind, once the job's ranks run; None when the job has ended."""
        def workers():  # a coordinator that returned does not know their pids before they have said them
            return [worker["pid"] for worker in cluster.http("GET", "/api/v1/workers")["data"]]

        ranks = []

        def ready():
            if cluster.show(job)["state"] == "succeeded":
                return True
            ranks[:] = cluster.rank_pids(job)
            return bool(ranks) and set(ranks) <= set(processes()) and all(workers())
        wait_for("the gang to run", ready, 60)
        if cluster.show(job)["state"] == "succeeded":
            return None
        if kind == "rank":
            return self.chance.choice(ranks)
        if kind == "worker":
            return self.chance.choice(workers())
        return json.loads((cluster.dir / "endpoint.json").read_text())["coordinator_pid"]

    def test_random_deaths_of_ranks_workers_and_coordinator_change_no_bit(self):
        seed = int(os.environ.get("TUTTI_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}, {KILLS} kills")
        self.chance = random.Random(seed)
        with Cluster(workers=2, slots=1) as cluster:
            calm = cluster.submit(self.spec("calm"))["id"]
            self.assertEqual(cluster.wait(calm, RUN_SECONDS), 0, cluster.show(calm))
            expected = cluster.show(calm)["result"]["digest"]

            job = cluster.submit(self.spec("struck"))["id"]
            killed = {"rank": 0, "worker": 0, "coordinator": 0}
            while sum(killed.values()) < KILLS:
                kind = self.chance.choice(list(killed))
                pid = self.victim(cluster, job, kind)
                if pid is None:
                    break
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it died with another, and who takes its place is not known yet
                killed[kind] += 1
                if kind == "coordinator":
                    wait_for("the coordinator to return", lambda: cluster.run("ps").returncode == 0, 30)
                    cluster.endpoint = json.loads((cluster.dir / "endpoint.json").read_text())
                else:
                    wait_for("the attempt to end", lambda dead=pid: dead not in processes(), 30)
            self.assertEqual(cluster.wait(job, RUN_SECONDS), 0, cluster.show(job))
            shown = cluster.show(job)
            print(f"{killed}, {len(shown['attempts'])} attempts")
            self.assertGreaterEqual(sum(killed.values()), KILLS * 3 // 4)
            self.assertEqual(shown["result"]["digest"], expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
