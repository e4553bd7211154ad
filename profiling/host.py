"""This computer's CPU as a device: real measurements with LiteRT and XNNPACK."""

import json
import os
import platform
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnaslat.data.measurement import Configuration, Round
from mnaslat.data.store import Subject
from mnaslat.errors import DeviceError
from mnaslat.graph import Precision
from mnaslat.profiling.device import DeviceSettings, Failure, FoundDevice, Model
from mnaslat.profiling.plan import TimingPlan

LAYERS = TimingPlan()
NETWORKS = TimingPlan(round_ms=600.0, min_runs=20, n_rounds=3, max_rounds=6, agreement=0.015)

_MODELS_PER_WORKER = 100  # a fresh interpreter now and then: its memory layout is one draw of many
_INTERLEAVED = 8


@dataclass(frozen=True)
class HostDevice:
    """This computer's CPU.

    Attributes:
        threads: Threads of the runtime.
        cores: Cores that the runtime is pinned to; empty lets the system choose.
        models_per_worker: Models timed in one process before a fresh one is started.
        interleaved: Models timed in turns.
    """

    threads: int = 1
    cores: tuple[int, ...] = ()
    models_per_worker: int = _MODELS_PER_WORKER
    interleaved: int = _INTERLEAVED
    name: str = "host"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}.")
        absent = set(self.cores) - set(range(os.cpu_count() or 1))
        if absent:
            raise ValueError(f"This computer has no core {', '.join(map(str, sorted(absent)))}.")

    def configuration(self, precision: Precision) -> Configuration:
        """What latencies measured now are comparable with."""
        return Configuration(
            device=self.name,
            fingerprint=f"{cpu_name()}; {os.cpu_count()} cores; {platform.machine()}",
            precision=precision,
            threads=self.threads,
            cores=",".join(map(str, self.cores)) or "any",
            delegate="xnnpack",
            runtime=f"ai-edge-litert {metadata.version('ai-edge-litert')}",
        )

    def plan(self, kind: Subject) -> TimingPlan:
        """How long layers or networks are timed here."""
        return LAYERS if kind == "layer" else NETWORKS

    def remember(self, circumstances: Sequence[Mapping[str, str]]) -> None:
        """Nothing is: this computer's conditions are recorded, not judged."""

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure]]:
        """Time one round of each model in order, in worker processes.

        ``interleaved`` models are timed at once, in turns of a window each: this computer's speed
        changes by a few per cent from second to second, and the windows of a model then meet more
        than one of its speeds. While one group is timed the next one is written. A model that takes
        its worker down, or hangs it, is tried again alone, in a fresh one, and then given up.

        Raises:
            DeviceError: If workers cannot be started.
        """
        crew = _Crew(self)
        groups = _Groups(models, self.interleaved)
        try:
            for group in groups:
                contents = [content for _, content in group]
                try:
                    outcomes = crew.time(contents, plan, groups.prefetch)
                except _WorkerLost:
                    # In a group nobody knows whose fault it was: each then has two attempts alone.
                    n_attempts = 1 if len(group) == 1 else 2
                    outcomes = [_alone(crew, content, plan, n_attempts) for content in contents]
                for (key, _), outcome in zip(group, outcomes, strict=True):
                    yield key, outcome
        finally:
            crew.close()


class HostKind:
    """This computer."""

    def find(self) -> list[FoundDevice]:
        """It is always there."""
        configuration = HostDevice().configuration("fp32")
        facts = {"fingerprint": configuration.fingerprint, "runtime": configuration.runtime}
        return [FoundDevice(name="host", kind="host", facts=facts)]

    def open(self, name: str, settings: DeviceSettings) -> HostDevice | None:
        """This computer with threads and cores as asked; None under any other name.

        Raises:
            ValueError: If it has no such cores, or is asked for what only phones have.
        """
        if name != "host":
            return None
        for option, is_given in (
            ("--benchmark-binary", settings.benchmark_binary is not None),
            ("--guard", settings.guard),
        ):
            if is_given:
                raise ValueError(
                    f"{option} is for phones, and no phone is measured here. Name one with "
                    "--device (`mnaslat devices` lists them), or leave the option out to measure "
                    "on this computer."
                )
        if settings.delegate not in ("", "xnnpack"):
            raise ValueError(f"The host runs models with xnnpack, not {settings.delegate!r}.")
        cores = settings.cores or "any"
        if cores != "any" and not all(core.isdigit() for core in cores.split(",")):
            raise ValueError(f"{cores!r} is not a list of cores; write any, 1, or 0,1.")
        pinned = () if cores == "any" else tuple(int(core) for core in cores.split(","))
        return HostDevice(threads=settings.threads, cores=pinned)


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class _Groups(Iterator[list[tuple[str, bytes]]]):
    """Keys and bytes of models, a few at a time; ``prefetch`` makes the next group ahead."""

    def __init__(self, models: Iterable[Model], size: int) -> None:
        self._models, self._size = iter(models), size
        self._ready: list[tuple[str, bytes]] = []

    def prefetch(self) -> None:
        if not self._ready:
            self._ready = [(each.key, each.make()) for each in islice(self._models, self._size)]

    def __next__(self) -> list[tuple[str, bytes]]:
        self.prefetch()
        if not self._ready:
            raise StopIteration
        group, self._ready = self._ready, []
        return group


