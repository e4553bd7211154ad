"""The predictor files of a workspace: none is written over, and none makes a command fail."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.cli.predictors import store_predictor
from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.lowering import lower
from mnaslat.predictors import CostModel, load_predictor
from mnaslat.space import load_space
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
