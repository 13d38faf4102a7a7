from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasmith.errors import ConfigError, RunBusyError, StorageError, StorageWarning, UnknownNameError
from nasmith.protocols import Storage
from nasmith.storage.sql import Sql
from nasmith.types import Brief, Call, Candidate, Completion, Evaluation, Run, Sampling, Status, Tune, Tuning

RUN = Run("otter", {"seed": 3, "strategy": {"rounds": 2}}, "0.1.0", {"python": "3.11"}, "2026-01-01T10:00:00+00:00")
BRIEF = Brief("infill", (3, 1), ({"params": "5210"}, {"params": "91082"}), {"params": "4700"}, Sampling(8, 0.4, 7), 1)
TUNE = Tune(0, (5, 9), 11)
CALL = Call("gpt-x", "refused", "as an answer came: no", "I cannot", 3, 8, 220, 12, 200, 0.0125, 1.5)
POSTGRES = os.environ.get("NASMITH_TEST_POSTGRES", "")


@pytest.fixture(params=["file", "memory", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sql]:
    """An empty storage of each kind, with one run in it."""
    monkeypatch.chdir(tmp_path)
    drop = None
    if request.param == "file":
        storage = Sql(tmp_path / "runs" / "nasmith.sqlite3")
    elif request.param == "memory":
        storage = Sql(":memory:")
    elif not POSTGRES:
        pytest.skip("NASMITH_TEST_POSTGRES is not set to the URL of a PostgreSQL database")
    else:
        url, schema = sa.make_url(POSTGRES), f"nasmith_{uuid.uuid4().hex}"
        admin = sa.create_engine(url)
        with admin.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema))
        drop = (admin, schema)
        private = url.update_query_dict({"options": f"-csearch_path={schema}"})
        storage = Sql(private.render_as_string(hide_password=False))
    storage.add_run(RUN)
    yield storage
    storage.close()
    if drop:
        with drop[0].begin() as connection:
            connection.execute(sa.schema.DropSchema(drop[1], cascade=True))
        drop[0].dispose()


def _reply(text: str, prompt: str = "def Model():\n") -> Completion:
    return Completion(prompt, text, "smollm2", 220, 130, 0.25, 1.1, "length")


