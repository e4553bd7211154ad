"""This computer's CPU as a device: real measurements with LiteRT and XNNPACK."""

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.graph import Graph, Precision
from mnaslat.profiling.device import (
    DeviceOptions,
    Failure,
    FoundDevice,
    Model,
    OnDownload,
    Reopening,
)
from mnaslat.profiling.host.worker_process import Crew, Groups, WorkerLost, alone
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.tflite import write_tflite

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
        write_model: Writes a graph in the format of the runtime.
    """

    threads: int = 1
    cores: tuple[int, ...] = ()
    models_per_worker: int = _MODELS_PER_WORKER
    interleaved: int = _INTERLEAVED
    write_model: Callable[[Graph], bytes] = write_tflite
    name: str = "host"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}.")
        absent = set(self.cores) - set(range(os.cpu_count() or 1))
        if absent:
            raise ValueError(f"This computer has no core {', '.join(map(str, sorted(absent)))}.")

    def configuration(self, precision: Precision) -> Configuration:
        """Return what must be equal for latencies to be compared with those measured now."""
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
        """Plan how long layers or networks are timed here."""
        return LAYERS if kind == "layer" else NETWORKS

    def remember(self, circumstances: Sequence[Circumstances]) -> None:
        """Do nothing: conditions on this computer are recorded but never rejected."""

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
        crew = Crew(self.threads, self.cores, self.models_per_worker)
        groups = Groups(models, self.interleaved, self.write_model)
        try:
            for group in groups:
                contents = [content for _, content in group]
                try:
                    outcomes = crew.time(contents, plan, groups.prefetch)
                except WorkerLost:
                    # In a group nobody knows whose fault it was: each then has two attempts alone.
                    n_attempts = 1 if len(group) == 1 else 2
                    outcomes = [alone(crew, content, plan, n_attempts) for content in contents]
                for (key, _), outcome in zip(group, outcomes, strict=True):
                    yield key, outcome
        finally:
            crew.close()


class HostKind:
    """This computer."""

    def find(self) -> list[FoundDevice]:
        """List this computer, which is always there."""
        configuration = HostDevice().configuration("fp32")
        facts = {"fingerprint": configuration.fingerprint, "runtime": configuration.runtime}
        return [FoundDevice(name="host", kind="host", facts=facts)]

    def open(
        self, name: str, options: DeviceOptions, before: Reopening, on_download: OnDownload
    ) -> HostDevice | None:
        """This computer with threads and cores as asked; None under any other name.

        Raises:
            ValueError: If it has no such cores, or is asked for what only phones have.
        """
        if name != "host":
            return None
        for option, is_given in (
            ("--benchmark-binary", options.benchmark_binary is not None),
            ("--guard", options.guard != GuardPolicy()),
            ("tool", options.tool),
        ):
            if is_given:
                raise ValueError(
                    f"{option} is for phones, and no phone is measured here. Name one with "
                    "--device (`mnaslat devices` lists them), or leave the option out to measure "
                    "on this computer."
                )
        if options.delegate not in ("", "xnnpack"):
            raise ValueError(f"The host runs models with xnnpack, not {options.delegate!r}.")
        cores = options.cores or "any"
        if cores != "any" and not all(core.isdigit() for core in cores.split(",")):
            raise ValueError(f"{cores!r} is not a list of cores; write any, 1, or 0,1.")
        pinned = () if cores == "any" else tuple(int(core) for core in cores.split(","))
        return HostDevice(threads=options.threads, cores=pinned)


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
