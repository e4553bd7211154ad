"""Measuring on a phone: sittings, guarded, repeated where they were disturbed, and gone on with."""

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from mnaslat.data.measurement import Round
from mnaslat.errors import ConfigurationMismatch, DeviceError, DeviceLost
from mnaslat.graph import Graph
from mnaslat.profiling.device import Failure, Model, Notice
from mnaslat.profiling.phone.conditions import Conditions
from mnaslat.profiling.phone.guard import Problem, advice
from mnaslat.profiling.phone.output import BenchmarkOutput, OutputError, parse_output, why_it_failed
from mnaslat.profiling.phone.preparing import install, tool_command
from mnaslat.profiling.phone.questions import conditions_now, describe
from mnaslat.profiling.phone.sitting import NotUnpacked, Ran, sit
from mnaslat.profiling.plan import TimingPlan
from mnaslat.tflite import write_tflite
from mnaslat.units import format_duration

if TYPE_CHECKING:
    from mnaslat.profiling.phone.device import PhoneDevice

_SENTINEL = "fp32 56x56x64 conv3x3>64:relu"  # 116 M multiply-adds: a few milliseconds on a big core
_BATCH_S = 60.0  # of timed runs: the loss is small when a phone goes away
_BATCH_MODELS = 60
_BATCH_BYTES = 64 * 2**20
_MAX_ATTEMPTS = 3  # of a model that crashes, hangs or prints nonsense
_MAX_BARREN = 6  # sittings in a row that gave nothing
_POLL_S = 1.0
_SAY_AGAIN_S = 60.0
_CAP_LIFTS_S = 60.0  # after which a capped clock is taken as this phone's normal one
_MUST_TAKE_NODES = ("gpu", "nnapi")  # else a latency of the CPU would stand under their name


@dataclass(eq=False)
class _Pending:
    """A model that has no outcome yet."""

    key: str
    content: bytes
    n_attempts: int = 0  # that failed, for which the model may be to blame


class _ToolBroken(Exception):
    """The tool fails with the simplest model: no model is to blame."""


