"""Fits predictors to latencies that were measured elsewhere; suggests what to measure next."""

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.files import json_value
from mnaslat.graph import Precision
from mnaslat.predictors import CostModel, Errors
from mnaslat.predictors.base import Network, as_graphs
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.training import MIN_NETWORKS
from mnaslat.predictors.network_predictor import open_predictor
from mnaslat.predictors.pretrained.library import pretrained_priors
from mnaslat.space import SearchSpace
from mnaslat.workflow.arguments import check_arguments, check_whole
from mnaslat.workflow.evaluate import IMPORTED
from mnaslat.workflow.measurement_file import (
    FileMeasurement,
    n_networks,
    read_measurements,
    repeated_lines,
)
from mnaslat.workflow.predictor_library import store_predictor
from mnaslat.workflow.progress import SILENT, Events, naming

__all__ = [
    "MIN_NETWORKS",
    "FileCalibration",
    "SuggestedNetwork",
    "UnusualLine",
    "calibrate_from_file",
    "describe_device",
    "fit_measurements",
    "named_priors",
    "prior_names",
    "priors_or_pretrained",
    "suggest_networks",
    "unusual_lines",
]

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_UNUSUAL = 2.0  # from a latency to what the others imply
# From one line to the others, relative to the prior: rather another unit than another network.
_OTHER_UNIT = 200.0
_OTHER_KINDS = ("mid", "little")  # of cores; pretrained priors prefer large ones
_N_CANDIDATES = 300
_SUGGESTION_SEED = 0x5E1EC7


@dataclass(frozen=True)
class UnusualLine:
    """A line that disagrees with what all others imply."""

    line: int
    model: str
    factor: float  # its latency, relative to the one implied
    counts_little: bool  # the fit took it for wrong; else it may be unlike all others

    def __str__(self) -> str:
        times = f"{self.factor:.1f}" if self.factor > 1 else f"1/{1 / self.factor:.1f}"
        return (
            f"Line {self.line} ({_shortened(self.model)}) is {times} times what the others imply"
            f"{'; it counts little' if self.counts_little else ''}: measure it again."
        )


@dataclass(frozen=True)
class SuggestedNetwork:
    """A network that is worth measuring next."""

    tokens: tuple[int, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.tokens))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"tokens": str(self)}


@dataclass(frozen=True)
class FileCalibration:
    """A predictor fitted to a file of measurements.

    Attributes:
        predictor: Of the device that was measured.
        path: Its file in the workspace; None if no workspace was given.
        held_out: Errors with each network left out of the fit in turn.
        merged_lines: Lines of the file that hold the same network.
        unusual_lines: Lines that disagree with what all others imply.
    """

    predictor: CostModel
    path: Path | None
    held_out: Errors
    merged_lines: tuple[tuple[int, ...], ...]
    unusual_lines: tuple[UnusualLine, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "predictor": None if self.path is None else str(self.path),
            "held_out": self.held_out.to_json(),
            "merged_lines": [list(same) for same in self.merged_lines],
            "unusual_lines": [json_value(asdict(each)) for each in self.unusual_lines],
        }

    def __repr__(self) -> str:
        return f"FileCalibration({self.path}, held-out error {self.held_out.mape:.1%})"


def describe_device(
    name: str,
    *,
    precision: str = "fp32",
    threads: int = 1,
    cores: str = "",
    delegate: str = "",
) -> Configuration:
    """Describe a device that is not here, for ``calibrate_from_file`` and ``suggest_networks``.

    Args:
        name: Made of letters, digits, '.', '_' and '-'.
        precision: Of the networks that were measured.
        threads: Of the runtime.
        cores: That the runtime ran on.
        delegate: Of the runtime; xnnpack if left out.

    Raises:
        ValueError: If one of them is not known here.
    """
    with naming("device_name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError(
                f"A device's name is made of letters, digits, '.', '_' and '-', got {name!r}."
            )
    with naming("precision"):
        if precision not in PRECISIONS:
            raise ValueError(f"{precision!r} is not one of {', '.join(PRECISIONS)}.")
    check_whole("threads", threads, 1)
    configuration = Configuration(
        device=name,
        fingerprint=name,
        precision=precision,
        threads=threads,
        cores=cores or "any",
        delegate=delegate or "xnnpack",
        runtime=IMPORTED,
    )
    with naming("delegate"):
        runtime_of(configuration)
    return configuration


