"""Measures models in batches; repeats disturbed ones; resumes after interruptions."""

import shlex
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

from mnaslat.data.measurement import Round
from mnaslat.errors import DeviceError, DeviceLost
from mnaslat.graph import Graph
from mnaslat.profiling.device import Failure, Model, Notice
from mnaslat.profiling.phone.adb.conditions import Conditions
from mnaslat.profiling.phone.batch import (
    MODEL,
    NotUnpacked,
    Ran,
    Running,
    ToolChanged,
    run_batch,
)
from mnaslat.profiling.phone.guard import Problem
from mnaslat.profiling.phone.readiness import begin, wait_until_ready
from mnaslat.profiling.phone.reconnection import recognise, wait_until_back
from mnaslat.profiling.phone.run_outcome import ToolBroken, classify_run, read_sentinel
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.base import BenchmarkOutput
from mnaslat.profiling.phone.tool.installation import Installed, install, pinned
from mnaslat.profiling.timing_plan import TimingPlan

_SENTINEL = "fp32 56x56x64 conv3x3>64:relu"  # 116 M multiply-adds: a few milliseconds on a big core
_BATCH_S = 20.0  # of timed runs: the loss is small when a phone goes away
_BATCH_MODELS = 60
_BATCH_BYTES = 64 * 2**20
_MAX_ATTEMPTS = 3  # of a model that crashes, hangs or prints nonsense
_MAX_BARREN = 6  # batches in a row without an outcome


@dataclass(eq=False)
class _Pending:
    """A model that has no outcome yet."""

    signature: str
    content: bytes
    n_attempts: int = 0  # that failed, for which the model may be to blame
    n_losses: int = 0  # of the phone, while the model was running