class TestContract:
    """What every `Storage` must do."""

    def test_it_is_a_storage(self, storage):
        assert isinstance(storage, Storage)

    def test_runs_come_back_in_the_order_in_which_they_began(self, storage):
        other = replace(RUN, name="badger", config={})
        storage.add_run(other)

        assert storage.runs() == [RUN, other]
        assert storage.run("badger") == other

    def test_a_run_is_held_by_one_and_read_by_all(self, storage):
        with storage.claim("otter"):
            assert storage.run("otter") == RUN
            with storage.claim("badger"):  # another run, not stored yet
                pass
        with storage.claim("otter"):
            pass

    def test_a_second_claim_is_refused_until_the_first_ends(self, storage):
        if storage._database.sqlite and storage._database.path is None:
            pytest.skip("nobody else can open a database in memory")
        with storage.claim("otter"):
            with pytest.raises(RunBusyError, match=rf"process {os.getpid()} on host .* since 2"), storage.claim("otter"):
                pass
            storage.add_candidates("otter", [Candidate(1, "goes on")])
        with storage.claim("otter"):
            pass

    def test_a_name_that_cannot_be_a_folder_is_not_claimed(self, storage):
        with pytest.raises(ConfigError, match="a run's name is"), storage.claim("../otter"):
            pass

    def test_a_run_can_be_finished_and_opened_again(self, storage):
        storage.finish_run("otter", "2026-01-01T11:00:00+00:00")
        assert storage.run("otter") == replace(RUN, finished="2026-01-01T11:00:00+00:00")

        storage.finish_run("otter", "")
        assert storage.run("otter") == RUN

    def test_a_runs_name_is_taken_once(self, storage):
        with pytest.raises(StorageError, match="a run 'otter' already exists"):
            storage.add_run(replace(RUN, config={}))
        assert storage.runs() == [RUN]

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "a\\b", "-rf", ".hidden", "a b", "ends.", "x" * 101, "a\n", "käfer"]
    )
    def test_a_runs_name_must_be_a_safe_folder(self, storage, name):
        with pytest.raises(ConfigError, match="a run's name"):
            storage.add_run(replace(RUN, name=name))
        assert storage.runs() == [RUN]

    @pytest.mark.parametrize(
        "call",
        [
            lambda s: s.run("oter"),
            lambda s: s.finish_run("oter", "now"),
            lambda s: s.folder("oter"),
            lambda s: s.add_asked("oter", 0, 0, TUNE),
            lambda s: s.asked("oter"),
            lambda s: s.add_completions("oter", 0, 0, [_reply("x")]),
            lambda s: s.completions("oter"),
            lambda s: s.completions("oter", 3),
            lambda s: s.add_call("oter", CALL),
            lambda s: s.calls("oter"),
            lambda s: s.add_candidates("oter", [Candidate(1, "x")]),
            lambda s: s.candidates("oter"),
            lambda s: s.add_evaluation("oter", Evaluation(1, Status.OK)),
            lambda s: s.evaluations("oter"),
            lambda s: s.add_tuning("oter", 0, Tuning(0, 1)),
            lambda s: s.tunings("oter"),
        ],
    )
    def test_an_unknown_run_is_named_with_the_nearest(self, storage, call):
        with pytest.raises(UnknownNameError, match=r"unknown run 'oter'\. Did you mean 'otter'"):
            call(storage)

    def test_the_folder_exists_when_it_has_been_asked_for(self, storage):
        folder = storage.folder("otter")

        assert folder.is_dir()
        assert folder.name == "otter"
        assert storage.folder("otter") == folder

    def test_wishes_come_back_in_order_of_step(self, storage):
        storage.add_asked("otter", 1, 9, TUNE)
        storage.add_asked("otter", 0, 4, BRIEF)

        assert storage.asked("otter") == [(4, BRIEF), (9, TUNE)]

    def test_a_step_is_asked_once(self, storage):
        storage.add_asked("otter", 0, 4, BRIEF)

        with pytest.raises(StorageError, match="step 0 of run 'otter' is already stored"):
            storage.add_asked("otter", 0, 5, TUNE)
        assert storage.asked("otter") == [(4, BRIEF)]

    def test_replies_come_back_by_step_and_index(self, storage):
        storage.add_completions("otter", 2, 0, [_reply("c")])
        storage.add_completions("otter", 0, 2, [_reply("b", "another prompt")])
        storage.add_completions("otter", 0, 0, [_reply("a"), _reply("a")])

        assert storage.completions("otter") == {
            (0, 0): _reply("a"),
            (0, 1): _reply("a"),
            (0, 2): _reply("b", "another prompt"),
            (2, 0): _reply("c"),
        }
        assert storage.completions("otter", 2) == {(2, 0): _reply("c")}
        assert storage.completions("otter", 7) == {}

    def test_replies_are_stored_all_or_none(self, storage):
        storage.add_completions("otter", 0, 1, [_reply("a")])

        with pytest.raises(StorageError, match="a reply of step 0"):
            storage.add_completions("otter", 0, 0, [_reply("b"), _reply("c")])
        assert storage.completions("otter") == {(0, 1): _reply("a")}

    def test_a_reply_that_could_not_be_had_keeps_its_reason(self, storage):
        reply = Completion("p", "", "gpt-x", 220, 0, 0.25, 1.1, "failed", 180, "nobody answers at \x00 \ud800")
        storage.add_completions("otter", 0, 0, [reply])

        assert storage.completions("otter") == {(0, 0): reply}

    def test_a_wish_says_which_member_of_an_ensemble_is_asked(self, storage):
        storage.add_asked("otter", 0, 4, replace(BRIEF, model="gpt-x"))

        assert storage.asked("otter") == [(4, replace(BRIEF, model="gpt-x"))]

    def test_calls_come_back_in_the_order_in_which_they_were_added(self, storage):
        added = [CALL, Call("a", "checked"), Call("gpt-x", "timeout", step=0), CALL]  # the same may happen twice
        for call in added:
            storage.add_call("otter", call)

        assert storage.calls("otter") == added

    @pytest.mark.parametrize("text", ["nul \x00 inside", "half \ud800 pair", "\x01\\x00", "x" * 10_000, "漢字 😀\r\n"])
    def test_the_text_of_a_call_is_exact(self, storage, text):
        call = replace(CALL, text=text, message=text, model=text)
        storage.add_call("otter", call)

        assert storage.calls("otter") == [call]

    def test_candidates_come_back_in_order_of_id(self, storage):
        children = [Candidate(3, "c", (1, 2), "infill", "h3", 0, 0, 0), Candidate(2, "b", (), "crossover", "h2", 0, 1, 0)]
        storage.add_candidates("otter", children)
        storage.add_candidates("otter", [Candidate(1, "a", label="mlp")])

        assert storage.candidates("otter") == [Candidate(1, "a", label="mlp"), children[1], children[0]]

    def test_candidates_are_stored_all_or_none(self, storage):
        storage.add_candidates("otter", [Candidate(2, "a")])

        with pytest.raises(StorageError, match="candidates 1, 2 of run 'otter'"):
            storage.add_candidates("otter", [Candidate(1, "b"), Candidate(2, "c")])
        assert storage.candidates("otter") == [Candidate(2, "a")]

    def test_nothing_to_add_is_no_error(self, storage):
        storage.add_candidates("otter", [])
        storage.add_completions("otter", 0, 0, [])

        assert storage.candidates("otter") == []
        assert storage.completions("otter") == {}

    def test_evaluations_come_back_in_the_order_in_which_they_were_added(self, storage):
        storage.add_candidates("otter", [Candidate(1, "a"), Candidate(2, "b")])
        added = [
            Evaluation(2, Status.OK, {"val_error": 0.1, "params": 5210}, 7, 500, 4.2),
            Evaluation(1, Status.TIMEOUT, seconds=120.0, message="not done after 120 s"),
            Evaluation(2, Status.OK, {"test_error": 0.2}, 8, 500, 4.1, "", "verify", "w.safetensors"),
            Evaluation(2, Status.OK, {"val_error": 0.1, "params": 5210}, 7, 500, 4.2),  # an attempt may repeat another
        ]
        for evaluation in added:
            storage.add_evaluation("otter", evaluation)

        stored = storage.evaluations("otter")
        assert stored == added
        assert all(isinstance(evaluation.status, Status) for evaluation in stored)

    def test_an_evaluation_needs_its_candidate(self, storage):
        with pytest.raises(StorageError, match="candidate 5 of run 'otter' is not stored"):
            storage.add_evaluation("otter", Evaluation(5, Status.OK))
        assert storage.evaluations("otter") == []

    def test_tunings_come_back_by_step(self, storage):
        second = Tuning(1, 9, (0.97, 0.99), False, "", 60.0, "the loss did not fall")
        first = Tuning(0, 12, (1.31, 0.95), True, "adapter-0.safetensors", 81.0)
        storage.add_tuning("otter", 8, second)
        storage.add_tuning("otter", 3, first)

        assert list(storage.tunings("otter").items()) == [(3, first), (8, second)]
        with pytest.raises(StorageError, match="the tuning of step 3"):
            storage.add_tuning("otter", 3, second)

    def test_runs_keep_to_themselves(self, storage):
        storage.add_run(replace(RUN, name="badger"))
        for name in ("otter", "badger"):
            storage.add_asked(name, 0, 0, BRIEF)
            storage.add_completions(name, 0, 0, [_reply(name)])
            storage.add_call(name, replace(CALL, text=name))
            storage.add_candidates(name, [Candidate(1, name)])
            storage.add_evaluation(name, Evaluation(1, Status.FAILED, message=name))
            storage.add_tuning(name, 1, Tuning(0, 1, message=name))

        assert storage.asked("badger") == [(0, BRIEF)]
        assert storage.completions("badger") == {(0, 0): _reply("badger")}
        assert storage.calls("badger") == [replace(CALL, text="badger")]
        assert storage.candidates("badger") == [Candidate(1, "badger")]
        assert storage.evaluations("badger") == [Evaluation(1, Status.FAILED, message="badger")]
        assert storage.tunings("badger") == {1: Tuning(0, 1, message="badger")}

    def test_threads_may_share_it(self, storage):
        failures: list[Exception] = []

        def add(first: int) -> None:
            try:
                for number in range(first, first + 10):
                    storage.add_candidates("otter", [Candidate(number, "x")])
                    storage.candidates("otter")
            except (StorageError, sa.exc.SQLAlchemyError) as error:
                failures.append(error)

        threads = [threading.Thread(target=add, args=(first,)) for first in (1, 11, 21, 31)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert [candidate.id for candidate in storage.candidates("otter")] == list(range(1, 41))

    def test_language_models_may_write_anything(self, storage):
        text = "nul \x00, half a pair \ud800, mark \x01, emoji 😀\r\n"
        storage.add_completions("otter", 0, 0, [_reply(text, prompt=text)])
        storage.add_candidates("otter", [Candidate(1, text)])
        storage.add_evaluation("otter", Evaluation(1, Status.INVALID, message=text))

        assert storage.completions("otter") == {(0, 0): _reply(text, prompt=text)}
        assert storage.candidates("otter")[0].text == text
        assert storage.evaluations("otter")[0].message == text

    def test_numbers_that_are_not_finite_are_kept(self, storage):
        storage.add_candidates("otter", [Candidate(1, "a")])
        storage.add_evaluation("otter", Evaluation(1, Status.OK, {"a": math.inf, "b": -math.inf, "c": math.nan}))
        storage.add_tuning("otter", 0, Tuning(0, 1, (math.nan,)))

        metrics = storage.evaluations("otter")[0].metrics
        assert (metrics["a"], metrics["b"]) == (math.inf, -math.inf)
        assert math.isnan(metrics["c"])
        assert math.isnan(storage.tunings("otter")[0].losses[0])

    def test_numpy_numbers_become_plain_ones(self, storage):
        storage.add_candidates("otter", [Candidate(1, "a")])
        storage.add_evaluation(
            "otter", Evaluation(1, Status.OK, {"x": np.float32(0.5), "n": np.int64(3), "d": np.float64(0.1)})
        )

        metrics = storage.evaluations("otter")[0].metrics
        assert metrics == {"x": 0.5, "n": 3, "d": 0.1}
        assert {type(value) for value in metrics.values()} <= {int, float}


anything = st.text(st.characters(exclude_categories=()))
text = st.text()
small = st.integers(-(2**31), 2**31)
count = st.integers(0, 2**62)
real = st.floats(allow_nan=False)
facts = st.dictionaries(text, text, max_size=3)
ids = st.lists(count, max_size=4).map(tuple)

briefs = st.builds(
    Brief, text, ids, st.lists(facts, max_size=3).map(tuple), facts, st.builds(Sampling, count, real, count), small, text
)
tunes = st.builds(Tune, small, ids, count)
finishes = st.sampled_from(["stop", "length", "failed"])
completions = st.builds(Completion, anything, anything, anything, count, count, real, real, finishes, count, anything)
calls = st.builds(
    Call,
    anything,
    st.sampled_from(["checked", "refused", "connection"]),
    anything,
    anything,
    small,
    count,
    count,
    count,
    count,
    real,
    real,
)
candidates = st.builds(Candidate, st.just(1), anything, ids, anything, anything, small, small, small, anything)
evaluations = st.builds(
    Evaluation,
    st.just(1),
    st.sampled_from(Status),
    st.dictionaries(text, real | count, max_size=4),
    count,
    count,
    real,
    anything,
    st.sampled_from(["search", "verify"]),
    anything,
)
tunings = st.builds(Tuning, small, count, st.lists(real, max_size=4).map(tuple), st.booleans(), anything, real, anything)


@pytest.fixture(scope="module")
def shared() -> Iterator[Sql]:
    """One storage for all of Hypothesis' examples: each makes its own run."""
    storage = Sql(":memory:")
    yield storage
    storage.close()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(briefs, tunes), completions, calls, candidates, evaluations, tunings)
