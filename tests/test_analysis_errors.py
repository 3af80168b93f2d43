"""Errors name parameters in the library, flags on the command line."""

import pickle
from pathlib import Path

import pytest

from analysis.errors import MeloError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (-1, "-1"),
        (0.5, "0.5"),
        (3 / 7, "0.428571"),
        ("a b", "'a b'"),
        ("4/4", "4/4"),
        ("x\ny", r"'x\ny'"),
        ("x" * 100, "'" + "x" * 60 + "'"),
        (Path("a b.mid"), "a b.mid"),
    ],
)
def test_the_value_that_was_given_is_shown(given, shown):
    error = MeloError("give another", field="far", given=given)
    assert str(error) == f"far {shown}: give another"
    assert error.for_command_line() == f"--far {shown}: give another"


def test_parameters_become_flags_and_nothing_else_does():
    error = MeloError(
        "says how much of `prompt` is kept; give `prompt FILE` or `meter 4/4`, not `Prompt`", field="keep_bars"
    )
    assert str(error).startswith("keep_bars: says how much of `prompt` is kept")
    assert error.for_command_line() == (
        "--keep-bars: says how much of --prompt is kept; give --prompt FILE or --meter 4/4, not `Prompt`"
    )
    assert (
        MeloError("a file is damaged").for_command_line() == str(MeloError("a file is damaged")) == "a file is damaged"
    )


def test_errors_cross_processes():
    error = pickle.loads(pickle.dumps(MeloError("give 0 or more", field="far", given=-1)))
    assert (str(error), error.field) == ("far -1: give 0 or more", "far")
