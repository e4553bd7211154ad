"""Commands that measure: profile, calibrate, evaluate, validate."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    CoresOption,
    DelegateOption,
    DeviceOption,
    GuardOption,
    JsonOption,
    PrecisionOption,
    PredictorOption,
    PredictorsDeviceOption,
    SeedOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    ThreadsOption,
    TrustedSpaceOption,
    WidthOption,
    WorkspaceOption,
    open_device,
    open_device_of,
    open_space,
    open_workspace,
    print_json,
    usage,
)

if TYPE_CHECKING:
    from mnaslat.data.workspace import Workspace
    from mnaslat.profiling.device import Device


def profile(
    device: DeviceOption = "",
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 1,
    cores: CoresOption = "",
    delegate: DelegateOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    budget: Annotated[
        str, typer.Option("--budget", help="Time to spend, e.g. 10m; all layers if left out.")
    ] = "",
    seed: SeedOption = 0,
    new_table: Annotated[
        bool,
        typer.Option("--new-table", help="Start anew where the device is no longer the same."),
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Sweep the layers of a search space on a device into a latency table.

    The same command goes on where an earlier one stopped, whatever ended it.

    Example: mnaslat profile --budget 10m
    """
    from mnaslat.cli.setup import profile_space, read_table
    from mnaslat.units import format_duration, parse_duration_s

    with usage("--budget"):
        budget_s = parse_duration_s(budget) if budget else math.inf
    _only_fp32(precision)
    place = open_workspace(workspace)
    target = _open_for_table(
        place, device, threads, cores, delegate, benchmark_binary, guard, new_table=new_table
    )
    result = profile_space(
        place,
        target,
        open_space(space, width, resolution, classes),
        budget_s=budget_s,
        seed=seed,
    )
    table = read_table(place, target, "fp32")
    path = place.path / "tables" / f"{target.name}-{table.configuration.key}.json"
    path.parent.mkdir(exist_ok=True)
    table.save(path)
    if json:
        print_json({**asdict(result), "table": str(path)})
        return
    print(
        f"{result.n_measured} of {result.n_total} layers measured on {target.name}; "
        f"{result.n_rounds} rounds in {format_duration(result.wall_s)}, "
        f"{result.timed_s / max(result.wall_s, 1e-9):.0%} of it timed inference."
    )
    if result.n_unsettled:
        print(
            f"{result.n_unsettled} layers vary by more than 2 % between rounds; "
            "their fastest round is taken."
        )
    for signature, reason in list(result.failures.items())[:3]:
        print(f"Could not run {signature}: {reason}")
    if result.n_left:
        print(f"{result.n_left} layers are left: predictions estimate them from the measured ones.")
    print(f"Table: {path}\nNext: mnaslat calibrate")


