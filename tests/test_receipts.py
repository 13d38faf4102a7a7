import pytest

from nasmith.events import Called, Replied, Stopping, Tuned
from nasmith.receipts import Receipts
from nasmith.spending import Purse
from nasmith.storage.sql import Sql
from nasmith.types import Call, Completion, Run, Tuning

CHECK, LIMITED = Call("m", "checked", tokens_in=2), Call("m", "limited", step=0)
REPLY = Completion("p", "t", "m", 3, 4)


@pytest.fixture
def storage(tmp_path):
    return Sql(tmp_path / "runs.sqlite3")


def test_what_comes_before_the_run_is_stored_is_stored_with_it(storage):
    receipts = Receipts(storage, "run", Purse())
    receipts.call(CHECK)
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    assert storage.calls("run") == []
    receipts.opened()
    receipts.call(LIMITED)
    assert storage.calls("run") == [CHECK, LIMITED]


def test_all_is_stored_counted_and_told(storage):
    storage.add_run(Run("run", {}, "0", {}, "2026-01-01T00:00:00+00:00"))
    purse = Purse()
    receipts = Receipts(storage, "run", purse)
    receipts.opened()
    receipts.call(CHECK)
    receipts.replies(0, 2, [REPLY])
    tuning = Tuning(0, 1)
    receipts.tuning(1, tuning, replayed=False)
    receipts.tuning(7, tuning, replayed=True)
    receipts.note(Stopping())
    assert storage.completions("run") == {(0, 2): REPLY}
    assert storage.tunings("run") == {1: tuning}
    assert purse.tokens == 2 + 7
    assert list(receipts.events()) == [Called(CHECK), Replied(0, (REPLY,)), Tuned(tuning), Tuned(tuning, True), Stopping()]
    assert list(receipts.events()) == []