class _WorkerLost(Exception):
    """The worker died or did not answer in time."""


class _Crew:
    """One worker at a time; a fresh one after a loss, and now and then."""

    def __init__(self, device: HostDevice) -> None:
        self._device = device
        self._worker: _Worker | None = None

    def time(
        self, models: list[bytes], plan: TimingPlan, meanwhile: Callable[[], None]
    ) -> list[Round | Failure]:
        """One round of each model; calls ``meanwhile`` while they are timed.

        Raises ``_WorkerLost``.
        """
        if self._worker is not None and self._worker.n_timed >= self._device.models_per_worker:
            self.close()
        if self._worker is None:
            self._worker = _Worker(self._device)
        try:
            self._worker.send(models, plan)
            meanwhile()
            # Five times as long as it should take, and the plan's patience on top.
            patience_s = plan.timeout_s + 5.0 * (len(models) - 1) * plan.round_ms / 1e3
            return self._worker.receive(len(models), patience_s)
        except _WorkerLost:
            self.close()
            raise

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _alone(crew: _Crew, model: bytes, plan: TimingPlan, n_attempts: int) -> Round | Failure:
    """Try a model whose group lost its worker again, by itself."""
    for _ in range(n_attempts):
        try:
            return crew.time([model], plan, lambda: None)[0]
        except _WorkerLost as lost:
            failure = Failure(f"{lost} (tried {n_attempts + 1} times)", permanent=False)
    return failure


class _Worker:
    """One worker process."""

    def __init__(self, device: HostDevice) -> None:
        self.n_timed = 0
        self._log = tempfile.TemporaryFile()
        settings = json.dumps({"threads": device.threads, "cores": list(device.cores)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mnaslat.profiling.worker", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # `python -m` puts the current folder on sys.path, where a checkout's folders lie.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        try:
            self._read_line(60.0)
        except _WorkerLost as lost:
            self.close()
            raise DeviceError(
                f"The process that runs models on this computer does not start: {lost}. Check "
                "that ai-edge-litert is installed for this Python."
            ) from None

    def send(self, models: list[bytes], plan: TimingPlan) -> None:
        """Give the worker models; raises ``_WorkerLost`` if it is gone."""
        request = {
            "sizes": [len(model) for model in models],
            "n_windows": plan.n_windows,
            "round_ms": plan.round_ms,
            "min_runs": plan.min_runs,
            "max_runs": plan.max_runs,
            "warmup_ms": plan.warmup_ms,
            "min_warmup_runs": plan.min_warmup_runs,
        }
        self._started = time.time()
        self._steal_before = _steal_ticks()
        try:
            self._stdin.write(json.dumps(request).encode() + b"\n")
            for model in models:
                self._stdin.write(model)
            self._stdin.flush()
        except OSError:
            raise _WorkerLost(self._last_words()) from None

    def receive(self, n_models: int, timeout_s: float) -> list[Round | Failure]:
        """The outcomes of the models sent last; raises ``_WorkerLost``."""
        answers: list[dict[str, Any]] = json.loads(self._read_line(timeout_s))
        self.n_timed += n_models
        circumstances = {
            "started": f"{self._started:.3f}",
            "load": f"{os.getloadavg()[0]:.2f}",
            "steal_ticks": str(_steal_ticks() - self._steal_before),
            "worker": str(self._process.pid),
            "interleaved": str(n_models),
        }
        return [_outcome(answer, circumstances) for answer in answers]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # unsent bytes for a worker that is gone
                    pass
        self._log.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _read_line(self, timeout_s: float) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _WorkerLost(f"no answer within {timeout_s:g} s")
                piece = os.read(self._process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise _WorkerLost(self._last_words())
                line += piece
        return line.decode()

    def _last_words(self) -> str:
        try:
            status = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "the runtime's process closed its output"
        self._log.seek(0)
        text = self._log.read().decode(errors="replace").strip().splitlines()
        end = f"signal {-status}" if status < 0 else f"exit status {status}"
        return f"the runtime's process ended with {end}" + (f": {text[-1]}" if text else "")


def _outcome(answer: Mapping[str, Any], circumstances: Mapping[str, str]) -> Round | Failure:
    if "error" in answer:
        return Failure(answer["error"])
    return Round.of_runs(
        np.array(answer["runs_ns"], np.float64).astype(np.float32) / np.float32(1e6),
        warmup_ms=np.array(answer["warmup_ns"], np.float32) / np.float32(1e6),
        init_ms=answer["init_ns"] / 1e6,
        circumstances=circumstances,
    )


def _steal_ticks() -> int:
    """Time that the hypervisor kept from this machine, in clock ticks; 0 where unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8])
    except (OSError, IndexError, ValueError):
        return 0
