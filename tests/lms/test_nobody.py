import pytest

from nasmith import registry
from nasmith.errors import UsageError
from nasmith.lms.nobody import Nobody
from nasmith.protocols import LanguageModel
from nasmith.types import Request


def test_it_stands_for_a_language_model_and_says_that_there_is_none():
    lm = registry.create("lms", "none")
    assert isinstance(lm, Nobody) and isinstance(lm, LanguageModel)
    lm.warm()
    with pytest.raises(UsageError, match="--lm smollm2"):
        lm.complete(Request("x"))
    lm.close()
