"""Next-token logits of texts by Transformers, with PEFT where there is an adapter: run by build/venv's
python as `peft_logits.py BASE ADAPTER|- TEXT…`; prints a JSON list a text."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    base, adapter, *texts = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(base if adapter == "-" else adapter)
    model = AutoModelForCausalLM.from_pretrained(base, torch_dtype=torch.float32,
                                                 attn_implementation="eager")
    if adapter != "-":
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt").input_ids
            print(json.dumps(model(ids).logits[0, -1].tolist()))


if __name__ == "__main__":
    main()
