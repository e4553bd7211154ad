"""A phone as a device: prepared, measured in sittings, guarded, waited for when it goes away."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from mnaslat.data.file_lock import exclusive
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.data.user_cache import user_cache_folder
from mnaslat.errors import MnaslatError, WorkspaceBusy
from mnaslat.graph import Precision
from mnaslat.profiling.device import Failure, Model, Notice
from mnaslat.profiling.phone.adb.conditions import khz_by_core
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import Description
from mnaslat.profiling.phone.guard.guard import Guard, Sentinel
from mnaslat.profiling.phone.guard.policy import GuardPolicy
from mnaslat.profiling.phone.measurement_loop import Measuring
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.timing_plan import TimingPlan

_TOOL_MS = 1e-3  # the tool counts whole microseconds

LAYERS = TimingPlan(
    round_ms=150.0, warmup_ms=20.0, n_windows=1, resolution_ms=_TOOL_MS, timeout_s=20.0
)
NETWORKS = TimingPlan(
    round_ms=600.0,
    warmup_ms=50.0,
    n_windows=1,
    min_runs=20,
    n_rounds=3,
    max_rounds=6,
    agreement=0.015,
    resolution_ms=_TOOL_MS,
)


def cores_text(cores: Sequence[int]) -> str:
    """Cores as a configuration has them: ``6,7``, or ``any`` where the system chooses."""
    return ",".join(map(str, cores)) or "any"


class PhoneDevice:
    """One phone in one setting.

    Args:
        connection: To it.
        description: What it is; it must still be that whenever it comes back.
        binary: The benchmark tool.
        threads: Threads of the runtime.
        cores: That the tool is pinned to; empty lets the system choose.
        delegate: One of ``DELEGATES``.
        policy: In which conditions it may be measured.
        absence_limit_s: How long to wait for a phone that went away.
    """

    def __init__(
        self,
        connection: Connection,
        description: Description,
        binary: Binary,
        *,
        threads: int = 1,
        cores: tuple[int, ...] = (),
        delegate: str = "xnnpack",
        policy: GuardPolicy | None = None,
        absence_limit_s: float = 300.0,
    ) -> None:
        self.connection, self.description, self.binary = connection, description, binary
        self.threads, self.cores, self.delegate = threads, cores, delegate
        self.policy, self.absence_limit_s = policy or GuardPolicy(), absence_limit_s
        # What the phone was like when it was first measured here: later conditions and the
        # sentinel's later latencies are compared with these.
        self.guard = Guard(self.policy)
        self.sentinel = Sentinel(self.policy)
        self.has_begun = False

    @property
    def name(self) -> str:
        """Model and a few digits of a hash: the same over USB and TCP, and not personal."""
        return self.description.name

    def configuration(self, precision: Precision) -> Configuration:
        """What latencies measured now are comparable with."""
        return Configuration(
            device=self.name,
            fingerprint=self.description.fingerprint,
            precision=precision,
            threads=self.threads,
            cores=cores_text(self.cores),
            delegate=self.delegate,
            runtime=self.binary.label,
        )

    def plan(self, kind: Subject) -> TimingPlan:
        """How long layers or networks are timed here."""
        return LAYERS if kind == "layer" else NETWORKS

    def remember(self, circumstances: Sequence[Mapping[str, str]]) -> None:
        """Learn the highest clocks and the sentinel's first latencies of earlier rounds.

        Otherwise a sweep that goes on while the phone is capped would take that for normal.
        """
        cores = self.cores or range(self.description.n_cores)
        self.guard.remember(
            khz_by_core(each["max_khz"], cores) for each in circumstances if "max_khz" in each
        )
        readings = [each["sentinel_ms"] for each in circumstances if "sentinel_ms" in each]
        self.sentinel.remember(float(text) for text in dict.fromkeys(readings))

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Time one round of each model.

        Raises:
            DeviceError: If the phone stays away, does not cool down, needs charging or has no room.
            ConfigurationMismatch: If it comes back with another build of Android.
            WorkspaceBusy: If another process measures on it, from whatever workspace.
        """
        with ExitStack() as stack:
            try:
                lock = user_cache_folder() / "locks" / self.name
                held = exclusive(lock, f"Phone {self.name}", "measure on another device")
                stack.enter_context(held)
            except WorkspaceBusy:
                raise
            except MnaslatError as error:  # no place for the file: no reason not to measure
                yield Notice(f"{self.name}: nothing keeps others from measuring beside: {error}")
            yield from Measuring(self, plan).run(models)
