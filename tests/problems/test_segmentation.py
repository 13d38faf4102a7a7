from __future__ import annotations

import numpy as np
import pytest

from nasmith.problems import DataError, Segmentation, Splits


def splits(x_shape, y_shape):
    generator = np.random.default_rng(0)
    part = (generator.normal(size=x_shape), generator.integers(0, 3, y_shape))
    return Splits(part, part, part)


def test_outputs_have_the_size_of_the_picture():
    data = splits((4, 1, 6, 5), (4, 6, 5))
    data.check(Segmentation())
    assert Segmentation().fitted(data).output_shape(data) == (3, 6, 5)


@pytest.mark.parametrize(("x", "y"), [((4, 6, 5), (4, 6, 5)), ((4, 6, 5, 3), (4, 6, 5))])
def test_pictures_without_channels_or_with_channels_last_are_refused(x, y):
    with pytest.raises(DataError, match=r"x has shape .* x.transpose\(0, 3, 1, 2\)"):
        splits(x, y).check(Segmentation())
