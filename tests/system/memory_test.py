"""Memory: predicted before a job starts, and a rank that uses more than it asked for is its end."""

import unittest

import random_models
from cluster import EXAMPLES, Cluster, sections_spec
from text_generation_test import LORA, preferences

SIZES = {"small": (128, 4, 4), "medium": (256, 4, 4), "large": (512, 6, 8)}  # hidden, layers, heads
FAMILIES = (*random_models.ENCODERS, *random_models.DECODERS)


def methods_of(family):
    return ("full", "lora", "dpo", "dpo-lora") if family in random_models.DECODERS else ("full", "lora")


# Every family and every method, on one rank and on two; `tests/bench/run memory` measures all of them.
CASES = (("bert", "large", "full", 1), ("bert", "small", "full", 2), ("distilbert", "medium", "full", 2),
         ("roberta", "medium", "lora", 1), ("gpt2", "medium", "full", 1), ("gpt2", "medium", "dpo", 2),
         ("llama", "medium", "lora", 2), ("mistral", "medium", "full", 2), ("qwen2", "medium", "dpo-lora", 1))


def memory_spec(cluster, name, model, case):
    """A few steps with a checkpoint and an evaluation: all that memory is used for."""
    family, _, method, ranks = case
    spec = sections_spec(name, max_steps=6, save_steps=3, eval_steps=6)
    spec["model"] = str(model)
    spec["resources"] = {"ranks": ranks}
    if family in random_models.DECODERS:
        spec["task"] = "text-generation"
        data = EXAMPLES / "data"
        spec["data"] = {"train": str(data / "describe.train.jsonl"), "eval": str(data / "describe.eval.jsonl"),
                        "max_length": 128}
    if method.startswith("dpo"):
        rows = cluster.dir / "preferences.jsonl"
        rows.write_text("".join(preferences()))
        spec["data"] = {"train": str(rows), "eval": 0.1, "max_length": 128}
        spec["method"] = {"dpo": {"lora": LORA} if method == "dpo-lora" else {}}
    elif method == "lora":
        spec["method"] = {"lora": LORA}
    return spec


def predicted_and_measured(cluster, case):
    """Bytes a rank, of a job with a random model of that family, size, method and number of ranks."""
    family, size, _, _ = case
    name = "-".join(str(part) for part in case)
    folder = cluster.dir / "random" / name
    random_models.make(folder, family, *SIZES[size])
    job = cluster.submit(memory_spec(cluster, name, folder, case))["id"]
    assert cluster.wait(job, 300) == 0, cluster.show(job)
    shown = cluster.show(job)
    return shown["estimate"]["memory_bytes_per_rank"], shown["measured"]["memory_bytes_peak"]


class Memory(unittest.TestCase):
    def test_the_peak_is_predicted_for_every_family_and_method(self):
        with Cluster(slots=2) as cluster:
            for case in CASES:
                predicted, measured = predicted_and_measured(cluster, case)
                print(f"{case}: predicted {predicted / 2**20:.0f} MiB, "
                      f"measured {measured / 2**20:.0f} MiB, ratio {measured / predicted:.3f}", flush=True)
                with self.subTest(case=case):
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
