# ruff: noqa: D102 - a test's name says what it tests
"""What every storage must do, as a class of tests to inherit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from nasmith.errors import StorageError, UnknownNameError
from nasmith.protocols import Storage
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Status, Tune, Tuning

__all__ = ["StorageContract"]

_RUN = Run("otter", {"seed": 3, "strategy": {"rounds": 2}}, "0.1.0", {"python": "3.11"}, "2026-01-01T10:00:00+00:00")
_BRIEF = Brief("infill", (3, 1), ({"a": "1"}, {"a": "2"}), {"a": "3"}, Sampling(8, 0.1 + 0.2, 7), 1, "a member")
_REPLY = Completion("a prompt", "a reply", "a model", 220, 130, 0.1 + 0.2, 1.1, "length", 200, "for people")
_CALL = Call("a model", "refused", "for people", "what came", 3, 8, 220, 12, 200, 5e-324, 1.5)
_CHILD = Candidate(3, "text", (1, 2), "infill", "hash", 0, 1, 0)
_EVALUATION = Evaluation(3, Status.OK, {"val_error": 0.1 + 0.2, "params": 5210}, 7, 500, 4.2, "", "verify", "w.safetensors")
_TUNING = Tuning(0, 12, (1.31, 0.95), True, "adapter-0.safetensors", 81.0, "for people")


class StorageContract:
    """Tests of a `Storage`. Inherit them in a class that pytest collects, and say how to open one.

        class TestMyStorage(StorageContract):
            def make(self, folder):
                return MyStorage(folder / "runs.db")

    Attributes:
        lasting: Whether `make` with the same folder finds what was stored before; a storage in memory does not.
    """

    lasting = True

    def make(self, folder: Path) -> Storage:
        """Open the storage that is kept in an existing folder; the first time it is empty."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        """One with the run "otter" in it."""
        storage = self.make(tmp_path)
        storage.add_run(_RUN)
        yield storage
        storage.close()

    def test_follows_the_protocol(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)

    def test_records_come_back_as_they_went_in(self, storage: Storage, tmp_path: Path) -> None:
        _fill(storage)
        _check_filled(storage)
        if self.lasting:
            storage.close()
            again = self.make(tmp_path)
            assert again.runs() == [_RUN]
            _check_filled(again)
            again.close()

    def test_runs_keep_their_order_and_their_records_to_themselves(self, storage: Storage) -> None:
        other = replace(_RUN, name="badger", config={})
        storage.add_run(other)
        _fill(storage, "badger")
        assert storage.runs() == [_RUN, other]
        assert storage.run("badger") == other
        assert storage.candidates("otter") == [] and storage.calls("otter") == [] and storage.completions("otter") == {}
        _check_filled(storage, "badger")

    def test_a_run_can_be_finished_and_opened_again(self, storage: Storage) -> None:
        storage.finish_run("otter", "2026-01-01T11:00:00+00:00")
        assert storage.run("otter").finished == "2026-01-01T11:00:00+00:00"
        storage.finish_run("otter", "")
        assert storage.run("otter") == _RUN

    def test_records_come_back_in_their_order(self, storage: Storage) -> None:
        for step in (2, 0, 1):
            storage.add_asked("otter", step, step, _BRIEF)
            storage.add_candidates("otter", [replace(_CHILD, id=step + 1)])
        evaluations = [replace(_EVALUATION, candidate=candidate, seed=seed) for candidate, seed in ((3, 1), (1, 2), (3, 1))]
        calls = [replace(_CALL, step=step) for step in (5, -1, 5)]
        for evaluation, call in zip(evaluations, calls, strict=True):
            storage.add_evaluation("otter", evaluation)
            storage.add_call("otter", call)
        assert [told for told, _ in storage.asked("otter")] == [0, 1, 2]
        assert [candidate.id for candidate in storage.candidates("otter")] == [1, 2, 3]
        assert storage.evaluations("otter") == evaluations
        assert storage.calls("otter") == calls

    def test_the_same_key_again_is_an_error_and_changes_nothing(self, storage: Storage) -> None:
        _fill(storage)
        with pytest.raises(StorageError):
            storage.add_run(replace(_RUN, config={}))
        with pytest.raises(StorageError):
            storage.add_asked("otter", 0, 5, _BRIEF)
        with pytest.raises(StorageError):
            storage.add_completions("otter", 0, 1, [replace(_REPLY, text="new")] * 2)  # the first of them is new
        with pytest.raises(StorageError):
            storage.add_candidates("otter", [replace(_CHILD, id=2), replace(_CHILD, text="other")])
        with pytest.raises(StorageError):
            storage.add_tuning("otter", 1, replace(_TUNING, round=3))
        assert storage.runs() == [_RUN]
        _check_filled(storage)

    def test_an_unknown_run_is_named(self, storage: Storage) -> None:
        with pytest.raises(UnknownNameError, match="oter"):
            storage.run("oter")
        with pytest.raises(UnknownNameError, match="oter"):
            _fill(storage, "oter")
        with pytest.raises(UnknownNameError, match="oter"):
            storage.completions("oter")

    @pytest.mark.parametrize("text", ["nul \0 inside", "half a pair \ud800", "漢字 😀\r\n", "\x01\\x00", "x" * 100_000])
    def test_language_models_may_write_anything(self, storage: Storage, text: str) -> None:
        storage.add_completions("otter", 0, 0, [replace(_REPLY, prompt=text, text=text)])
        storage.add_candidates("otter", [replace(_CHILD, text=text)])
        storage.add_call("otter", replace(_CALL, text=text))
        assert storage.completions("otter") == {(0, 0): replace(_REPLY, prompt=text, text=text)}
        assert storage.candidates("otter")[0].text == text
        assert storage.calls("otter")[0].text == text

    def test_a_run_has_a_folder_of_its_own(self, storage: Storage) -> None:
        storage.add_run(replace(_RUN, name="badger"))
        folder = storage.folder("otter")
        assert folder.is_dir() and storage.folder("otter") == folder != storage.folder("badger")

    def test_a_run_stored_or_not_can_be_claimed_again_and_again(self, storage: Storage) -> None:
        for name in ("otter", "badger", "otter"):
            with storage.claim(name):
                assert storage.run("otter") == _RUN

    def test_threads_may_share_it(self, storage: Storage) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: storage.add_candidates("otter", [replace(_CHILD, id=number)]), range(1, 41)))
        assert [candidate.id for candidate in storage.candidates("otter")] == list(range(1, 41))

    def test_may_be_closed_twice(self, tmp_path: Path) -> None:
        storage = self.make(tmp_path)
        storage.close()
        storage.close()


def _fill(storage: Storage, run: str = "otter") -> None:
    """Add one record of each kind to a run."""
    storage.add_asked(run, 0, 4, _BRIEF)
    storage.add_asked(run, 1, 9, Tune(0, (5, 9), 11))
    storage.add_completions(run, 0, 2, [_REPLY, _REPLY])
    storage.add_call(run, _CALL)
    storage.add_candidates(run, [_CHILD])
    storage.add_evaluation(run, _EVALUATION)
    storage.add_tuning(run, 1, _TUNING)


def _check_filled(storage: Storage, run: str = "otter") -> None:
    """Read back what `_fill` added."""
    assert storage.asked(run) == [(4, _BRIEF), (9, Tune(0, (5, 9), 11))]
    assert storage.completions(run) == {(0, 2): _REPLY, (0, 3): _REPLY}
    assert storage.completions(run, 1) == {}
    assert storage.calls(run) == [_CALL]
    assert storage.candidates(run) == [_CHILD]
    assert storage.evaluations(run) == [_EVALUATION]
    assert storage.tunings(run) == {1: _TUNING}
