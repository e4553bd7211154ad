"""Options that several commands share, and how their values are read."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnaslat.data.delegates import DELEGATES

if TYPE_CHECKING:
    from mnaslat import DeviceOptions, SearchSpace, Workspace
    from mnaslat.graph.importing import Unknown

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", help="Folder with measurements, predictors and runs."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="A phone's serial or name, or host (this computer's CPU). The only phone, else the "
        "host, if left out.",
    ),
]
SPACES = (
    "accel-nasbench, mnasnet, mnasnet-paper, nas-bench-macro; or FILE.py:FUNCTION or "
    "MODULE:FUNCTION, which is run, so name only code you trust."
)
SpaceOption = Annotated[str, typer.Option("--space", help=SPACES)]
TrustedSpaceOption = Annotated[
    str,
    typer.Option(
        "--space",
        help="FILE.py:FUNCTION or MODULE:FUNCTION of the run, if it has one and you trust it.",
    ),
]
WidthOption = Annotated[float, typer.Option("--width", help="Multiplier of all filters.")]
SpaceResolutionOption = Annotated[
    int | None,
    typer.Option(
        "--resolution",
        min=8,
        max=1024,
        help="Pixels of the square input; if left out 224, or what the space was published with.",
    ),
]
SpaceClassesOption = Annotated[
    int | None,
    typer.Option(
        "--classes",
        min=2,
        help="Outputs of the classifier; if left out 1000, or what the space was published with.",
    ),
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=1, max=256, help="Threads of the runtime.")
]
CoresOption = Annotated[
    str,
    typer.Option(
        "--cores",
        help="Cores to pin the runtime to: big, mid or little ones of a phone, or e.g. 0,1; or "
        "any. A phone's big ones if left out.",
    ),
]
_DELEGATES = ", ".join(
    f"{name} ({delegate.help})" if delegate.help else name for name, delegate in DELEGATES.items()
)
DelegateOption = Annotated[
    str,
    typer.Option(
        "--delegate",
        help=f"What runs models on a phone: {_DELEGATES}. xnnpack if left out; the host has no "
        "other.",
    ),
]
BinaryOption = Annotated[
    Path | None,
    typer.Option(
        "--benchmark-binary",
        help="benchmark_model for the phone; remembered. If left out, the one that the phone's "
        "table was measured with, else the one used last, else the published one.",
    ),
]
GuardOption = Annotated[
    str,
    typer.Option(
        "--guard",
        help="Conditions that a phone may be measured in, e.g. "
        "max-thermal-status=1,min-battery-percent=30.",
    ),
]
UnknownOption = Annotated[
    str,
    typer.Option(
        "--unknown",
        help="An operation without a meaning here: error, or estimate it by the elements it moves.",
    ),
]
_MODEL = (
    "A published network (mnasnet-a1, mobilenet-v2@0.75), comma-separated tokens of the space, or "
    "an architecture's JSON file"
)
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help=f"{_MODEL}; a .tflite file; or FILE.py:FUNCTION or MODULE:FUNCTION, which is run, so "
        "name only code you trust: it returns a torch module.",
    ),
]
ArchitectureArgument = Annotated[str, typer.Argument(metavar="MODEL", help=f"{_MODEL}.")]
OptionalResolution = Annotated[
    int | None,
    typer.Option("--resolution", min=8, max=1024, help="Pixels; the network's own if left out."),
]
PrecisionOption = Annotated[str, typer.Option("--precision", help="fp32 (fp16, int8: later).")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random choices.")]
PredictorOption = Annotated[
    Path | None,
    typer.Option(
        "--predictor",
        help="Predictor file; the workspace's newest, of --device if given, if left out.",
    ),
]
PredictorsDeviceOption = Annotated[
    str, typer.Option("--device", help="What to measure on; the predictor's device if left out.")
]
DEFAULT_WORKSPACE = Path("mnaslat-workspace")


@contextmanager
def usage(option: str) -> Iterator[None]:
    """Turn a ``ValueError`` about what the user typed into a usage error (exit status 2)."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def open_workspace(path: Path) -> "Workspace":
    """The workspace, made if it is not there."""
    from mnaslat import Workspace

    return Workspace(path)


def device_options(
    threads: int = 1,
    cores: str = "",
    delegate: str = "",
    binary: Path | None = None,
    guard: str = "",
) -> "DeviceOptions":
    """The options that say how a device is measured; a usage error where one is wrong."""
    from mnaslat import DeviceOptions, GuardPolicy

    with usage("--guard"):
        policy = GuardPolicy.parse(guard)
    return DeviceOptions(
        threads=threads, cores=cores, delegate=delegate, benchmark_binary=binary, guard=policy
    )


def only_fp32(precision: str) -> None:
    """Refuse another precision than fp32, which cannot be measured yet."""
    with usage("--precision"):
        if precision != "fp32":
            raise ValueError(f"{precision!r} cannot be measured yet; use --precision fp32.")


def open_space(
    name: str, width: float = 1.0, resolution: int | None = None, n_classes: int | None = None
) -> "SearchSpace":
    """The search space of that name; a usage error where it is not known."""
    from mnaslat.space import load_space

    with usage("--space"):
        return load_space(name, width=width, resolution=resolution, n_classes=n_classes)


def full_command(
    *words: str,
    device: str = "",
    threads: int = 1,
    cores: str = "",
    delegate: str = "",
    space: str = "mnasnet",
    resolution: int | None = None,
    width: float = 1.0,
    classes: int | None = None,
    workspace: Path = DEFAULT_WORKSPACE,
) -> str:
    """Write a command with the device, space and workspace in use; defaults are left out."""
    given = [
        ("--device", device, ""),
        ("--threads", threads, 1),
        ("--cores", cores, ""),
        ("--delegate", delegate, ""),
        ("--space", space, "mnasnet"),
        ("--resolution", resolution, None),
        ("--width", width, 1.0),
        ("--classes", classes, None),
        ("--workspace", workspace, DEFAULT_WORKSPACE),
    ]
    options = [[option, str(value)] for option, value, default in given if value != default]
    return shlex.join(["mnaslat", *words, *(word for option in options for word in option)])


def on_unknown(text: str) -> "Unknown":
    """Read the value of ``--unknown``; a usage error where it is not known."""
    if text == "error":
        return "error"
    if text == "estimate":
        return "estimate"
    raise typer.BadParameter(f"{text!r} is neither error nor estimate.", param_hint="--unknown")
