"""Events of steps, and of steps inside them."""

import pytest

from mnaslat.errors import ArgumentError
from mnaslat.workflow.progress import SILENT, Events, OuterStep, naming
from tests.workflow.made_up_device import Recorder


def test_a_step_inside_another_is_a_detail_of_it() -> None:
    shown = Recorder()
    outer = OuterStep(shown)
    outer.progress("Searching", 3, 10, 5.0, "best 0.7")
    outer.inside.progress("Measuring", 1, 4, 2.0, "stem")
    outer.inside.notice("it waits")
    assert shown.steps == [("Searching", 3, 10), ("Searching", 3, 10)]
    assert shown.details == ["best 0.7", "Measuring: 1 of 4"]
    assert shown.notices == ["it waits"]


def test_a_step_inside_one_that_has_not_begun_is_shown_alone() -> None:
    shown = Recorder()
    OuterStep(shown).inside.progress("Measuring", 1, 4, 2.0)
    assert shown.steps == [("Measuring", 1, 4)]


def test_silent_events_take_everything() -> None:
    events: Events = SILENT
    events.progress("Searching", 0, 1, 0.0)
    events.notice("nothing")


def test_an_error_is_given_the_name_of_the_argument_once() -> None:
    with pytest.raises(ArgumentError, match="too small") as caught, naming("outer"):
        with naming("inner"):
            raise ValueError("too small")
    assert caught.value.argument == "inner"
