"""A sweep measures each model in rounds that lie apart, and goes on wherever it was stopped."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.data.measurement_store import Store
from mnaslat.errors import DeviceError
from mnaslat.graph import Graph, Precision
from mnaslat.profiling.device import Device, Failure, Model, Notice
from mnaslat.profiling.sweep import Job, Progress, SweepResult, sweep
from mnaslat.profiling.timing_plan import TimingPlan

pytestmark = pytest.mark.xdist_group("timing")

PLAN = TimingPlan(round_ms=100.0, n_rounds=2, max_rounds=4, agreement=0.02)
SIGNATURES = tuple(f"fp32 8x8x8 conv1x1>{filters}:relu" for filters in range(8, 16))
STEADY, BROKEN, RESTLESS, LATE = SIGNATURES[:4]


class FakeDevice:
    """A device that makes its rounds up: never use its figures for anything.

    ``BROKEN`` fails, the rounds of ``RESTLESS`` never agree, those of ``LATE`` agree from the third
    on (as the two fastest ones), all others agree at once.
    """

    name = "fake"

    def __init__(self, seconds: Callable[[], None] = lambda: None) -> None:
        self.asked: list[str] = []  # in order
        self.is_closed = True
        self._pass_time = seconds

    def configuration(self, precision: Precision) -> Configuration:
        return Configuration(device=self.name, fingerprint="made-up", precision=precision)

    def plan(self, kind: Subject) -> TimingPlan:
        return PLAN

    def remember(self, circumstances: Sequence[Circumstances]) -> None:
        self.remembered = len(circumstances)

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        self.is_closed = False
        try:
            for model in models:
                self.asked.append(model.signature)
                self._pass_time()
                yield model.signature, self._outcome(model.signature)
        finally:
            self.is_closed = True

    def _outcome(self, key: str) -> Round | Failure:
        number = self.asked.count(key)
        if key == BROKEN:
            return Failure("made up to fail")
        latency_ms = 10.0
        if key == RESTLESS:
            latency_ms = 10.0 * 0.9**number
        if key == LATE:
            latency_ms = {1: 12.0, 2: 10.0}.get(number, 10.1)
        return Round.of_runs(np.array([latency_ms, 2 * latency_ms], np.float32))


class Stopped(Exception):
    """Stands for anything that ends a sweep."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "measurements.sqlite")
    yield opened
    opened.close()


def _job(*signatures: str) -> Job:
    return Job(kind="layer", graphs=tuple(map(Graph.parse, signatures or SIGNATURES)))


def _n_rounds(store: Store, device: Device) -> dict[str, int]:
    found = store.measurements(device.configuration("fp32"), "layer")
    return {signature: measured.n_rounds for signature, measured in found.items()}


EXPECTED_ROUNDS = {each: 2 for each in SIGNATURES} | {RESTLESS: 4, LATE: 3}
del EXPECTED_ROUNDS[BROKEN]


def test_disagreeing_models_get_more_rounds_and_those_that_never_agree_are_counted(
    store: Store,
) -> None:
    device = FakeDevice()
    result = sweep(device, store, _job(), PLAN)
    assert _n_rounds(store, device) == EXPECTED_ROUNDS
    assert result.failures == {BROKEN: "made up to fail"}
    assert (result.n_total, result.n_measured, result.n_left) == (8, 7, 0)
    assert (result.n_rounds, result.n_not_converged) == (6 * 2 + 3 - 2 + 4, 1)
    assert result.timed_s == pytest.approx(
        sum(float(each.runs_ms.sum()) for each in _all_rounds(store, device)) / 1e3, rel=1e-6
    )


def _all_rounds(store: Store, device: Device) -> Iterator[Round]:
    for signature in SIGNATURES:
        yield from store.rounds(device.configuration("fp32"), signature)


N_OUTCOMES = sum(EXPECTED_ROUNDS.values()) + 1  # and one failure


@pytest.mark.parametrize("n_before", range(1, N_OUTCOMES + 1))
def test_stopped_anywhere_a_sweep_goes_on_and_measures_nothing_twice(
    store: Store, n_before: int
) -> None:
    device = FakeDevice()

    def stop(progress: Progress) -> None:
        if len(device.asked) == n_before:
            raise Stopped

    with pytest.raises(Stopped) as caught:
        sweep(device, store, _job(), PLAN, on_progress=stop)
    # The traceback keeps the sweep's variables, and so the device's generator, from being freed.
    assert device.is_closed and caught.tb is not None
    result = sweep(device, store, _job(), PLAN, seed=1)
    assert Counter(device.asked) == EXPECTED_ROUNDS | {BROKEN: 1}
    assert _n_rounds(store, device) == EXPECTED_ROUNDS
    assert result.n_left == 0


