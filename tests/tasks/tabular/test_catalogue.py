import numpy as np
import pytest

from nasmith.tasks.tabular import benches, catalogue
from nasmith.tasks.tabular.bounds import Bounds
from nasmith.tasks.tabular.catalogue import Catalogue
from nasmith.tasks.tabular.tables import Table

BENCH = benches.NasBenchMacro.bench


@pytest.fixture
def made(monkeypatch):
    """Makes catalogues of a table in which the last design is the best."""

    def load(file, folder, sizes, fields, read):
        assert (file, fields) == (BENCH.file, BENCH.fields)
        accuracy = np.linspace(50.0, 90.0, 3**8)
        return Table(accuracy - 1, accuracy, np.arange(3**8, 0, -1), sizes)

    monkeypatch.setattr(catalogue, "load", load)
    return lambda bounds=Bounds(), disguise=None: Catalogue(BENCH, None, bounds, disguise)  # noqa: B008 - frozen


def test_a_search_is_shown_one_accuracy_and_the_sizes(made):
    found = made()
    assert found.shown((2,) * 8) == {"test_accuracy": 89.0, "params": 2932586.0, "flops": 105660928.0}
    assert found.hidden((2,) * 8) == {"test_accuracy": 90.0, "rank": 1.0, "percentile": 100.0, "regret": 0.0}
    worst = found.hidden((0,) * 8)
    assert worst["rank"] == 3**8 and worst["regret"] == 40.0 == found.optimum - 50.0 and 0 < worst["percentile"] < 0.02


def test_a_disguised_design_is_the_real_one(made):
    plain, disguised = made(), made(disguise=1)
    for design in list(disguised.space.designs())[::777]:
        real = disguised.real(design)
        assert disguised.shown(design) == plain.shown(real) and disguised.hidden(design) == plain.hidden(real)
        assert f"Network({real})" in disguised.program(design) == plain.program(real)


def test_bounds_are_known_to_the_space_and_its_disguise(made):
    for disguise in (None, 2):
        bounded = made(Bounds(flops_max=50e6), disguise)
        designs = np.array(list(bounded.space.designs()))
        admitted = bounded.space.admits(designs)
        assert 0 < admitted.sum() < len(designs)
        assert all(bounded.shown(tuple(d))["flops"] <= 50e6 for d in designs[admitted][::50].tolist())
