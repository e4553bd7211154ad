"""Measure many layers or networks into the store: resumable, in rounds, the most useful first."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mnaslat.data.circumstances import REMEMBERED
from mnaslat.data.convergence import has_converged
from mnaslat.data.measurement import Configuration, Measurement, Round, Subject
from mnaslat.data.measurement_store import Store
from mnaslat.errors import DeviceError
from mnaslat.graph import Graph
from mnaslat.profiling.device import Device, Failure, Model, Notice
from mnaslat.profiling.timing_plan import TimingPlan


@dataclass(frozen=True, kw_only=True)
class Job:
    """Layers or networks to measure, in order of usefulness."""

    kind: Subject
    graphs: tuple[Graph, ...]

    def __post_init__(self) -> None:
        if len(self.models) != len(self.graphs):
            raise ValueError("The graphs of a job must be distinct: some stand in it twice.")
        precisions = {graph.precision for graph in self.graphs}
        if len(precisions) > 1:
            raise ValueError(f"A job has one precision, got {', '.join(sorted(precisions))}.")

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The graphs by signature."""
        return {graph.signature: Model(graph.signature, graph) for graph in self.graphs}

    @property
    def signatures(self) -> tuple[str, ...]:
        """The signatures of the graphs."""
        return tuple(self.models)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a sweep."""

    n_done: int  # models with all their rounds, or failed
    n_total: int
    n_rounds_done: int  # of models, by this call
    n_rounds_total: int  # of this call as planned; grows where rounds disagree
    round_number: int
    seconds_left: float  # an estimate
    last: str  # signature measured last


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The outcome of a sweep."""

    n_total: int
    n_measured: int  # models with at least one round
    n_rounds: int  # measured by this call
    n_not_converged: int  # their rounds never agreed
    n_left: int  # models neither measured nor failed; one can be both
    failures: Mapping[str, str]
    wall_s: float
    timed_s: float  # of it, spent in timed runs


def sweep(
    device: Device,
    store: Store,
    job: Job,
    plan: TimingPlan,
    *,
    budget_s: float = math.inf,
    seed: int = 0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda text: None,
) -> SweepResult:
    """Measure what the store does not have yet; every round is committed as it comes in.

    All models of a round are measured in random order before the next round starts, so that the
    rounds of a model lie far apart in time. Models whose rounds disagree by more than
    ``plan.agreement`` get further ones, up to ``plan.max_rounds``. With a budget, as many models as
    fit are taken from the front of the job.

    Calling it again with the same job continues where an earlier call stopped, even if it was
    killed. Notices of the device are kept in the store's journal.

    Raises:
        DeviceError: If the device is lost.
        ConfigurationMismatch: If it comes back as another one.
        WorkspaceError: If the store cannot be written.
    """
    run = _Run(device, store, job, plan, budget_s, on_progress, on_notice)
    device.remember(store.distinct_circumstances(run.configuration, REMEMBERED))
    rng = np.random.default_rng(seed)
    while wave := run.next_wave():
        for number in range(1, plan.max_rounds + 1):
            due = run.due(wave, number)
            if not due:
                continue
            order = [due[i] for i in rng.permutation(len(due))]
            if order and order[0] == run.last:  # its two rounds would follow one another
                order.append(order.pop(0))
            run.measure(order, number)
            if run.out_of_time:
                break
    return run.result()


