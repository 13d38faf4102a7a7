from __future__ import annotations

import pytest

from nasmith.tasks.clrs.clrs_recipes import ALGORITHMS
from nasmith.tasks.clrs.published import PUBLISHED


def test_published_accuracies_are_those_of_the_thirty():
    assert set(PUBLISHED) == set(ALGORITHMS)
    assert sum(mean for mean, _ in PUBLISHED.values()) / 30 == pytest.approx(75.98, abs=0.005)
    assert PUBLISHED["heapsort"][0] == pytest.approx(31.0, abs=0.05)
