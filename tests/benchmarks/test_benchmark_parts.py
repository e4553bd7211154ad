"""What the benchmarks are made of."""

import importlib
import runpy
from collections import Counter
from pathlib import Path

import pytest

from mnaslat.predictors import measured_networks

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_every_network_measured_has_its_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    families_of = runpy.run_path(str(BENCHMARKS / "_phones.py"))["families_of"]
    assert Counter(families_of(list(measured_networks()))) == {
        "resnet": 31,
        "mobilenet": 12,
        "mobilenetv3": 10,
        "regnet": 10,
        "mobilenetv2": 8,
        "proxylessnas": 5,
        "resnext": 4,
        "squeezenet": 4,
        "efficientnet": 3,
        "densenet": 2,
        "hardnet": 2,
        "hrnet": 2,
        "mnasnet": 2,
        "bagnet": 1,
        "bninception": 1,
        "dla46c": 1,
        "fbnet": 1,
        "ghostnet": 1,
        "peleenet": 1,
        "vovnet27s": 1,
    }


@pytest.mark.parametrize(
    ("goal", "better", "reached"),
    [(2.0, "lower", True), (0.5, "lower", False), (2.0, "higher", False), (None, "lower", None)],
)
def test_a_goal_is_reached_or_missed_and_without_one_there_is_neither(
    goal: float | None, better: str, reached: bool | None
) -> None:
    result = runpy.run_path(str(BENCHMARKS / "_results.py"))["Result"]
    assert result("task", "metric", 1.0, goal, better).reached is reached


def test_results_say_from_which_commit_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = runpy.run_path(str(BENCHMARKS / "_results.py"))
    write_results, result = part["write_results"], part["Result"]
    monkeypatch.setitem(write_results.__globals__, "_FOLDER", tmp_path)
    monkeypatch.setitem(write_results.__globals__, "_commit", lambda: "1a2b3c4-dirty")
    write_results("some", [result("task", "metric", 1.0, 0.5, "lower"), result("other", "ms", 2.0)])
    text = (tmp_path / "some.md").read_text(encoding="utf-8")
    assert "; commit 1a2b3c4-dirty; " in text
    assert "| task | metric | 1.0 | <= 0.5 | **missed** |  |  |" in text
    assert "| other | ms | 2.0 |  |  |  |  |" in text
    assert '"commit": "1a2b3c4-dirty"' in (tmp_path / "some.json").read_text(encoding="utf-8")


def test_kept_searches_are_of_the_code_as_it_does_not_as_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    doing = importlib.import_module("_trials").doing
    source = 'def f(x=1):\n    """It."""\n    return x  # so\n'
    assert doing(source) == doing("def f(x = 1): return x")
    assert doing(source) != doing(source.replace("x=1", "x=2"))
    assert doing(source) != doing(source.replace("return x", "return -x"))
