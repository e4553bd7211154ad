"""Real devices: open, run, protect, sweep.

Public names are loaded when they are first used, so that one module does not load all others.
"""

from typing import TYPE_CHECKING, Any

from mnaslat.lazy import load_name

if TYPE_CHECKING:
    from mnaslat.profiling.device import Device as Device
    from mnaslat.profiling.device import DeviceKind as DeviceKind
    from mnaslat.profiling.device import DeviceOptions as DeviceOptions
    from mnaslat.profiling.device import Failure as Failure
    from mnaslat.profiling.device import FoundDevice as FoundDevice
    from mnaslat.profiling.device import Model as Model
    from mnaslat.profiling.device import Notice as Notice
    from mnaslat.profiling.device import Trouble as Trouble
    from mnaslat.profiling.host.device import HostDevice as HostDevice
    from mnaslat.profiling.host.device import cpu_name as cpu_name
    from mnaslat.profiling.layer_order import most_useful_first as most_useful_first
    from mnaslat.profiling.timing_plan import TimingPlan as TimingPlan

_HOMES = {
    "Device": "device",
    "DeviceKind": "device",
    "DeviceOptions": "device",
    "Failure": "device",
    "FoundDevice": "device",
    "HostDevice": "host.device",
    "Model": "device",
    "Notice": "device",
    "TimingPlan": "timing_plan",
    "Trouble": "device",
    "cpu_name": "host.device",
    "most_useful_first": "layer_order",
}

__all__ = [*_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
