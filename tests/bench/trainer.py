"""The peer of the training benchmark: Hugging Face Trainer on a classification set, its defaults, fp32.

    trainer.py MODEL_DIR TRAIN_JSONL STEPS     prints {"tokens_per_second"}

Useful (non-padding) tokens over the wall time of the steps after the fifth, one thread, batch 32 as one
forward pass (accumulating 4 x 8 is slower), dynamic padding to the longest row of the batch.
"""

import json
import sys
import time

import torch
from torch.utils.data import Dataset
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainerCallback, TrainingArguments)

WARM_STEPS = 5


class Rows(Dataset):
    def __init__(self, path, tokenizer):
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        names = sorted({row["label"] for row in rows})
        ids = {name: i for i, name in enumerate(names)}
        encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=128)
        self.rows = [{"input_ids": i, "attention_mask": m, "labels": ids[row["label"]]}
                     for i, m, row in zip(encoded["input_ids"], encoded["attention_mask"], rows)]
        self.labels = len(names)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class Clock(TrainerCallback):
    begin = end = None

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == WARM_STEPS:
            Clock.begin = time.monotonic()
        Clock.end = time.monotonic()


class Counter(DataCollatorWithPadding):
    tokens = []  # of each batch, in the order of the steps; the loader is one batch ahead of them

    def __call__(self, features):
        batch = super().__call__(features)
        Counter.tokens.append(int(batch["attention_mask"].sum()))
        return batch


def main():
    model_dir, path, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    data = Rows(path, tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(model_dir, num_labels=data.labels,
                                                               torch_dtype=torch.float32)
    arguments = TrainingArguments(
        output_dir="unused", max_steps=steps + WARM_STEPS, per_device_train_batch_size=32, learning_rate=1e-3,
        save_strategy="no", report_to=[], logging_steps=1000, disable_tqdm=True, use_cpu=True,
        dataloader_num_workers=0)
    trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=Counter(tokenizer),
                      callbacks=[Clock()])
    trainer.train()
    seconds = Clock.end - Clock.begin
    tokens = sum(Counter.tokens[WARM_STEPS:steps + WARM_STEPS])
    print(json.dumps({"tokens_per_second": tokens / seconds}))


if __name__ == "__main__":
    main()
