from __future__ import annotations

import pytest

import nasmith.errors as errors
from nasmith.errors import NasmithError, UnknownNameError, UsageError


def test_an_unknown_name_lists_the_valid_ones_and_names_the_nearest():
    error = UnknownNameError("task", "mnist", ["toy", "mnist1d"])

    assert str(error) == "unknown task 'mnist'. Did you mean 'mnist1d'? Valid: mnist1d, toy."
    assert (error.kind, error.name, error.valid) == ("task", "mnist", ["mnist1d", "toy"])


def test_nothing_is_suggested_where_nothing_is_near():
    assert str(UnknownNameError("run", "zebra", ["otter"])) == "unknown run 'zebra'. Valid: otter."


def test_no_valid_name_is_said_so():
    assert str(UnknownNameError("run", "zebra", [])) == "unknown run 'zebra'. Valid: none."


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"StorageWarning"}))
def test_one_except_catches_them_all(name):
    assert issubclass(getattr(errors, name), NasmithError)


def test_the_users_mistakes_can_be_told_from_the_rest():
    assert {name for name in errors.__all__ if issubclass(getattr(errors, name), UsageError)} == {
        "ConfigError",
        "RunBusyError",
        "SeedError",
        "UnknownNameError",
        "UsageError",
    }
