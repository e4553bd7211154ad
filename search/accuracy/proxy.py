"""Trains every candidate from scratch for a few epochs, as the paper does.

Each is trained by a worker process, several at a time, from a seed that depends on the candidate
alone: its accuracy does not depend on the order, nor on the other candidates.
"""

import hashlib
import json
import math
import os
import selectors
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from mnaslat.architecture import Architecture
from mnaslat.data.images.loading import load_images
from mnaslat.errors import ImageSetError, SearchError
from mnaslat.search.accuracy.candidate_size import candidate_size
from mnaslat.search.accuracy.source import Candidate, CandidateResult
from mnaslat.search.accuracy.training import TrainingSettings

_WORKER_BYTES = 1 << 30  # memory that a worker may need


@dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """Settings of the candidates' size and training."""

    resolution: int | None = None  # pixels; None: the network's own up to 64, else 32
    width: float | None = None  # of the network's filters; None: 1 where it keeps its size, or 0.35
    training: TrainingSettings = field(default_factory=TrainingSettings)
    device: str = "cpu"
    n_workers: int | None = None  # None: one a physical core that memory allows; on CUDA one

    def __post_init__(self) -> None:
        for name in ("resolution", "n_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if self.width is not None and not self.width > 0.0:
            raise ValueError(f"width must be positive, got {self.width}.")

    def for_networks_of(self, resolution: int) -> "ProxySettings":
        """Choose size and width for networks of this resolution."""
        chosen, width = candidate_size(resolution, self.resolution, self.width)
        return replace(self, resolution=chosen, width=width)


class ProxyAccuracy:
    """Evaluates networks by training each of them.

    Workers start with the first evaluation and end with `close`, with this object, or with the
    process, however it ends.

    Args:
        images: The data set, as `load_images` takes it: each worker loads it.
        resolution: Pixels of the networks that will be evaluated.
        settings: How candidates are trained.

    Raises:
        ImageSetError: If the data set cannot be used.
    """

    def __init__(self, images: str, resolution: int, settings: ProxySettings) -> None:
        self._settings = settings.for_networks_of(resolution)
        assert self._settings.resolution is not None
        loaded = load_images(images, self._settings.resolution)
        self._images, self._name, self._digest = images, loaded.name, loaded.digest
        self._n_workers = settings.n_workers or (
            1 if settings.device != "cpu" else default_n_workers()
        )
        self._crew: list[_Worker] = []
        self._ending = weakref.finalize(self, _end, self._crew)

    @property
    def description(self) -> str:
        """Names the data set and the settings."""
        settings = self._settings
        return (
            f"proxy on {self._name} {self._digest}: resolution={settings.resolution} "
            f"width={settings.width} device={settings.device.split(':')[0]} "
            f"{settings.training.description}"
        )

    @property
    def noise(self) -> float:
        """NaN: unknown, and different between networks. `measure_noise` measures it for one."""
        return math.nan

    def evaluate(self, candidates: Sequence[Candidate], /) -> Iterator[tuple[int, CandidateResult]]:
        """Train each network; yields an index and its result as soon as one is trained.

        Raises:
            SearchError: If workers do not start.
            ImageSetError: If an image cannot be read.
        """
        base = self._settings.training.seed
        architectures = [candidate.architecture for candidate in candidates]
        seeds = [candidate_seed(each, base) for each in architectures]
        return self._trained(architectures, seeds)

    def measure_noise(self, architecture: Architecture, n_seeds: int = 5) -> float:
        """Train one network with several seeds; returns the standard deviation of its accuracy.

        Raises:
            ValueError: If there are fewer than two seeds.
            SearchError: If the network fails, or as `evaluate`.
        """
        if n_seeds < 2:
            raise ValueError(f"n_seeds must be at least 2 to give a deviation, got {n_seeds}.")
        base = self._settings.training.seed
        seeds = [candidate_seed(architecture, base + number) for number in range(n_seeds)]
        results = [result for _, result in self._trained([architecture] * n_seeds, seeds)]
        failures = [result.failure for result in results if result.accuracy is None]
        if failures:
            raise SearchError(f"The network could not be trained: {failures[0]}.")
        accuracies = [result.accuracy for result in results if result.accuracy is not None]
        return float(np.std(accuracies, ddof=1))

    def close(self) -> None:
        """End the workers, also those that train; the next evaluation starts new ones."""
        _end(self._crew)

    def _trained(
        self, architectures: Sequence[Architecture], seeds: Sequence[int]
    ) -> Iterator[tuple[int, CandidateResult]]:
        waiting = list(range(len(architectures)))[::-1]
        busy: dict[_Worker, int] = {}
        try:
            while waiting or busy:
                for worker in self._idle(busy, len(waiting)):
                    index = waiting.pop()
                    busy[worker] = index
                    worker.ask(self._as_trained(architectures[index]), seeds[index])
                for worker in _ready(busy):
                    index = busy.pop(worker)
                    result = worker.result()
                    if result is None:
                        self._crew.remove(worker)
                        result = CandidateResult(accuracy=None, failure=worker.last_words())
                        worker.end()
                    yield index, result
        except BaseException:  # also Ctrl-C and a caller that stops early: nothing may train on
            self.close()
            raise

    def _idle(self, busy: "dict[_Worker, int]", n_wanted: int) -> "list[_Worker]":
        n_new = min(self._n_workers, len(busy) + n_wanted) - len(self._crew)
        started = [_Worker(self._images, self._settings) for _ in range(n_new)]
        self._crew += started
        for worker in started:
            worker.wait_until_ready(self._digest)
        return [worker for worker in self._crew if worker not in busy][:n_wanted]

    def _as_trained(self, architecture: Architecture) -> Architecture:
        assert self._settings.width is not None
        return architecture.scaled(self._settings.width)


def candidate_seed(architecture: Architecture, seed: int) -> int:
    """Derive the seed that a candidate is trained from; it depends on nothing else."""
    text = json.dumps([architecture.to_json(), seed], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def default_n_workers() -> int:
    """Choose one worker a physical core that this process may use, as far as memory allows."""
    try:
        cores = sorted(os.sched_getaffinity(0))
        topology = Path("/sys/devices/system/cpu")
        siblings = {
            (topology / f"cpu{core}/topology/thread_siblings_list").read_text() for core in cores
        }
        memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(1, min(len(siblings), memory // _WORKER_BYTES))
    except (AttributeError, OSError, ValueError):  # not Linux
        return max(1, (os.cpu_count() or 1) // 2)


class _Worker:
    """One worker process."""

    def __init__(self, images: str, settings: ProxySettings) -> None:
        text = json.dumps(
            {
                "images": images,
                "resolution": settings.resolution,
                "device": settings.device,
                "training": asdict(settings.training),
            }
        )
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mnaslat.search.accuracy.proxy_worker", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # `python -m` puts the current folder on sys.path, where a checkout's folders lie. One
            # thread: threads that wait for each other burn the cores of the other workers.
            env={**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"},
        )

    @property
    def answers(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def wait_until_ready(self, digest: str) -> None:
        """Raises ``SearchError`` if the process does not start, or has other images."""
        answer = self._read()
        if answer is None:
            raise SearchError(f"A process that trains networks does not start: {self.last_words()}")
        if answer["digest"] != digest:
            raise ImageSetError("The images changed during the search. Start it again.")

    def ask(self, architecture: Architecture, seed: int) -> None:
        """Request a training; a worker that is gone is noticed when its result is read."""
        assert self._process.stdin is not None
        request = {"architecture": architecture.to_json(), "seed": seed}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            pass

    def result(self) -> CandidateResult | None:
        """Read the result of the request; None if the process died of it."""
        answer = self._read()
        return None if answer is None else CandidateResult(**answer)

    def last_words(self) -> str:
        """Describe on one line why the process ended."""
        code = self._process.wait()
        if code < 0:
            return f"its process was ended by signal {-code}; too little memory is the usual reason"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"exit status {code}")

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # unsent bytes for a worker that is gone
                pass
        self._log.close()

    def _read(self) -> dict[str, Any] | None:
        line = self.answers.readline()
        if not line.endswith(b"\n"):
            return None
        answer: dict[str, Any] = json.loads(line)
        if "fatal" in answer:
            raise ImageSetError(answer["fatal"])
        return answer


def _ready(busy: "dict[_Worker, int]") -> "list[_Worker]":
    """Wait until at least one worker has answered or died."""
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select()]


def _end(crew: "list[_Worker]") -> None:
    while crew:
        crew.pop().end()
