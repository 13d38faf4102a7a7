"""A language model that says what it was told to: for tests, demos and the study of everything around a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasmith.errors import ConfigError
from nasmith.seeding import derive
from nasmith.types import Completion, Request, Traits

__all__ = ["Scripted"]

SEPARATOR = "\n---\n"


class Scripted:
    """Gives replies from a list, each time the same ones to the same request, to a prompt and to messages alike.

    Messages, and prompts whose replies are held to options, are answered in the order of the list: each reply by its step and
    its place there. Where any other request begins in the list depends on its seed alone. Either way a resumed run gets the
    replies that it would have had.

    Args:
        replies: The texts.
        file: Read them from here instead: a JSON list of strings (`.json`), or text with lines `---` between the replies.
        name: What the records call it.
        temperatures: What a strategy draws from where the user names none; it changes nothing here.
        operators: Operators with relative weights.
        chat: Whether it is asked by messages; otherwise it continues prompts.
    """

    shorthand = "file"  # of a name such as "scripted:replies.json"
    traits = Traits()

    def __init__(
        self,
        replies: Sequence[str] = (),
        *,
        file: str | Path | None = None,
        name: str = "scripted",
        temperatures: Sequence[float] = (1.0,),
        operators: Mapping[str, float] | None = None,
        chat: bool = False,
    ) -> None:
        if bool(replies) == (file is not None):
            raise ConfigError("scripted: give either `replies` (a list of texts) or `file` (where they are).")
        if isinstance(replies, str):
            raise ConfigError("replies of scripted must be a list of texts; got one text. Put it into a list.")
        self.name = name
        self.temperatures = tuple(temperatures)
        self.operators = dict(operators if operators is not None else {"crossover": 1.0})
        self.replies = list(replies)
        self.chat = chat
        if chat:
            self.traits = Traits(chat=True)
        self.file = str(file) if file is not None else None
        self._read_replies: list[str] = []

    def warm(self) -> None:
        """Read the file, where there is one."""
        self._texts()

    def complete(self, request: Request) -> list[Completion]:
        """Return the next `request.n` replies of the list, from its beginning again after its end."""
        replies = self._texts()
        in_order = bool(request.messages) or request.options is not None
        start = sum(request.place) if in_order else derive(request.seed, "scripted") % len(replies)
        completions = []
        for number in range(request.n):
            text = replies[(start + number) % len(replies)]
            tokens_in = 0 if number else len(request.prompt.split())
            text = _cut(text, request)
            completions.append(Completion(request.prompt, text, self.name, tokens_in, len(text.split())))
        return completions

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _texts(self) -> list[str]:
        if self.file is None:
            return self.replies
        if not self._read_replies:
            self._read_replies = _read(Path(self.file))
        return self._read_replies


def _cut(text: str, request: Request) -> str:
    """End a reply where the request says: at `stop`, or before the first of `stop_texts`."""
    ends = [text.find(stop) for stop in request.stop_texts if stop in text]
    if request.stop is not None and (end := request.stop(text)) is not None:
        ends.append(end)
    return text[: min(ends)] if ends else text


def _read(file: Path) -> list[str]:
    try:
        content = file.read_text(encoding="utf-8")
        replies: Any = json.loads(content) if file.suffix == ".json" else content.removesuffix("\n").split(SEPARATOR)
    except (OSError, ValueError) as error:
        raise ConfigError(f"file of scripted: cannot read {file}: {error}.") from error
    if not isinstance(replies, list) or not replies or not all(isinstance(reply, str) for reply in replies):
        raise ConfigError(f"file of scripted: {file} must hold a JSON list of texts, at least one.")
    return replies
