"""Measures models in batches; repeats disturbed ones; resumes after interruptions."""

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
from mnaslat.profiling.phone.batch import NotUnpacked, Ran, Running, ToolChanged, sit
from mnaslat.profiling.phone.guard import Problem
from mnaslat.profiling.phone.readiness import begin, wait_until_fit
from mnaslat.profiling.phone.reconnection import recognise, wait_until_back
from mnaslat.profiling.phone.run_outcome import Judge, ToolBroken
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.installation import Installed, install, tool_command
from mnaslat.profiling.phone.tool.output import BenchmarkOutput
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.tflite import write_tflite

_SENTINEL = "fp32 56x56x64 conv3x3>64:relu"  # 116 M multiply-adds: a few milliseconds on a big core
_BATCH_S = 20.0  # of timed runs: the loss is small when a phone goes away
_BATCH_MODELS = 60
_BATCH_BYTES = 64 * 2**20
_MAX_ATTEMPTS = 3  # of a model that crashes, hangs or prints nonsense
_MAX_BARREN = 6  # batches in a row that gave nothing


@dataclass(eq=False)
class _Pending:
    """A model that has no outcome yet."""

    key: str
    content: bytes
    n_attempts: int = 0  # that failed, for which the model may be to blame
    n_losses: int = 0  # of the phone, while the model was running


class MeasurementLoop:
    """State of one call of ``PhoneDevice.measure``."""

    def __init__(self, session: PhoneSession, plan: TimingPlan) -> None:
        self.session, self.plan = session, plan
        self.connection = session.connection
        self.judge = Judge(
            phone=session.name,
            binary=session.binary,
            delegate=session.delegate,
            timeout_s=plan.timeout_s,
        )
        # The clock of the fastest core tells of the others where the system chooses.
        self.core = min(session.cores or session.description.clusters[-1].cores, default=0)
        self.sentinel_model = write_tflite(Graph.parse(_SENTINEL))
        self.sentinel_ms = 0.0  # at last
        self.pending: deque[_Pending] = deque()
        self.max_models = max(1, min(_BATCH_MODELS, round(_BATCH_S / (plan.round_ms / 1e3))))
        self.is_recognised = False
        self.running: _Pending | None = None  # now, on the phone
        self.has_progressed = False  # in this batch

    def run(self, models: Iterable[Model]) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Outcomes of all models, in the order in which they are known."""
        source = iter(models)
        n_barren = 0
        while batch := self._next_batch(source):
            self.has_progressed = False
            trouble = "no round could be taken in good conditions"
            try:
                if not self.is_recognised:
                    recognise(self.session)
                    self.is_recognised = True
                tool = install(self.connection, self.session.binary)
                if not self.session.has_begun:
                    yield from begin(self.session)
                yield from self._sit(batch, tool)
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
                    "command: it goes on where it was."
                )
            if n_barren > 1:  # retry once: the cause may be temporary
                time.sleep(self.session.policy.poll_s)

    def _next_batch(self, source: Iterator[Model]) -> list[_Pending]:
        """Return the next models for one batch, those that wait for another attempt first."""
        n_bytes = sum(len(each.content) for each in self.pending)
        while len(self.pending) < self.max_models and n_bytes < _BATCH_BYTES:
            model = next(source, None)
            if model is None:
                break
            self.pending.append(_Pending(model.key, model.make()))
            n_bytes += len(self.pending[-1].content)
        return list(islice(self.pending, self.max_models))

    def _sit(
        self, batch: list[_Pending], tool: Installed
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Run one batch; ends early where the phone is not ready, after waiting until it is."""
        session = self.session
        command = tool_command(
            tool.path,
            self.plan,
            threads=session.threads,
            cores=session.cores,
            delegate=session.delegate,
        )
        held: list[Ran] = []  # until the conditions after them are known
        problems: tuple[Problem, ...] = ()
        sitting = sit(
            self.connection,
            command,
            [self.sentinel_model, *(each.content for each in batch)],
            tool=tool,
            cores=session.cores,
            core=self.core,
            limit_s=self.plan.timeout_s,
        )
        self.running = None
        with closing(sitting):
            for reported in sitting:
                if isinstance(reported, Running):
                    self.running = batch[reported.index - 1] if reported.index else None
                elif isinstance(reported, Ran):
                    self.running = None
                    held.append(reported)
                else:
                    problems = session.guard.problems(reported)
                    if problems:
                        break
                    yield from self._settle(held, batch, reported)
                    held = []
        if problems:
            n_discarded = sum(each.index > 0 for each in held)
            yield from wait_until_fit(session, problems, n_discarded=n_discarded)

    def _settle(
        self, held: list[Ran], batch: list[_Pending], conditions: Conditions
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Make outcomes of runs with good conditions before and after them."""
        suspect: tuple[_Pending, Failure] | None = None  # until the sentinel has run after it
        for ran in held:
            most_khz = [each.most_khz for each in (ran.before, ran.after) if each.most_khz]
            cap = self.session.guard.cap(self.core, min(most_khz, default=None))
            if ran.index == 0:
                yield from self._check_sentinel(ran, is_usual=not cap)
                if suspect is not None:
                    yield from self._tell(suspect[0], suspect[1])
                    suspect = None
                continue
            if cap:
                yield Notice(f"{self.session.name}: a round is repeated: {cap}", n_repeated=1)
                continue
            pending = batch[ran.index - 1]
            reported = self.judge.model(ran)
            if isinstance(reported, Failure) and ran.status != 0:
                suspect = pending, reported
            elif isinstance(reported, Failure):
                yield from self._tell(pending, reported)
            else:
                yield from self._tell(pending, self._round(pending, ran, reported, conditions))

    def _tell(
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
        yield pending.key, outcome

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
        yield pending.key, Failure(reason, permanent=False)

    def _check_sentinel(self, ran: Ran, *, is_usual: bool) -> Iterator[Notice]:
        reported = self.judge.sentinel(ran)
        if not is_usual:
            return
        self.sentinel_ms = reported.statistics.min_ms
        alarm = self.session.sentinel.add(reported.statistics.min_ms)
        if alarm:
            yield Notice(f"{self.session.name}: {alarm}")

    def _round(
        self, pending: _Pending, ran: Ran, reported: BenchmarkOutput, conditions: Conditions
    ) -> Round:
        return Round(
            statistics=reported.statistics,
            init_ms=reported.init_ms,
            memory_mb=reported.memory_mb,
            circumstances={
                **conditions.circumstances(),
                "started": f"{ran.started:.3f}",
                "clock_khz": f"{ran.before.now_khz or '?'} to {ran.after.now_khz or '?'}",
                "warmup_ms": f"{reported.warmup_ms:.6g}",
                "delegated": reported.delegated,
                "sentinel_ms": f"{self.sentinel_ms:.6g}",
                "attempts": str(pending.n_attempts + 1),
                **({"guard": changes} if (changes := self.session.policy.changes) else {}),
            },
        )

    def _with_fewer_models(self, n_models: int, trouble: str) -> Notice:
        if n_models == 1:
            raise DeviceError(
                f"Phone {self.session.name}: {trouble}. Free some storage on it (`adb shell df "
                "/data` shows how much there is), then type the same command: it goes on where it "
                "was."
            )
        self.max_models = n_models // 2
        return Notice(f"{self.session.name}: {trouble}; trying with {self.max_models} at a time")