def test_records_come_back_as_they_went_in(shared, action, completion, call, candidate, evaluation, tuning):
    storage, run = shared, f"run-{len(shared.runs())}"
    storage.add_run(replace(RUN, name=run))
    storage.add_asked(run, 0, 0, action)
    storage.add_completions(run, 0, 0, [completion])
    storage.add_call(run, call)
    storage.add_candidates(run, [candidate])
    storage.add_evaluation(run, evaluation)
    storage.add_tuning(run, 0, tuning)

    assert storage.asked(run) == [(0, action)]
    assert storage.completions(run) == {(0, 0): completion}
    assert storage.calls(run) == [call]
    assert storage.candidates(run) == [candidate]
    assert storage.evaluations(run) == [evaluation]
    assert storage.tunings(run) == {0: tuning}


def test_all_is_there_after_closing_and_opening(tmp_path):
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    storage.add_candidates("otter", [Candidate(1, "a")])
    storage.close()
    again = Sql(tmp_path / "x.db", read_only=True)

    assert again.runs() == [RUN]
    assert again.candidates("otter") == [Candidate(1, "a")]
    again.close()


def test_records_of_an_older_version_are_read_with_the_defaults_of_what_it_did_not_know(old_database):
    storage = Sql(old_database)
    with storage.claim("otter"):  # as resuming does: a database is upgraded when it is opened for writing
        replies = storage.completions("otter")
        (told, brief), *_ = storage.asked("otter")

    assert replies == {(0, i): Completion("a prompt", f"reply {i}", "smollm2", 220, 130, 0.25, 1.1, "length") for i in (0, 1)}
    assert (replies[0, 0].tokens_cached, replies[0, 0].message) == (0, "")
    assert (told, brief) == (
        1,
        Brief("infill", (1,), ({"params": "5210"},), {"params": "4700"}, Sampling(2, 0.4, 7), model=""),
    )
    assert storage.calls("otter") == []
    storage.add_call("otter", CALL)
    storage.close()
    reader = Sql(old_database, read_only=True)
    assert reader.calls("otter") == [CALL]
    reader.close()


