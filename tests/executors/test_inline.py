from __future__ import annotations

import pytest

from nasmith.errors import ConfigError
from nasmith.executors.inline import Inline
from nasmith.testing import ExecutorContract


class TestContract(ExecutorContract):
    def make(self) -> Inline:
        return Inline(output_mb=1)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="output_mb must be above 0"):
        Inline(output_mb=0)
