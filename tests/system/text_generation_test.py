"""Chats and adapters end to end: what a dry run shows, training that helps, the same bits at any size,
adapters that PEFT loads, merged models that Transformers loads, warm starts."""

import contextlib
import json
import os
import shutil
import subprocess
import unittest
import urllib.request
from pathlib import Path

from cluster import BIN, EXAMPLES, Cluster, ClusterTest, wait_for

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "What is tuxpaint?"
SYSTEM = "You know the Debian archive."


def chat_spec(name, ranks=1, lora=None, **training):
    """A short job on the shipped chats."""
    spec = {
        "name": name,
        "task": "text-generation",
        "model": str(EXAMPLES / "models/llama-tiny"),
        "data": {"train": str(EXAMPLES / "data/chat.train.jsonl"),
                 "eval": str(EXAMPLES / "data/chat.eval.jsonl"), "max_length": 128},
        "training": {"max_steps": 12, "global_batch_size": 16, "micro_batch_size": 4, "shards": 2,
                     "learning_rate": 3e-3, "save_steps": 6, "eval_steps": 12, **training},
        "resources": {"ranks": ranks},
    }
    if lora is not None:
        spec["method"] = {"lora": lora}
    return spec


LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": "all-linear"}


def preferences():
    """Questions of the shipped chats, whose answer is preferred to its letters turned round."""
    chats = [json.loads(line)["messages"]
             for line in (EXAMPLES / "data/chat.train.jsonl").read_text().splitlines()[:300]]
    return [json.dumps({"prompt": one[:-1], "chosen": one[-1:],
                        "rejected": [{"role": "assistant", "content": one[-1]["content"][::-1]}]}) + "\n"
            for one in chats]


def python_of_peft():
    """build/venv's python (TUTTI_PEFT_PYTHON names another's)."""
    given = os.environ.get("TUTTI_PEFT_PYTHON")
    if given:
        return given
    made = subprocess.run([ROOT / "packaging/transformers.sh"], check=True, capture_output=True,
                          text=True, timeout=600)
    return made.stdout.strip().splitlines()[-1]


def logits_of_peft(base, adapter, texts):
    out = subprocess.run([python_of_peft(), Path(__file__).parent / "peft_logits.py", str(base),
                          str(adapter), *texts], check=True, capture_output=True, text=True,
                         timeout=300)
    return [json.loads(line) for line in out.stdout.splitlines()]


def logits_of_engine(model, texts):
    out = subprocess.run([BIN / "tutti-engine", "logits", "--model", str(model), *texts],
                         check=True, capture_output=True, text=True, timeout=120)
    return [json.loads(line)["logits"] for line in out.stdout.splitlines()]


