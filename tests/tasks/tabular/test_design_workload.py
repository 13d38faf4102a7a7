import pickle

import pytest

from nasmith.tasks.tabular.design_workload import DesignWorkload
from nasmith.testing import TOY_SPACE


def test_a_design_comes_back_as_numbers_from_both_accounts():
    workload = pickle.loads(pickle.dumps(DesignWorkload(TOY_SPACE)))
    workload.warm()
    assert workload.screen("0120") == {}
    assert workload.fit("0120", 3, {})[0]["design"].tolist() == [0, 1, 2, 0]
    assert workload.examine("[0, 1, 2, 0]", {}, {})[0]["design"].tolist() == [0, 1, 2, 0]


def test_what_is_no_design_is_refused():
    with pytest.raises(ValueError, match="no choice at position 1"):
        DesignWorkload(TOY_SPACE).screen("9120")
