from __future__ import annotations

import pytest
import torch

from nasmith.tasks.imagenet.augmentation import MEAN, STD, Augmentation, centre
from nasmith.tasks.imagenet.recipes import recipe

PLAIN = recipe("tiny", {"resolution": 32})
FULL = recipe("tiny", {"resolution": 32, "randaugment": 2, "erasing": 1.0})


def pictures(count: int = 16, side: int = 37) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def augmented(which, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Augmentation(which)(pictures())


@pytest.mark.parametrize("which", [PLAIN, FULL])
def test_the_generator_alone_decides_what_is_drawn(which):
    first = augmented(which)
    assert first.shape == (16, 3, 32, 32) and first.dtype == torch.float32 and first.isfinite().all()
    assert torch.equal(first, augmented(which)) and not torch.equal(first, augmented(which, seed=1))


def test_values_are_those_of_normalised_colours():
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    for which in (PLAIN, recipe("tiny", {"resolution": 32, "randaugment": 2})):
        colours = augmented(which) * std + mean
        assert colours.min() >= -1e-4 and colours.max() <= 1 + 1e-4


def test_rectangles_are_erased_where_it_is_asked_for():
    black = (augmented(FULL) == 0).all(1).flatten(1)
    assert black.any(1).float().mean() > 0.9
    assert not (augmented(PLAIN) == 0).all(1).any()


def test_randaugment_draws_operations_for_parts_of_a_batch():
    same = pictures(1).repeat(16, 1, 1, 1)
    which = recipe("tiny", {"resolution": 32, "randaugment": 2, "smallest_crop": 1.0})
    torch.manual_seed(0)
    module = Augmentation(which)
    module.crop, module.flip = torch.nn.Identity(), torch.nn.Identity()
    groups = module(same).view(8, 2, -1)
    assert len({tuple(group[0, :50].tolist()) for group in groups}) > 4


def test_a_network_is_judged_by_the_middle_of_an_image():
    x = torch.zeros(1, 3, 37, 37, dtype=torch.uint8)
    x[..., 2:34, 2:34] = 255
    seen = centre(x, 32)
    assert seen.shape == (1, 3, 32, 32)
    assert torch.allclose(seen[0, :, 0, 0], (1 - torch.tensor(MEAN)) / torch.tensor(STD))
    assert (seen == seen[..., :1, :1]).all()
