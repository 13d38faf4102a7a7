from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nasmith.errors import RunBusyError, StorageError, UnknownNameError
from nasmith.storage.memory import Memory
from nasmith.testing import StorageContract
from nasmith.types import Candidate, Evaluation, Run, Status

RUN = Run("otter", {"seed": 3}, "0.1.0", {"python": "3.11"}, "2026-01-01T10:00:00+00:00")


class TestMemory(StorageContract):
    lasting = False

    def make(self, folder: Path) -> Memory:
        return Memory(folder)


class TestMemoryWithoutAFolder(StorageContract):
    lasting = False

    def make(self, folder: Path) -> Memory:
        return Memory()


def test_the_folder_that_it_made_is_gone_when_it_is_closed() -> None:
    storage = Memory()
    storage.add_run(RUN)
    folder = storage.folder("otter")
    assert folder.is_dir()
    storage.close()
    assert not folder.parent.exists()


def test_a_run_is_held_by_one_at_a_time() -> None:
    storage = Memory()
    with storage.claim("otter"), pytest.raises(RunBusyError, match="otter"), storage.claim("otter"):
        pass


def test_it_travels_with_all_its_records() -> None:
    storage = Memory()
    storage.add_run(RUN)
    storage.add_candidates("otter", [Candidate(1, "0120")])
    storage.add_evaluation("otter", Evaluation(1, Status.OK, {"fitness": 0.1 + 0.2}))
    again = pickle.loads(pickle.dumps(storage))
    assert again.runs() == [RUN]
    assert again.candidates("otter") == storage.candidates("otter")
    assert again.evaluations("otter") == storage.evaluations("otter")
    again.add_candidates("otter", [Candidate(2, "0121")])
    assert len(storage.candidates("otter")) == 1


def test_an_evaluation_needs_its_candidate() -> None:
    storage = Memory()
    storage.add_run(RUN)
    with pytest.raises(StorageError, match="candidate 4 of run 'otter' is not stored"):
        storage.add_evaluation("otter", Evaluation(4, Status.OK))
    with pytest.raises(UnknownNameError, match="badger"):
        storage.add_evaluation("badger", Evaluation(4, Status.OK))
