from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasmith.cli.console import fail, opened, print_json, records_of, run_name, warn
from nasmith.errors import StorageError, UnknownNameError, UsageError
from nasmith.protocols import Storage
from nasmith.storage.sql import Sql
from nasmith.types import Run


def test_json_has_no_numbers_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), float("-inf"), 1.5], 2: "ü"})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.5], "2": "ü"}


def test_an_error_is_shown_as_it_is_even_with_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    fail(UsageError("unknown [bold]x[/bold]"))
    assert capsys.readouterr().err == "error: unknown [bold]x[/bold]\n"


def test_a_missing_storage_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no runs at"), opened(str(tmp_path / "x.sqlite3")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_newest_run_is_meant_where_none_is_named(recorded_storage: Storage) -> None:
    assert run_name(recorded_storage, None) == "quiet-otter"
    with pytest.raises(UnknownNameError, match="Did you mean 'quiet-otter'"):
        run_name(recorded_storage, "quiet-oter")


def test_an_empty_storage_says_how_to_begin() -> None:
    storage = Sql(":memory:")
    with pytest.raises(UsageError, match="nasmith search"):
        run_name(storage, None)
    storage.close()


def test_the_runs_task_is_made_again_with_its_options(recorded_storage: Storage) -> None:
    records, task = records_of(recorded_storage, "quiet-otter")
    assert records.run.name == "quiet-otter" and getattr(task, "steps", None) == 500


def test_the_newest_run_is_the_last_that_was_begun_whatever_the_clock_said() -> None:
    storage = Sql(":memory:")
    for name, created in (("first", "2026-01-02T00:00:00+00:00"), ("second", "2026-01-01T00:00:00+00:00")):
        storage.add_run(Run(name, {}, "0", {}, created))
    assert run_name(storage, None) == "second"
    storage.close()


def test_errors_and_warnings_hold_no_secrets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SOME_TOKEN", "quite-long-value")
    fail(UsageError("401: quite-long-value"))
    warn("quite-long-value")
    assert capsys.readouterr().err == "error: 401: [SOME_TOKEN]\nwarning: [SOME_TOKEN]\n"