class TextGeneration(ClusterTest):
    @classmethod
    def start(cls):
        return Cluster(slots=4)

    @classmethod
    def prepare(cls):
        cls.job = cls.done(chat_spec("adapted", lora=LORA))

    @classmethod
    def done(cls, spec):
        job = cls.cluster.submit(spec)["id"]
        code = cls.cluster.wait(job, 240)
        shown = cls.cluster.show(job)
        assert code == 0, shown
        return shown

    def untuned_loss(self):
        out = subprocess.run(
            [BIN / "tutti-engine", "eval", "--json", "--model", EXAMPLES / "models/llama-tiny", "--data",
             EXAMPLES / "data/chat.eval.jsonl", "--max-length", "128"],
            check=True, capture_output=True, text=True, timeout=120)
        return json.loads(out.stdout)["loss"]

    def test_a_dry_run_shows_what_is_trained(self):
        path = self.cluster.dir / "dry.json"
        path.write_text(json.dumps(chat_spec("dry", lora=LORA)))
        shown = self.cluster.run("submit", path, "--dry-run", check=True,
                                 env={"NO_COLOR": "1"}).stdout
        self.assertIn("format chat", shown)
        self.assertIn("<|im_start|>assistant\n⟦", shown)
        self.assertIn("<|im_end|>\n⟧", shown)
        colored = self.cluster.run("submit", path, "--dry-run", "--color", "always", check=True).stdout
        self.assertIn("\x1b[32m", colored)
        self.assertNotIn("⟦", colored)

    def test_an_adapter_learns(self):
        self.assertLess(self.job["result"]["metrics"]["loss"], self.untuned_loss() - 1)
        # Checkpoints hold the adapter alone: 12 bytes a parameter of it.
        sizes = [Path(one["path"]).stat().st_size for one in self.job["checkpoints"]]
        self.assertLess(max(sizes), 12 * 250_000)

    def test_the_same_bits_on_two_ranks(self):
        spec = chat_spec("adapted-2", 2, lora=LORA, eval_steps=6)
        self.assertEqual(self.done(spec)["result"]["digest"], self.job["result"]["digest"])
        self.assertEqual(self.samples("adapted-2", 2)[-1], self.samples("adapted", 1)[0])

    def samples(self, job, evaluations):
        """What it answered at each of so many evaluations; the history is written a moment later."""
        def kept():
            return self.cluster.json("show", job, "--samples")["samples"]
        wait_for("the answers", lambda: len(kept()) == evaluations, 20)
        return [(each["step"], each["samples"]) for each in kept()]

    def test_answers_are_kept_with_each_evaluation(self):
        rows = [json.loads(line)["messages"]
                for line in (EXAMPLES / "data/chat.eval.jsonl").read_text().splitlines()[:3]]
        spec = chat_spec("answered", lora=LORA, eval_steps=6)
        spec["evaluation"] = {"samples": 2, "max_new_tokens": 12}
        self.done(spec)
        answered = self.samples("answered", 2)
        self.assertEqual([step for step, _ in answered], [6, 12])
        for sample, messages in zip(answered[1][1], rows[:2], strict=True):
            question, answer = (next(one["content"] for one in messages if one["role"] == role)
                                for role in ("user", "assistant"))
            self.assertIn(question, sample["prompt"])
            self.assertNotIn(answer, sample["prompt"])
            self.assertEqual(sample["expected"].strip(), answer.strip())
            self.assertTrue(sample["answer"].strip())
        shown = self.cluster.run("show", "answered", check=True).stdout
        self.assertIn("answers at step 12", shown)
        newest = " ".join(answered[1][1][0]["answer"].split())
        self.assertIn(newest[:20], " ".join(shown.split()))
        self.assertIn("step 6\n", self.cluster.run("show", "answered", "--samples", check=True).stdout)

    def test_packed_rows_give_the_same_bits_on_two_ranks(self):
        digests = set()
        for ranks in (1, 2):
            spec = chat_spec(f"packed-{ranks}", ranks)
            spec["data"]["packing"] = True
            spec["training"].update(max_steps=6, micro_batch_size=2, global_batch_size=4)
            digests.add(self.done(spec)["result"]["digest"])
        self.assertEqual(len(digests), 1)

    def test_preferences_give_the_same_bits_at_any_size_and_are_learned(self):
        rows = preferences()
        train, held = self.cluster.dir / "pairs.train.jsonl", self.cluster.dir / "pairs.eval.jsonl"
        train.write_text("".join(rows[:200]))
        held.write_text("".join(rows[200:240]))
        for name, method in {"full": {}, "lora": {"lora": {"r": 8, "target_modules": "all-linear"}}}.items():
            shown = {}
            for ranks in (1, 2, 4):
                spec = chat_spec(f"dpo-{name}-{ranks}", ranks, shards=4, micro_batch_size=2, learning_rate=1e-3,
                                 metric_for_best_model="rewards/accuracies", load_best_model_at_end=True)
                spec["data"] = {"train": str(train), "eval": str(held), "max_length": 128}
                spec["method"] = {"dpo": {"beta": 0.1, **method}}
                shown[ranks] = self.done(spec)
            self.assertEqual(len({one["result"]["digest"] for one in shown.values()}), 1, name)
            metrics = shown[1]["result"]["metrics"]
            self.assertEqual(set(metrics), {"loss", "rewards/accuracies", "rewards/chosen",
                                            "rewards/margins", "rewards/rejected"})
            self.assertGreater(metrics["rewards/accuracies"], 0.8)
            self.assertLess(metrics["loss"], 0.6)
            self.assertEqual(metrics, shown[4]["result"]["metrics"])
            evaluated = self.cluster.json("model", "eval", f"dpo-{name}-1", "--data", held)
            self.assertEqual(evaluated.pop("rows"), 40)
            for metric, value in metrics.items():
                self.assertAlmostEqual(evaluated[metric], value, places=3, msg=f"{name} {metric}")
        self.done(chat_spec("whole", max_steps=1))
        refused = self.cluster.run("model", "eval", "whole", "--data", held)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("no reference to compare", refused.stderr)

    def test_a_job_of_preferences_that_cannot_be_done_is_refused(self):
        spec = chat_spec("refused")
        spec["method"] = {"dpo": {}}
        path = self.cluster.dir / "refused.json"
        for packing, why in ((False, "needs rows of format preference"),
                             (True, "method dpo has no data.packing")):
            spec["data"]["packing"] = packing
            path.write_text(json.dumps(spec))
            refused = self.cluster.run("submit", path, "--dry-run")
            self.assertEqual(refused.returncode, 3)
            self.assertIn(why, refused.stderr)

    def test_a_warm_start_goes_on_from_the_adapter(self):
        spec = chat_spec("warm", lora=LORA, learning_rate=1e-8, max_steps=1)
        spec["resume_from"] = self.job["result"]["model"]
        self.assertAlmostEqual(self.done(spec)["result"]["metrics"]["loss"],
                               self.job["result"]["metrics"]["loss"], places=3)

    def test_an_exported_adapter_is_a_model(self):
        """Its folder without the base, which it then has beside it, or names; tried, measured, trained further."""
        folder = self.cluster.dir / "folder"
        self.cluster.run("model", "export", "adapted", folder, check=True)
        words = ("--system", SYSTEM, "--max-new-tokens", "12", QUESTION)
        asked = self.cluster.json("model", "try", "adapted", *words)
        self.assertEqual(self.cluster.json("model", "try", folder, *words), asked)
        held = EXAMPLES / "data/chat.eval.jsonl"
        measured = self.cluster.json("model", "eval", folder, "--data", held)

        bare = self.cluster.dir / "bare"  # as PEFT saves one: its two files, and a base elsewhere
        bare.mkdir()
        config = json.loads((folder / "adapter_config.json").read_text())
        shutil.copy(folder / "adapter_model.safetensors", bare)
        config["base_model_name_or_path"] = "./nowhere"
        (bare / "adapter_config.json").write_text(json.dumps(config))
        path = self.cluster.dir / "further.json"
        spec = chat_spec("further", lora=LORA)
        spec["model"] = str(bare)
        path.write_text(json.dumps(spec))
        for command in (("submit", path), ("model", "try", bare, QUESTION)):
            refused = self.cluster.run(*command)
            self.assertEqual(refused.returncode, 3, refused.stderr)
            self.assertIn("'./nowhere' is not found", refused.stderr)
            self.assertIn(str(bare / "nowhere"), refused.stderr)
        config["base_model_name_or_path"] = os.path.relpath(EXAMPLES / "models/llama-tiny", bare)
        (bare / "adapter_config.json").write_text(json.dumps(config))
        temporary = self.cluster.dir / "temporary"
        temporary.mkdir()
        self.assertEqual(self.cluster.json("model", "eval", bare, "--data", held,
                                           env={"TMPDIR": str(temporary)}), measured)
        self.assertEqual(list(temporary.iterdir()), [])
        merged = self.cluster.dir / "merged-bare"
        self.cluster.run("model", "merge", bare, merged, check=True)
        self.assertEqual(self.cluster.json("model", "eval", merged, "--data", held)["rows"], measured["rows"])

        further = self.done(spec)
        self.assertLess(further["result"]["metrics"]["loss"], self.job["result"]["metrics"]["loss"])
        self.assertEqual(self.done({**spec, "name": "further-of", "model": self.job["result"]["model"]})
                         ["result"]["digest"], further["result"]["digest"])
        spec["method"] = {"lora": {**LORA, "r": 4}}
        path.write_text(json.dumps(spec))
        refused = self.cluster.run("submit", path, "--dry-run")
        self.assertEqual(refused.returncode, 3)
        self.assertIn("with r 8, the job asks for 4", refused.stderr)

    def test_peft_loads_the_adapter_and_transformers_the_merged_model(self):
        texts = [QUESTION, "The package scummvm is", "<|im_start|>user\nhi<|im_end|>\n"]
        adapter = self.cluster.dir / "adapter"
        merged = self.cluster.dir / "merged"
        self.cluster.run("model", "export", "adapted", adapter, check=True)
        self.cluster.run("model", "merge", "adapted", merged, check=True)
        self.assertTrue((adapter / "adapter_config.json").exists())
        self.assertFalse((merged / "adapter_config.json").exists())
        ours = logits_of_engine(adapter, texts)
        for theirs in (logits_of_peft(adapter / "base", adapter, texts),
                       logits_of_peft(merged, "-", texts), logits_of_engine(merged, texts)):
            for got, want in zip(theirs, ours, strict=True):
                self.assertLess(max(abs(a - b) for a, b in zip(got, want, strict=True)), 1e-4)

    def test_a_tuned_model_is_asked_by_its_template(self):
        answer = self.cluster.json("model", "try", "adapted", "--system", SYSTEM, QUESTION)
        text = answer["results"][0][0]["text"]
        self.assertNotIn("<|im_end|>", text)
        self.assertTrue(text.strip())
        stop = text[1:3]
        stopped = self.cluster.json("model", "try", "adapted", "--system", SYSTEM, "--stop", stop,
                                    QUESTION)
        self.assertEqual(stopped["results"][0][0]["text"], text[: text.index(stop)])

    def test_an_answer_is_streamed_and_its_work_ends_with_the_client(self):
        words = ("model", "try", "adapted", "--system", SYSTEM, "--max-new-tokens", "40", QUESTION)
        whole = self.cluster.run(*words, check=True).stdout
        self.assertTrue(whole.startswith(QUESTION + "\n"))
        shown = self.cluster.run(*words[:2], "--stream", *words[2:], check=True).stdout
        self.assertEqual(shown.rstrip("\n"), whole.rstrip("\n"))
        long = {"texts": [QUESTION] * 200, "stream": True,
                "generation": {"max_new_tokens": 400, "seed": 1, "temperature": 2.0}}
        with self.stream("/api/v1/models/adapted/try", long) as answer:
            events = iter(answer.readline, b"")
            self.assertEqual(next(line for line in events if line != b":\n"), b"event: piece\n")
            piece = json.loads(next(events).removeprefix(b"data: "))
            self.assertEqual(set(piece), {"answer", "text"})
            self.assertTrue(self.tool_folders())
        wait_for("the tool's end", lambda: not self.tool_folders(), 20)
        wait_for("its end in the log", lambda: self.tool_ends()[-1].count("ok=false"), 5)

    def tool_ends(self):
        """What the worker's log says of each `model try` that has ended."""
        return [line for log in (self.cluster.dir / "logs").glob("*.log") for line in log.read_text().splitlines()
                if "tool_ended tool=try" in line]

    def tool_folders(self):
        return list(self.cluster.dir.glob("workers/*/run/tool-*"))

    @contextlib.contextmanager
    def stream(self, path, body):
        endpoint = json.loads((self.cluster.dir / "endpoint.json").read_text())
        token = Path(endpoint["token_file"]).read_text().strip()
        request = urllib.request.Request(
            endpoint["url"] + path, data=json.dumps(body).encode(), method="POST",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            self.assertEqual(answer.headers["content-type"], "text/event-stream")
            yield answer


if __name__ == "__main__":
    unittest.main()
