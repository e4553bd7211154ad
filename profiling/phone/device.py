"""Measures on a phone: one call at a time, in batches, guarded, resumed after interruptions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from mnaslat.data.convergence import TOOL_RESOLUTION_MS
from mnaslat.data.file_lock import exclusive
from mnaslat.data.measurement import Configuration, Round, Subject
from mnaslat.data.user_cache import user_cache_folder
from mnaslat.errors import MnaslatError, WorkspaceBusy
from mnaslat.graph import Precision
from mnaslat.profiling.device import Failure, Model, Notice
from mnaslat.profiling.phone.adb.conditions import khz_by_core
from mnaslat.profiling.phone.measurement_loop import MeasurementLoop
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.timing_plan import TimingPlan

LAYERS = TimingPlan(
    round_ms=150.0, warmup_ms=20.0, n_windows=1, resolution_ms=TOOL_RESOLUTION_MS, timeout_s=20.0
)
NETWORKS = TimingPlan(
    round_ms=600.0,
    warmup_ms=50.0,
    n_windows=1,
    min_runs=20,
    n_rounds=3,
    max_rounds=6,
    agreement=0.015,
    resolution_ms=TOOL_RESOLUTION_MS,
)


def cores_text(cores: Sequence[int]) -> str:
    """Cores as a configuration has them: ``6,7``, or ``any`` where the system chooses."""
    return ",".join(map(str, cores)) or "any"


class PhoneDevice:
    """One phone in one setting.

    Args:
        session: The phone, its benchmark tool and its settings.
    """

    def __init__(self, session: PhoneSession) -> None:
        self.session = session

    @property
    def name(self) -> str:
        """Model and a few digits of a hash: the same over USB and TCP, and not personal."""
        return self.session.name

    def configuration(self, precision: Precision) -> Configuration:
        """Return the configuration that latencies measured now belong to."""
        session = self.session
        return Configuration(
            device=self.name,
            fingerprint=session.description.fingerprint,
            precision=precision,
            threads=session.threads,
            cores=cores_text(session.cores),
            delegate=session.delegate,
            runtime=session.binary.label,
        )

    def plan(self, kind: Subject) -> TimingPlan:
        """Return how long layers or networks are timed here."""
        return LAYERS if kind == "layer" else NETWORKS

    def remember(self, circumstances: Sequence[Mapping[str, str]]) -> None:
        """Learn the highest clocks and the sentinel's first latencies of earlier rounds.

        Otherwise a sweep that is resumed while the phone is capped would take that for normal.
        """
        session = self.session
        cores = session.cores or range(session.description.n_cores)
        session.guard.remember(
            khz_by_core(each["max_khz"], cores) for each in circumstances if "max_khz" in each
        )
        readings = [each["sentinel_ms"] for each in circumstances if "sentinel_ms" in each]
        session.sentinel.remember(float(text) for text in dict.fromkeys(readings))

    def measure(
        self, models: Iterable[Model], plan: TimingPlan
    ) -> Iterator[tuple[str, Round | Failure] | Notice]:
        """Time one round of each model.

        Raises:
            DeviceError: If the phone stays away, does not cool down, needs charging or has no room.
            ConfigurationMismatch: If it comes back with another build of Android.
            WorkspaceBusy: If another process measures on it, from any workspace.
        """
        with ExitStack() as stack:
            try:
                lock = user_cache_folder() / "locks" / self.name
                held = exclusive(lock, f"Phone {self.name}", "measure on another device")
                stack.enter_context(held)
            except WorkspaceBusy:
                raise
            except MnaslatError as error:  # continue without a lock if its file cannot be created
                yield Notice(
                    f"{self.name}: other processes may measure at the same time, because the lock "
                    f"file could not be created: {error}"
                )
            yield from MeasurementLoop(self.session, plan).run(models)
