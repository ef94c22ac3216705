"""Memory: predicted before a job starts, and a rank that uses more than it asked for is its end."""

import unittest

import random_bert
from cluster import Cluster, sections_spec

SIZES = {"small": (128, 4, 4), "medium": (256, 4, 4), "large": (512, 6, 8)}  # hidden, layers, heads


def memory_spec(name, model, ranks):
    """A few steps with a checkpoint and an evaluation: all that memory is used for."""
    spec = sections_spec(name, max_steps=6, save_steps=3, eval_steps=6)
    spec["model"] = str(model)
    spec["resources"] = {"ranks": ranks}
    return spec


def predicted_and_measured(cluster, size, ranks):
    """Bytes a rank, of a job with a random BERT of that size."""
    hidden, layers, heads = SIZES[size]
    folder = cluster.dir / "random" / f"{size}-{ranks}"
    random_bert.make(folder, hidden, layers, heads)
    job = cluster.submit(memory_spec(f"{size}-{ranks}", folder, ranks))["id"]
    assert cluster.wait(job, 300) == 0, cluster.show(job)
    shown = cluster.show(job)
    return shown["estimate"]["memory_bytes_per_rank"], shown["measured"]["memory_bytes_peak"]


class Memory(unittest.TestCase):
    def test_the_peak_is_predicted_for_three_sizes(self):
        with Cluster(slots=2) as cluster:
            for size in SIZES:
                for ranks in (1, 2):
                    predicted, measured = predicted_and_measured(cluster, size, ranks)
                    print(f"{size}, {ranks} ranks: predicted {predicted / 2**20:.0f} MiB, "
                          f"measured {measured / 2**20:.0f} MiB, ratio {measured / predicted:.3f}")
                    with self.subTest(size=size, ranks=ranks):
                        self.assertLessEqual(abs(measured / predicted - 1), 0.15)

    def test_a_rank_beyond_its_limit_ends_the_job_with_the_numbers(self):
        with Cluster(slots=1) as cluster:
            spec = sections_spec("greedy", max_steps=100000, save_total_limit=2)
            spec["resources"] = {"ranks": 1}
            first = cluster.submit(spec)["id"]
            cluster.wait_state(first, "running")
            predicted = cluster.show(first)["estimate"]["memory_bytes_per_rank"]
            cluster.run("cancel", first, check=True)

            limit = predicted // 2**20 * 9 // 10  # within what the prediction may be off
            spec.update(resources={"ranks": 1, "memory_per_rank": f"{limit}MiB"}, retry={"on": ["crash"]})
            job = cluster.submit(spec)["id"]
            self.assertEqual(cluster.wait(job), 1)
            shown = cluster.show(job)
            self.assertEqual((shown["state"], shown["reason"]), ("failed", "oom"), shown)
            self.assertRegex(shown["message"], rf"rank 0 uses [0-9.]+ MiB of memory, its limit is {limit}.0 MiB")
            self.assertIn("resources.memory_per_rank", shown["message"])

            spec["resources"]["memory_per_rank"] = "100MiB"
            job = cluster.submit(spec)["id"]
            self.assertEqual(cluster.wait(job), 1)
            shown = cluster.show(job)
            self.assertEqual((shown["reason"], shown["attempts"]), ("oom", []), shown)
            self.assertIn("its limit is 100.0 MiB", shown["message"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