def test_a_finished_sweep_measures_nothing_more(store: Store) -> None:
    device = FakeDevice()
    sweep(device, store, _job(), PLAN)
    n_asked = len(device.asked)
    again = sweep(device, store, _job(), PLAN)
    assert len(device.asked) == n_asked
    assert (again.n_rounds, again.n_measured, again.n_not_converged) == (0, 7, 1)
    assert again.failures == {BROKEN: "made up to fail"}


def test_a_stricter_plan_goes_on_from_the_rounds_there_are(store: Store) -> None:
    device = FakeDevice()
    sweep(device, store, _job(STEADY), PLAN)
    sweep(device, store, _job(STEADY), TimingPlan(n_rounds=3, max_rounds=4))
    assert device.asked == [STEADY] * 3


@pytest.mark.parametrize("seed", range(10))
def test_two_rounds_of_a_model_never_follow_one_another_while_others_are_due(
    store: Store, seed: int
) -> None:
    device = FakeDevice()
    few = SIGNATURES[4:7]
    sweep(device, store, _job(*few), PLAN, seed=seed)
    assert all(first != second for first, second in pairwise(device.asked))
    assert set(device.asked[:3]) == set(device.asked[3:]) == set(few)


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    def order(seed: int, name: str) -> list[str]:
        device, opened = FakeDevice(), Store(tmp_path / name)
        sweep(device, opened, _job(), PLAN, seed=seed)
        opened.close()
        return device.asked

    assert order(1, "a") == order(1, "b")
    assert order(1, "c") != order(2, "d")


def test_progress_reaches_the_total_and_never_goes_back(store: Store) -> None:
    seen: list[Progress] = []
    sweep(FakeDevice(), store, _job(), PLAN, on_progress=seen.append)
    n_done = [progress.n_done for progress in seen]
    assert n_done == sorted(n_done)
    assert n_done[-1] == seen[-1].n_total == len(SIGNATURES)
    # BROKEN is done when it fails in round 1; then each other when its last round is in.
    assert [progress.n_done for progress in seen if progress.round_number == 1][-1] == 1
    assert [progress.n_done for progress in seen if progress.round_number == 2][-1] == 6
    assert all(math.isfinite(progress.seconds_left) for progress in seen)
    assert seen[-1].seconds_left == 0.0


def test_a_model_that_fails_after_a_round_is_counted_once(store: Store) -> None:
    device = FakeDevice()
    configuration = device.configuration("fp32")
    store.add_round(configuration, "layer", BROKEN, Round.of_runs(np.ones(1, np.float32)))
    seen: list[Progress] = []
    result = sweep(device, store, _job(STEADY, BROKEN), PLAN, on_progress=seen.append)
    assert seen[-1].n_done == 2
    assert (result.n_measured, len(result.failures), result.n_left) == (2, 1, 0)


def test_a_device_hears_of_the_circumstances_of_earlier_rounds(store: Store) -> None:
    class Clocked(FakeDevice):
        def _outcome(self, key: str) -> Round | Failure:
            now = f"{self.asked.count(key)}"
            known = Circumstances(max_khz="2800000", sentinel_ms=now, load="1")
            return Round.of_runs(np.ones(2, np.float32), circumstances=known)

    device = Clocked()
    sweep(device, store, _job(STEADY), PLAN)
    assert device.remembered == 0
    sweep(device, store, _job(STEADY), PLAN)
    assert device.remembered == 2


def test_rounds_that_differ_by_the_clocks_resolution_are_converged(store: Store) -> None:
    class Coarse(FakeDevice):
        def _outcome(self, key: str) -> Round | Failure:
            ms = {1: 0.0105, 2: 0.0115}[self.asked.count(key)]  # 1 µs is 10 % of it
            return Round.of_runs(np.array([ms], np.float32))

    result = sweep(Coarse(), store, _job(STEADY), replace(PLAN, resolution_ms=1e-3))
    assert (result.n_rounds, result.n_not_converged) == (2, 0)


def test_a_model_is_the_graph_of_its_signature(store: Store) -> None:
    given: list[Model] = []

    class Reading(FakeDevice):
        def measure(
            self, models: Iterable[Model], plan: TimingPlan
        ) -> Iterator[tuple[str, Round | Failure] | Notice]:
            listed = list(models)
            given.extend(listed)
            return super().measure(listed, plan)

    sweep(Reading(), store, _job(STEADY), PLAN)
    assert given == 2 * [Model(STEADY, Graph.parse(STEADY))]


# --- budgets: a clock that only the fake device moves


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    """A fake device whose every round takes 0.125 s: what the plan expects before measuring."""
    now_s = 0.0

    def pass_time() -> None:
        nonlocal now_s
        now_s += 0.125

    monkeypatch.setattr("mnaslat.profiling.sweep.time", SimpleNamespace(monotonic=lambda: now_s))
    return FakeDevice(pass_time)


