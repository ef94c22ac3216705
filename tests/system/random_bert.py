"""A BERT of any size with random weights, and the shipped tokenizer: for tests of memory, not of accuracy."""

import array
import json
import random
import shutil
import struct

from cluster import EXAMPLES

TINY = EXAMPLES / "models/bert-tiny"
BLOCK = 1 << 16


def shapes(hidden, layers, vocabulary, positions, intermediate):
    """{tensor name: shape}, as Hugging Face's BertModel has them."""
    found = {"bert.embeddings.word_embeddings.weight": [vocabulary, hidden],
             "bert.embeddings.position_embeddings.weight": [positions, hidden],
             "bert.embeddings.token_type_embeddings.weight": [2, hidden],
             "bert.embeddings.LayerNorm.weight": [hidden], "bert.embeddings.LayerNorm.bias": [hidden],
             "bert.pooler.dense.weight": [hidden, hidden], "bert.pooler.dense.bias": [hidden]}
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            found |= {f"{layer}{part}.weight": [hidden, hidden], f"{layer}{part}.bias": [hidden]}
        found |= {f"{layer}intermediate.dense.weight": [intermediate, hidden],
                  f"{layer}intermediate.dense.bias": [intermediate],
                  f"{layer}output.dense.weight": [hidden, intermediate], f"{layer}output.dense.bias": [hidden]}
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            found |= {f"{layer}{norm}.weight": [hidden], f"{layer}{norm}.bias": [hidden]}
    return found


def make(folder, hidden, layers, heads):
    """Writes config, weights and tokenizer to `folder`; the number of parameters."""
    folder.mkdir(parents=True)
    config = json.loads((TINY / "config.json").read_text())
    config.update(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                  intermediate_size=4 * hidden, architectures=["BertModel"], dtype="float32",
                  torch_dtype="float32")
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(TINY / name, folder / name)
    tensors = shapes(hidden, layers, config["vocab_size"], config["max_position_embeddings"], 4 * hidden)
    header, end = {}, 0
    for name, shape in tensors.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    chance = random.Random(7)
    block = array.array("f", (chance.gauss(0, 0.02) for _ in range(BLOCK))).tobytes()
    ones = array.array("f", [1.0] * hidden).tobytes()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, entry in header.items():
            size = entry["data_offsets"][1] - entry["data_offsets"][0]
            if name.endswith("LayerNorm.weight"):
                file.write(ones)
                continue
            file.write((block * (size // len(block) + 1))[:size])
    return end // 4
