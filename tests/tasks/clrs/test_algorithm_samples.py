from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

import clrs

from nasmith.tasks.clrs import algorithm_samples
from nasmith.tasks.clrs.algorithm_samples import Samples, Wanted, draw, full_size, load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    return tmp_path / "clrs"


def same(one: Samples, other: Samples) -> bool:
    first, second = one.flat(), other.flat()
    return set(first) == set(second) and all(np.array_equal(value, second[name]) for name, value in first.items())


def test_the_test_set_is_the_benchmarks_own():
    found = draw(Wanted("minimum", 64, 32))
    sampler, _ = clrs.build_sampler("minimum", seed=clrs.CLRS30["test"]["seed"], num_samples=32, length=64)
    wanted = sampler.next()
    key = next(point for point in wanted.features.inputs if point.name == "key")
    assert np.array_equal(found.inputs["key"], key.data.astype(np.float32))
    assert np.array_equal(found.outputs["min"], wanted.outputs[0].data)
    assert np.allclose(found.inputs["pos"][0], np.arange(64) / 64)  # evenly spaced
    assert np.array_equal(found.lengths, wanted.features.lengths)


def test_samples_are_drawn_once_and_are_the_same_again(cache, monkeypatch):
    first = load(Wanted("bfs", 5, 8, seed=1))
    (path,) = cache.iterdir()
    assert path.name.startswith("bfs-5-8-")
    monkeypatch.setattr(algorithm_samples, "draw", lambda wanted: pytest.fail("drawn again"))
    assert same(load(Wanted("bfs", 5, 8, seed=1)), first)
    monkeypatch.undo()
    assert same(draw(Wanted("bfs", 5, 8, seed=1)), first)


def test_a_damaged_file_is_drawn_again(cache):
    first = load(Wanted("bfs", 5, 8, seed=1))
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:200])
    assert same(load(Wanted("bfs", 5, 8, seed=1)), first)


def test_another_seed_draws_others():
    assert not same(draw(Wanted("bfs", 5, 8, seed=1)), draw(Wanted("bfs", 5, 8, seed=2)))


def test_training_positions_are_random_and_ascend():
    position = draw(Wanted("bfs", 6, 16, seed=1)).inputs["pos"]
    assert (np.diff(position, axis=1) > 0).all() and not np.allclose(position[0], position[1])


def test_values_that_are_whole_take_a_byte():
    samples = draw(Wanted("articulation_points", 6, 8, seed=1))
    assert samples.inputs["adj"].dtype == np.int8 and samples.inputs["pos"].dtype == np.float32
    assert samples.hints["pi_h"].shape[1:] == (8, 6)


def test_questions_hold_no_answer():
    samples = draw(Wanted("bfs", 6, 8, seed=1))
    questions = samples.questions()
    assert not [name for name in questions if name.startswith("outputs/")]
    assert all(value.shape[0] == 1 for name, value in questions.items() if name.startswith("hints/"))
    assert int(questions["steps"][0]) == samples.hints["pi_h"].shape[0] > 1


def test_string_samples_have_needles_of_several_lengths():
    samples = draw(Wanted("kmp_matcher", 20, 16, seed=1))
    assert len(set(samples.inputs["string"].sum(axis=1).tolist())) > 1


def test_full_size_is_the_benchmarks():
    assert full_size("bfs") == (64, 32) and full_size("quickselect") == (64 * 64, 32 * 64)
    assert full_size("find_maximum_subarray_kadane") == (64 * 32, 32 * 32)


def test_a_needle_always_has_a_place():
    assert draw(Wanted("naive_string_matcher", 7, 64, seed=1)).inputs["string"].shape == (64, 7)
