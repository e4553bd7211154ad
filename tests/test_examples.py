"""The examples run on a made-up phone, and so do the commands of docs/predictors.md."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.predictors import CostModel
from mnaslat.space import load_space
from tests.command_line import CommandLine
from tests.predictors.made_up_networks import made_up_ms

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "predictors.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def phone() -> CostModel:
    """A phone in software, learned from 24 networks of the MnasNet space."""
    space = load_space("mnasnet")
    graphs = [lower(space.decode(row)) for row in space.sample(24, np.random.default_rng(0))]
    return CostModel().fit(graphs, 1.0 + made_up_ms(graphs))


def _example(name: str, *needs: str) -> Any:
    for package in needs:
        _require(package)
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"examples/{name}.py")
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _require(package: str) -> None:
    reason = f"the example needs {package}: pip install 'mnaslat[examples]'"
    if importlib.util.find_spec(package) is None:
        pytest.skip(reason)


@pytest.mark.filterwarnings("default")  # Optuna's and its packages' own
def test_optuna_finds_a_front_of_accuracy_and_latency(phone: CostModel) -> None:
    study = _example("optuna_study", "optuna").study(phone, n_trials=30)
    assert len(study.trials) == 30
    values = sorted(trial.values for trial in study.best_trials)
    latencies_ms = [latency_ms for _, latency_ms in values]
    assert latencies_ms == sorted(latencies_ms)  # who is more accurate is slower


@pytest.mark.filterwarnings("default")  # pymoo's and its packages' own
def test_pymoo_improves_a_front(phone: CostModel) -> None:
    example = _example("pymoo_problem", "pymoo")
    early, late = (example.front(phone, n_generations=n) for n in (1, 12))
    assert late.X.shape[1] == 42
    assert late.F[:, 1].min() < early.F[:, 1].min()
    space = load_space("mnasnet")
    row = late.X[0].astype(int)
    assert late.F[0, 1] == pytest.approx(phone.predict_ms(space.decode(row)), rel=1e-6)


def test_gradients_lead_below_the_target_but_not_far(phone: CostModel) -> None:
    example = _example("differentiable_search")
    slowest_ms = phone.predict_ms(load_space("mnasnet").decode([2, 1, 1, 0, 2, 2] * 7))
    target_ms = 0.4 * slowest_ms
    found, found_ms = example.search(phone, target_ms)
    assert isinstance(found, Architecture)
    assert 0.6 * target_ms < found_ms <= 1.02 * target_ms


@pytest.mark.filterwarnings("default")  # timm's and its packages' own
def test_timm_models_are_ranked(phone: CostModel) -> None:
    _require("torchvision")  # timm imports it
    example = _example("rank_timm_models", "timm")
    rows = example.ranking(phone, ("resnet18", "mobilenetv2_100", "hardcorenas_a"))
    assert rows[-1][0] == "resnet18"
    assert all(low_ms < latency_ms < high_ms for _, latency_ms, (low_ms, high_ms) in rows)


def test_the_adapter_leaves_out_what_is_beyond_a_stages_depth(phone: CostModel) -> None:
    example = _example("once_for_all_adapter")
    subnet = {"ks": [3] * 21, "e": [6] * 21, "d": [2, 3, 4, 3, 3, 1]}
    found = lower(example.architecture(subnet))
    blocks = [layer.output_shape[2] for layer in found.layers[1:-1]]
    assert blocks == [16, *[24] * 2, *[40] * 3, *[80] * 4, *[96] * 3, *[192] * 3, 320]
    subnet, latency_ms = example.fastest(phone, n=20)
    expected_ms = phone.predict_ms(example.architecture(subnet))
    assert latency_ms == pytest.approx(expected_ms, rel=1e-12)


def test_an_example_runs_as_a_script_with_nothing_else() -> None:
    script = ROOT / "examples" / "once_for_all_adapter.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'ks': [")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_examples_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


def test_the_pages_commands_run(
    tmp_path: Path, phone: CostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = load_space("mnasnet")
    rows = space.sample(10, np.random.default_rng(1)).tolist()
    measured_ms = phone.predict_ms([space.decode(row) for row in rows])
    lines = [f'"{",".join(map(str, row))}",{ms}' for row, ms in zip(rows, measured_ms, strict=True)]
    (tmp_path / "phone.csv").write_text("\n".join(["model,latency_ms", *lines]))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for command in "".join(blocks).splitlines():
        assert CommandLine().run(*shlex.split(command)[1:]).stdout