class MeasurementLoop:
    """Measures one round of each model in batches: one call of ``PhoneDevice.measure``."""

    def __init__(self, session: PhoneSession, plan: TimingPlan) -> None:
        self.session, self.plan = session, plan
        self.sentinel_model = session.tool.write_model(Graph.parse(_SENTINEL))
        self.sentinel_ms = 0.0  # its last latency
        self.pending: deque[_Pending] = deque()
        self.max_models = max(1, min(_BATCH_MODELS, round(_BATCH_S / (plan.round_ms / 1e3))))
        self.is_recognised = False
        self.running: _Pending | None = None  # now, on the phone
        self.has_progressed = False  # in this batch

    def run(self, models: Iterable[Model]) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Yield the outcomes of all models as soon as they are known."""
        source = iter(models)
        n_barren = 0
        while batch := self._next_batch(source):
            self.has_progressed = False
            trouble = "no round could be taken in good conditions"
            try:
                if not self.is_recognised:
                    recognise(self.session)
                    self.is_recognised = True
                tool = install(self.session.connection, self.session.binary)
                if not self.session.has_begun:
                    yield from begin(self.session)
                yield from self._run_batch(batch, tool)
            except DeviceLost as lost:
                trouble = str(lost)
                yield from self._blame_for_loss()
                yield from wait_until_back(self.session, trouble)
                self.is_recognised = True
            except (ToolBroken, ToolChanged) as broken:
                trouble = str(broken)
                yield Notice(f"{self.session.name}: {trouble.rstrip('.')}; looking at it again")
            except NotUnpacked as refused:
                trouble = f"the models cannot be stored on it: {refused}"
                yield self._with_fewer_models(len(batch), trouble)
            n_barren = 0 if self.has_progressed else n_barren + 1
            if n_barren == _MAX_BARREN:
                raise DeviceError(
                    f"Phone {self.session.name} gave no measurement {_MAX_BARREN} times in a row; "
                    f"at last: {trouble.rstrip('.')}. Restart the phone, then type the same "
                    "command: it continues where it was."
                )
            if n_barren > 1:  # the cause may be temporary
                time.sleep(self.session.policy.poll_s)

    def _next_batch(self, source: Iterator[Model]) -> list[_Pending]:
        """Choose the models of the next batch, those that wait for another attempt first."""
        n_bytes = sum(len(each.content) for each in self.pending)
        while len(self.pending) < self.max_models and n_bytes < _BATCH_BYTES:
            model = next(source, None)
            if model is None:
                break
            content = self.session.tool.write_model(model.graph)
            self.pending.append(_Pending(model.signature, content))
            n_bytes += len(self.pending[-1].content)
        return list(islice(self.pending, self.max_models))

    def _run_batch(
        self, batch: list[_Pending], tool: Installed
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Run one batch; where the phone is no longer ready, stop and wait until it is."""
        session = self.session
        command = session.tool.command(
            shlex.quote(tool.path),
            MODEL,
            self.plan,
            threads=session.threads,
            delegate=session.delegate,
        )
        held: list[Ran] = []  # until the conditions after them are known
        problems: tuple[Problem, ...] = ()
        running = run_batch(
            session.connection,
            pinned(command, session.cores),
            [self.sentinel_model, *(each.content for each in batch)],
            suffix=session.tool.model_suffix,
            tool=tool,
            cores=session.cores,
            core=session.clocked_core,
            limit_s=self.plan.timeout_s,
        )
        self.running = None
        with closing(running):
            for event in running:
                if isinstance(event, Running):
                    self.running = batch[event.index - 1] if event.index else None
                elif isinstance(event, Ran):
                    self.running = None
                    held.append(event)
                else:
                    problems = session.guard.problems(event)
                    if problems:
                        break
                    yield from self._accept_runs(held, batch, event)
                    held = []
        if problems:
            n_discarded = sum(each.index > 0 for each in held)
            yield from wait_until_ready(session, problems, n_discarded=n_discarded)

    def _accept_runs(
        self, held: list[Ran], batch: list[_Pending], conditions: Conditions
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Turn runs with good conditions before and after them into outcomes."""
        suspect: tuple[_Pending, Failure] | None = None  # until the sentinel has run after it
        for ran in held:
            most_khz = [each.most_khz for each in (ran.before, ran.after) if each.most_khz]
            cap = self.session.guard.cap(self.session.clocked_core, min(most_khz, default=None))
            if ran.index == 0:
                yield from self._check_sentinel(ran, is_usual=not cap)
                if suspect is not None:
                    yield from self._outcome(suspect[0], suspect[1])
                    suspect = None
                continue
            if cap:
                yield Notice(f"{self.session.name}: a round is repeated: {cap}", n_repeated=1)
                continue
            pending = batch[ran.index - 1]
            output = classify_run(self.session, ran, timeout_s=self.plan.timeout_s)
            if isinstance(output, Failure) and ran.status != 0:
                suspect = pending, output
            elif isinstance(output, Failure):
                yield from self._outcome(pending, output)
            else:
                yield from self._outcome(pending, self._round(pending, ran, output, conditions))

    def _outcome(
        self, pending: _Pending, outcome: Round | Failure
    ) -> Iterator[tuple[str, Round | Failure]]:
        """Yield an outcome unless the model is to be tried again."""
        self.has_progressed = True
        self.pending.remove(pending)
        if isinstance(outcome, Failure):
            pending.n_attempts += 1
            n_attempts = 2 if outcome.permanent else _MAX_ATTEMPTS
            if pending.n_attempts < n_attempts:
                self.pending.append(pending)  # far from its first attempt
                return
            reason = f"{outcome.reason} (tried {pending.n_attempts} times)"
            outcome = replace(outcome, reason=reason)
        yield pending.signature, outcome

    def _blame_for_loss(self) -> Iterator[tuple[str, Failure]]:
        """Remember which model ran when the phone was lost: some make a phone restart."""
        pending, self.running = self.running, None
        if pending is None or pending not in self.pending:
            return
        self.pending.remove(pending)
        pending.n_losses += 1
        if pending.n_losses < _MAX_ATTEMPTS:
            self.pending.append(pending)
            return
        self.has_progressed = True
        reason = f"the phone was lost each of the {pending.n_losses} times that it ran"
        yield pending.signature, Failure(reason, permanent=False)

    def _check_sentinel(self, ran: Ran, *, is_usual: bool) -> Iterator[Notice]:
        output = read_sentinel(self.session, ran, timeout_s=self.plan.timeout_s)
        if not is_usual:
            return
        self.sentinel_ms = output.statistics.min_ms
        alarm = self.session.sentinel.add(output.statistics.min_ms)
        if alarm:
            yield Notice(f"{self.session.name}: {alarm}")

    def _round(
        self, pending: _Pending, ran: Ran, output: BenchmarkOutput, conditions: Conditions
    ) -> Round:
        circumstances = conditions.circumstances()
        circumstances["started"] = f"{ran.started:.3f}"
        circumstances["clock_khz"] = f"{ran.before.now_khz or '?'} to {ran.after.now_khz or '?'}"
        circumstances["warmup_ms"] = f"{output.warmup_ms:.6g}"
        circumstances["delegated"] = output.delegated
        circumstances["sentinel_ms"] = f"{self.sentinel_ms:.6g}"
        circumstances["attempts"] = str(pending.n_attempts + 1)
        if self.session.policy.changes:
            circumstances["guard"] = self.session.policy.changes
        return Round(
            statistics=output.statistics, init_ms=output.init_ms, circumstances=circumstances
        )

    def _with_fewer_models(self, n_models: int, trouble: str) -> Notice:
        if n_models == 1:
            raise DeviceError(
                f"Phone {self.session.name}: {trouble}. Free some storage on it (`adb shell df "
                "/data` shows how much there is), then type the same command: it continues where "
                "it was."
            )
        self.max_models = n_models // 2
        return Notice(f"{self.session.name}: {trouble}; trying with {self.max_models} at a time")
