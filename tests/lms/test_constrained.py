from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import torch

from nasmith.errors import UsageError
from nasmith.lms.constrained import LOOK_AHEAD, Grammar, Vocabulary
from nasmith.lms.huggingface import HuggingFace
from nasmith.lms.smollm2 import SmolLM2
from nasmith.lms.tokens import Tokens
from nasmith.seeding import generator
from nasmith.types import Completion, Message, Request

Options = Callable[[str], Sequence[str]]
PROMPT = "{'num_params': '5210', 'val_accuracy': '0.865'}\n["
DIGITS = ("0", "1", "2")
CHANNELS = ("64", "128", "192", "256")
OPERATIONS = ("nor_conv_3x3", "nor_conv_1x1", "none", "skip_connect", "avg_pool_3x3")
UNICODE = ("é", "e\u0301", "漢字", "漢语", "😀", "😁", "\u2028")
SPECIAL = ("<end>", "<eod>", "<|im_end|>", "\n")


def listed(words: Sequence[str], count: int, close: str = "]") -> Options:
    """A list of so many words."""
    wholes = {", ".join(chosen) for chosen in product(words, repeat=count)}

    def options(said: str) -> Sequence[str]:
        if said.endswith(close):
            return ()
        if said in wholes:
            return (close,)
        return words if not said or said.endswith(", ") else (", ",)

    return options


def ordered(said: str) -> Sequence[str]:
    """Three different words: what was chosen cannot be chosen again."""
    chosen = said.split("|")[:-1]
    return () if len(chosen) == 3 else [f"{word}|" for word in OPERATIONS[:3] if word not in chosen]


def growing(said: str) -> Sequence[str]:
    """After "wide" come two numbers, after "no" nothing."""
    return {"": ("wide ", "no"), "wide ": CHANNELS[:2], "no": ()}.get(said, () if said.count(" ") > 1 else (" 1", " 2"))


WIDE = {f"wide {channels} {number}" for channels in CHANNELS[:2] for number in "12"}
GRAMMARS: dict[str, tuple[Options, Callable[[str], object]]] = {
    "digits": (listed(DIGITS, 4), lambda text: re.fullmatch(r"[012](, [012]){3}\]", text)),
    "channels": (listed(CHANNELS, 3), lambda text: re.fullmatch(r"(64|128|192|256)(, (64|128|192|256)){2}\]", text)),
    "operations": (
        listed(OPERATIONS, 2),
        lambda text: text.endswith("]") and len([word for word in text[:-1].split(", ") if word in OPERATIONS]) == 2,
    ),
    "unicode": (listed(UNICODE, 2, "。"), lambda text: text in {f"{one}, {two}。" for one in UNICODE for two in UNICODE}),
    "special": (listed(SPECIAL, 2), lambda text: text in {f"{one}, {two}]" for one in SPECIAL for two in SPECIAL}),
    "ordered": (ordered, lambda text: text in {"|".join(words) + "|" for words in permutations(OPERATIONS[:3])}),
    "growing": (growing, lambda text: text in {"no", *WIDE}),
}


@pytest.fixture(scope="module", params=["tiny", "tiny_gpt2"])
def lm(request: pytest.FixtureRequest) -> HuggingFace:
    """One whose decoder is nasmith's own, and one that `transformers` computes."""
    return HuggingFace(request.getfixturevalue(request.param), dtype="float32", device="cpu")


def ask(lm: HuggingFace, options: Options, **changes: Any) -> list[Completion]:
    return lm.complete(Request(PROMPT, options=options, **{"temperature": 1.0, "max_tokens": 100, **changes}))


def texts(lm: HuggingFace, options: Options, **changes: Any) -> list[str]:
    return [completion.text for completion in ask(lm, options, **changes)]


