from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from nasmith.errors import ConfigError, StorageError, UnknownNameError
from nasmith.storage import rows
from nasmith.storage.memory import Memory
from nasmith.storage.sql import Sql
from nasmith.testing.storage_contract import _RUN, _check_filled, _fill
from nasmith.types import Brief, Candidate, Evaluation, Sampling, Status, Suggestion, Tune

WISHES = [
    Brief("infill", (3, 1), ({"a": "1"}, {"a": "2"}), {"a": "3"}, Sampling(8, 0.1 + 0.2, 7), 1, "a member"),
    Suggestion(("0120", "0121"), "mutation", (3,), 2),
    Tune(0, (5, 9), 11),
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: type(wish).__name__)
def test_a_wish_comes_back_as_it_went(wish: Brief | Suggestion | Tune) -> None:
    assert rows.to_wish(rows.from_wish(4, 17, wish)) == (17, wish)


def test_numbers_of_numpy_become_plain_ones() -> None:
    row = rows.from_evaluation(Evaluation(1, Status.OK, {"fitness": np.float32(0.5)}))
    assert type(row["metrics"]["fitness"]) is float


def test_a_whole_run_is_taken_with_every_record(tmp_path: Path) -> None:
    source, storage = Memory(), Sql(tmp_path / "runs.db")
    source.add_run(_RUN)
    _fill(source)
    storage.take(source, "otter")
    assert storage.runs() == [_RUN]
    _check_filled(storage)
    storage.add_candidates("otter", [Candidate(4, "more")])  # it is a run like any other
    storage.close()


def test_a_run_that_cannot_be_taken_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, storage = Memory(), Sql(tmp_path / "runs.db")
    source.add_run(_RUN)
    _fill(source)
    monkeypatch.setattr(source, "evaluations", lambda run: [Evaluation(99, Status.OK)])  # of no candidate
    with pytest.raises(StorageError):
        storage.take(source, "otter")
    with sa.create_engine(f"sqlite:///{tmp_path / 'runs.db'}").connect() as connection:
        for table in ("runs", "asked", "candidates", "completions", "prompts", "calls"):
            assert connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) == 0, table
    storage.close()


def test_a_taken_name_an_unknown_one_and_a_wrong_one_are_refused(tmp_path: Path) -> None:
    source, storage = Memory(), Sql(tmp_path / "runs.db")
    source.add_run(_RUN)
    storage.take(source, "otter")
    with pytest.raises(StorageError, match="a run 'otter' already exists"):
        storage.take(source, "otter")
    with pytest.raises(UnknownNameError, match="badger"):
        storage.take(source, "badger")
    with pytest.raises(ConfigError, match="a run's name"):
        storage.take(source, "../otter")
    storage.close()
