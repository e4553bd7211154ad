"""Holds one opened phone: connection, description, benchmark tool, settings and guard."""

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import Description
from mnaslat.profiling.phone.guard import Guard, Sentinel
from mnaslat.profiling.phone.tool.binary import Binary


class PhoneSession:
    """One phone in one setting, and the conditions that later ones are compared with.

    Args:
        connection: To the phone.
        description: What it is; it must still be that whenever it comes back.
        binary: The benchmark tool.
        threads: Threads of the runtime.
        cores: That the tool is pinned to; empty lets the system choose.
        delegate: One of ``DELEGATES``.
        policy: In which conditions it may be measured.
        absence_limit_s: How long to wait for a phone that went away, in seconds.
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
