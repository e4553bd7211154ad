"""The command ``calibrate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnaslat.cli.options import (
    DEFAULT_WORKSPACE,
    BinaryOption,
    CoresOption,
    DelegateOption,
    DeviceOption,
    GuardOption,
    JsonOption,
    SeedOption,
    SpaceClassesOption,
    SpaceOption,
    SpaceResolutionOption,
    ThreadsOption,
    WidthOption,
    WorkspaceOption,
    device_options,
    full_command,
    only_fp32,
    open_space,
    open_workspace,
    usage,
)
from mnaslat.cli.terminal import errors_text, print_json, say, terminal_events

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mnaslat import Configuration, SearchSpace, Workspace
    from mnaslat.workflow.calibrate_from_file import FileCalibration, SuggestedNetwork


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
        from mnaslat.workflow.calibrate_from_file import describe_device

        name = device_name or (measurements.stem if measurements else "phone")
        _calibrate_from_file(
            open_workspace(workspace),
            measurements,
            describe_device(
                name, precision=precision, threads=threads, cores=cores, delegate=delegate
            ),
            open_space(space, width, resolution, classes),
            resolution=None if resolution == 224 else resolution,
            priors=priors,
            n_suggested=suggest,
            json=json,
        )
        return
    from mnaslat.workflow.calibrate import calibrate as calibrate_predictor
    from mnaslat.workflow.devices import open_device

    with usage("--measurements"):
        if device_name or priors:
            raise ValueError("--device-name and --priors need --measurements FILE or --suggest N.")
    only_fp32(precision)
    place = open_workspace(workspace)
    options = device_options(threads, cores, delegate, benchmark_binary, guard)
    with terminal_events() as events:
        target = open_device(device, options, workspace=place, events=events)
        searched = open_space(space, width, resolution, classes)
        found = calibrate_predictor(
            target, searched, place, n_networks=models, seed=seed, events=events
        )
    if json:
        print_json(found.to_json())
        return
    print(f"Correction: {found.predictor.correction}")
    print(
        f"Held-out error (cross-validated): {errors_text(found.held_out)} (n = {found.held_out.n})"
    )
    if found.held_out.mape > 0.05:
        print("The error is large. Profile for longer or calibrate with more networks (--models).")
    print(f"Predictor: {found.path}")
    for number, command in enumerate(("evaluate", "search")):
        following = full_command(
            command,
            device=target.name,
            space=space,
            resolution=resolution,
            width=width,
            classes=classes,
            workspace=workspace,
        )
        print(f"{'Next:' if number == 0 else '  or:'} {following}")


def _calibrate_from_file(
    workspace: "Workspace",
    path: Path | None,
    configuration: "Configuration",
    space: "SearchSpace",
    *,
    resolution: int | None,
    priors: str,
    n_suggested: int,
    json: bool,
) -> None:
    """Fit to the file, if there is one; print how wrong the fit is, and what to measure next."""
    from mnaslat.workflow.calibrate_from_file import (
        MIN_NETWORKS,
        fit_measurements,
        named_priors,
        prior_names,
        priors_or_pretrained,
        suggest_networks,
    )
    from mnaslat.workflow.measurement_file import n_networks, read_measurements

    with terminal_events() as events:
        models = priors_or_pretrained(named_priors(priors), configuration, events)
        shown: dict[str, Any] = {"priors": prior_names(models)}
        lines = []
        fitted: FileCalibration | None = None
        if path is not None:
            lines = read_measurements(
                path, space, resolution=resolution, precision=configuration.precision
            )
            # Too few to fit is no reason not to say what to measure next.
            if not n_suggested or models or n_networks(lines) >= MIN_NETWORKS:
                fitted = fit_measurements(lines, configuration, models, workspace)
                shown |= fitted.to_json()
                if not json:
                    _print_fit(fitted, say if n_suggested else print)
        if n_suggested:
            suggested = suggest_networks(
                configuration,
                space,
                n_suggested,
                measured=lines,
                priors=models,
                predictor=None if fitted is None else fitted.predictor,
                events=events,
            )
            shown["suggested"] = [str(each) for each in suggested]
            if not json:
                _print_suggested(suggested)
    if json:
        print_json(shown)


def _print_fit(fitted: "FileCalibration", show: "Callable[[str], None]") -> None:
    for same in fitted.merged_lines:
        numbers = [str(number) for number in same]
        show(f"Lines {', '.join(numbers[:-1])} and {numbers[-1]} are the same network: merged.")
    errors = fitted.held_out
    networks = "1 network" if errors.n == 1 else f"{errors.n} networks"
    show(f"{networks}; each predicted by a fit without it: {errors_text(errors)}.")
    for each in fitted.unusual_lines:
        show(str(each))
    show(f"Predictor: {fitted.path}\nNext: mnaslat predict MODEL --predictor {fitted.path}")


def _print_suggested(networks: "Sequence[SuggestedNetwork]") -> None:
    """Print a file for ``--measurements`` without the latencies."""
    from mnaslat.workflow.measurement_file import COLUMNS

    say("Measure these next: `mnaslat export TOKENS -o FILE.tflite` writes each as a file.")
    print(",".join(COLUMNS))
    for each in networks:
        print(f'"{each}",')
