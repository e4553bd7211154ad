"""Holds what everything that is done with one phone needs."""

from dataclasses import KW_ONLY, dataclass, field

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.description import Description
from mnaslat.profiling.phone.guard import Guard, Sentinel
from mnaslat.profiling.phone.tool.base import BenchmarkTool
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.registry import tool_named


@dataclass
class PhoneSession:
    """One phone, its benchmark tool and how it is measured.

    Attributes:
        connection: To the phone.
        description: What the phone is; it must still be that whenever it comes back.
        binary: The benchmark tool's program.
        threads: Threads of the runtime.
        cores: That the tool is pinned to; empty lets the system choose.
        delegate: One that the tool has an option for.
        policy: In which conditions the phone may be measured.
        absence_limit_s: How long to wait for a phone that went away, in seconds.
        guard: Compares later conditions with those of the beginning.
        sentinel: Compares the sentinel's later latencies with its first ones.
        has_begun: Whether the conditions of the beginning are known.
    """

    connection: Connection
    description: Description
    binary: Binary
    _: KW_ONLY
    threads: int = 1
    cores: tuple[int, ...] = ()
    delegate: str = "xnnpack"
    policy: GuardPolicy = field(default_factory=GuardPolicy)
    absence_limit_s: float = 300.0
    guard: Guard = field(init=False)
    sentinel: Sentinel = field(init=False)
    has_begun: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.guard, self.sentinel = Guard(self.policy), Sentinel(self.policy)

    @property
    def name(self) -> str:
        """Model and a few digits of a hash: the same over USB and TCP, and not personal."""
        return self.description.name

    @property
    def tool(self) -> BenchmarkTool:
        """The kind of benchmark tool that the program is."""
        return tool_named(self.binary.tool)

    @property
    def clocked_core(self) -> int:
        """The core whose clock is read around each run.

        Where the system chooses the cores, the fastest one shows the clock of the others too.
        """
        return min(self.cores or self.description.clusters[-1].cores, default=0)
