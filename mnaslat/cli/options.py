"""Options that several commands share, and how their values are read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnaslat.files import json_value, read_text
from mnaslat.profiling.phone.tool.delegates import DELEGATES

if TYPE_CHECKING:
    from mnaslat.architecture import Architecture
    from mnaslat.data.measurement import Configuration
    from mnaslat.data.workspace import Workspace
    from mnaslat.profiling.device import Device
    from mnaslat.space import SearchSpace

_MAX_ARCHITECTURE_BYTES = 2**20

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
SPACES = "accel-nasbench, mnasnet, mnasnet-paper, nas-bench-macro, or FILE.py:FUNCTION."
SpaceOption = Annotated[str, typer.Option("--space", help=SPACES)]
TrustedSpaceOption = Annotated[
    str,
    typer.Option("--space", help="FILE.py:FUNCTION of the run, if it has one and you trust it."),
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
    from mnaslat.data.workspace import Workspace

    return Workspace(path)


def open_device(
    name: str,
    *,
    threads: int = 1,
    cores: str = "",
    delegate: str = "",
    runtime: str = "",
    measured: "tuple[Configuration, ...]" = (),
    binary: Path | None = None,
    guard: str = "",
) -> "Device":
    """The device of that name; a usage error where it has not what is asked for.

    ``measured`` are configurations of the workspace: a phone goes on with the tool of its own.

    Raises:
        DeviceError: If it is not there or cannot be used.
    """
    from mnaslat.cli.progress import download_progress, say
    from mnaslat.profiling import registry as devices
    from mnaslat.profiling.device import DeviceSettings
    from mnaslat.profiling.phone.guard.policy import GuardPolicy

    with usage("--guard"):
        GuardPolicy.parse(guard)
    with download_progress() as on_download, usage("device"):
        return devices.open_device(
            name,
            DeviceSettings(
                threads=threads,
                cores=cores,
                delegate=delegate,
                runtime=runtime,
                measured=measured,
                benchmark_binary=binary,
                guard=guard,
                on_download=on_download,
            ),
            on_trouble=say,
        )


def open_device_of(
    configuration: "Configuration", name: str = "", *, binary: Path | None = None, guard: str = ""
) -> "Device":
    """The device that a configuration was measured on, in the same setting.

    Raises:
        ConfigurationMismatch: If the device here is not the one of the configuration.
        DeviceError: If it is not there or cannot be used.
    """
    from mnaslat.errors import ConfigurationMismatch
    from mnaslat.profiling.registry import known_as

    known = known_as(name) if name else None
    if known not in (None, configuration.device):
        raise ConfigurationMismatch(
            f"The predictor is of {configuration.device} and says nothing about {known}. Choose "
            f"one of {known} with --predictor, or measure on {configuration.device}."
        )
    device = open_device(
        name or configuration.device,
        threads=configuration.threads,
        cores=configuration.cores,
        delegate=configuration.delegate,
        runtime=configuration.runtime,
        binary=binary,
        guard=guard,
    )
    configuration.require(device.configuration(configuration.precision), f"Device {device.name}")
    return device


def open_space(
    name: str, width: float = 1.0, resolution: int | None = None, n_classes: int | None = None
) -> "SearchSpace":
    """The search space of that name; a usage error where it is not known."""
    from mnaslat.space import load_space

    with usage("--space"):
        return load_space(name, width=width, resolution=resolution, n_classes=n_classes)


def read_architecture(text: str, space: "SearchSpace", resolution: int | None) -> "Architecture":
    """A network by name, by comma-separated tokens of a space, or from a JSON file."""
    from dataclasses import replace

    import numpy as np

    from mnaslat import zoo
    from mnaslat.architecture import Architecture

    with usage("MODEL"):
        if text.endswith(".json"):
            architecture = _read_architecture_file(Path(text), Architecture)
        elif text.replace(",", "").replace(" ", "").isdigit() and "," in text:
            architecture = space.decode(np.array([int(token) for token in text.split(",")]))
        else:
            architecture = zoo.load_network(text)
    return architecture if resolution is None else replace(architecture, resolution=resolution)


def _read_architecture_file(path: Path, kind: Any) -> "Architecture":
    text = read_text(path, _MAX_ARCHITECTURE_BYTES)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON.") from None
    if isinstance(data, dict):
        data = data.get("architecture", data)  # as `mnaslat model --json` prints it
    if not isinstance(data, dict):
        raise ValueError(f"{path} does not hold an architecture.")
    architecture: Architecture = kind.from_json(data)
    return architecture


def print_json(data: Any) -> None:
    """One JSON document on standard output; not-a-number becomes null."""
    print(json.dumps(json_value(data), indent=2))
