"""One tree of errors; durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mnaslat
from mnaslat import errors
from mnaslat.units import format_duration, parse_duration_s


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.DeviceError, errors.MnaslatError),
        (errors.WorkspaceError, errors.MnaslatError),
        (errors.WorkspaceBusy, errors.WorkspaceError),
        (errors.ConfigurationMismatch, errors.MnaslatError),
        (errors.PredictorFileError, errors.MnaslatError),
        (errors.SearchError, errors.MnaslatError),
    ],
)
def test_errors_form_the_documented_tree(child: type[Exception], parent: type[Exception]) -> None:
    assert child.__bases__ == (parent,)
    assert child.__name__ in (errors.__doc__ or "")


def test_every_error_is_caught_by_the_base() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    # A wrong argument is a ValueError, which the base of all others must not catch.
    assert {cls for cls in classes if not issubclass(cls, mnaslat.MnaslatError)} == {
        errors.ArgumentError
    }
    assert issubclass(errors.ArgumentError, ValueError)
    assert len(classes) >= 8


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5", 1.5),
        ("250ms", 0.25),
        ("10m", 600.0),
        ("10min", 600.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("1h 30 min", 5400.0),
        ("1h30m15s", 5415.0),
        (" 2H ", 7200.0),
        ("1.5h", 5400.0),
    ],
)
def test_known_durations(text: str, expected_s: float) -> None:
    assert parse_duration_s(text) == pytest.approx(expected_s, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", " ", "abc", "-5", "0", "0s", "10x", "s", "1e3", "10 m!", "inf"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration\. Write seconds or e\.g\. 90s, 10m"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.25, "0.2 s"),
        (9.9, "9.9 s"),
        (12.4, "12 s"),
        (59.7, "1 min 0 s"),
        (75.2, "1 min 15 s"),
        (3599.6, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (90061, "25 h 1 min"),
    ],
)
def test_durations_as_people_read_them(seconds: float, expected: str) -> None:
    assert format_duration(seconds) == expected


@given(st.floats(min_value=1.0, max_value=1e6))
def test_a_written_duration_is_read_back_to_its_last_figure(seconds: float) -> None:
    read_s = parse_duration_s(format_duration(seconds))
    resolution_s = 0.1 if seconds < 10 else 1.0 if seconds < 3600 else 60.0
    assert math.isclose(read_s, seconds, abs_tol=resolution_s)