def test_a_reader_of_an_older_database_says_what_to_do(old_database):
    with pytest.raises(StorageError, match="any command that writes upgrades it"):
        Sql(old_database, read_only=True).runs()


def test_a_prompt_is_stored_once(tmp_path):
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    for step in range(3):
        storage.add_completions("otter", step, 0, [_reply(f"{step} {i}", prompt="p" * 1000) for i in range(4)])
    storage.close()

    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute("SELECT count(*) FROM prompts").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM completions").fetchone() == (12,)
    connection.close()


def test_runs_have_their_folders_beside_the_database(tmp_path):
    storage = Sql(tmp_path / "deep" / "x.db")
    storage.add_run(RUN)

    assert storage.folder("otter") == tmp_path / "deep" / "otter"
    storage.close()


def test_the_folder_may_be_chosen(tmp_path):
    storage = Sql(":memory:", folder=tmp_path / "files")
    storage.add_run(RUN)

    assert storage.folder("otter") == tmp_path / "files" / "otter"
    storage.close()


def test_a_read_only_storage_makes_no_folder(tmp_path):
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    storage.close()
    reader = Sql(tmp_path / "x.db", read_only=True)

    assert reader.folder("otter") == tmp_path / "otter"
    assert not (tmp_path / "otter").exists()
    with pytest.raises(StorageError, match="reading only"):
        reader.finish_run("otter", "now")
    reader.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    (tmp_path / "otter").write_text("in the way")

    with pytest.raises(StorageError, match="cannot make the run's folder"):
        storage.folder("otter")
    storage.close()


