"""A small generated set of images, the record of a published chat where this machine has it, and a network to train."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SMALL = (1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """A folder with 3 classes of 20 training images and 6 test images, 40 pixels a side. Not to be changed."""
    from nasmith.tasks.imagenet.sample_images import write_sample

    folder = tmp_path_factory.mktemp("images") / "set"
    write_sample(folder, classes=3, train=20, test=6, size=40, seed=1)
    return folder


@pytest.fixture(scope="session")
def record() -> list[dict[str, str]]:
    """The published chat; the test is skipped where it is not there."""
    folder = Path(os.environ.get("NASMITH_DATA", ROOT.parent / "shared" / "data" / "genius"))
    path = folder / "chat_329M.json"
    if not path.is_file():
        pytest.skip(f"no chat_329M.json in {folder}: name the folder with the published files by NASMITH_DATA")
    return json.loads(path.read_text(encoding="utf-8"))