class Measuring:
    """State of one call of ``PhoneDevice.measure``."""

    def __init__(self, device: "PhoneDevice", plan: TimingPlan) -> None:
        self.device, self.plan = device, plan
        self.connection = device.connection
        self.sentinel_model = write_tflite(Graph.parse(_SENTINEL))
        self.sentinel_ms = 0.0  # at last
        self.pending: deque[_Pending] = deque()
        self.max_models = max(1, min(_BATCH_MODELS, round(_BATCH_S / (plan.round_ms / 1e3))))
        self.tool = ""  # its path on the phone, once it is installed

    def run(self, models: Iterable[Model]) -> Iterator[tuple[str, Round | Failure] | Notice]:
        source = iter(models)
        n_barren = 0
        while batch := self._next_batch(source):
            n_before = len(self.pending)
            trouble = "no round could be taken in good conditions"
            try:
                if not self.tool:
                    self.tool = install(self.connection, self.device.binary)
                if not self.device.has_begun:
                    yield from self._begin()
                yield from self._sit(batch)
            except DeviceLost as lost:
                trouble = str(lost)
                yield from self._come_back(trouble)
            except _ToolBroken as broken:
                trouble = str(broken)
            except NotUnpacked as refused:
                trouble = f"the models cannot be stored on it: {refused}"
                yield self._with_fewer_models(len(batch), trouble)
            if len(self.pending) < n_before:
                n_barren = 0
                continue
            n_barren += 1
            self.tool = ""  # look again whether it is there and whole
            if n_barren == _MAX_BARREN:
                raise DeviceError(
                    f"Phone {self.device.name} gave no measurement {_MAX_BARREN} times in a row; "
                    f"at last: {trouble.rstrip('.')}. Restart the phone, then type the same "
                    "command: it goes on where it was."
                )

    def _next_batch(self, source: Iterator[Model]) -> list[_Pending]:
        """The next models for one sitting, those that wait for another attempt first."""
        n_bytes = sum(len(each.content) for each in self.pending)
        while len(self.pending) < self.max_models and n_bytes < _BATCH_BYTES:
            model = next(source, None)
            if model is None:
                break
            self.pending.append(_Pending(model.key, model.make()))
            n_bytes += len(self.pending[-1].content)
        return list(islice(self.pending, self.max_models))

    def _sit(self, batch: list[_Pending]) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """One sitting; ends early where the phone is not fit, after waiting until it is."""
        device = self.device
        command = tool_command(
            self.tool,
            self.plan,
            threads=device.threads,
            cores=device.cores,
            delegate=device.delegate,
        )
        contents = [self.sentinel_model, *(each.content for each in batch)]
        held: list[Ran] = []  # until the conditions after them are known
        problems: tuple[Problem, ...] = ()
        sitting = sit(
            self.connection, command, contents, cores=device.cores, limit_s=self.plan.timeout_s
        )
        with closing(sitting):
            for told in sitting:
                if isinstance(told, Ran):
                    held.append(told)
                    continue
                problems = self.device.guard.problems(told)
                if problems:
                    break
                yield from self._settle(held, batch, told)
                held = []
        if problems:
            n_discarded = sum(each.index > 0 for each in held)
            yield from self._wait_until_fit(problems, n_discarded)

    def _begin(self) -> Iterator[Notice]:
        """Take the conditions now as those that later ones are compared with.

        A clock that is capped may be so for good, by the maker or by power saving, or because the
        phone is still hot: that is waited for.
        """
        started = time.monotonic()
        conditions = conditions_now(self.connection, self.device.cores)
        while caps := [
            each.text for each in self.device.guard.problems(conditions) if each.kind == "throttled"
        ]:
            waited_s = time.monotonic() - started
            if waited_s > _CAP_LIFTS_S:
                break
            if waited_s < self.device.policy.poll_s:
                yield Notice(f"{self.device.name}: {'; '.join(caps)}; waiting a minute at most")
            time.sleep(self.device.policy.poll_s)
            conditions = conditions_now(self.connection, self.device.cores)
        self.device.guard.begin(conditions)
        self.device.has_begun = True
        for text in advice(conditions):
            yield Notice(f"{self.device.name}: {text}")

    def _settle(
        self, held: list[Ran], batch: list[_Pending], conditions: Conditions
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Make outcomes of runs with good conditions before and after them."""
        for ran in held:
            if ran.index == 0:
                yield from self._check_sentinel(ran)
                continue
            pending = batch[ran.index - 1]
            core = min(self.device.cores, default=0)
            caps = [self.device.guard.cap(core, each.most_khz) for each in (ran.before, ran.after)]
            if any(caps):
                yield Notice(f"{self.device.name}: a round is repeated: {' '.join(caps)}")
                continue
            outcome = self._outcome(pending, ran, conditions)
            self.pending.remove(pending)
            if outcome is None:
                self.pending.append(pending)  # far from its first attempt
            else:
                yield pending.key, outcome

    def _check_sentinel(self, ran: Ran) -> Iterator[Notice]:
        told = self._read(ran)
        if isinstance(told, Failure):
            raise _ToolBroken(
                f"The benchmark tool fails even with the simplest model: {told.reason}"
            )
        self.sentinel_ms = told.statistics.min_ms
        alarm = self.device.sentinel.add(told.statistics.min_ms)
        if alarm:
            yield Notice(f"{self.device.name}: {alarm}")

    def _outcome(
        self, pending: _Pending, ran: Ran, conditions: Conditions
    ) -> Round | Failure | None:
        """None where the model should be tried again."""
        told = self._read(ran)
        if isinstance(told, Failure):
            pending.n_attempts += 1
            n_attempts = 2 if told.permanent else _MAX_ATTEMPTS
            if pending.n_attempts < n_attempts:
                return None
            return replace(told, reason=f"{told.reason} (tried {n_attempts} times)")
        return Round(
            statistics=told.statistics,
            init_ms=told.init_ms,
            memory_mb=told.memory_mb,
            circumstances={
                **conditions.circumstances(),
                "started": f"{time.time() - ran.seconds:.3f}",
                "clock_khz": f"{ran.before.now_khz or '?'} to {ran.after.now_khz or '?'}",
                "warmup_ms": f"{told.warmup_ms:.6g}",
                "delegated": told.delegated,
                "sentinel_ms": f"{self.sentinel_ms:.6g}",
                "attempts": str(pending.n_attempts + 1),
            },
        )

    def _read(self, ran: Ran) -> BenchmarkOutput | Failure:
        """What a run of the tool came to."""
        if ran.status in (126, 127):
            raise _ToolBroken(f"The benchmark tool does not start: {why_it_failed(ran.output)}")
        if ran.status > 128:
            if ran.seconds >= self.plan.timeout_s:
                return Failure(f"no end within {self.plan.timeout_s:g} s", permanent=False)
            return Failure(f"the tool was ended by signal {ran.status - 128}", permanent=False)
        if ran.status != 0:
            return Failure(why_it_failed(ran.output))
        try:
            told = parse_output(ran.output)
        except OutputError as error:
            return Failure(str(error), permanent=False)
        if self.device.delegate in _MUST_TAKE_NODES and not told.delegated:
            why = why_it_failed(ran.output)
            return Failure(f"no part of it ran on the {self.device.delegate} delegate: {why}")
        return told

    def _with_fewer_models(self, n_models: int, trouble: str) -> Notice:
        if n_models == 1:
            raise DeviceError(
                f"Phone {self.device.name}: {trouble}. Free some storage on it (`adb shell df "
                "/data` shows how much there is), then type the same command: it goes on where it "
                "was."
            )
        self.max_models = n_models // 2
        return Notice(f"{self.device.name}: {trouble}; trying with {self.max_models} at a time")

    def _wait_until_fit(
        self, problems: tuple[Problem, ...], n_discarded: int
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        policy, started = self.device.policy, time.monotonic()
        said_at = -math.inf
        while problems:
            text = "; ".join(each.text for each in problems)
            waited_s = time.monotonic() - started
            if not all(each.waits for each in problems) or waited_s > policy.cooldown_limit_s:
                since = f" for {format_duration(waited_s)}" if waited_s > policy.poll_s else ""
                raise DeviceError(
                    f"Phone {self.device.name} is not fit to be measured{since}: {text}. Once that "
                    "is mended, type the same command: it goes on where it was."
                )
            if waited_s - said_at >= _SAY_AGAIN_S:
                said_at = waited_s
                repeated = f"; {n_discarded} rounds will be repeated" if n_discarded else ""
                yield Notice(f"{self.device.name}: {text}{repeated}; waiting")
            time.sleep(policy.poll_s)
            problems = self.device.guard.problems(
                conditions_now(self.connection, self.device.cores)
            )
        waited = format_duration(time.monotonic() - started)
        yield Notice(f"{self.device.name}: fit again after {waited}")

    def _come_back(self, trouble: str) -> Iterator[Notice]:
        """Wait for a phone that went away, and check that it is still the same."""
        device, started = self.device, time.monotonic()
        yield Notice(f"{trouble} Waiting for it, {format_duration(device.absence_limit_s)} at most")
        state = said = ""
        while True:
            try:
                state = self.connection.state()
                if state == "device":
                    description = describe(self.connection)
                    if description.booted:
                        break
                    state = "starting up"
                self.connection.dial()
            except DeviceError as error:
                state = str(error)
            if state == "unauthorized" != said:
                said = state
                yield Notice(f"{device.name} asks to be authorised: unlock it and accept")
            if time.monotonic() - started > device.absence_limit_s:
                raise DeviceError(
                    f"Phone {device.name} ({self.connection.serial}) did not come back within "
                    f"{format_duration(device.absence_limit_s)}: {state}. Connect it again, check "
                    "with `mnaslat devices`, and type the same command: it goes on where it was."
                )
            time.sleep(_POLL_S)
        if description.fingerprint != device.description.fingerprint:
            raise ConfigurationMismatch(
                f"Phone {self.connection.serial} came back as another one: "
                f"{description.fingerprint}, not {device.description.fingerprint}. Latencies of "
                "the two are never mixed: what was measured is kept; start a new table with "
                "`mnaslat profile --new-table`."
            )
        yield Notice(f"{device.name} is back after {format_duration(time.monotonic() - started)}")