def test_a_run_cannot_be_called_like_the_database(tmp_path):
    storage = Sql(tmp_path / "x.db")

    for name in ("x.db", "x.db-wal"):
        with pytest.raises(ConfigError, match="is not the database's"):
            storage.add_run(replace(RUN, name=name))
    storage.close()


_ADDS_FOR_EVER = """
import itertools, sys
from nasmith.storage.sql import Sql
from nasmith.types import Candidate, Completion, Run
storage = Sql(sys.argv[1])
storage.add_run(Run("otter", {}, "0.1.0", {}, ""))
for number in itertools.count(1):
    storage.add_completions("otter", number, 0, [Completion("p", str(number), "m", 1, 1)] * 4)
    storage.add_candidates("otter", [Candidate(number, "x" * 500)])
    print(number, flush=True)
"""


@pytest.mark.parametrize("wait_for", [1, 7, 30])
def test_what_was_added_survives_sigkill(tmp_path, wait_for):
    path = tmp_path / "x.db"
    with subprocess.Popen([sys.executable, "-c", _ADDS_FOR_EVER, path], stdout=subprocess.PIPE, text=True) as child:
        reported = next(line for line in child.stdout if int(line) >= wait_for)
        child.send_signal(signal.SIGKILL)
        reported = int([reported, *child.stdout.read().splitlines()][-1])
    storage = Sql(path)

    stored = [candidate.id for candidate in storage.candidates("otter")]
    replies = storage.completions("otter")
    assert stored[:reported] == list(range(1, reported + 1))
    assert len(stored) <= reported + 1
    assert {(step, index) for step in stored for index in range(4)} <= set(replies)
    assert len(replies) % 4 == 0
    storage.add_candidates("otter", [Candidate(len(stored) + 1, "goes on")])
    storage.close()


