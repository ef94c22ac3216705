"""The peer of the language models' benchmark: Hugging Face Trainer, with PEFT where an adapter is trained, one thread.

    trainer_lm.py MODEL_DIR ROWS_JSONL OPTIONS_JSON     prints {"tokens_per_second", "losses", "memory_bytes"}

OPTIONS: steps, batch, max_length, learning_rate, seed, lora, bf16, group_by_length. Rows are {"text"}, drawn in the
order in which ours are drawn, so that losses can be compared step by step; with group_by_length by like length
instead, which pads less. This Trainer divides a step's loss by the labels before they are shifted, each
row's first token among them, which nothing predicts; the losses printed are by predicted token. Useful (non-padding)
tokens over the wall time of the steps after the first two.
`trainer_lm.py --product fp32|bf16` prints what one core multiplies, in GFLOP/s.
"""

import json
import resource
import sys
import time

import torch

WARM_STEPS = 2
MASK = (1 << 64) - 1


def mix(x):
    """SplitMix64's finaliser."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def epoch_order(count, seed):
    """worker/train/samples.cc's order of an epoch, the first."""
    seed = mix(mix(seed))  # HashSeed(seed, epoch 0)
    order = list(range(count))
    for i in range(count, 1, -1):
        j = ((mix(mix(seed) ^ i) >> 32) * i) >> 32
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def product_rate(precision):
    """Of 1,024 x 1,024 matrices: the best of some."""
    torch.set_num_threads(1)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    a, b = torch.rand(1024, 1024).to(dtype), torch.rand(1024, 1024).to(dtype)
    best = 1e9
    for _ in range(12):
        begin = time.monotonic()
        torch.mm(a, b)
        best = min(best, time.monotonic() - begin)
    return 2 * 1024**3 / best / 1e9


def main():
    if sys.argv[1] == "--product":
        print(json.dumps(product_rate(sys.argv[2])))
        return
    from torch.utils.data import Dataset, SequentialSampler
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

    model_dir, path, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    with open(path, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    rows = []
    for ids in tokenizer(texts, truncation=True, max_length=options["max_length"])["input_ids"]:
        ends = ids[-1] == tokenizer.eos_token_id or len(ids) == options["max_length"]
        rows.append(ids if ends else ids + [tokenizer.eos_token_id])
    if not options.get("group_by_length"):
        rows = [rows[i] for i in epoch_order(len(rows), options["seed"])]

    class Rows(Dataset):
        def __len__(self):
            return len(rows)

        def __getitem__(self, index):
            return {"input_ids": rows[index]}

    counted, losses, clock = [], [], []

    def collate(features):
        """What DataCollatorForLanguageModeling makes."""
        longest = max(len(f["input_ids"]) for f in features)
        counted.append(sum(len(f["input_ids"]) for f in features))
        batch = {"input_ids": [], "attention_mask": [], "labels": []}
        for ids in (f["input_ids"] for f in features):
            gap = longest - len(ids)
            batch["input_ids"].append(ids + [0] * gap)
            batch["attention_mask"].append([1] * len(ids) + [0] * gap)
            batch["labels"].append(ids + [-100] * gap)
        return {name: torch.tensor(value) for name, value in batch.items()}

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            clock.append(time.monotonic())

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in logs:
                losses.append(logs["loss"])

    class InOrder(Trainer):
        def _get_train_sampler(self):
            grouped = options.get("group_by_length")
            return super()._get_train_sampler() if grouped else SequentialSampler(self.train_dataset)

    model = AutoModelForCausalLM.from_pretrained(model_dir, torch_dtype=torch.float32)
    if options["lora"]:
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear",
                                                 task_type="CAUSAL_LM"))
    steps = options["steps"]
    arguments = TrainingArguments(
        output_dir="unused", max_steps=steps, per_device_train_batch_size=options["batch"],
        learning_rate=options["learning_rate"], save_strategy="no", report_to=[], logging_steps=1, disable_tqdm=True,
        use_cpu=True, dataloader_num_workers=0, seed=options["seed"],
        bf16=options.get("bf16", False), group_by_length=options.get("group_by_length", False))
    trainer = InOrder(model=model, args=arguments, train_dataset=Rows(), data_collator=collate, callbacks=[Watch()])
    trainer.train()
    seconds = clock[steps - 1] - clock[WARM_STEPS - 1]
    if trainer.model_accepts_loss_kwargs:
        losses = [loss * n / (n - options["batch"]) for loss, n in zip(losses, counted)]
    print(json.dumps({"tokens_per_second": sum(counted[WARM_STEPS:steps]) / seconds, "losses": losses,
                      "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
