from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from nasmith.errors import MissingDependencyError, NasmithError
from nasmith.tasks.mnist1d import data


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder with the data in it, filled by the first test that needs it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASMITH_CACHE", str(folder))
        data.load()
    return folder


@pytest.fixture
def cache(filled, monkeypatch):
    monkeypatch.setenv("NASMITH_CACHE", str(filled))
    return filled


def test_splits_have_the_sizes_of_the_paper(cache):
    splits = data.load()
    assert splits.x.shape == (3500, 40) and splits.val_x.shape == (500, 40) and splits.test_x.shape == (1000, 40)
    assert splits.x.dtype == np.float32 and splits.y.dtype == np.int64
    assert set(splits.y) == set(splits.val_y) == set(splits.test_y) == set(range(10))


def test_validation_series_are_not_trained_on(cache):
    splits = data.load()
    train = {row.tobytes() for row in splits.x}
    assert len(train) == 3500
    assert not train & {row.tobytes() for row in splits.val_x}
    assert not train & {row.tobytes() for row in splits.test_x}


def test_split_depends_on_its_seed_alone(cache):
    first, again, other = data.load(split_seed=1), data.load(split_seed=1), data.load(split_seed=2)
    assert np.array_equal(first.val_x, again.val_x)
    assert not np.array_equal(first.val_x, other.val_x)
    assert np.array_equal(first.test_x, other.test_x)


def test_cached_data_is_read_without_generating(cache, monkeypatch):
    monkeypatch.setattr(data, "_generate", lambda: pytest.fail("generated again"))
    data.load()


def test_damaged_cache_is_made_again(filled, tmp_path, monkeypatch):
    (source,) = filled.glob("*.npz")
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    (tmp_path / source.name).write_bytes(source.read_bytes()[:1000])
    with np.load(source, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name != "sha256"}
    generated = []
    monkeypatch.setattr(data, "_generate", lambda: generated.append(1) or arrays)
    data.load()
    data.load()
    assert generated == [1]


def test_failed_generation_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    monkeypatch.setattr(data, "_GENERATE", "raise RuntimeError('no luck')")
    with pytest.raises(NasmithError, match="no luck"):
        data.load()
    monkeypatch.setattr(data, "_GENERATE", "import a_package_that_is_not_there")
    with pytest.raises(MissingDependencyError, match="pip install mnist1d"):
        data.load()
    assert list(tmp_path.iterdir()) == []


def test_data_is_that_of_the_package(cache):
    script = (
        "from mnist1d.data import get_dataset_args, make_dataset\n"
        "data = make_dataset(get_dataset_args())\n"
        "print(repr(float(data['x_test'].sum())), int(data['y_test'][:100].sum()))"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    splits = data.load()
    assert float(printed[0]) == pytest.approx(float(splits.test_x.sum(dtype=np.float64)), abs=1e-2)
    assert int(printed[1]) == splits.test_y[:100].sum()
    assert version("mnist1d")
