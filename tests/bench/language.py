"""Language models beside Hugging Face Trainer and PEFT: GPT-2 of 124 million parameters and llama-tiny, all weights and LoRA.

Each benchmark runs ours and the Trainer in turn on the same rows and model, one thread, and compares useful
(non-padding) tokens a second, the loss of each step and the peak of memory: `default` in fp32 against the Trainer's
defaults, `bf16` our bfloat16 against the same, `best` the fastest settings of both.
"""

import json
import math
import os
import pathlib
import re
import statistics
import subprocess

import random_models
from cluster import EXAMPLES, Cluster

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build/venv/bin/python"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
LOSS_WITHIN = 0.01
SEED = 42
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": "all-linear"}
# Steps, rows a step, tokens a row at most, learning rate.
SHAPES = {"gpt2-124m": (6, 8, 128, 5e-5), "llama-tiny": (40, 8, 256, 5e-4)}
# {kind: (our options, the Trainer's, goal)}. Bfloat16 where the CPU multiplies it: elsewhere it is slower on both sides.
CPU_BF16 = bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", pathlib.Path("/proc/cpuinfo").read_text()))
KINDS = {"default": ({}, {}, ">= 4"), "bf16": ({"bf16": True}, {}, ">= 4"),
         "best": ({"bf16": CPU_BF16, "packing": True}, {"bf16": CPU_BF16, "group_by_length": True}, ">= 2")}
GOALS = {f"language-{model}-{method}-{kind}": goal
         for model in SHAPES for method in ("full", "lora") for kind, (_, _, goal) in KINDS.items()}


def write_rows(path):
    with open(EXAMPLES / "data/describe.train.jsonl", encoding="utf-8") as rows, path.open("w") as out:
        for row in map(json.loads, rows):
            out.write(json.dumps({"text": row["prompt"] + row["completion"]}) + "\n")


def model_for(cluster, model):
    if model == "llama-tiny":
        return EXAMPLES / "models/llama-tiny"
    folder = cluster.dir / model
    random_models.make(folder, "gpt2", 768, 12, 12, vocabulary=50257, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return folder


def ours(cluster, name, model_dir, rows, options):
    spec = {"name": name, "task": "text-generation", "model": str(model_dir),
            "data": {"train": str(rows), "format": "text", "max_length": options["max_length"],
                     "packing": options.get("packing", False)},
            "training": {"max_steps": options["steps"], "global_batch_size": options["batch"],
                         "micro_batch_size": options["batch"], "shards": 1, "seed": SEED,
                         "learning_rate": options["learning_rate"], "bf16": options.get("bf16", False),
                         "save_steps": 1000, "logging_steps": 1},
            "resources": {"ranks": 1}}
    if options["lora"]:
        spec["method"] = {"lora": LORA}
    path = cluster.dir / f"{name}.json"
    path.write_text(json.dumps(spec))
    out = cluster.run("submit", path, "--follow", "--json", check=True, timeout=600).stdout
    events = [json.loads(line) for line in out.splitlines()]
    progress = [event for event in events if event.get("type") == "progress"]
    timed = progress[2:]
    tokens = sum(event["tokens_per_second"] * event["step_seconds"] for event in timed)
    shown = cluster.show(name)
    return {"tokens_per_second": tokens / sum(event["step_seconds"] for event in timed),
            "losses": [event["loss"] for event in progress], "memory_bytes": shown["measured"]["memory_bytes_peak"]}


def parameters_of(model_dir):
    """Numbers in its safetensors file."""
    with open(model_dir / "model.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def theirs(*arguments):
    out = subprocess.run([PYTHON, ROOT / "tests/bench/trainer_lm.py", *map(str, arguments)], check=True, timeout=600,
                         capture_output=True, text=True, env=ENV, cwd="/tmp").stdout
    return json.loads(out.splitlines()[-1])


def benchmark(name):
    def measure(runs):
        _, model, method, kind = name.replace("gpt2-124m", "gpt2_124m").replace("llama-tiny", "llama_tiny").split("-")
        model = model.replace("_", "-")
        steps, batch, max_length, rate = SHAPES[model]
        both = {"steps": steps, "batch": batch, "max_length": max_length, "learning_rate": rate, "seed": SEED,
                "lora": method == "lora"}
        our, their, _ = KINDS[kind]
        a, b, products = [], [], []
        with Cluster(slots=1) as cluster:
            rows = cluster.dir / "rows.jsonl"
            write_rows(rows)
            model_dir = model_for(cluster, model)
            parameters = parameters_of(model_dir) if method == "full" else None
            for run in range(runs or 3):
                products.append(theirs("--product", precision(our)))
                a.append(ours(cluster, f"ours-{run}", model_dir, rows, {**both, **our}))
                b.append(theirs(model_dir, rows, json.dumps({**both, **their})))
        return row_of(name, a, b, products, parameters)
    return measure


def precision(options):
    return "bf16" if options.get("bf16") else "fp32"


def row_of(name, a, b, products, parameters):
    """`parameters`: of a model of which all are trained; its products are compared with what a core multiplies."""
    def median(many, field):
        return statistics.median(one[field] for one in many)

    our, their, _ = KINDS[name.rsplit("-", 1)[1]]
    mine, peer = median(a, "tokens_per_second"), median(b, "tokens_per_second")
    row = {"name": name, "ours": mine, "peer": peer, "unit": "tokens/s", "ratio": round(mine / peer, 3), "runs": len(a),
           "peer_name": f"Hugging Face Trainer{'' if parameters else ' + PEFT'} on the same LibTorch, "
                        f"{precision(their)}, 1 thread"}
    notes = [f"memory {median(a, 'memory_bytes') / 2**20:.0f} against {median(b, 'memory_bytes') / 2**20:.0f} MiB "
             f"({median(b, 'memory_bytes') / median(a, 'memory_bytes'):.2f})"]
    if not our.get("packing"):  # the same rows in each step
        pairs = list(zip(a[0]["losses"], b[0]["losses"]))
        off = max(abs(x - y) / y for x, y in pairs)
        notes.append(f"losses {pairs[0][0]:.3f} to {pairs[-1][0]:.3f}, at most {off:.2%} off")
        if off > LOSS_WITHIN:
            raise AssertionError(f"{name}: losses differ by {off:.2%}: {pairs}")
    if parameters:  # 2 operations a parameter forward, 4 backward
        rate = statistics.median(products)
        share = mine * 6 * parameters / (rate * 1e9)
        notes.append(f"a core multiplies {rate:.0f} GFLOP/s in {precision(our)}, of which we use {share:.0%}")
    row["phases"] = "; ".join(notes)
    return row
