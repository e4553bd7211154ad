"""Defines what a device must offer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.graph import Graph, Precision
from mnaslat.profiling.timing_plan import TimingPlan


@dataclass(frozen=True)
class Model:
    """A layer or network to time; each device writes it in the format of its own runtime."""

    signature: str
    graph: Graph


@dataclass(frozen=True)
class Failure:
    """A model that the runtime could not run, each time it was tried.

    ``permanent`` where the runtime itself said so; not where its process was lost, for which the
    model may not be to blame.
    """

    reason: str
    permanent: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Notice:
    """Something a person should know: a wait until the phone is cool, a lost connection."""

    text: str
    n_repeated: int = 0  # rounds that are measured again because of it


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Chooses how a device is measured; what is left empty is the device's own default.

    Attributes:
        threads: Threads of the runtime.
        cores: ``any``, core numbers such as ``4,5``, or a phone's ``big``, ``mid`` or ``little``.
        delegate: What runs the model: ``xnnpack``, ``gpu``, ``nnapi`` or ``none``.
        benchmark_binary: The program of the benchmark tool to run on a phone.
        tool: Name of a phone's benchmark tool, as in ``mnaslat.profiling.phone.tool.registry``.
        guard: In which conditions a phone may be measured.
    """

    threads: int = 1
    cores: str = ""
    delegate: str = ""
    benchmark_binary: Path | None = None
    tool: str = ""
    guard: GuardPolicy = GuardPolicy()

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}.")


@dataclass(frozen=True, kw_only=True)
class Reopening:
    """Tells a device what was measured before, so that it continues with the same tool.

    Attributes:
        runtime: Of the configuration that is to be continued; no other will do.
        measured: Configurations measured before, the last one at the end. Where one of them is of
            the same device and options, its tool is taken unless another one is given.
    """

    runtime: str = ""
    measured: tuple[Configuration, ...] = ()


OnDownload = Callable[[int, int], None]  # bytes that are there, bytes expected (0: not known)


@dataclass(frozen=True)
class Trouble:
    """Keeps a device from being used, or makes latencies less certain; says what to do."""

    text: str
    blocks: bool = True


@dataclass(frozen=True, kw_only=True)
class FoundDevice:
    """Something that could be measured on."""

    name: str  # to give to ``--device``
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)  # model, cores, memory, battery, ...
    troubles: tuple[Trouble, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it can be measured on now."""
        return not any(trouble.blocks for trouble in self.troubles)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the facts stand at the top level."""
        return {
            "device": self.name,
            "kind": self.kind,
            "usable": self.usable,
            **self.facts,
            "troubles": [trouble.text for trouble in self.troubles],
        }

    def __repr__(self) -> str:
        """Show the name, and whether it can be used."""
        return f"FoundDevice({self.name!r}, {'usable' if self.usable else 'not usable'})"


class DeviceKind(Protocol):
    """A way to find and open devices."""

    def find(self) -> list[FoundDevice]:
        """List all that are there, usable or not.

        Raises:
            DeviceError: If devices of this kind cannot be looked for.
        """

    def open(
        self,
        name: str,
        options: DeviceOptions,
        before: Reopening,
        on_download: OnDownload,
    ) -> "Device | None":
        """Open the device of that name; None where it is none of this kind.

        Raises:
            ValueError: If the device does not have what the options ask for.
            DeviceError: If it is there but cannot be used.
        """


class Device(Protocol):
    """Something that models can be timed on."""

    @property
    def name(self) -> str:
        """Its name for people and in files: ``host``, or a phone's model and a few digits."""

    def configuration(self, precision: Precision) -> Configuration:
        """Return what must be equal for latencies to be compared with those measured now."""

    def plan(self, kind: Subject) -> TimingPlan:
        """Plan how long layers or networks are timed here."""

    def remember(self, circumstances: Sequence[Circumstances]) -> None:
        """Learn what is usual here from the ``REMEMBERED`` ones of earlier rounds, oldest first.

        Equal ones are given once.
        """

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Time one round of each model; yields the outcomes as soon as they are known.

        The order is the device's own. What was measured in bad conditions is not an outcome: the
        device measures it again.

        Raises:
            DeviceError: If the device is lost and does not come back, or is not fit to measure on.
            ConfigurationMismatch: If it comes back as another one.
        """
