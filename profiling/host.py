"""This computer's CPU as a device: real measurements with LiteRT and XNNPACK."""

import json
import os
import platform
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnaslat.data.measurement import Configuration, Round
from mnaslat.errors import DeviceError
from mnaslat.graph import Precision
from mnaslat.profiling.device import Failure, Model
from mnaslat.profiling.plan import TimingPlan

_MODELS_PER_WORKER = 100  # a fresh interpreter now and then: its memory layout is one draw of many
_ATTEMPTS = 2


@dataclass(frozen=True)
class HostDevice:
    """This computer's CPU.

    Attributes:
        threads: Threads of the runtime.
        cores: Cores that the runtime is pinned to; empty lets the system choose.
        models_per_worker: Models timed in one process before a fresh one is started.
    """

    threads: int = 1
    cores: tuple[int, ...] = ()
    models_per_worker: int = _MODELS_PER_WORKER
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

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure]]:
        """Time one round of each model in order, in worker processes.

        While one model is timed the next one is written. A model that takes its worker down, or
        hangs it, is tried once more in a fresh one and then given up.

        Raises:
            DeviceError: If workers cannot be started.
        """
        queue = _Lookahead(models)
        worker: _Worker | None = None
        try:
            for key, model in queue:
                for attempt in range(1, _ATTEMPTS + 1):
                    if worker is None or worker.n_timed >= self.models_per_worker:
                        if worker is not None:
                            worker.close()
                        worker = _Worker(self)
                    try:
                        worker.send(model, plan)
                        queue.prefetch()
                        outcome: Round | Failure = worker.receive(plan.timeout_s)
                        break
                    except _WorkerLost as lost:
                        worker.close()
                        worker = None
                        outcome = Failure(f"{lost} (tried {attempt} times)")
                yield key, outcome
        finally:
            if worker is not None:
                worker.close()


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class _Lookahead(Iterator[tuple[str, bytes]]):
    """Keys and bytes of models in order; ``prefetch`` makes the next one ahead of its turn."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models = iter(models)
        self._ready: list[tuple[str, bytes]] = []

    def prefetch(self) -> None:
        if not self._ready:
            self._ready = [(model.key, model.make()) for model in islice(self._models, 1)]

    def __next__(self) -> tuple[str, bytes]:
        self.prefetch()
        if not self._ready:
            raise StopIteration
        return self._ready.pop()


class _WorkerLost(Exception):
    """The worker died or did not answer in time."""


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

    def send(self, model: bytes, plan: TimingPlan) -> None:
        """Give the worker a model; raises ``_WorkerLost`` if it is gone."""
        request = {
            "size": len(model),
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
            self._stdin.write(model)
            self._stdin.flush()
        except OSError:
            raise _WorkerLost(self._last_words()) from None

    def receive(self, timeout_s: float) -> Round | Failure:
        """The outcome of the model sent last; raises ``_WorkerLost``."""
        answer: dict[str, Any] = json.loads(self._read_line(timeout_s))
        self.n_timed += 1
        if "error" in answer:
            return Failure(answer["error"])
        return Round(
            runs_ms=np.array(answer["runs_ns"], np.float64).astype(np.float32) / np.float32(1e6),
            warmup_ms=np.array(answer["warmup_ns"], np.float32) / np.float32(1e6),
            init_ms=answer["init_ns"] / 1e6,
            circumstances={
                "started": f"{self._started:.3f}",
                "load": f"{os.getloadavg()[0]:.2f}",
                "steal_ticks": str(_steal_ticks() - self._steal_before),
                "worker": str(self._process.pid),
            },
        )

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


def _steal_ticks() -> int:
    """Time that the hypervisor kept from this machine, in clock ticks; 0 where unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8])
    except (OSError, IndexError, ValueError):
        return 0