@pytest.mark.parametrize("temperature", [0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("name", GRAMMARS)
def test_every_reply_is_in_the_grammar(lm: HuggingFace, name: str, temperature: float) -> None:
    options, fits = GRAMMARS[name]
    replies = ask(lm, options, n=100, temperature=temperature)
    assert all(fits(reply.text) for reply in replies), Counter(reply.text for reply in replies)
    assert {reply.finish for reply in replies} == {"stop"}
    assert (len({reply.text for reply in replies}) == 1) == (temperature == 0)


def test_the_same_seed_gives_the_same_replies_and_another_seed_others(lm: HuggingFace) -> None:
    options = listed(CHANNELS, 4)
    first, other = texts(lm, options, n=16, seed=1), texts(lm, options, n=16, seed=2)
    texts(lm, listed(DIGITS, 3), n=3)
    assert texts(lm, options, n=16, seed=1) == first != other


def test_a_reply_does_not_depend_on_how_many_others_are_asked_for_or_fit_into_memory(lm: HuggingFace) -> None:
    whole = texts(lm, listed(CHANNELS, 4), n=16)
    assert texts(lm, listed(CHANNELS, 4), n=3) == whole[:3]
    small = HuggingFace(lm.folder, dtype="float32", device="cpu", memory_mb=1)
    small.warm()
    begun, begin = [], small._decoder.begin
    small._decoder.begin = lambda *arguments: begun.append(1) or begin(*arguments)
    assert texts(small, listed(CHANNELS, 4), n=16, max_tokens=250) == texts(lm, listed(CHANNELS, 4), n=16, max_tokens=250)
    assert len(begun) > 1


def explicit(lm: HuggingFace) -> Callable[[str], torch.Tensor]:
    """Returns the logits after the prompt and a reply's tokens, by `transformers`."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(lm.folder), dtype=torch.float32)
    lm.warm()

    @cache
    def logits(tokens: tuple[int, ...]) -> torch.Tensor:
        with torch.inference_mode():
            return model(torch.tensor([[*lm._tokens.prompt(PROMPT), *tokens]])).logits[0, -1]

    return logits


def exact(lm: HuggingFace, words: Sequence[str], temperature: float) -> Mapping[str, float]:
    """The probability of each word: of every way to spell it, a token at a time, among the tokens that keep to a word."""
    logits, pieces = explicit(lm), [lm._tokenizer.decode([token]) for token in range(lm._tokenizer.get_vocab_size())]
    shares = dict.fromkeys(words, 0.0)
    spellings: list[tuple[tuple[int, ...], str, float]] = [((), "", 1.0)]
    while spellings:
        tokens, said, share = spellings.pop()
        rests = [word[len(said) :] for word in words if word.startswith(said)]
        if rests == [""]:
            shares[said] += share
            continue
        fitting = [token for token, piece in enumerate(pieces) if piece and any(rest.startswith(piece) for rest in rests)]
        chances = torch.softmax(logits(tokens)[fitting] / temperature, 0).tolist()
        spellings += [
            ((*tokens, token), said + pieces[token], share * chance) for token, chance in zip(fitting, chances, strict=True)
        ]
    return shares


def misfit(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Pearson's chi-square for each degree of freedom: about 1 where the counts are drawn from the shares."""
    total = sum(counts.values())
    return sum((counts.get(word, 0) - total * share) ** 2 / (total * share) for word, share in shares.items()) / (
        len(shares) - 1
    )


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("words", [DIGITS, CHANNELS, ("none", "nn.ReLU", "skip")])
def test_options_are_drawn_by_the_models_own_probabilities(tiny: Path, words: Sequence[str], temperature: float) -> None:
    lm = HuggingFace(tiny, dtype="float32", device="cpu")
    options: Options = lambda said: () if said else words  # noqa: E731
    counts = Counter(texts(lm, options, n=4000, temperature=temperature))
    shares = exact(lm, words, temperature)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert misfit(counts, shares) < 5
    assert misfit(counts, dict.fromkeys(words, 1 / len(words))) > 50  # it would be found


@pytest.mark.parametrize("words", [DIGITS, tuple("abcdefgh"), ("]", ")", "}")])
def test_greedy_replies_take_the_likeliest_option_each_time(lm: HuggingFace, words: Sequence[str]) -> None:
    logits, tokens, wanted = explicit(lm), (), ""
    separators = lm._tokenizer.encode(", ").ids
    for place in range(4):
        tokens = (*tokens, *(separators if place else ()))
        scores = [float(torch.log_softmax(logits(tokens), 0)[lm._tokenizer.token_to_id(word)]) for word in words]
        best = words[scores.index(max(scores))]
        tokens, wanted = (*tokens, lm._tokenizer.token_to_id(best)), wanted + (", " if place else "") + best
    assert texts(lm, listed(words, 4, "."), temperature=0, n=2) == [f"{wanted}."] * 2


def test_top_p_is_a_share_of_what_is_allowed(tiny: Path) -> None:
    shares = exact(HuggingFace(tiny, dtype="float32", device="cpu"), tuple("abcdefgh"), 1.0)
    most = sorted(shares, key=lambda word: -shares[word])[:3]
    lm = HuggingFace(tiny, dtype="float32", device="cpu", top_p=sum(shares[word] for word in most) - 1e-3)
    assert set(texts(lm, lambda said: () if said else tuple("abcdefgh"), n=500)) == set(most)


def test_text_without_a_choice_is_not_drawn_and_what_is_left_in_the_end_is_not_computed(lm: HuggingFace) -> None:
    lm.warm()
    decoder, steps = lm._decoder, list[int]()
    step, first, last = decoder.step, "the first is ", " and no more "
    options = {"": (first,), first: DIGITS, **{f"{first}{digit}": (last,) for digit in DIGITS}}
    decoder.step = lambda origins, tokens: steps.append(len(tokens)) or step(origins, tokens)
    replies = ask(lm, lambda said: options.get(said, ()), n=8)
    decoder.step = step
    assert {reply.text for reply in replies} <= {f"{first}{digit}{last}" for digit in DIGITS}
    before = len(lm._tokenizer.encode(f"{first}0").ids)
    assert {reply.tokens_out for reply in replies} == {before}
    assert steps == [1] * (before - 1)  # all are one row until they part


def test_a_reply_costs_as_many_steps_as_its_tokens(lm: HuggingFace) -> None:
    lm.warm()
    decoder, steps = lm._decoder, list[int]()
    step = decoder.step
    decoder.step = lambda origins, tokens: steps.append(len(tokens)) or step(origins, tokens)
    replies = ask(lm, listed(CHANNELS, 6), n=16)
    decoder.step = step
    assert len(steps) == max(reply.tokens_out for reply in replies) - 1 and max(steps) <= 16


@pytest.mark.parametrize("texts", [(), ("all of it",)])
def test_a_reply_without_a_choice_costs_no_token(lm: HuggingFace, texts: tuple[str, ...]) -> None:
    replies = ask(lm, lambda said: () if said else texts, n=2)
    assert [(reply.text, reply.tokens_out, reply.finish) for reply in replies] == [("".join(texts), 0, "stop")] * 2


def test_a_reply_that_reaches_the_limit_says_so_and_begins_as_the_grammar_has_it(lm: HuggingFace) -> None:
    for limit in range(1, 8):
        replies = ask(lm, listed(("漢字", "é"), 6), n=8, max_tokens=limit, temperature=3.0)
        assert {(reply.finish, reply.tokens_out) for reply in replies} == {("length", limit)}
        assert all(re.fullmatch(r"|漢|(漢字|é)(, ?)?(漢|é)?(, ?)?", reply.text) for reply in replies)


def test_options_take_the_place_of_stop(lm: HuggingFace) -> None:
    assert texts(lm, listed(DIGITS, 4), n=4, stop=lambda said: 0, stop_texts=(",",)) == texts(lm, listed(DIGITS, 4), n=4)


def test_conversations_are_held_to_options_too(tiny_chat: Path) -> None:
    lm = HuggingFace(tiny_chat, dtype="float32", device="cpu", chat=True)
    said = ask(lm, listed(CHANNELS, 3), n=16, messages=(Message("user", "Three, please"),))
    assert all(GRAMMARS["channels"][1](reply.text) for reply in said) and len({reply.text for reply in said}) > 1


@pytest.fixture(scope="module")
def vocabulary(tiny: Path) -> Vocabulary:
    return Tokens(tiny, "tiny").vocabulary


def test_the_bytes_of_tokens_are_those_that_the_tokenizer_writes(vocabulary: Vocabulary) -> None:
    for text in ("漢字 é 😀 \x00\x7f\r\n\t", " nn.LazyConv1d(25, 5)  \n        ", "".join(map(chr, range(32, 400)))):
        tokens = vocabulary.divide(text.encode())
        assert tokens and b"".join(map(vocabulary.spelled, tokens)) == text.encode()
    assert [vocabulary.spelled(token) for token in sorted(vocabulary.beginnings(b"256"))] == [b"2", b"25"]
    assert vocabulary.divide("漢".encode()[1:]) == ()  # within a character


def test_a_special_token_spells_nothing(vocabulary: Vocabulary, tiny: Path) -> None:
    special = Tokens(tiny, "tiny").ends()[0]
    assert vocabulary.spelled(special) == b"" and special not in vocabulary.beginnings(b"<end>")
    assert vocabulary.divide(b"<end>") == ()  # the tokenizer would take it for the special token


def pieces() -> Any:
    """A tokenizer of pieces, as SentencePiece makes them: "▁" is a blank and stands before a text; bytes are a last resort."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    words = ["<s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "1", "▁a", "▁b", "ab", "▁ab", "é"]
    merges = [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁a", "b")]
    model = models.BPE({word: place for place, word in enumerate(words)}, merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def walk(grammar: Grammar, seed: int, most: int = 200) -> tuple[str, list[int]]:
    """A reply of tokens that are drawn from all that are allowed."""
    draw, tokens = generator(seed, "walk"), list[int]()
    while (allowed := grammar.allowed(tokens)) and len(tokens) < most:
        assert list(allowed) == sorted(set(allowed))
        tokens.append(draw.choice(allowed))
    return grammar.said(tokens), tokens


def test_tokenizers_of_pieces_are_held_to_options_too() -> None:
    tokenizer = pieces()
    vocabulary = Vocabulary(tokenizer)
    assert sorted(vocabulary.beginnings(b" ab")) == [tokenizer.token_to_id(piece) for piece in ("<0x20>", "▁", "▁a", "▁ab")]
    grammar = Grammar(vocabulary, listed(("ab", "b 漢", "é", "1"), 3))
    seen = set()
    for seed in range(300):
        text, tokens = walk(grammar, seed)
        assert re.fullmatch(r"(ab|b 漢|é|1)(, (ab|b 漢|é|1)){2}\]", text)
        assert f"{tokenizer.decode(tokens)}]" == text
        seen.add(text)
    assert len(seen) > 30


def test_text_without_a_choice_is_divided_together_with_what_follows_it(vocabulary: Vocabulary, tiny: Path) -> None:
    tokenizer = Tokens(tiny, "tiny").tokenizer
    grammar = Grammar(vocabulary, listed(("nn.ReLU", "nn.LazyConv1d"), 2))
    tokens = list(tokenizer.encode("nn.ReLU").ids)
    wanted = tokenizer.encode(", nn.").ids
    assert tokenizer.token_to_id("Ġnn") in wanted  # not a blank alone, as ", " on its own would end
    for token in wanted:
        assert list(grammar.allowed(tokens)) == [token]
        tokens.append(token)
    assert len(grammar.allowed(tokens)) > 1


def test_once_one_option_is_left_the_rest_has_no_choice(vocabulary: Vocabulary) -> None:
    grammar = Grammar(vocabulary, listed(OPERATIONS, 1))
    start = next(token for token in grammar.allowed([]) if vocabulary.spelled(token) == b"s")
    tokens = [start]
    while allowed := grammar.allowed(tokens):
        assert len(allowed) == 1
        tokens.append(allowed[0])
    assert grammar.said(tokens) == "skip_connect]"
    assert vocabulary.divide(b"skip_connect")[1:] == tuple(tokens[1:])


def test_the_grammar_is_asked_at_the_ends_of_options_alone(vocabulary: Vocabulary) -> None:
    asked: list[str] = []
    options = listed(CHANNELS, 2)
    text, tokens = walk(Grammar(vocabulary, lambda said: asked.append(said) or options(said)), 0)
    first = text.partition(",")[0]
    assert asked == ["", first, f"{first}, ", text[:-1], text]
    assert len(tokens) > 4


@pytest.mark.parametrize("texts", [("1", "12"), ("", "a"), ("漢", "b", "漢字"), ("",)])
def test_options_that_begin_another_or_are_empty_are_refused(vocabulary: Vocabulary, texts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="none begins another"):
        Grammar(vocabulary, lambda said: texts).allowed([])


def test_an_option_that_comes_twice_is_one(vocabulary: Vocabulary) -> None:
    grammar = Grammar(vocabulary, lambda said: () if said else ("a", "b", "a"))
    assert {walk(grammar, seed)[0] for seed in range(20)} == {"a", "b"}


def test_text_without_an_end_is_left_at_the_limit(vocabulary: Vocabulary) -> None:
    asked: list[str] = []
    grammar = Grammar(vocabulary, lambda said: asked.append(said) or ("and so on, ",))
    assert grammar.allowed([]) and len(asked) < LOOK_AHEAD
    text, tokens = walk(grammar, 0, most=LOOK_AHEAD)
    assert len(tokens) == LOOK_AHEAD and ("and so on, " * LOOK_AHEAD).startswith(text)


def test_what_a_tokenizer_cannot_spell_is_said() -> None:
    from tokenizers import Tokenizer, models

    letters = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    grammar = Grammar(Vocabulary(letters), lambda said: () if said else ("aé", "b"))
    assert list(grammar.allowed([])) == [0, 1]
    with pytest.raises(UsageError, match="no token for the beginning of 'é'"):
        grammar.allowed([0])


@pytest.mark.lm
@pytest.mark.parametrize("name", GRAMMARS)
def test_the_real_model_keeps_to_a_grammar(name: str, real: SmolLM2) -> None:
    options, fits = GRAMMARS[name]
    replies = ask(real, options, n=16, temperature=1.5)
    assert all(fits(reply.text) and reply.finish == "stop" for reply in replies)


@pytest.mark.lm
def test_the_real_model_goes_on_with_a_pattern(real: SmolLM2) -> None:
    prompt = "[none, skip_connect, none, skip_connect]\n" * 4 + "["
    (reply,) = real.complete(Request(prompt, temperature=0, max_tokens=100, options=listed(OPERATIONS, 4)))
    assert reply.text == "none, skip_connect, none, skip_connect]"
    assert reply.tokens_out == len(real._tokenizer.encode(reply.text[:-1]).ids)


@pytest.fixture(scope="module")
def real() -> SmolLM2:
    return SmolLM2()