def calibrate_from_file(
    path: str | PathLike[str],
    configuration: Configuration,
    space: SearchSpace,
    *,
    priors: Sequence[CostModel] | None = None,
    resolution: int | None = None,
    workspace: Workspace | None = None,
    events: Events = SILENT,
) -> FileCalibration:
    """Fit a predictor to a file of latencies that were measured elsewhere.

    Args:
        path: A file for ``read_measurements``.
        configuration: Of the device, as ``describe_device`` gives it.
        space: Of tokens in the file.
        priors: Models of other devices; the pretrained ones that fit if left out.
        resolution: Pixels of the networks' square input; each one's own if left out.
        workspace: Where the predictor is saved; nowhere if left out.
        events: Receives which priors are used.

    Raises:
        ValueError: If the file cannot be read or its latencies contradict each other.
    """
    check_arguments(space=space, workspace=workspace, resolution=resolution)
    models = priors_or_pretrained(priors, configuration, events)
    lines = read_measurements(path, space, resolution=resolution, precision=configuration.precision)
    events.progress("Fitting the predictor", 0, 1, 0.0)
    found = fit_measurements(lines, configuration, models, workspace)
    events.progress("Fitting the predictor", 1, 1, 0.0)
    return found


def fit_measurements(
    lines: Sequence[FileMeasurement],
    configuration: Configuration,
    priors: Sequence[CostModel],
    workspace: Workspace | None = None,
) -> FileCalibration:
    """Fit a predictor to the lines of a file, and save it if there is a workspace.

    Raises:
        ValueError: If there are too few lines, or they contradict each other.
    """
    with naming("measurements"):
        n = n_networks(lines)
        if n < MIN_NETWORKS and not priors:
            raise ValueError(
                f"Without priors at least {MIN_NETWORKS} different networks are needed, got {n}. "
                "Measure more (--suggest says which), or leave out --priors none: other phones "
                "make up for few networks."
            )
        _check_units(lines, priors)
        graphs = [line.graph for line in lines]
        try:
            model = CostModel(priors, configuration)
            model.fit(graphs, [line.latency_ms for line in lines])
        except ValueError as error:
            text = str(error).replace("fit without priors.", "add --priors none.")
            raise ValueError(text) from None
    assert model.held_out is not None
    return FileCalibration(
        predictor=model,
        path=None if workspace is None else store_predictor(workspace, model),
        held_out=model.held_out,
        merged_lines=tuple(tuple(line.number for line in same) for same in repeated_lines(lines)),
        unusual_lines=tuple(unusual_lines(model, lines)),
    )


def suggest_networks(
    configuration: Configuration,
    space: SearchSpace,
    n: int,
    *,
    measured: Sequence[FileMeasurement] = (),
    priors: Sequence[CostModel] | None = None,
    predictor: CostModel | None = None,
    events: Events = SILENT,
) -> list[SuggestedNetwork]:
    """Choose the networks of a space to measure next, the most informative one first.

    Args:
        configuration: Of the device, as ``describe_device`` gives it.
        space: Where the networks come from.
        n: How many.
        measured: Networks that need not be measured again.
        priors: Models of other devices; the pretrained ones that fit if left out.
        predictor: Fitted to what was measured; without it only the priors count.
        events: Receives long work.

    Raises:
        ValueError: If n is not positive.
    """
    check_arguments(space=space)
    check_whole("n", n, 1)
    if predictor is None:
        models = priors_or_pretrained(priors, configuration, events)
        predictor = CostModel(models, configuration)
    rng = np.random.default_rng(_SUGGESTION_SEED)
    rows = list(dict.fromkeys(map(tuple, space.sample(max(_N_CANDIDATES, 10 * n), rng).tolist())))
    candidates: list[Network] = [space.decode(np.array(row)) for row in rows]
    known = {line.graph.signature for line in measured}
    graphs = as_graphs(candidates, configuration.precision)
    fresh = [index for index, graph in enumerate(graphs) if graph.signature not in known]
    started_s = time.monotonic()

    def show(done: int) -> None:
        seconds_left = (time.monotonic() - started_s) / done * (n - done)
        events.progress("Choosing networks", done, n, seconds_left)

    fresh_graphs = [graphs[index] for index in fresh]
    chosen = predictor.suggest_calibration(fresh_graphs, n, on_chosen=show)
    return [SuggestedNetwork(rows[fresh[index]]) for index in chosen]


