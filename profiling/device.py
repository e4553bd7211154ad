"""What a device must offer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mnaslat.data.measurement import Configuration, Round
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


class Device(Protocol):
    """Something that models can be timed on."""

    @property
    def name(self) -> str:
        """What people call it: ``host`` or a phone's serial."""

    def configuration(self, precision: Precision) -> Configuration:
        """What latencies measured now are comparable with."""

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure]]:
        """Time one round of each model; yields the outcomes in order, as soon as they are known.

        Raises:
            DeviceError: If the device is lost and does not come back.
        """