def calibrate(
    device: DeviceOption = "",
    models: Annotated[int, typer.Option("--models", min=3, help="Whole networks to measure.")] = 20,
    measurements: Annotated[
        Path | None,
        typer.Option(
            "--measurements",
            help="CSV of whole networks measured elsewhere: columns model (a name, tokens in "
            "quotes, or the path of a .tflite or JSON file) and latency_ms. No device is needed.",
        ),
    ] = None,
    suggest: Annotated[
        int,
        typer.Option(
            "--suggest",
            min=0,
            max=200,
            help="Measure nothing: print which N networks to measure next.",
        ),
    ] = 0,
    device_name: Annotated[
        str, typer.Option("--device-name", help="How to call the device that was measured.")
    ] = "",
    priors: Annotated[
        str,
        typer.Option(
            "--priors",
            help="With --measurements or --suggest: none, or names of predictors of other devices, "
            "with commas between. All shipped ones that fit if left out.",
        ),
    ] = "",
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="fp32; with --measurements or --suggest also int8, or fp16 (no shipped priors).",
        ),
    ] = "fp32",
    threads: ThreadsOption = 1,
    cores: CoresOption = "",
    delegate: DelegateOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Measure whole networks and fit a predictor to them; prints its held-out error.

    Example: mnaslat calibrate --models 20

    Example: mnaslat calibrate --measurements phone.csv --device-name my-phone
    """
    if measurements is not None or suggest:
        with usage("--device"):
            if device:
                raise ValueError("Nothing is measured here; describe with --device-name instead.")
        from mnaslat.cli.measurements import calibrate_elsewhere, described_device

        name = device_name or (measurements.stem if measurements else "phone")
        calibrate_elsewhere(
            open_workspace(workspace),
            measurements,
            described_device(name, precision, threads, cores, delegate),
            open_space(space, width, resolution, classes),
            resolution=None if resolution == 224 else resolution,
            priors=priors,
            n_suggested=suggest,
            json=json,
        )
        return
    from mnaslat.cli.setup import calibrate_predictor

    with usage("--measurements"):
        if device_name or priors:
            raise ValueError("--device-name and --priors need --measurements FILE or --suggest N.")
    _only_fp32(precision)
    place = open_workspace(workspace)
    target = _open_for_table(place, device, threads, cores, delegate, benchmark_binary, guard)
    predictor, path = calibrate_predictor(
        place,
        target,
        open_space(space, width, resolution, classes),
        n_models=models,
        seed=seed,
    )
    assert predictor.held_out is not None
    if json:
        print_json(
            {
                "predictor": str(path),
                "correction": asdict(predictor.correction),
                "held_out": asdict(predictor.held_out),
            }
        )
        return
    print(f"Correction: {predictor.correction}")
    _print_errors("Held-out error (cross-validated)", asdict(predictor.held_out))
    if predictor.held_out.mape > 0.05:
        print("That is a lot: profile for longer, or calibrate on more --models.")
    print(f"Predictor: {path}\nNext: mnaslat evaluate, mnaslat predict, or mnaslat search")


def evaluate(
    predictor: PredictorOption = None,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    models: Annotated[int, typer.Option("--models", min=3, help="Fresh networks to measure.")] = 30,
    space: SpaceOption = "mnasnet",
    resolution: SpaceResolutionOption = None,
    width: WidthOption = 1.0,
    classes: SpaceClassesOption = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Measure fresh random networks and say how wrong the predictor is on them.

    Prints beside it how well the same measurements repeat: no predictor can be better than that.

    Example: mnaslat evaluate --models 30
    """
    from mnaslat.cli.evaluation import evaluate_predictor, measured_elsewhere, unreachable
    from mnaslat.cli.predictors import find_predictor
    from mnaslat.errors import DeviceError

    place = open_workspace(workspace)
    found, path = find_predictor(place, predictor, device)
    if not device and measured_elsewhere(found):
        raise DeviceError(unreachable(found, path.name))
    try:
        target = open_device_of(found.configuration, device, binary=benchmark_binary, guard=guard)
    except DeviceError as error:
        raise DeviceError(f"{error} {unreachable(found, path.name)}") from None
    result = evaluate_predictor(
        place,
        target,
        found,
        open_space(space, width, resolution, classes),
        n_models=models,
        seed=seed,
    )
    if json:
        print_json({"predictor": str(path), **result})
        return
    _print_errors(f"{path.name} on {result['n']} fresh networks", result)
    print(
        f"  repeatability of the same measurements: {result['repeatability']:.2%}; "
        f"{result['coverage']:.0%} lie in the 90 % interval; "
        f"{result['measured_share']:.0%} of the latency rests on measured layers"
    )


def validate(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a search run; the newest if left out.")
    ] = None,
    device: PredictorsDeviceOption = "",
    benchmark_binary: BinaryOption = None,
    guard: GuardOption = "",
    top: Annotated[int, typer.Option("--top", min=1, help="Networks to measure.")] = 10,
    space: TrustedSpaceOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Measure the best networks of a search run, against what was predicted.

    Example: mnaslat validate --top 5
    """
    from mnaslat.cli.evaluation import validate_run
    from mnaslat.cli.runs import find_run

    place = open_workspace(workspace)
    found = find_run(place, run, space)
    found.candidates()  # a run that cannot be read is refused before a device is asked for
    target = open_device_of(
        found.predictor.configuration, device, binary=benchmark_binary, guard=guard
    )
    rows = validate_run(place, found, target, top)
    if json:
        print_json(rows)
        return
    for row in rows:
        print(
            f"  accuracy {row['accuracy']:.4f}   predicted {row['predicted_ms']:7.3f} ms   "
            f"measured {row['measured_ms']:7.3f} ms   error {row['error']:+.1%}"
        )


def _open_for_table(
    workspace: "Workspace",
    device: str,
    threads: int,
    cores: str,
    delegate: str,
    binary: Path | None,
    guard: str,
    *,
    new_table: bool = False,
) -> "Device":
    """The device with the tool of its table here; refused where it is no longer the same."""
    from mnaslat.cli.setup import check_same_device, measured_in

    target = open_device(
        device,
        threads=threads,
        cores=cores,
        delegate=delegate,
        measured=() if new_table else measured_in(workspace, "fp32"),
        binary=binary,
        guard=guard,
    )
    if not new_table:
        check_same_device(workspace, target, "fp32")
    return target


def _only_fp32(precision: str) -> None:
    with usage("--precision"):
        if precision != "fp32":
            raise ValueError(f"{precision!r} cannot be measured yet; use --precision fp32.")


def _print_errors(title: str, errors: dict[str, float]) -> None:
    from mnaslat.cli.evaluation import errors_text

    print(f"{title}: {errors_text(errors)} (n = {errors['n']})")


MEASURING = (profile, calibrate, evaluate, validate)
