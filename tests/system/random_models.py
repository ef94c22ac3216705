"""A model of any family and size with random weights, and a shipped tokenizer: for tests of memory and speed, not of
accuracy."""

import array
import json
import random
import shutil
import struct

from cluster import EXAMPLES

BLOCK = 1 << 16
ENCODERS = ("bert", "distilbert", "roberta")
DECODERS = ("gpt2", "llama", "mistral", "qwen2")


def linear(name, out, size, bias=True):
    return {f"{name}.weight": [out, size], **({f"{name}.bias": [out]} if bias else {})}


def norm(name, hidden, bias=True):
    return {f"{name}.weight": [hidden], **({f"{name}.bias": [hidden]} if bias else {})}


def bert(prefix, H, layers, vocabulary, positions, types):
    found = {f"{prefix}.embeddings.word_embeddings.weight": [vocabulary, H],
             f"{prefix}.embeddings.position_embeddings.weight": [positions, H],
             f"{prefix}.embeddings.token_type_embeddings.weight": [types, H],
             **norm(f"{prefix}.embeddings.LayerNorm", H)}
    for i in range(layers):
        layer = f"{prefix}.encoder.layer.{i}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            found |= linear(layer + part, H, H)
        found |= linear(layer + "intermediate.dense", 4 * H, H) | linear(layer + "output.dense", H, 4 * H)
        found |= norm(layer + "attention.output.LayerNorm", H) | norm(layer + "output.LayerNorm", H)
    return found


def distilbert(H, layers, vocabulary, positions):
    found = {"distilbert.embeddings.word_embeddings.weight": [vocabulary, H],
             "distilbert.embeddings.position_embeddings.weight": [positions, H],
             **norm("distilbert.embeddings.LayerNorm", H)}
    for i in range(layers):
        layer = f"distilbert.transformer.layer.{i}."
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            found |= linear(layer + "attention." + part, H, H)
        found |= linear(layer + "ffn.lin1", 4 * H, H) | linear(layer + "ffn.lin2", H, 4 * H)
        found |= norm(layer + "sa_layer_norm", H) | norm(layer + "output_layer_norm", H)
    return found


def gpt2(H, layers, vocabulary, positions):
    """Its linear layers are Conv1D: weights are [in, out]."""
    found = {"transformer.wte.weight": [vocabulary, H], "transformer.wpe.weight": [positions, H]}
    for i in range(layers):
        layer = f"transformer.h.{i}."
        found |= norm(layer + "ln_1", H) | norm(layer + "ln_2", H)
        for part, size, out in (("attn.c_attn", H, 3 * H), ("attn.c_proj", H, H), ("mlp.c_fc", H, 4 * H),
                                ("mlp.c_proj", 4 * H, H)):
            found |= {f"{layer}{part}.weight": [size, out], f"{layer}{part}.bias": [out]}
    return found | norm("transformer.ln_f", H)


def llama(H, layers, vocabulary, kv, biased):
    found = {"model.embed_tokens.weight": [vocabulary, H], "lm_head.weight": [vocabulary, H]}
    for i in range(layers):
        layer = f"model.layers.{i}."
        for part, out in (("q_proj", H), ("k_proj", kv), ("v_proj", kv)):
            found |= linear(f"{layer}self_attn.{part}", out, H, biased)
        found |= linear(f"{layer}self_attn.o_proj", H, H, False)
        for part, out, size in (("gate_proj", 3 * H, H), ("up_proj", 3 * H, H), ("down_proj", H, 3 * H)):
            found |= linear(f"{layer}mlp.{part}", out, size, False)
        found |= norm(layer + "input_layernorm", H, False) | norm(layer + "post_attention_layernorm", H, False)
    return found | norm("model.norm", H, False)


def describe(family, H, layers, heads, vocabulary):
    """config.json of a model without dropout beyond its family's default, and {tensor: shape}."""
    positions = 256
    shape = {"hidden_size": H, "num_hidden_layers": layers, "num_attention_heads": heads,
             "max_position_embeddings": positions}
    if family == "bert":
        return ({**shape, "intermediate_size": 4 * H, "type_vocab_size": 2, "architectures": ["BertModel"]},
                bert("bert", H, layers, vocabulary, positions, 2))
    if family == "roberta":
        return ({**shape, "intermediate_size": 4 * H, "type_vocab_size": 1, "pad_token_id": 0,
                 "architectures": ["RobertaModel"]}, bert("roberta", H, layers, vocabulary, positions, 1))
    if family == "distilbert":
        return ({"dim": H, "n_layers": layers, "n_heads": heads, "hidden_dim": 4 * H,
                 "max_position_embeddings": positions, "architectures": ["DistilBertModel"]},
                distilbert(H, layers, vocabulary, positions))
    if family == "gpt2":
        return ({"n_embd": H, "n_layer": layers, "n_head": heads, "n_positions": positions,
                 "architectures": ["GPT2LMHeadModel"]}, gpt2(H, layers, vocabulary, positions))
    kv_heads = heads // 2
    name = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}[family]
    config = {**shape, "intermediate_size": 3 * H, "num_key_value_heads": kv_heads, "tie_word_embeddings": False,
              "sliding_window": None, "architectures": [f"{name}ForCausalLM"]}
    return config, llama(H, layers, vocabulary, H // heads * kv_heads, family == "qwen2")


def make(folder, family, hidden, layers, heads, vocabulary=None, **config):
    """Writes config, weights and tokenizer to `folder`; the number of parameters. `config` goes over config.json's."""
    folder.mkdir(parents=True)
    source = EXAMPLES / "models" / ("bert-tiny" if family in ENCODERS else
                                    "gpt2-tiny" if family == "gpt2" else "llama-tiny")
    theirs = json.loads((source / "config.json").read_text())
    vocabulary = vocabulary or theirs["vocab_size"]
    own, tensors = describe(family, hidden, layers, heads, vocabulary)
    tokens = {key: theirs[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in theirs}
    (folder / "config.json").write_text(json.dumps({**tokens, **own, "model_type": family, "vocab_size": vocabulary,
                                                    "torch_dtype": "float32", **config}))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
                 "chat_template.jinja"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    return write_weights(folder / "model.safetensors", tensors)


def write_weights(path, tensors):
    header, end = {"__metadata__": {"format": "pt"}}, 0
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
    one = array.array("f", [1.0]).tobytes()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors.items():
            begin, until = header[name]["data_offsets"]
            size = until - begin
            if len(shape) == 1 and name.endswith("weight"):
                file.write(one * shape[0])
                continue
            for _ in range(size // len(block)):
                file.write(block)
            file.write(block[:size % len(block)])
    return end // 4
