"""Starts, watches and replaces the process that times models."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.measurement import Round
from mnaslat.errors import DeviceError
from mnaslat.graph import Graph
from mnaslat.profiling.device import Failure, Model
from mnaslat.profiling.timing_plan import TimingPlan


class Groups(Iterator[list[tuple[str, bytes]]]):
    """Writes models, a few at a time; ``prefetch`` writes the next group ahead."""

    def __init__(
        self, models: Iterable[Model], size: int, write_model: Callable[[Graph], bytes]
    ) -> None:
        self._models, self._size, self._write_model = iter(models), size, write_model
        self._ready: list[tuple[str, bytes]] = []

    def prefetch(self) -> None:
        """Make the next group of models before it is needed."""
        if not self._ready:
            self._ready = [
                (each.signature, self._write_model(each.graph))
                for each in islice(self._models, self._size)
            ]

    def __next__(self) -> list[tuple[str, bytes]]:
        self.prefetch()
        if not self._ready:
            raise StopIteration
        group, self._ready = self._ready, []
        return group


class WorkerLost(Exception):
    """The worker died or did not answer in time."""


class Crew:
    """One worker at a time; a fresh one after a loss, and now and then."""

    def __init__(self, threads: int, cores: Sequence[int], models_per_worker: int) -> None:
        self._threads, self._cores = threads, cores
        self._models_per_worker = models_per_worker
        self._worker: _Worker | None = None

    def time(
        self, models: list[bytes], plan: TimingPlan, meanwhile: Callable[[], None]
    ) -> list[Round | Failure]:
        """One round of each model; calls ``meanwhile`` while they are timed.

        Raises ``WorkerLost``.
        """
        if self._worker is not None and self._worker.n_timed >= self._models_per_worker:
            self.close()
        if self._worker is None:
            self._worker = _Worker(self._threads, self._cores)
        try:
            self._worker.send(models, plan)
            meanwhile()
            # Five times as long as it should take, and the plan's patience on top.
            patience_s = plan.timeout_s + 5.0 * (len(models) - 1) * plan.round_ms / 1e3
            return self._worker.receive(len(models), patience_s)
        except WorkerLost:
            self.close()
            raise

    def close(self) -> None:
        """End the worker process, if one runs."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def alone(crew: Crew, model: bytes, plan: TimingPlan, n_attempts: int) -> Round | Failure:
    """Try a model whose group lost its worker again, by itself."""
    for _ in range(n_attempts):
        try:
            return crew.time([model], plan, lambda: None)[0]
        except WorkerLost as lost:
            failure = Failure(f"{lost} (tried {n_attempts + 1} times)", permanent=False)
    return failure


class _Worker:
    """One worker process."""

    def __init__(self, threads: int, cores: Sequence[int]) -> None:
        self.n_timed = 0
        self._log = tempfile.TemporaryFile()
        settings = json.dumps({"threads": threads, "cores": list(cores)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mnaslat.profiling.host.worker", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # `python -m` puts the current folder on sys.path, where a checkout's folders lie.
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        try:
            self._read_line(60.0)
        except WorkerLost as lost:
            self.close()
            raise DeviceError(
                f"The process that runs models on this computer does not start: {lost}. Check "
                "that ai-edge-litert is installed for this Python."
            ) from None

    def send(self, models: list[bytes], plan: TimingPlan) -> None:
        """Give the worker models; raises ``WorkerLost`` if it is gone."""
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
            raise WorkerLost(self._last_words()) from None

    def receive(self, n_models: int, timeout_s: float) -> list[Round | Failure]:
        """The outcomes of the models sent last; raises ``WorkerLost``."""
        answers: list[dict[str, Any]] = json.loads(self._read_line(timeout_s))
        self.n_timed += n_models
        circumstances: Circumstances = {
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
                    raise WorkerLost(f"no answer within {timeout_s:g} s")
                piece = os.read(self._process.stdout.fileno(), 1 << 16)
                if not piece:
                    raise WorkerLost(self._last_words())
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


def _outcome(answer: Mapping[str, Any], circumstances: Circumstances) -> Round | Failure:
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
