from __future__ import annotations

import pickle

import pytest

from nasmith.protocols import Workload
from nasmith.testing import PythonWorkload


def test_it_is_a_workload_that_travels() -> None:
    workload = pickle.loads(pickle.dumps(PythonWorkload()))
    workload.warm()
    assert isinstance(workload, Workload)


def test_what_stands_above_the_dashes_screens_and_what_stands_below_trains() -> None:
    text = "facts['params'] = 7\n-----\nfacts['seed'] = seed\narrays['a'] = np.ones(2) * len(splits)"
    assert PythonWorkload().screen(text) == {"screened": 1, "params": 7}
    arrays, facts = PythonWorkload().fit(text, 3, {"train": {}, "val": {}})
    assert (arrays["a"].tolist(), facts) == ([2, 2], {"seed": 3})


def test_errors_name_the_line_that_the_program_has() -> None:
    with pytest.raises(SyntaxError) as caught:
        PythonWorkload().fit("one = 1\n-----\ntwo = 2\nthree three", 0, {})
    assert caught.value.lineno == 4


def test_an_examination_sees_the_state_and_predicts_every_part() -> None:
    found = PythonWorkload().examine("facts['sum'] = state['w']", {"w": 4}, {"test": {"x": 1}})
    assert found == ({"test": 1}, {"screened": 1, "sum": 4})
