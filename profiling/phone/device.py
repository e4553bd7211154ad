"""Measures on one phone, which is a device."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from mnaslat.data.circumstances import Circumstances
from mnaslat.data.convergence import resolution_ms_of
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

LAYERS = TimingPlan(round_ms=150.0, warmup_ms=20.0, n_windows=1, timeout_s=20.0)
NETWORKS = TimingPlan(
    round_ms=600.0,
    warmup_ms=50.0,
    n_windows=1,
    min_runs=20,
    n_rounds=3,
    max_rounds=6,
    agreement=0.015,
)


def cores_text(cores: Sequence[int]) -> str:
    """Write cores as in a configuration: ``6,7``, or ``any`` where the system chooses."""
    return ",".join(map(str, cores)) or "any"


class PhoneDevice:
    """One phone with the options that it is measured with.

    Args:
        session: Its connection, tool and options.
    """

    def __init__(self, session: PhoneSession) -> None:
        self.session = session

    @property
    def name(self) -> str:
        """Model and a few digits of a hash: the same over USB and TCP, and not personal."""
        return self.session.name

    def configuration(self, precision: Precision) -> Configuration:
        """Return what must be equal for latencies to be compared with those measured now."""
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
        """Plan how long layers or networks are timed here."""
        plan = LAYERS if kind == "layer" else NETWORKS
        return replace(plan, resolution_ms=resolution_ms_of(self.session.binary.label))

    def remember(self, circumstances: Sequence[Circumstances]) -> None:
        """Learn the highest clocks and the sentinel's first latencies of earlier rounds.

        Otherwise a sweep that continues while the phone is capped would take that for normal.
        """
        cores = self.session.cores or range(self.session.description.n_cores)
        self.session.guard.remember(
            khz_by_core(each["max_khz"], cores) for each in circumstances if "max_khz" in each
        )
        readings = [each["sentinel_ms"] for each in circumstances if "sentinel_ms" in each]
        self.session.sentinel.remember(float(text) for text in dict.fromkeys(readings))

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
            except MnaslatError as error:  # continue without a lock if its file cannot be made
                yield Notice(
                    f"{self.name}: other processes may measure at the same time, because the lock "
                    f"file cannot be made: {error}"
                )
            yield from MeasurementLoop(self.session, plan).run(models)
