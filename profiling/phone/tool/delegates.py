"""Lists the delegates that the runtime on a phone can run models with."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Delegate:
    """One way to run models.

    Attributes:
        option: That asks the benchmark tool for it.
        runtime_name: Part of the runtime's own name for it, if it must take part of a model.
            Where such a one is missing or refuses a model, the runtime continues on the CPU: that
            must not stand under the delegate's name. Empty where it need not.
        help: What it is, for people; empty if it speaks for itself.
    """

    option: str
    runtime_name: str = ""
    help: str = ""


DELEGATES: Mapping[str, Delegate] = {  # by the name in a configuration
    "xnnpack": Delegate(option="--use_xnnpack=true", help="CPU"),
    "gpu": Delegate(option="--use_gpu=true", runtime_name="gpu"),
    "nnapi": Delegate(option="--use_nnapi=true", runtime_name="nnapi"),
    "none": Delegate(option="--use_xnnpack=false", help="CPU, without XNNPACK"),
}
