"""Accuracies come from where the user says, and what is wrong with them is said."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.errors import SearchError
from mnaslat.search.accuracy.source import CandidateResult, checked_accuracy, decoded_candidates
from mnaslat.search.accuracy.sources import accuracy_source
from mnaslat.search.accuracy.user_function import AccuracyFunction, FunctionAccuracy
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.search import Search
from mnaslat.space import load_space
from tests.search.toy_runs import SPACE as TOY_SPACE
from tests.search.toy_runs import TOY, ToyPredictor

SPACE = load_space("mnasnet", resolution=32, n_classes=10)
NETWORKS = decoded_candidates(SPACE, SPACE.sample(3, np.random.default_rng(0)))


@pytest.fixture
def my_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of the user's."""
    (tmp_path / "my_accuracy.py").write_text(
        "def good(architecture):\n    return architecture.n_classes / 40\n"
        "def percent(architecture):\n    return 75.0\n"
        "def nothing(architecture):\n    return None\n"
        "def diverges(architecture):\n    return float('nan')\n"
        "n_calls = 0\n"
        "def fails_once(architecture):\n"
        "    global n_calls\n"
        "    n_calls += 1\n"
        "    if n_calls == 2:\n        raise ValueError('it\\nburst')\n"
        "    return 0.5\n"
        "def exits(architecture):\n    raise SystemExit\n"
        "def talks(architecture):\n    raise ValueError('word ' * 1000)\n"
        "def single_nan(architecture):\n    import numpy\n    return numpy.float32('nan')\n"
        "def two(architecture):\n    import torch\n    return torch.zeros(2)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("my_accuracy", None)


def test_a_function_of_the_caller_is_an_accuracy_source() -> None:
    source = FunctionAccuracy(lambda architecture: 0.25)
    ((_, result),) = source.evaluate(NETWORKS[:1])
    assert result.accuracy == 0.25
    name = "test_a_function_of_the_caller_is_an_accuracy_source.<locals>.<lambda>"
    assert source.description == f"function {__name__}:{name}"
    with pytest.raises(TypeError, match="must be an AccuracySource, a function of an Arch.* int"):
        FunctionAccuracy(3)  # type: ignore[arg-type]


def test_a_problem_takes_a_function_or_a_text(my_accuracy: None, tmp_path: Path) -> None:
    settings = replace(TOY, n_samples=5, searcher="random")
    given: list[AccuracyFunction | str] = [lambda architecture: 0.25, "my_accuracy:good"]
    for number, accuracy in enumerate(given):
        problem = SearchProblem(space=TOY_SPACE, accuracy=accuracy, predictor=ToyPredictor())
        with Search(problem, settings, str(tmp_path / str(number))) as search:
            assert search.run().winner.accuracy == 0.25


def test_function_of_the_user(my_accuracy: None, tmp_path: Path) -> None:
    source = accuracy_source("my_accuracy:good", SPACE, folder=tmp_path)
    ((index, result),) = source.evaluate(NETWORKS[:1])
    assert (index, result.accuracy, result.failure) == (0, 0.25, "")
    assert result.cost_s >= 0.0
    assert source.noise == 0.0
    with pytest.raises(SearchError, match="my_accuracy:percent's accuracy is 75.0.*by 100"):
        list(FunctionAccuracy("my_accuracy:percent").evaluate(NETWORKS))
    with pytest.raises(SearchError, match="is None, not a number"):
        list(FunctionAccuracy("my_accuracy:nothing").evaluate(NETWORKS))
    with pytest.raises(SearchError, match="has no function 'other'"):
        FunctionAccuracy("my_accuracy:other")
    with pytest.raises(SearchError, match="Cannot import 'no_such_module'"):
        FunctionAccuracy("no_such_module:f")


def test_a_function_may_fail_for_one_network(my_accuracy: None) -> None:
    results = dict(FunctionAccuracy("my_accuracy:fails_once").evaluate(NETWORKS))
    assert [results[index].accuracy for index in range(3)] == [0.5, None, 0.5]
    assert results[1].failure == "my_accuracy:fails_once raised ValueError: it burst"
    ((_, result),) = FunctionAccuracy("my_accuracy:diverges").evaluate(NETWORKS[:1])
    assert result.accuracy is None and result.failure == "my_accuracy:diverges returned nan"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("exits", "raised SystemExit"), ("single_nan", "returned nan"), ("diverges", "returned nan")],
)
def test_a_network_whose_function_gives_up_has_failed(
    my_accuracy: None, name: str, reason: str
) -> None:
    for _, result in FunctionAccuracy(f"my_accuracy:{name}").evaluate(NETWORKS):
        assert result.accuracy is None and result.failure == f"my_accuracy:{name} {reason}"


def test_a_reason_is_one_line_that_can_be_read(my_accuracy: None) -> None:
    ((_, result),) = FunctionAccuracy("my_accuracy:talks").evaluate(NETWORKS[:1])
    assert result.failure.startswith("my_accuracy:talks raised ValueError: word word")
    assert len(result.failure) < 400


def test_numbers_that_are_several_are_refused(my_accuracy: None) -> None:
    with pytest.raises(SearchError, match="is tensor.*, not a number"):
        list(FunctionAccuracy("my_accuracy:two").evaluate(NETWORKS))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def f(:", "in .*broken_accuracy.py, line 1: SyntaxError"),
        ("raise RuntimeError('no GPU')", "in .*, line 1: RuntimeError: no GPU"),
        ("import sys; sys.exit(0)", "in .*, line 1: SystemExit: 0"),
        ("from numpy import nothing_of_the_kind", "in .*, line 1: ImportError: cannot import name"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, why: str
) -> None:
    (tmp_path / "broken_accuracy.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SearchError, match=f"Cannot import 'broken_accuracy': it failed {why}"):
        FunctionAccuracy("broken_accuracy:f")


def test_a_failed_child_says_why() -> None:
    with pytest.raises(ValueError, match="needs a failure"):
        CandidateResult(accuracy=None)


@pytest.mark.parametrize("value", [-0.1, 1.01, math.nan, math.inf, "much", None])
def test_what_is_no_fraction_is_refused(value: object) -> None:
    with pytest.raises(SearchError, match="The accuracy is .*raction in"):
        checked_accuracy(value, "The accuracy")


def test_unknown_source_says_what_can_be_given(tmp_path: Path) -> None:
    for text in ("best", "table:", "table-surrogate:", ":f", "module:", "proxy:"):
        with pytest.raises(SearchError, match="Expected proxy, .*table:FILE.csv"):
            accuracy_source(text, SPACE, folder=tmp_path)
