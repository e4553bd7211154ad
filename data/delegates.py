"""Defines the delegates: the ways in which a runtime executes models on a phone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Family = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class Delegate:
    """One way to execute models.

    Attributes:
        family: The kind of processor, whose cost terms describe it. None where a maker's driver
            decides: a CPU's terms would be an unfounded guess.
        runtime_name: Part of the runtime's own name of it, in small letters, if it must take part
            of a model. A runtime without such a delegate uses the CPU instead, and the CPU's
            latencies must not be stored under the delegate's name. Empty if it need not.
        help: Explains it to people; empty if the name is enough.
    """

    family: Family | None
    runtime_name: str = ""
    help: str = ""


DELEGATES: Mapping[str, Delegate] = {  # by the name in a configuration
    "xnnpack": Delegate(family="cpu", help="CPU"),
    "gpu": Delegate(family="gpu", runtime_name="gpu"),
    "nnapi": Delegate(family=None, runtime_name="nnapi"),
    "none": Delegate(family="cpu", help="CPU, without XNNPACK"),
}
# In measurements made with other programs. They cannot be measured with here.
_OTHER_NAMES: Mapping[str, Family] = {
    "": "cpu",
    "cpu": "cpu",
    "gpuv2": "gpu",
    "opencl": "gpu",
    "opengl": "gpu",
    "metal": "gpu",
    "vulkan": "gpu",
}


def family_of(delegate: str) -> Family | None:
    """Return the kind of processor that a delegate uses, None if that is not known.

    The letter case does not matter.

    >>> family_of("XNNPACK"), family_of("nnapi")
    ('cpu', None)
    """
    known = DELEGATES.get(delegate.lower())
    return _OTHER_NAMES.get(delegate.lower()) if known is None else known.family


def described_delegates() -> tuple[str, ...]:
    """Return the names of all delegates whose kind of processor is known."""
    measurable = (name for name, delegate in DELEGATES.items() if delegate.family)
    return (*measurable, *filter(None, _OTHER_NAMES))
