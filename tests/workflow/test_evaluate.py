"""``evaluate_predictor`` compares predictions with fresh measurements."""

from typing import Any

import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, ConfigurationMismatch, MnaslatError
from mnaslat.workflow.calibrate import Calibration
from tests.workflow.made_up_device import MadeUpDevice, Recorder, json_text, small_space

SPACE = small_space()


def test_a_predictor_of_a_regular_device_is_nearly_right(
    calibration: Calibration, workspace: Workspace
) -> None:
    events = Recorder()
    found = mnaslat.evaluate_predictor(
        calibration.predictor, MadeUpDevice(), SPACE, workspace, n_networks=6, events=events
    )
    assert found.errors.n == len(found.networks) == 6
    assert found.errors.mape < 0.02 and found.measured_share == pytest.approx(1.0)
    assert found.repeatability == 0.0  # the device makes up the same each time
    known = {graph.signature for graph in calibration.predictor.networks}
    for each in found.networks:
        assert mnaslat.lower(SPACE.decode(each.tokens)).signature not in known
    assert events.steps[-1] == ("Measuring networks in 4 rounds", 24, 24)
    assert '"mape"' in json_text(found) and len(repr(found)) < 200
    assert found._repr_html_().count("<tr>") == 7


def test_what_is_not_known_is_null_in_json(calibration: Calibration, workspace: Workspace) -> None:
    found = mnaslat.evaluate_predictor(
        calibration.predictor, MadeUpDevice(), SPACE, workspace, n_networks=3
    )
    nameless = type(found)(found.errors, float("nan"), float("nan"), 1.0, found.networks)
    assert nameless.to_json()["coverage"] is None and json_text(nameless)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_networks": 2}, "a whole number from 3 on, got 2"),
        ({"n_networks": "many"}, "a whole number from 3 on, got 'many'"),
        ({"n_networks": 3.5}, "a whole number from 3 on"),
        ({"predictor": "pixel4-cpu1-fp32"}, "load_predictor"),
        ({"device": "host"}, "open_device"),
        ({"seed": "0"}, "a whole number from 0 on"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    calibration: Calibration, workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    given = {
        "predictor": calibration.predictor,
        "device": MadeUpDevice(),
        "space": SPACE,
        "workspace": workspace,
        **wrong,
    }
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.evaluate_predictor(**given)
    assert [caught.value.argument] == list(wrong)


def test_another_device_or_setting_is_refused(
    calibration: Calibration, workspace: Workspace
) -> None:
    for other in (MadeUpDevice(name="other"), MadeUpDevice(threads=2)):
        with pytest.raises(ConfigurationMismatch, match="another configuration"):
            mnaslat.evaluate_predictor(calibration.predictor, other, SPACE, workspace)


def test_a_space_that_is_too_small_says_how_many_it_has(
    calibration: Calibration, workspace: Workspace
) -> None:
    with pytest.raises(MnaslatError, match="has only 40 networks"):
        mnaslat.evaluate_predictor(
            calibration.predictor, MadeUpDevice(), SPACE, workspace, n_networks=1000
        )
