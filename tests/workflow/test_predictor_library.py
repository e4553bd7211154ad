"""The predictor files of a workspace: none is written over, and none makes a command fail."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.lowering import lower
from mnaslat.predictors import CostModel, load_predictor, save_predictor
from mnaslat.predictors.declared_errors import DeclaredErrors, declared_errors
from mnaslat.space import load_space
from mnaslat.workflow.predictor_library import store_predictor
from tests.predictors.made_up_networks import made_up_ms

SPACE = load_space("mnasnet")
GRAPHS = [lower(SPACE.decode(row)) for row in SPACE.sample(8, np.random.default_rng(0))]


def _model(**settings: Any) -> CostModel:
    configuration = Configuration(device="phone", fingerprint="phone", **settings)
    return CostModel(configuration=configuration).fit(GRAPHS, made_up_ms(GRAPHS))


@pytest.fixture(scope="module")
def model() -> CostModel:
    return _model()


def test_predictors_of_one_second_are_all_kept(
    model: CostModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20260102-030405")
    workspace = Workspace(tmp_path)
    paths: list[Path] = []
    at_once = [
        threading.Thread(target=lambda: paths.append(store_predictor(workspace, model)))
        for _ in range(4)
    ]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()
    assert len(set(paths)) == 4
    assert sorted(workspace.predictors.iterdir()) == sorted(paths)
    assert {load_predictor(path).configuration for path in paths} == {model.configuration}


def test_a_name_says_cores_and_delegate_and_never_leads_elsewhere(tmp_path: Path) -> None:
    odd = _model(cores="../4,5", delegate="gpu")
    path = store_predictor(Workspace(tmp_path), odd)
    assert path.parent == tmp_path / "predictors"
    assert path.name.startswith("phone-fp32-gpu-.._4_5-t1-")


@pytest.mark.parametrize(
    "reported",
    [
        "3 %",
        {"mape": 0.03},
        {"random": {"n": 1, "mape": "x"}, "new_family": {"mape": None}},
        {"random": {"n": 10**400, "mape": 0.1}, "new_family": {"mape": 0.1}},
        {"random": {"n": 8, "mape": 10**400}, "new_family": {"mape": 0.1}},
        {"random": [8, 0.1]},
    ],
)
def test_provenance_of_any_form_is_no_reason_to_fail(
    model: CostModel, reported: Any, tmp_path: Path
) -> None:
    save_predictor(model, tmp_path / "a.mnaslat", provenance={"held_out": reported})
    assert model.held_out is not None
    again = declared_errors(load_predictor(tmp_path / "a.mnaslat"))
    assert again == DeclaredErrors(model.held_out.n, model.held_out.mape)
    assert str(again).startswith("fitted on 8 networks, held out ")


def test_provenance_in_the_form_of_shipped_predictors_is_told(
    model: CostModel, tmp_path: Path
) -> None:
    reported = {"random": {"n": 90, "mape": 0.02}, "new_family": {"mape": 0.03}}
    save_predictor(model, tmp_path / "a.mnaslat", provenance={"held_out": reported})
    again = declared_errors(load_predictor(tmp_path / "a.mnaslat"))
    assert again == DeclaredErrors(90, 0.02, 0.03)
