"""A language model of a few thousand weights, made on the spot, in a folder as `transformers` writes it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

CORPUS = [
    "def Model():\n    return nn.Sequential(\n        nn.LazyConv1d(25, 5, stride=2, padding=1),\n        nn.ReLU(),\n    )\n",
    "{'num_params': '5210', 'val_accuracy': '0.865'}\n",
    "".join(map(chr, range(32, 127))),
]


TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}]{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def _write(folder: Path, model_type: str) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        if model_type == "llama":
            model = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=size,
                    hidden_size=32,
                    intermediate_size=48,
                    num_hidden_layers=3,
                    num_attention_heads=4,
                    num_key_value_heads=2,
                    max_position_embeddings=512,
                    tie_word_embeddings=True,
                    initializer_range=0.3,
                    bos_token_id=None,
                    eos_token_id=0,
                    pad_token_id=None,
                )
            )
        else:
            model = GPT2LMHeadModel(
                GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=512, bos_token_id=None, eos_token_id=0)
            )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama with grouped heads and tied embeddings."""
    return _write(tmp_path_factory.mktemp("tiny") / "llama", "llama")


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random GPT-2, which the general decoder computes."""
    return _write(tmp_path_factory.mktemp("tiny") / "gpt2", "gpt2")


@pytest.fixture(scope="session")
def tiny_chat(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama with a chat template, and a tokenizer that begins every text with a token of its own."""
    from tokenizers import Tokenizer, processors

    folder = tmp_path_factory.mktemp("tiny") / "chat"
    shutil.copytree(tiny, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    first = tokenizer.token_to_id("!")
    tokenizer.post_processor = processors.TemplateProcessing(single="! $A", special_tokens=[("!", first)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "!",
        "eos_token": "<end>",
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
