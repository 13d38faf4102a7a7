from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nasmith.errors import ConfigError
from nasmith.lms.tokens import Chat, Tokens
from nasmith.types import Example, Message

TALK = (Message("system", "Be short."), Message("user", "A program?"))


def retemplated(folder: Path, target: Path, template: str) -> Path:
    """A copy of a model with its template in a file of its own."""
    shutil.copytree(folder, target)
    settings = json.loads((target / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (target / "tokenizer_config.json").write_text(json.dumps(settings))
    (target / "chat_template.jinja").write_text(template)
    return target


def test_a_conversation_is_written_by_the_template_with_one_first_token(tiny_chat: Path) -> None:
    files = Tokens(tiny_chat, "tiny")
    assert files.chat().prompt(TALK) == "![system]Be short.<end>[user]A program?<end>[assistant]"
    first = files.tokenizer.token_to_id("!")
    assert files.prompt("", TALK).count(first) == 1
    assert files.prompt("A program?").count(first) == 1  # the tokenizer adds it where no template does


def test_its_vocabulary_is_that_of_its_tokenizer(tiny: Path) -> None:
    files = Tokens(tiny, "tiny")
    tokens = files.prompt("def Model():\n    # é")
    assert b"".join(map(files.vocabulary.spelled, tokens)).decode() == "def Model():\n    # é"
    assert files.vocabulary is files.vocabulary


def test_a_reply_ends_with_what_config_generation_and_template_say(tiny_chat: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_chat, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text()) | {"eos_token_id": 7}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [8, 7]}))
    files = Tokens(folder, "tiny")
    assert files.ends() == [7, 8]
    assert files.ends(TALK) == [7, 8, files.tokenizer.token_to_id("<end>")]


def test_an_example_of_a_conversation_ends_as_the_template_ends_a_reply(tiny_chat: Path) -> None:
    files = Tokens(tiny_chat, "tiny")
    prompt, reply = files.example(Example("transcript", "x = 1", TALK))
    assert prompt == files.prompt("", TALK)
    assert reply == [*files.tokenizer.encode("x = 1", add_special_tokens=False).ids, files.tokenizer.token_to_id("<end>")]
    prompt, reply = files.example(Example("def", " f"))
    assert (prompt, reply) == (files.prompt("def"), files.tokenizer.encode(" f", add_special_tokens=False).ids)


def test_a_template_that_knows_no_system_message_gets_it_with_the_first_question(tiny_chat: Path, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    chat = Chat(retemplated(tiny_chat, tmp_path / "copy", template), "tiny")
    assert chat.prompt(TALK) == "[user]Be short.\n\nA program?"
    assert chat.closing(TALK, "x") == ""  # "[assistant]" stands between them


def test_a_conversation_that_the_template_refuses_is_refused_with_its_words(tiny_chat: Path, tmp_path: Path) -> None:
    chat = Chat(retemplated(tiny_chat, tmp_path / "copy", "{{ raise_exception('only Latin') }}"), "tiny")
    with pytest.raises(ConfigError, match="only Latin"):
        chat.prompt(TALK)


def test_models_that_think_first_are_asked_not_to(tiny_chat: Path, tmp_path: Path) -> None:
    chat = Chat(retemplated(tiny_chat, tmp_path / "copy", "{{ enable_thinking }}"), "tiny")
    assert chat.prompt(TALK) == "False"


def test_a_model_without_a_template_cannot_be_asked(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        Tokens(tiny, "tiny").prompt("", TALK)


def test_a_model_without_a_tokenizer_is_refused(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "copy")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        Tokens(folder, "tiny")


def test_a_tokenizer_of_an_older_format_is_converted(tiny_gpt2: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_gpt2, tmp_path / "copy")
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    wanted = Tokens(folder, "tiny").prompt("def Model():")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("\n".join(" ".join(pair) for pair in model["merges"]))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", "unk_token": "<end>"}))
    assert Tokens(folder, "tiny").prompt("def Model():") == wanted


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"max_position_embeddings": 77}, 77),
        ({"n_positions": 78}, 78),
        ({"text_config": {"max_position_embeddings": 79}}, 79),
        ({}, 2048),
    ],
)
def test_the_limit_is_what_the_config_says(tiny: Path, tmp_path: Path, config: dict[str, object], limit: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    shutil.copy(tiny / "tokenizer.json", tmp_path)
    assert Tokens(tmp_path, "tiny").limit == limit
