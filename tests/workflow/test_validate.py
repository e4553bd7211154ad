"""``validate_run`` measures the best networks of a run."""

from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, ConfigurationMismatch, DeviceError
from mnaslat.search.run.run_folder import SearchRun
from tests.workflow.made_up_device import MadeUpDevice, Recorder, json_text, made_up_latency_ms


def test_the_best_networks_are_measured_in_the_order_of_their_reward(
    run: SearchRun, workspace: Workspace
) -> None:
    events = Recorder()
    found = mnaslat.validate_run(run, MadeUpDevice(), workspace, top=3, events=events)
    assert [each.candidate for each in found] == run.candidates()[:3]
    for each in found:
        signature = mnaslat.lower(each.candidate.architecture).signature
        assert each.measured_ms == pytest.approx(made_up_latency_ms(signature))
        assert each.error == pytest.approx(each.candidate.predicted_ms / each.measured_ms - 1.0)
        assert abs(each.error) < 0.05
        assert len(repr(each)) < 200 and '"measured_ms"' in json_text(each)
    assert events.steps[-1] == ("Measuring networks in 2 rounds", 6, 6)


def test_more_than_there_are_gives_all(run: SearchRun, workspace: Workspace) -> None:
    found = mnaslat.validate_run(run, MadeUpDevice(), workspace, top=1000)
    assert len(found) == len(run.candidates())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"top": 0}, "a whole number from 1 on, got 0"),
        ({"top": "all"}, "a whole number from 1 on, got 'all'"),
        ({"top": 1.5}, "a whole number"),
        ({"run": "newest"}, "open_run"),
        ({"device": "host"}, "open_device"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    run: SearchRun, workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.validate_run(
            **{"run": run, "device": MadeUpDevice(), "workspace": workspace, **wrong}
        )
    assert [caught.value.argument] == list(wrong)


def test_another_device_or_one_that_fails_is_an_error(run: SearchRun, workspace: Workspace) -> None:
    with pytest.raises(ConfigurationMismatch):
        mnaslat.validate_run(run, MadeUpDevice(name="other"), workspace)
    with pytest.raises(DeviceError, match="made up to fail"):
        mnaslat.validate_run(run, MadeUpDevice(fails="32x32x3"), workspace)