def test_a_network_drive_is_warned_of_when_a_run_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("nasmith.storage.sql.network_drive", lambda path: "nfs4")
    storage = Sql(tmp_path / "x.db")

    with (
        pytest.warns(StorageWarning, match=r"x.db is on a network drive \(nfs4\).*local disk") as caught,
        storage.claim("otter"),
    ):
        pass
    storage.close()
    assert len(caught) == 1


def test_secrets_stay_out_of_messages(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_SECRET", "swordfish-swordfish")
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    storage.add_candidates("otter", [Candidate(1, "x")])
    storage.add_evaluation("otter", Evaluation(1, Status.FAILED, message="no swordfish-swordfish here"))
    storage.add_tuning("otter", 0, Tuning(0, 0, message="swordfish-swordfish"))
    storage.add_call("otter", replace(CALL, message="key swordfish-swordfish", text="swordfish-swordfish!"))

    assert storage.evaluations("otter")[0].message == "no [LC_SECRET] here"
    assert storage.tunings("otter")[0].message == "[LC_SECRET]"
    assert [(call.message, call.text) for call in storage.calls("otter")] == [("key [LC_SECRET]", "[LC_SECRET]!")]
    storage.close()


@pytest.mark.parametrize("fault", ["locked", "full"])
def test_replies_that_the_database_cannot_take_are_stored_at_the_next_claim(tmp_path, fault):
    path = tmp_path / "x.db"
    storage = Sql(path, timeout_seconds=0)
    storage.add_run(RUN)
    other = sqlite3.connect(path, isolation_level=None)
    replies = [_reply("x" * 100_000), replace(_reply("paid for"), tokens_cached=200, message="ü\ud800")]
    with storage.claim("otter"):
        if fault == "locked":
            other.execute("BEGIN IMMEDIATE")
        else:
            with storage._database.read() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count={connection.scalar(sa.text('PRAGMA page_count'))}")
        with pytest.raises(
            StorageError, match=r"(locked by another|^disk full).*unsaved-replies\.x\.db, and resuming stores them"
        ):
            storage.add_completions("otter", 5, 2, replies)
    assert storage.completions("otter") == {}
    other.close()
    storage.close()
    again = Sql(path)

    for _ in range(2):
        with again.claim("otter"):
            assert again.completions("otter") == {(5, 2): replies[0], (5, 3): replies[1]}
    assert not (tmp_path / "otter").exists()
    again.close()


def test_files_that_a_killed_process_left_half_written_are_removed_at_the_next_claim(tmp_path):
    storage = Sql(tmp_path / "x.db")
    storage.add_run(RUN)
    weights = storage.folder("otter") / "weights"
    weights.mkdir()
    for name in ("1-2.safetensors", "1-3.4711.part", ".adapter-0.safetensors-abc"):
        (weights / name).write_text("x")

    with storage.claim("otter"):
        assert [path.name for path in weights.iterdir()] == ["1-2.safetensors"]
    storage.close()