class _Run:
    """State of one call of ``sweep``."""

    def __init__(
        self,
        device: Device,
        store: Store,
        job: Job,
        plan: TimingPlan,
        budget_s: float,
        on_progress: Callable[[Progress], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self.device, self.store, self.job, self.plan = device, store, job, plan
        self.budget_s, self.on_progress, self.on_notice = budget_s, on_progress, on_notice
        precision = job.graphs[0].precision if job.graphs else "fp32"
        self.configuration: Configuration = device.configuration(precision)
        wanted = set(job.signatures)
        known = store.measurements(self.configuration, job.kind)
        self.measured: dict[str, Measurement] = {
            signature: known[signature] for signature in known if signature in wanted
        }
        failed = store.failures(self.configuration, job.kind)
        self.failures = {key: reason for key, reason in failed.items() if key in wanted}
        self.started = time.monotonic()
        self.timed_s = 0.0
        self.n_rounds = 0
        self.wave: Sequence[str] = ()
        self.last = ""  # measured last
        self.n_done = sum(
            signature in self.failures or self._is_done(signature) for signature in job.signatures
        )

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def out_of_time(self) -> bool:
        return self.elapsed_s >= self.budget_s

    def next_wave(self) -> Sequence[str]:
        """The models to take on next: all, or as many as the rest of the budget will hold."""
        if self.out_of_time:
            return ()
        open_ = [
            signature
            for signature in self.job.signatures
            if signature not in self.failures and not self._is_done(signature)
        ]
        if math.isfinite(self.budget_s) and open_:
            started = [signature for signature in open_ if signature in self.measured]
            fresh = [signature for signature in open_ if signature not in self.measured]
            per_model_s = self._seconds_per_round() * self.plan.n_rounds
            # Repeats of disagreeing models come out of the budget too, about a tenth of it.
            room = int(0.9 * (self.budget_s - self.elapsed_s) / per_model_s) - len(started)
            open_ = started + fresh[: max(room, 0 if started else 1)]
        self.wave = open_
        return open_

    def due(self, wave: Sequence[str], number: int) -> list[str]:
        """The models of a wave that need their ``number``-th round."""
        return [
            signature
            for signature in wave
            if signature not in self.failures
            and self._n_rounds(signature) == number - 1
            and (number <= self.plan.n_rounds or not self._has_converged(signature))
        ]

    def measure(self, due: Sequence[str], number: int) -> None:
        models = (self.job.models[signature] for signature in due)
        outcomes = self.device.measure(models, self.plan)
        position = 0
        try:
            for event in outcomes:
                if isinstance(event, Notice):
                    self.store.add_event(self.configuration, event.text, event.n_repeated)
                    self.on_notice(event.text)
                    if self.out_of_time:
                        return
                    continue
                position += 1
                signature, outcome = event
                if isinstance(outcome, Failure):
                    self._add_failure(signature, outcome)
                else:
                    self._add(signature, outcome)
                self.on_progress(
                    Progress(
                        n_done=self.n_done,
                        n_total=len(self.job.signatures),
                        n_rounds_done=self.n_rounds,
                        n_rounds_total=self.n_rounds
                        + self._rounds_left(len(due) - position, number),
                        round_number=number,
                        seconds_left=self._seconds_left(len(due) - position, number),
                        last=signature,
                    )
                )
                if self.out_of_time:
                    return
        finally:
            _close(outcomes)
        if position < len(due):  # the next wave would ask for the same models, without an end
            raise DeviceError(
                f"{self.device.name} measured {position} of {len(due)} models and then stopped."
            )

    def result(self) -> SweepResult:
        return SweepResult(
            n_total=len(self.job.signatures),
            n_measured=len(self.measured),
            n_rounds=self.n_rounds,
            n_not_converged=sum(
                self._n_rounds(signature) >= self.plan.n_rounds
                and not self._has_converged(signature)
                for signature in self.measured
            ),
            n_left=len(set(self.job.signatures) - set(self.measured) - set(self.failures)),
            failures=dict(self.failures),
            wall_s=self.elapsed_s,
            timed_s=self.timed_s,
        )

    def _add(self, signature: str, round_: Round) -> None:
        self.store.add_round(self.configuration, self.job.kind, signature, round_)
        before = self.measured.get(signature)
        self.measured[signature] = Measurement(
            signature=signature,
            round_min_ms=(*(before.round_min_ms if before else ()), round_.min_ms),
            n_runs=(before.n_runs if before else 0) + round_.statistics.n_runs,
        )
        self.timed_s += round_.total_ms / 1e3
        self.n_rounds += 1
        self.last = signature
        self.n_done += self._is_done(signature)

    def _add_failure(self, signature: str, failure: Failure) -> None:
        if failure.permanent:  # else the next call tries it again
            self.store.add_failure(self.configuration, self.job.kind, signature, failure.reason)
        self.failures[signature] = failure.reason
        self.n_done += 1

    def _n_rounds(self, signature: str) -> int:
        return self.measured[signature].n_rounds if signature in self.measured else 0

    def _has_converged(self, signature: str) -> bool:
        if signature not in self.measured:
            return False
        found = self.measured[signature]
        return has_converged(
            found.latency_ms,
            found.spread,
            agreement=self.plan.agreement,
            resolution_ms=self.plan.resolution_ms,
        )

    def _is_done(self, signature: str) -> bool:
        rounds = self._n_rounds(signature)
        return rounds >= self.plan.max_rounds or (
            rounds >= self.plan.n_rounds and self._has_converged(signature)
        )

    def _seconds_per_round(self) -> float:
        if self.n_rounds >= 20:
            return self.elapsed_s / self.n_rounds
        return self.plan.round_ms / 1e3 * 1.25

    def _rounds_left(self, n_left_in_round: int, number: int) -> int:
        return n_left_in_round + max(0, self.plan.n_rounds - number) * len(self.wave)

    def _seconds_left(self, n_left_in_round: int, number: int) -> float:
        left_s = self._rounds_left(n_left_in_round, number) * self._seconds_per_round()
        return min(left_s, max(0.0, self.budget_s - self.elapsed_s))


def _close(outcomes: Iterator[object]) -> None:
    """Let a generator that is not read to its end clean up now."""
    close = getattr(outcomes, "close", None)
    if close is not None:
        close()
