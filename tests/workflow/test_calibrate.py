"""``calibrate`` fits a predictor to networks that it draws and measures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnaslat
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, MnaslatError
from mnaslat.lowering import lower
from mnaslat.space import load_space
from mnaslat.workflow.calibrate import Calibration, calibration_networks
from tests.workflow.made_up_device import MadeUpDevice, Recorder, json_text, small_space


def test_calibration_networks_are_spread_over_their_weights() -> None:
    space = load_space("mnasnet")

    def weights(networks: list[object]) -> np.ndarray:
        graphs = [lower(each) for each in networks]  # type: ignore[arg-type]
        return np.array([sum(layer.n_weights for layer in graph.layers) for graph in graphs])

    chosen = calibration_networks(space, "fp32", 20, seed=3)
    assert len(set(chosen)) == 20
    assert chosen == calibration_networks(space, "fp32", 20, seed=3)
    drawn = weights([space.decode(row) for row in space.sample(2000, np.random.default_rng(5))])
    found = weights(list(chosen))
    # As many in each quarter of the space's distribution, give or take chance.
    quarters = np.searchsorted(np.quantile(drawn, [0.25, 0.5, 0.75]), found)
    assert np.bincount(quarters, minlength=4).min() >= 3
    assert found.max() > np.quantile(drawn, 0.9)
    # Not in the order of their weights: folds take every k-th one.
    assert abs(np.corrcoef(found, np.arange(20))[0, 1]) < 0.8


def test_a_small_space_gives_what_it_has() -> None:
    space = load_space("mnasnet")
    assert len(calibration_networks(space, "fp32", 3, seed=0)) == 3


def test_a_calibrated_predictor_is_saved_with_its_errors(calibration: Calibration) -> None:
    for path in (calibration.path, str(calibration.path)):
        assert mnaslat.load_predictor(path).configuration == calibration.predictor.configuration
    assert calibration.held_out.n == 8 and calibration.held_out.mape < 0.02
    assert str(calibration.path) in json_text(calibration)
    assert "held-out error" in repr(calibration)


def test_calibrating_reports_measuring_and_fitting(
    calibration: Calibration, tmp_path: Path
) -> None:
    events, workspace = (
        Recorder(),
        Workspace(shutil.copytree(calibration.path.parents[1], tmp_path / "copy")),
    )
    mnaslat.calibrate(MadeUpDevice(), small_space(), workspace, n_networks=9, events=events)
    assert events.names == ["Measuring networks in 2 rounds", "Fitting the predictor"]
    assert events.notices == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n_networks": 2}, "a whole number from 3 on, got 2"),
        ({"n_networks": "many"}, "a whole number from 3 on, got 'many'"),
        ({"n_networks": 4.0}, "a whole number from 3 on"),
        ({"precision": "double"}, "one of fp32, fp16, int8"),
        ({"space": "mnasnet"}, "load_space"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(
    workspace: Workspace, wrong: dict[str, Any], says: str
) -> None:
    given = {"device": MadeUpDevice(), "space": small_space(), "workspace": workspace, **wrong}
    with pytest.raises(ArgumentError, match=says) as caught:
        mnaslat.calibrate(**given)
    assert [caught.value.argument] == list(wrong)


def test_a_workspace_without_a_table_says_to_profile_first(workspace: Workspace) -> None:
    with pytest.raises(MnaslatError, match="mnaslat profile"):
        mnaslat.calibrate(MadeUpDevice(), small_space(), workspace)


def test_another_space_than_the_table_is_reported(calibration: Calibration, tmp_path: Path) -> None:
    events, workspace = (
        Recorder(),
        Workspace(shutil.copytree(calibration.path.parents[1], tmp_path / "copy")),
    )
    mnaslat.calibrate(
        MadeUpDevice(), small_space(48, n_classes=20), workspace, n_networks=5, events=events
    )
    assert len(events.notices) == 1 and "None of the layers" in events.notices[0]
