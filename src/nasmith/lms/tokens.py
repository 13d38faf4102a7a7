"""Turns text and conversations into tokens, as a model's own files say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from nasmith.errors import ConfigError
from nasmith.lms.constrained import Vocabulary
from nasmith.types import Example, Message

__all__ = ["Chat", "Tokens"]


class Tokens:
    """Turns prompts, conversations and examples into tokens.

    Args:
        folder: Holds the model's config and tokenizer.
        name: The model's, for messages.

    Raises:
        ConfigError: There is no tokenizer.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self._name = folder, name
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.tokenizer = _tokenizer(folder)
        self._ends = _end_tokens(folder, self.config)
        self._chat: Chat | None = None

    @property
    def limit(self) -> int:
        """Tokens of a prompt and its reply together."""
        text = {**self.config, **self.config.get("text_config", {})}
        names = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length")
        return next((int(text[name]) for name in names if text.get(name)), 2048)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the tokens spell."""
        return Vocabulary(self.tokenizer)

    def chat(self) -> Chat:
        """Return what writes conversations.

        Raises:
            ConfigError: The model has no chat template.
        """
        self._chat = self._chat or Chat(self.folder, self._name)
        return self._chat

    def prompt(self, prompt: str, messages: Sequence[Message] = ()) -> list[int]:
        """Return the tokens of a conversation, or of a prompt where there is none.

        Raises:
            ConfigError: There are messages, and the model has no chat template, or it refuses them.
        """
        return self._plain(self.chat().prompt(messages)) if messages else self.tokenizer.encode(prompt).ids

    def ends(self, messages: Sequence[Message] = ()) -> list[int]:
        """Return the tokens that end a reply."""
        return [*self._ends, *self.chat().ends] if messages else self._ends

    def example(self, example: Example) -> tuple[list[int], list[int]]:
        """Return the tokens of an example's prompt and reply; in a conversation the reply ends as the template ends it."""
        prompt, reply = self.prompt(example.prompt, example.messages), self._plain(example.text)
        if example.messages:
            after = self._plain(self.chat().closing(example.messages, example.text))
            reply += [token for token in after[:1] if token in self.ends(example.messages)]
        return prompt, reply

    def _plain(self, text: str) -> list[int]:
        """Return the tokens of a text that begins nothing, or has the model's first token in it already."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids


class Chat:
    """Writes conversations as a model's chat template has them.

    Args:
        folder: Holds the tokenizer's files and the template.
        name: The model's, for messages.

    Raises:
        ConfigError: The model has no chat template.
    """

    def __init__(self, folder: Path, name: str) -> None:
        file = folder / "tokenizer_config.json"
        settings = json.loads(file.read_text()) if file.is_file() else {}
        if not (settings.get("chat_template") or (folder / "chat_template.jinja").is_file()):
            raise ConfigError(
                f"{name} has no chat template (tokenizer_config.json, chat_template.jinja) in {folder}, so it cannot answer "
                "messages. Use chat=false to have it continue text, or a model that was trained for conversations."
            )
        self._name = name
        self._tokenizer = _pretrained(folder)
        end = self._tokenizer.eos_token_id
        self.ends: list[int] = [] if end is None else [end]

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text that the model continues with its reply; special tokens are in it.

        A template that knows no system message gets its text at the beginning of the first user's.

        Raises:
            ConfigError: The template refuses the conversation.
        """
        return self._written(messages, open_ended=True)

    def closing(self, messages: Sequence[Message], reply: str) -> str:
        """Return what the template writes after a reply; empty where it then writes the rest differently, too."""
        begun = self.prompt(messages) + reply
        whole = self._written([*messages, Message("assistant", reply)], open_ended=False)
        return whole[len(begun) :] if whole.startswith(begun) else ""

    def _written(self, messages: Sequence[Message], *, open_ended: bool) -> str:
        from jinja2 import TemplateError

        try:
            # Models that think before they answer would spend a reply's tokens on it; other templates do not know the option.
            return self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                tokenize=False,
                add_generation_prompt=open_ended,
                enable_thinking=False,
            )
        except TemplateError as error:
            if [message.role for message in messages[:2]] != ["system", "user"]:
                raise ConfigError(
                    f"the chat template of {self._name} refuses this conversation: {error}. Use another model, or chat=false."
                ) from error
        joined = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
        return self._written([joined, *messages[2:]], open_ended=open_ended)


def _pretrained(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(
            f"folder: transformers cannot read the tokenizer in {folder}: {str(error).partition(chr(10))[0]} "
            "Save the model's fast tokenizer (tokenizer.json) there."
        ) from error


def _tokenizer(folder: Path) -> Any:
    """Return the `tokenizers.Tokenizer` of a model's folder; older formats of tokenizers are converted by `transformers`."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else getattr(_pretrained(folder), "backend_tokenizer", None)
    if tokenizer is None:
        raise ConfigError(f"folder: {folder} holds no tokenizer.json; save the model's fast tokenizer there.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _end_tokens(folder: Path, config: Mapping[str, Any]) -> list[int]:
    """Return the tokens that end a reply; models that chat often name further ones in `generation_config.json`."""
    file = folder / "generation_config.json"
    generation = json.loads(file.read_text()) if file.is_file() else {}
    found: list[int] = []
    for source in (config, config.get("text_config", {}), generation):
        ends = source.get("eos_token_id")
        found += [] if ends is None else [ends] if isinstance(ends, int) else ends
    return list(dict.fromkeys(found))
