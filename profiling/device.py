"""What a device must offer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mnaslat.data.measurement import Configuration, Round
from mnaslat.data.store import Subject
from mnaslat.graph import Precision
from mnaslat.profiling.plan import TimingPlan


@dataclass(frozen=True)
class Model:
    """Something to time: a key to recognise it by, and how its ``.tflite`` bytes are made.

    The bytes are made late, so that thousands of models need not lie in memory at once.
    """

    key: str
    make: Callable[[], bytes]


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


class Device(Protocol):
    """Something that models can be timed on."""

    @property
    def name(self) -> str:
        """What people and files call it: ``host``, or a phone's model and a few digits."""

    def configuration(self, precision: Precision) -> Configuration:
        """What latencies measured now are comparable with."""

    def plan(self, kind: Subject) -> TimingPlan:
        """How long layers or networks are timed here."""

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
