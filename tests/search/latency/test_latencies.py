"""A search asks a compiled predictor where it can, and finds what it would have found without."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.search.problem import Predictor, SearchProblem
from mnaslat.search.reward import RewardSettings
from mnaslat.search.run.run_store import SearchStore
from mnaslat.search.run.search import Search
from tests.search.toy_runs import SPACE, TOY, ToyAccuracy

SETTINGS = replace(TOY, reward=RewardSettings.hard(7.0), n_samples=80, validate_top=3)


def madds_ms(architecture: Architecture) -> float:
    """What stands in for the true latency: millions of multiply-adds."""
    return lower(architecture).madds / 1e6


class MaddsValidator:
    """Measures `madds_ms`."""

    def measure(self, architectures: Sequence[Architecture], /) -> np.ndarray:
        """Latencies of networks."""
        return np.array([madds_ms(each) for each in architectures])


class MaddsPredictor:
    """Predicts `madds_ms`, times a factor that is fitted to what it is shown."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def predict_ms(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """`madds_ms` times the factor."""
        return self.factor * np.array([madds_ms(each) for each in architectures])

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: np.ndarray
    ) -> "MaddsPredictor":
        """With the factor that fits these best."""
        exact_ms = np.array([madds_ms(each) for each in architectures])
        return MaddsPredictor(float(np.median(measured_ms / exact_ms)))


class AdditiveMadds(MaddsPredictor, AdditivePredictor):
    """`MaddsPredictor` that can be compiled, and is to begin with wrong by a factor."""

    configuration = Configuration(device="host", fingerprint="made-up CPU")

    def __init__(self, factor: float = 0.8, asked: list[int] | None = None) -> None:
        super().__init__(factor)
        self.asked = [] if asked is None else asked  # networks that were predicted one by one

    def predict_ms(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Predict, and remember it."""
        self.asked.append(len(architectures))
        return super().predict_ms(architectures)

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: np.ndarray
    ) -> "AdditiveMadds":
        """With the factor that fits these best."""
        return AdditiveMadds(super().recalibrated(architectures, measured_ms).factor, self.asked)

    def additive_features(self, graphs: Sequence[Graph]) -> np.ndarray:
        """Millions of multiply-adds."""
        return np.array([[graph.madds / 1e6] for graph in graphs]).reshape(len(graphs), 1)

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Times the factor."""
        latency_ms: np.ndarray = self.factor * features[:, 0]
        return latency_ms


class Uncompiled:
    """The same predictor without `compile`."""

    def __init__(self, predictor: AdditiveMadds) -> None:
        self.predict_ms = predictor.predict_ms
        self._recalibrated = predictor.recalibrated

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: np.ndarray
    ) -> "Uncompiled":
        """Without `compile` again."""
        return Uncompiled(self._recalibrated(architectures, measured_ms))


def _problem(predictor: Predictor) -> SearchProblem:
    return SearchProblem(
        space=SPACE, accuracy=ToyAccuracy(), predictor=predictor, validator=MaddsValidator()
    )


def _run(problem: SearchProblem, folder: Path) -> dict[str, list[Any]]:
    with Search(problem, SETTINGS, folder) as search:
        search.run()
    store = SearchStore(folder / "search.sqlite")
    try:
        rows, validations = list(store.evaluations()), list(store.validations())
    finally:
        store.close()
    return {
        "rows": [row.tokens for row in rows],
        "predicted_ms": [row.predicted_ms for row in rows],
        "rewards": [row.reward for row in rows],
        "validated": [(row.round, row.tokens, row.measured_ms) for row in validations],
        "validated_ms": [row.predicted_ms for row in validations],
    }


def test_a_search_finds_the_same_with_the_compiled_predictor(tmp_path: Path) -> None:
    fast, slow = AdditiveMadds(), AdditiveMadds()
    compiled = _run(_problem(fast), tmp_path / "fast")
    plain = _run(_problem(Uncompiled(slow)), tmp_path / "slow")
    assert fast.asked == [4]  # that it is the same predictor, when a run is gone on with
    assert sum(slow.asked) > SETTINGS.n_samples
    assert compiled["rows"] == plain["rows"]
    assert compiled["validated"] == plain["validated"]
    for name in ("predicted_ms", "rewards", "validated_ms"):
        np.testing.assert_allclose(compiled[name], plain[name], rtol=1e-9)


def test_a_run_that_was_interrupted_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = _run(_problem(AdditiveMadds()), tmp_path / "undisturbed")

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with Search(_problem(AdditiveMadds()), SETTINGS, tmp_path / "other") as search:
            assert search.run(interrupt).ended == "stopped"
    assert _run(_problem(AdditiveMadds()), tmp_path / "other") == undisturbed


def test_a_space_that_cannot_be_tabulated_is_searched_the_slow_way(tmp_path: Path) -> None:
    predictor = AdditiveMadds()
    problem = _problem(predictor)
    names = tuple(decision.name for decision in problem.space.decisions)
    parts = {**problem.space.parts, "block7": names}
    space = replace(problem.space, parts=parts)
    with pytest.raises(ValueError, match="Part block7"):
        predictor.compile(space)
    found = _run(replace(problem, space=space), tmp_path)
    assert sum(predictor.asked) > SETTINGS.n_samples
    exact_ms = [madds_ms(space.decode(row)) for row in found["rows"]]
    factors = np.array(found["predicted_ms"]) / np.array(exact_ms)
    np.testing.assert_allclose(factors, 1.0, rtol=1e-9)  # recalibrated to the right one
