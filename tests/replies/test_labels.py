from __future__ import annotations

import pytest

from nasmith.replies.labels import labelled

NAMES = ("layer 1", "layer 2", "layer 3")


def values(text, names=NAMES):
    def first(rest, sure):
        word = rest.split()[0].strip("*\"'},.") if rest.split() else ""
        return word if word in ("a", "b", "c") or sure else ""

    return [found for _, _, found in labelled(text, names, first)]


@pytest.mark.parametrize(
    "text",
    [
        "layer 1: a\nlayer 2: b\nlayer 3: c",
        "Layer 3: c\nLayer 1: a\nLayer 2: b",
        "1. layer 1: a\n2. layer 2: b\n3. layer 3: c",
        "- **Layer 1** (64 channels): a\n  as said\n- **Layer 2**: b\n- **Layer 3**: c",
        "layer_1 = a\nlayer_2 = b\nlayer_3 = c",
        "layer 1 -> a\nlayer 2 -> b\nlayer 3 -> c",
        "layer 1 \u2192 a\nlayer 2 \u2192 b\nlayer 3 \u2192 c",
        "layer 1 - a\nlayer 2 - b\nlayer 3 - c",
        "| layer 1 | a |\n| layer 2 | b |\n| layer 3 | c |",
        '{"layer 1": "a", "layer 2": "b", "layer 3": "c"}',
        "layer 1: a; layer 2: b; layer 3: c",
        "op 7: a\nop 8: b\nop 9: c",
        "op 9: c\nop 8: b\nop 7: a",
        "stem: a\nbody: b\nhead: c",
        "note: a\nlayer 1: a\nlayer 2: b\nlayer 3: c",
    ],
)
def test_values_come_in_the_order_of_the_names(text):
    assert values(text) == [["a", "b", "c"]]


def test_a_name_that_comes_again_begins_a_new_block():
    assert values("layer 1: a\nlayer 2: b\nlayer 3: c\nlayer 1: c\nlayer 2: c\nlayer 3: c") == [["a", "b", "c"], ["c"] * 3]


def test_lines_far_apart_do_not_belong_together():
    assert values("layer 1: a\nlayer 2: b" + "\n" * 9 + "layer 3: c") == [["a", "b"]]


def test_a_value_that_is_none_is_handed_on_where_the_label_is_a_name():
    assert values("layer 1: a\nlayer 2: x\nlayer 3: c") == [["a", "x", "c"]]
    assert values("op 1: a\nop 2: x\nop 3: c") == []


@pytest.mark.parametrize("text", ["", "a, b, c", "layer: a", "x: a\ny: b", "see layer 1"])
def test_other_text_holds_no_block(text):
    assert values(text) == []


def test_names_with_arrows_are_told_apart():
    text = "edge 0->2: b\nedge 0->1: a\nedge 1->2: c"
    assert values(text, ("edge 0->1", "edge 0->2", "edge 1->2")) == [["a", "b", "c"]]


def test_a_label_may_say_less_than_a_name_or_more():
    names = ("layer 1: 32 to 64 channels, stride 2", "layer 2: 64 to 64 channels, stride 1")
    assert values("layer 2: b\nlayer 1: a", names) == [["a", "b"]]
    assert values("Layer 2: 64 to 64 channels, stride 1: b\nLayer 1: 32 to 64 channels, stride 2: a", names) == [["a", "b"]]
    nodes = ("from node 0 to node 1", "from node 0 to node 2")
    assert values("edge 0->2: b\nedge 0->1: a", nodes) == [["a", "b"]]