def priors_or_pretrained(
    priors: Sequence[CostModel] | None, configuration: Configuration, events: Events
) -> tuple[CostModel, ...]:
    """Return the priors given, else the pretrained ones that fit; reports which they are."""
    models = pretrained_priors(configuration) if priors is None else tuple(priors)
    events.notice(f"Priors: {', '.join(prior_names(models)) or 'none'}.")
    if priors is None and not models:
        events.notice(
            f"No shipped phone was measured in {configuration.precision} on a "
            f"{runtime_of(configuration).upper()}; name others with --priors."
        )
    if priors is None:
        _report_other_cores(models, configuration, events)
    return models


def named_priors(text: str) -> tuple[CostModel, ...] | None:
    """Open the priors that a text names.

    Args:
        text: ``none``; or names of pretrained predictors and predictor files, with commas between.
            Empty gives None: the pretrained ones that fit.

    Raises:
        PredictorFileError: If one does not exist or cannot be read.
        ValueError: If one was not fitted to networks alone.
    """
    if not text:
        return None
    if text == "none":
        return ()
    with naming("priors"):
        return tuple(_prior(name.strip()) for name in text.split(","))


def _prior(name: str) -> CostModel:
    found = open_predictor(Path(name))
    if not isinstance(found, CostModel):
        raise ValueError(f"{name} was learned from layers; a prior is learned from networks alone.")
    return found


def prior_names(priors: Sequence[CostModel]) -> list[str]:
    """Return the devices, cores and precisions of priors."""
    configurations = [prior.configuration for prior in priors]
    return [
        f"{each.device} ({'gpu' if runtime_of(each) == 'gpu' else each.cores}, {each.precision})"
        for each in configurations
    ]


def _report_other_cores(
    models: Sequence[CostModel], configuration: Configuration, events: Events
) -> None:
    """Report where no pretrained phone was measured on the same number or kind of cores."""
    if not models or runtime_of(configuration) == "gpu":
        return
    priors = [model.configuration for model in models]
    others = ", ".join(sorted({each.cores for each in priors}))
    n = configuration.threads
    if all(each.threads != n for each in priors):
        events.notice(
            f"No shipped phone was measured with {n} threads: the nearest are priors ({others})."
        )
    elif configuration.cores in _OTHER_KINDS:
        events.notice(
            f"The priors are of large cores ({others}), not {configuration.cores} ones. `mnaslat "
            "predictors` lists others for --priors."
        )


def unusual_lines(model: CostModel, lines: Sequence[FileMeasurement]) -> list[UnusualLine]:
    """Lines whose latency is more than twice, or less than half, what a fit without it predicts.

    Args:
        model: Fitted to the lines.
        lines: In the order of the file.
    """
    predicted = 1.0 + model.residuals  # relative to what was measured
    place = {graph.signature: index for index, graph in enumerate(model.networks)}
    found = []
    for line in lines:
        index = place[line.graph.signature]
        uncertain = bool(model.state.fit.excess[index] > 0)
        found.append(UnusualLine(line.number, line.model, 1.0 / float(predicted[index]), uncertain))
    return [each for each in found if not 1.0 / _UNUSUAL <= each.factor <= _UNUSUAL]


def _check_units(lines: Sequence[FileMeasurement], priors: Sequence[CostModel]) -> None:
    """Raise an error where single lines can hardly be in the unit of the others."""
    if not priors:
        return
    graphs = [line.graph for line in lines]
    expected = np.mean([np.log(prior.predict(graphs)) for prior in priors], axis=0)
    factors = np.log([line.latency_ms for line in lines]) - expected
    factors -= np.median(factors)
    for line, factor in zip(lines, np.exp(factors), strict=True):
        if not 1.0 / _OTHER_UNIT <= factor <= _OTHER_UNIT:
            unit = "microseconds" if factor > 1 else "seconds"
            times = factor if factor > 1 else 1.0 / factor
            raise ValueError(
                f"Line {line.number}: is {line.latency_ms:.4g} in {unit}? Beside the other lines "
                f"{line.model} is about {times:.3g} times as {'long' if factor > 1 else 'short'} "
                "as the priors predict in milliseconds. Give milliseconds."
            )


def _shortened(model: str) -> str:
    return model if len(model) <= 24 else f"{model[:23]}…"
