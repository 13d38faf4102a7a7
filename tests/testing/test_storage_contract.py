from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from nasmith.storage.sql import Sql
from nasmith.testing import StorageContract
from nasmith.types import Call, Candidate, Run


class TestFile(StorageContract):
    def make(self, folder: Path) -> Sql:
        return Sql(folder / "runs.db")


class TestMemory(StorageContract):
    lasting = False

    def make(self, folder: Path) -> Sql:
        return Sql(":memory:", folder=folder)


class Careless(Sql):
    """Sorts calls, and stores candidates one by one."""

    def calls(self, run: str) -> list[Call]:
        return sorted(super().calls(run), key=lambda call: call.step)

    def add_candidates(self, run: str, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            super().add_candidates(run, [candidate])


@pytest.mark.parametrize("test", ["records_come_back_in_their_order", "the_same_key_again_is_an_error_and_changes_nothing"])
def test_a_storage_that_breaks_a_rule_is_found(test: str) -> None:
    storage = Careless(":memory:")
    storage.add_run(
        Run("otter", {"seed": 3, "strategy": {"rounds": 2}}, "0.1.0", {"python": "3.11"}, "2026-01-01T10:00:00+00:00")
    )
    with pytest.raises(AssertionError):
        getattr(TestMemory(), f"test_{test}")(storage)
    storage.close()
