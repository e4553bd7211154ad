"""A sweep of a phone in software, to be disturbed: what it measures is known beforehand."""

import hashlib
import math
import random
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement_store import Store
from mnaslat.graph import Graph
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.queries import describe
from mnaslat.profiling.phone.device import PhoneDevice
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.installation import FOLDER
from mnaslat.profiling.sweep import Job, SweepResult, sweep
from mnaslat.profiling.timing_plan import TimingPlan
from mnaslat.tflite import write_tflite
from tests.phone.adb_server import AdbServer
from tests.phone.phone import Phone

PLAN = TimingPlan(round_ms=10.0, n_windows=1, timeout_s=1.0, n_rounds=2, resolution_ms=1e-3)

_MICROSECOND_MS = 1e-3  # the tool counts whole ones


def signatures(n_layers: int) -> tuple[str, ...]:
    """Layers that differ in their filters."""
    return tuple(f"fp32 8x8x8 conv1x1>{filters}:relu" for filters in range(1, n_layers + 1))


def model(signature: str) -> bytes:
    """A layer's ``.tflite`` bytes."""
    return write_tflite(Graph.parse(signature))


def made_up_ms(signature: str) -> float:
    """What the phones' ``benchmark_model`` prints as the minimum when it sleeps."""
    return (500 + zlib.crc32(model(signature)) % 4500) / 1e3


class Sweeping:
    """Sweeps of one phone into one store.

    Attributes:
        rng: For moments and sizes.
        notices: What the sweeps said.
        on_notice: Called with each notice, from the thread that sweeps.
    """

    def __init__(
        self,
        phone: Phone,
        server: AdbServer,
        tool: Path,
        folder: Path,
        *,
        n_layers: int,
        sleep_ms: float,
        rng: random.Random,
    ) -> None:
        self.phone, self.server, self.rng, self.folder = phone, server, rng, folder
        self.n_layers, self.sleep_ms = n_layers, sleep_ms
        self.job = Job(kind="layer", graphs=tuple(map(Graph.parse, signatures(n_layers))))
        self.connection = Connection(phone.serial)
        self.description = describe(self.connection)
        sha256 = hashlib.sha256(tool.read_bytes()).hexdigest()
        self.binary = Binary(tool, sha256)
        self.store = Store(folder / "store.sqlite")
        self.notices: list[str] = []
        self.on_notice: Callable[[str], None] = lambda text: None
        phone.set_benchmark(mode="sleep", sleep_ms=sleep_ms)

    def open(self, *, absence_limit_s: float = 30.0, **policy: Any) -> PhoneDevice:
        """The phone as a command opens it; ``policy`` as for ``GuardPolicy``."""
        session = PhoneSession(
            connection=self.connection,
            description=self.description,
            binary=self.binary,
            cores=self.description.clusters[-1].cores,
            policy=GuardPolicy(**{"poll_s": 0.1, "cooldown_limit_s": 20.0, **policy}),
            absence_limit_s=absence_limit_s,
        )
        return PhoneDevice(session)

    def sweep(self, *, budget_s: float = math.inf, **settings: Any) -> SweepResult:
        """One command of ``mnaslat profile``; ``settings`` as for ``open``."""

        def note(text: str) -> None:
            if ": guarded with " in text:  # the tests' own settings
                return
            self.notices.append(text)
            self.on_notice(text)

        return sweep(
            self.open(**settings),
            self.store,
            self.job,
            PLAN,
            budget_s=budget_s,
            seed=self.n_layers,
            on_notice=note,
        )

    def at_random(self, action: Callable[[], None]) -> None:
        """Do something when a random number of models has been run."""
        self.phone.when_started(self.phone.n_started + self.moment(), action)

    def moment(self) -> int:
        """A number of runs that every sweep of both rounds surpasses, with some to spare."""
        return self.rng.randint(1, int(1.7 * self.n_layers))

    def pause(self, seconds: float) -> None:
        """For actions that last: they are made from threads."""
        assert threading.current_thread() is not threading.main_thread()
        time.sleep(seconds)

    @property
    def tool_on_phone(self) -> Path:
        """Where the tool lies on the phone, as a path of this computer."""
        return self.phone.place(f"{FOLDER}/bin/{self.binary.sha256}")

    def table_ms(self) -> dict[str, float]:
        """What the store has: one configuration, latency by signature."""
        (configuration,) = self.store.configurations()
        measurements = self.store.measurements(configuration, "layer")
        return {signature: found.latency_ms for signature, found in measurements.items()}

    def check(self, result: SweepResult, *, but: str = "") -> None:
        """The sweep is complete, and equal to an undisturbed one, number for number."""
        expected = {
            signature: made_up_ms(signature)
            for signature in self.job.signatures
            if signature != but
        }
        assert (result.n_left, sorted(result.failures)) == (0, [but] if but else [])
        table_ms = self.table_ms()
        assert set(table_ms) == set(expected)
        wrong = {
            signature: found
            for signature, found in table_ms.items()
            if abs(found - expected[signature]) > _MICROSECOND_MS
        }
        assert not wrong, f"measured while disturbed: {wrong}"
        (configuration,) = self.store.configurations()
        rounds = [each for key in table_ms for each in self.store.rounds(configuration, key)]
        assert len(rounds) == PLAN.n_rounds * len(expected)
        slowest_ms = max(expected.values())
        assert max(each.statistics.max_ms for each in rounds) < 1.1 * slowest_ms
