from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nasmith.tasks.imagenet import image_batches
from nasmith.tasks.imagenet.image_batches import Images, Order, loader


class Coloured:
    """A source whose image i has the colour i, of class i % 2; some cannot be read."""

    classes = ("even", "odd")

    def __init__(self, count: int, broken: frozenset[int] = frozenset()) -> None:
        self.labels = np.arange(count, dtype=np.int64) % 2
        self.broken, self.reads = broken, 0

    def name(self, index: int) -> str:
        return f"image {index}"

    def read(self, index: int) -> bytes:
        self.reads += 1
        if index in self.broken:
            return b"\xff\xd8\xff not a picture"
        stream = io.BytesIO()
        Image.new("RGB", (20, 16), (index, index, index)).save(stream, "PNG")
        return stream.getvalue()


def colours(batch) -> list[int]:
    return batch.images[:, 0, 0, 0].tolist()


def test_a_batch_holds_the_images_and_labels_that_were_asked_for():
    batch = Images(Coloured(10), np.array([3, 4, 7, 8]), 8, 0).__getitems__([0, 3, 1])
    assert batch.images.shape == (3, 3, 8, 8)
    assert (colours(batch), batch.labels.tolist(), batch.unreadable) == ([3, 8, 4], [1, 0, 0], ())


@pytest.mark.parametrize(("cache_mb", "reads"), [(1.0, 4), (0.0, 8)])
def test_images_that_fit_in_memory_are_decoded_once(cache_mb, reads):
    source = Coloured(10)
    images = Images(source, np.arange(4), 8, cache_mb)
    assert colours(images.__getitems__([0, 1, 2, 3])) == colours(images.__getitems__([0, 1, 2, 3])) == [0, 1, 2, 3]
    assert source.reads == reads


def test_the_next_image_stands_in_for_one_that_cannot_be_read():
    images = Images(Coloured(6, broken=frozenset({2, 3, 5})), np.arange(6), 8, 1.0)
    batch = images.__getitems__([2, 5, 1])
    assert (colours(batch), batch.labels.tolist()) == ([4, 0, 1], [0, 0, 1])
    assert set(batch.unreadable) == {2, 3, 5}


def test_where_a_network_is_judged_nothing_stands_in():
    images = Images(Coloured(6, broken=frozenset({2})), np.arange(6), 8, 0, substitute=False)
    batch = images.__getitems__([1, 2])
    assert (batch.labels.tolist(), batch.unreadable) == ([1, -1], (2,))


def test_a_data_set_without_a_readable_image_is_told():
    images = Images(Coloured(150, broken=frozenset(range(150))), np.arange(150), 8, 0)
    with pytest.raises(ValueError, match="100 images in a row cannot be read, image 0, image 1, image 2 among them"):
        images.__getitems__([0])


def test_an_epoch_sees_each_image_once_and_the_next_in_another_order():
    steps = list(Order(10, 5, 4, seed=3))
    first, second = steps[0] + steps[1], steps[2] + steps[3]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second


def test_an_incomplete_last_batch_is_left_out():
    steps = list(Order(11, 5, 2, seed=3))
    assert len(steps) == 2 and len({*steps[0], *steps[1]}) == 10


@pytest.mark.parametrize("first", range(8))
def test_the_order_is_the_same_from_any_step_on(first):
    whole = list(Order(10, 3, 8, seed=1))
    order = Order(10, 3, 8, seed=1, first=first)
    assert list(order) == whole[first:] and len(order) == 8 - first


def test_processes_share_each_batch():
    whole = list(Order(8, 4, 4, seed=1))
    parts = [list(Order(8, 4, 4, seed=1, rank=rank, world=2)) for rank in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


def test_another_process_decodes_into_the_same_memory(images):
    from nasmith.tasks.imagenet.image_sources import open_images

    source = open_images(str(images)).train
    kept = Images(source, np.arange(12), 24, 10, shared=True)
    batches = list(loader(kept, Order(12, 4, 3, seed=0), 1, pinned=False))
    assert [batch.images.shape for batch in batches] == [(4, 3, 24, 24)] * 3
    assert kept._state.tolist() == [1] * 12


def test_little_shared_memory_is_not_overrun(monkeypatch):
    monkeypatch.setattr(image_batches, "_shared_memory", lambda: 1000.0)
    assert Images(Coloured(10), np.arange(10), 8, 1.0, shared=True)._kept is None
    assert Images(Coloured(10), np.arange(10), 8, 1.0)._kept is not None