MANY = tuple(f"fp32 8x8x8 conv1x1>{filters}" for filters in range(1, 101))


def _budgeted(device: FakeDevice, store: Store, budget_s: float, seed: int = 0) -> SweepResult:
    return sweep(device, store, _job(*MANY), PLAN, budget_s=budget_s, seed=seed)


def test_a_budget_is_spent_from_the_front_of_the_job(timed: FakeDevice, store: Store) -> None:
    result = _budgeted(timed, store, 5.0)
    # 0.9 * 5 s hold 18 models of two rounds; the rest of the budget goes to those behind them.
    assert set(timed.asked[:36]) == set(MANY[:18])
    assert set(timed.asked) == set(MANY[: result.n_measured])
    assert 18 <= result.n_measured <= 20
    assert 0.9 * 5.0 <= result.wall_s <= 5.0 + 0.125
    assert result.n_left == 100 - result.n_measured


def test_a_spent_budget_starts_nothing(timed: FakeDevice, store: Store) -> None:
    result = _budgeted(timed, store, 0.0)
    assert timed.asked == []
    assert (result.n_measured, result.n_left) == (0, 100)


def test_any_budget_that_is_left_measures_at_least_one_model(
    timed: FakeDevice, store: Store
) -> None:
    _budgeted(timed, store, 1e-3)
    assert timed.asked == [MANY[0]]


def test_budgets_add_up_over_calls_without_measuring_twice(timed: FakeDevice, store: Store) -> None:
    for call in range(40):
        _budgeted(timed, store, 1.0, seed=call)
    assert Counter(timed.asked) == dict.fromkeys(MANY, 2)


def test_what_was_begun_comes_before_what_was_not(timed: FakeDevice, store: Store) -> None:
    begun = MANY[50]
    store.add_round(
        timed.configuration("fp32"), "layer", begun, Round.of_runs(np.full(2, 10.0, np.float32))
    )
    result = _budgeted(timed, store, 1.0)
    assert timed.asked.count(begun) == 1
    assert result.n_measured < 10


def test_the_time_left_is_what_the_rounds_left_will_take(timed: FakeDevice, store: Store) -> None:
    seen: list[Progress] = []
    sweep(timed, store, _job(*MANY), PLAN, on_progress=seen.append)
    for position, progress in enumerate(seen, start=1):
        assert progress.seconds_left == pytest.approx(0.125 * (200 - position))


def test_the_time_left_is_never_more_than_the_budget(timed: FakeDevice, store: Store) -> None:
    seen: list[Progress] = []
    sweep(timed, store, _job(*MANY), PLAN, budget_s=5.0, on_progress=seen.append)
    for position, progress in enumerate(seen, start=1):
        assert 0.0 <= progress.seconds_left <= max(0.0, 5.0 - 0.125 * position) + 1e-9


# --- what a caller or a device may get wrong


def test_a_job_refuses_a_signature_twice_and_two_precisions() -> None:
    with pytest.raises(ValueError, match="distinct"):
        _job(STEADY, STEADY)
    with pytest.raises(ValueError, match="one precision, got fp32, int8"):
        _job(STEADY, "int8 8x8x8 conv1x1>8")


def test_an_empty_job_is_done_at_once(store: Store) -> None:
    result = sweep(FakeDevice(), store, Job(kind="layer", graphs=()), PLAN)
    assert (result.n_total, result.n_left) == (0, 0)


def test_what_a_device_says_is_passed_on_and_kept_in_the_journal(store: Store) -> None:
    class Talking(FakeDevice):
        def measure(
            self, models: Iterable[Model], plan: TimingPlan
        ) -> Iterator[tuple[str, Round | Failure] | Notice]:
            yield Notice("too hot, waiting")
            yield from super().measure(models, plan)

    heard: list[str] = []
    result = sweep(Talking(), store, _job(STEADY), PLAN, on_notice=heard.append)
    configuration = Talking().configuration("fp32")
    assert heard == [event.text for event in store.events(configuration)]
    assert heard == ["too hot, waiting"] * 2 and result.n_rounds == 2


def test_a_device_that_stops_in_silence_is_an_error_and_no_endless_loop(store: Store) -> None:
    class Silent(FakeDevice):
        def measure(
            self, models: Iterable[Model], plan: TimingPlan
        ) -> Iterator[tuple[str, Round | Failure] | Notice]:
            return iter(())

    with pytest.raises(DeviceError, match="fake measured 0 of 1 models and then stopped"):
        sweep(Silent(), store, _job(STEADY), PLAN)


def test_the_signatures_used_here_are_signatures() -> None:
    assert all(Graph.parse(signature).signature == signature for signature in SIGNATURES + MANY)
