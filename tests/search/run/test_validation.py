"""The reward stays tied to the device: what is measured, learned from it, and chosen."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mnaslat.architecture import Architecture
from mnaslat.arrays import Floats, Tokens
from mnaslat.errors import SearchError
from mnaslat.search.latency.choice_residual import ChoiceResidual
from mnaslat.search.latency.latencies import Latencies
from mnaslat.search.latency.reachable import check_targets
from mnaslat.search.reward import RewardSettings, mnasnet_reward
from mnaslat.search.run.candidates import (
    EvaluatedCandidate,
    best_unmeasured,
    choose_winner,
    most_uncertain,
    worth_measuring,
)
from mnaslat.search.run.search import Search
from tests.search.toy_runs import (
    SPACE,
    TOY,
    ToyPredictor,
    ToyValidator,
    contents,
    tokens_of,
    toy_accuracy,
    toy_ms,
    toy_problem,
)

SKEWED = replace(
    TOY,
    n_samples=40,
    validate_every=2,
    validate_top=8,
    validate_uncertain=2,
    n_final_validations=40,
)


def is_odd(tokens: Tokens) -> NDArray[np.bool_]:
    """Which rows `SkewedPredictor` is wrong about: about a third of them."""
    return np.asarray(tokens[..., 0] == 2)


class SkewedPredictor(ToyPredictor):
    """30 % too optimistic about some networks, until it is shown one."""

    def __init__(self, factor: float = 0.7) -> None:
        super().__init__(factor)

    def rows_ms(self, tokens: Tokens) -> Floats:
        """The truth for the others."""
        return toy_ms(tokens) * np.where(is_odd(tokens), self.factor, 1.0)

    def recalibrated(
        self, architectures: Sequence[Architecture], measured_ms: Floats, /
    ) -> "SkewedPredictor":
        """With the factor that fits those of these that it is wrong about."""
        tokens = tokens_of(architectures)
        ratios = (measured_ms / toy_ms(tokens))[is_odd(tokens)]
        return SkewedPredictor(float(ratios.mean())) if len(ratios) else self


def test_past_rewards_are_rescored_when_the_predictor_turns_out_wrong(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    with Search(toy_problem(predictor=SkewedPredictor()), SKEWED, before) as search:
        search.run()
    problem = toy_problem(validator=ToyValidator(), predictor=SkewedPredictor())
    with Search(problem, SKEWED, after) as search:
        result = search.run()
    assert any(is_odd(np.array(row.tokens)) for row in result.validations)
    n_changed = 0
    pairs: list[tuple[Any, Any]] = list(
        zip(contents(before)["evaluations"], contents(after)["evaluations"], strict=True)
    )
    for old, new in pairs:
        assert old.tokens == new.tokens
        exact_ms = toy_ms(np.array([new.tokens]))[0]
        assert new.predicted_ms == new.latency_ms == pytest.approx(exact_ms)
        reward = mnasnet_reward([new.accuracy], [exact_ms], SKEWED.reward)[0]
        assert new.reward == pytest.approx(reward)
        n_changed += old.reward != pytest.approx(new.reward)
    assert n_changed > 0
    for row in result.validations:
        factor = 0.7 if is_odd(np.array(row.tokens)) else 1.0
        if row.round == 2:  # at the end all is known already
            assert row.predicted_ms == pytest.approx(factor * row.measured_ms)
        assert row.predicted_after_ms == pytest.approx(row.measured_ms)


def test_best_and_uncertain_networks_are_measured_and_the_reason_is_kept(tmp_path: Path) -> None:
    settings = replace(TOY, validate_top=3, validate_uncertain=2)
    with Search(toy_problem(validator=ToyValidator()), settings, tmp_path) as search:
        result = search.run()
    for round_ in (1, 2, 3):
        why = [row.why for row in result.validations if row.round == round_]
        assert sorted(why) == ["best"] * 3 + ["uncertain"] * 2
    rows = [row for row in result.validations if row.round == 1]
    assert all(row.predicted_ms == pytest.approx(0.9 * row.measured_ms) for row in rows)
    assert all(row.predicted_after_ms == pytest.approx(row.measured_ms) for row in rows)


class Doubtful(ToyPredictor):
    """Says that it may be 20 % too low, and 60 % where the first decision is the last choice."""

    def predict_interval_ms(
        self, architectures: Sequence[Architecture], coverage: float, /
    ) -> tuple[Floats, Floats]:
        """Bounds around the prediction."""
        assert coverage == 0.9
        predicted_ms = self.predict_ms(architectures)
        first = np.array([SPACE.encode(each)[0] for each in architectures])
        return predicted_ms, predicted_ms * np.where(first == 2, 1.6, 1.2)


class EquallyDoubtful(ToyPredictor):
    """May be 25 % too low about every network alike."""

    n_asked = 0

    def predict_interval_ms(
        self, architectures: Sequence[Architecture], coverage: float, /
    ) -> tuple[Floats, Floats]:
        """Bounds around the prediction."""
        self.n_asked += len(architectures)
        predicted_ms = self.predict_ms(architectures)
        return predicted_ms, 1.25 * predicted_ms


def rows_of(n: int) -> NDArray[np.int64]:
    return SPACE.sample(n, np.random.default_rng(1))


def test_upper_end_of_the_interval() -> None:
    rows = rows_of(30)
    upper = Latencies(Doubtful(1.0), SPACE, "upper")
    assert upper.predicted_ms(rows) == pytest.approx(toy_ms(rows))
    factor = np.where(rows[:, 0] == 2, 1.6, 1.2)
    for _ in range(2):  # the second time from memory
        assert upper.reward_ms(rows) == pytest.approx(toy_ms(rows) * factor)
    assert Latencies(Doubtful(1.0), SPACE).reward_ms(rows) == pytest.approx(toy_ms(rows))
    width = Latencies(Doubtful(1.0), SPACE).relative_width(rows)
    assert width is not None and width == pytest.approx(factor - 1.0)


def test_what_can_be_reached_is_said_of_the_upper_end() -> None:
    upper = Latencies(EquallyDoubtful(1.0), SPACE, "upper")
    with pytest.raises(SearchError, match="upper end of the predictor's 90% interval it reaches"):
        check_targets((3.1, 3.1), upper, SPACE)  # the fastest network takes 3 ms, at most 3.75


def test_where_all_intervals_are_alike_their_end_is_a_factor() -> None:
    rows, predictor = rows_of(30), EquallyDoubtful(1.0)
    latencies = Latencies(predictor, SPACE, "upper")
    assert latencies.reward_ms(rows) == pytest.approx(1.25 * toy_ms(rows))
    assert predictor.n_asked < 10  # not one by one
    assert latencies.relative_width(rows) is None
    assert latencies.reward_ms(rows[:0]).shape == (0,)


class Unbounded(ToyPredictor):
    """Was calibrated on too few networks to know an upper end."""

    def predict_interval_ms(
        self, architectures: Sequence[Architecture], coverage: float, /
    ) -> tuple[Floats, Floats]:
        """Bounds that hold everything."""
        return np.zeros(len(architectures)), np.full(len(architectures), np.inf)


def test_intervals_without_an_end_say_nothing_about_one_network_against_another() -> None:
    assert Latencies(Unbounded(1.0), SPACE).relative_width(rows_of(5)) is None
    with pytest.raises(SearchError, match="calibrated on too few networks"):
        Latencies(Unbounded(1.0), SPACE, "upper").reward_ms(rows_of(5))


def test_without_usable_intervals_there_is_no_upper_end() -> None:
    with pytest.raises(SearchError, match="says nothing about how wrong"):
        Latencies(ToyPredictor(), SPACE, "upper").reward_ms(rows_of(1))

    class Unsure(EquallyDoubtful):
        def predict_interval_ms(self, *arguments: Any) -> tuple[Floats, Floats]:
            low_ms, high_ms = super().predict_interval_ms(*arguments)
            return low_ms, np.full_like(high_ms, np.inf)

    class Uncalibrated(EquallyDoubtful):
        def predict_interval_ms(self, *arguments: Any) -> tuple[Floats, Floats]:
            raise ValueError("Calibrate it.")

    with pytest.raises(SearchError, match="calibrated on too few networks"):
        Latencies(Unsure(), SPACE, "upper").reward_ms(rows_of(1))
    with pytest.raises(SearchError, match="has no intervals: Calibrate it"):
        Latencies(Uncalibrated(), SPACE, "upper").reward_ms(rows_of(1))


def test_a_search_with_the_upper_end_keeps_the_target_with_it(tmp_path: Path) -> None:
    problem = replace(toy_problem(), predictor=Doubtful(1.0))
    with Search(problem, replace(TOY, latency="upper"), tmp_path) as search:
        winner = search.run().winner
    factor = 1.6 if winner.tokens[0] == 2 else 1.2
    assert winner.expected_ms == pytest.approx(factor * winner.predicted_ms)
    assert winner.expected_ms <= 16.0
    for row in contents(tmp_path)["evaluations"]:
        assert row.latency_ms > 1.1 * row.predicted_ms  # type: ignore[attr-defined]


class BadPredictor(ToyPredictor):
    """Predicts nonsense for one network in a batch."""

    def compile(self, space: Any, /) -> Any:
        """With a nan."""

        def predict(tokens: NDArray[np.int64]) -> Floats:
            latency_ms = toy_ms(tokens)
            if len(latency_ms) == 20:
                latency_ms[3] = np.nan
            return latency_ms

        return predict


class BadValidator(ToyValidator):
    """Measures nothing."""

    def measure(self, architectures: Sequence[Architecture], /) -> Floats:
        """Zeros, too few of them."""
        return np.zeros(len(architectures) - 1)


def test_a_latency_that_is_no_number_is_named(tmp_path: Path) -> None:
    problem = replace(toy_problem(), predictor=BadPredictor())
    with (
        Search(problem, TOY, tmp_path / "a") as search,
        pytest.raises(SearchError, match=r"predicted latency of network [0-9,]+ is nan ms"),
    ):
        search.run()
    problem = replace(toy_problem(), validator=BadValidator())
    with (
        Search(problem, TOY, tmp_path / "b") as search,
        pytest.raises(SearchError, match=r"Expected 3 measured latencies, got .* shape \(2,\)"),
    ):
        search.run()


def candidate(row: Sequence[int], measured: bool = False, **known: Any) -> EvaluatedCandidate:
    tokens = np.array(row)
    latency_ms, accuracy = float(toy_ms(tokens[None])[0]), toy_accuracy(tokens)
    values: dict[str, Any] = {
        "tokens": tuple(row),
        "architecture": SPACE.decode(tokens),
        "accuracy": accuracy,
        "reward": accuracy,
        "predicted_ms": latency_ms,
        "expected_ms": latency_ms,
        "measured_ms": latency_ms if measured else None,
    }
    values |= known
    return EvaluatedCandidate(**{"expected_accuracy": values["accuracy"], **values})


def candidates(n: int, n_measured: int = 0) -> list[EvaluatedCandidate]:
    return [candidate(row, i < n_measured) for i, row in enumerate(rows_of(n).tolist())]


def test_of_equally_accurate_networks_the_faster_wins() -> None:
    first, second, third = rows_of(3).tolist()
    rows = [
        candidate(first, accuracy=0.5, expected_ms=4.0),
        candidate(second, accuracy=0.5, expected_ms=3.0),
        candidate(third, accuracy=0.5, expected_ms=9.0),
    ]
    assert choose_winner(rows, 5.0, measured_only=False) == rows[1]
    assert choose_winner(rows, 2.0, measured_only=False) == rows[1]  # the fastest, if none keeps it
    assert choose_winner([*rows, candidate(third, True)], 5.0, measured_only=True).measured_ms


def test_the_best_at_every_target_are_measured_in_turn() -> None:
    rows = candidates(40, n_measured=10)
    chosen = best_unmeasured(rows, 3, (13.0, 15.0, 17.0, 19.0, 21.0), RewardSettings.hard(1.0))
    assert len({each.tokens for each in chosen}) == 3
    for each, target_ms in zip(chosen, (13.0, 17.0, 21.0), strict=True):
        open_ = [row for row in rows if row.measured_ms is None]
        worth = [row.accuracy * min(1.0, target_ms / row.latency_ms) for row in open_]
        assert each.accuracy * min(1.0, target_ms / each.latency_ms) == pytest.approx(max(worth))


def test_the_widest_intervals_are_the_least_certain() -> None:
    rows = candidates(60, n_measured=5)
    chosen = most_uncertain(rows, 4, Latencies(Doubtful(), SPACE), [rows[7].tokens])
    assert len(chosen) == 4
    assert all(each.tokens[0] == 2 and each.measured_ms is None for each in chosen)
    assert rows[7] not in chosen


@pytest.mark.parametrize("predictor", [Doubtful(), EquallyDoubtful()])
def test_upper_ends_move_with_what_measurements_taught(predictor: ToyPredictor) -> None:
    measured, rows = rows_of(30), rows_of(45)[30:]
    predicted_ms = predictor.predict_ms([SPACE.decode(row) for row in measured])
    residual = ChoiceResidual(SPACE.n_choices, measured, predicted_ms, 1.3 * predicted_ms)
    before, after = (Latencies(predictor, SPACE, "upper", each) for each in (None, residual))
    moved = residual.factor(rows)
    assert (moved > 1.1).all()
    assert after.reward_ms(rows) == pytest.approx(moved * before.reward_ms(rows))
    assert after.predicted_ms(rows) == pytest.approx(moved * before.predicted_ms(rows))


def test_where_intervals_say_nothing_the_least_like_what_was_measured_are_chosen() -> None:
    near, measured, far = [0] * 28, [0] * 27 + [1], [1] * 28
    rows = [candidate(near), candidate(measured, True), candidate(far)]
    latencies = Latencies(ToyPredictor(), SPACE)
    assert most_uncertain(rows, 1, latencies, []) == [rows[2]]
    assert most_uncertain(rows, 5, latencies, []) == [rows[2], rows[0]]
    assert most_uncertain(rows, 0, latencies, []) == []
    assert most_uncertain(rows[1:2], 2, latencies, []) == []


def test_worth_measuring_is_what_may_still_be_the_answer() -> None:
    row = rows_of(1)[0].tolist()
    best = candidate(row, True, accuracy=0.7, measured_ms=9.0)
    better = candidate(row, tokens=(0,), accuracy=0.8, predicted_ms=10.1)
    worse = candidate(row, tokens=(1,), accuracy=0.6, predicted_ms=5.0)
    slow = candidate(row, tokens=(2,), accuracy=0.9, predicted_ms=10.3)
    rows = [best, better, worse, slow]
    assert worth_measuring(rows, (10.0,), 0.02, 5) == [better]
    assert worth_measuring(rows, (10.0,), 0.05, 5) == [slow, better]
    assert worth_measuring(rows, (10.0,), 0.05, 1) == [slow]
    # Nothing is predicted to keep the lower target: the fastest is tried.
    assert worth_measuring(rows, (2.0,), 0.02, 1) == [worse]
