"""Measurements made elsewhere: a predictor from a CSV file, and what to measure next."""

import csv
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from mnaslat.cli.evaluation import ELSEWHERE, errors_text
from mnaslat.cli.networks import names_code, read_stored_network
from mnaslat.cli.options import print_json, usage
from mnaslat.cli.progress import say
from mnaslat.data.measurement import Configuration
from mnaslat.errors import MnaslatError
from mnaslat.files import read_text
from mnaslat.graph import Graph, Precision
from mnaslat.predictors import CostModel
from mnaslat.predictors.base import Network, as_graphs
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.training import MIN_NETWORKS
from mnaslat.predictors.pretrained.library import pretrained_priors

if TYPE_CHECKING:
    from mnaslat.data.workspace import Workspace
    from mnaslat.space import SearchSpace

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
_COLUMNS = ("model", "latency_ms")
_MAX_BYTES, _MAX_LINES = 2**24, 10_000
_SAME = 1.1  # two latencies of one network agree within this factor
_UNUSUAL = 2.0  # from a latency to what the others imply
# From one line to the others, relative to the prior: rather another unit than another network.
_OTHER_UNIT = 200.0
_OTHER_KINDS = ("mid", "little")  # of cores; shipped priors prefer large ones
_N_CANDIDATES = 300
_SUGGESTION_SEED = 0x5E1EC7


@dataclass(frozen=True)
class MeasuredLine:
    """One line of a file of measurements."""

    number: int  # as an editor counts
    model: str
    graph: Graph
    latency_ms: float


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


def calibrate_elsewhere(
    workspace: "Workspace",
    path: Path | None,
    configuration: Configuration,
    space: "SearchSpace",
    *,
    resolution: int | None = None,
    priors: str = "",
    n_suggested: int = 0,
    json: bool = False,
) -> None:
    """Fit to the file, if there is one, and save; say how wrong it is, and what to measure next.

    Args:
        workspace: Where the predictor is saved.
        path: A file for ``read_measurements``.
        configuration: Of the device, as ``described_device`` gives it.
        space: Of tokens in the file, and of what is suggested.
        resolution: Of the networks; each one's own if left out.
        priors: As ``chosen_priors`` takes them.
        n_suggested: How many networks to suggest.
        json: Whether to print for scripts.
    """
    from mnaslat.cli.predictors import store_predictor

    models = chosen_priors(priors, configuration)
    names = _prior_names(models)
    say(f"Priors: {', '.join(names) or 'none'}.")
    if not models and not priors:
        say(
            f"No shipped phone was measured in {configuration.precision} on a "
            f"{runtime_of(configuration).upper()}; name others with --priors."
        )
    if not priors:
        _say_of_other_cores(models, configuration)
    found: dict[str, Any] = {"priors": names}
    lines: list[MeasuredLine] = []
    model = CostModel(models, configuration)
    if path is not None:
        lines = read_measurements(path, space, resolution, configuration.precision)
        # Too few to fit is no reason not to say what to measure next.
        if not n_suggested or models or _n_networks(lines) >= MIN_NETWORKS:
            model = fit_measurements(lines, models, configuration)
            assert model.held_out is not None
            stored = store_predictor(workspace, model)
            unusual = unusual_lines(model, lines)
            found |= {
                "predictor": str(stored),
                "held_out": asdict(model.held_out),
                "merged_lines": [[line.number for line in same] for same in _repeated(lines)],
                "unusual_lines": [asdict(each) for each in unusual],
            }
            if not json:
                _print_fit(model, lines, unusual, stored, say if n_suggested else print)
    if n_suggested:
        if n_suggested > _N_CANDIDATES // 10:
            say(f"Choosing {n_suggested} networks; more than 100 take about a minute.")
        found["suggested"] = suggested_models(model, space, lines, n_suggested)
        if not json:
            _print_suggested(found["suggested"])
    if json:
        print_json(found)


def _print_fit(
    model: CostModel,
    lines: Sequence[MeasuredLine],
    unusual: Sequence[UnusualLine],
    path: Path,
    tell: Callable[[str], None],
) -> None:
    errors = model.held_out
    assert errors is not None
    for same in _repeated(lines):
        tell(f"{_lines_text(same)} are the same network: merged.")
    networks = "1 network" if errors.n == 1 else f"{errors.n} networks"
    tell(f"{networks}; each predicted by a fit without it: {errors_text(asdict(errors))}.")
    for each in unusual:
        tell(str(each))
    tell(f"Predictor: {path}\nNext: mnaslat predict MODEL --predictor {path}")


def _print_suggested(models: Sequence[str]) -> None:
    """A file for ``--measurements`` but for the latencies."""
    say("Measure these next: `mnaslat export TOKENS -o FILE.tflite` writes each as a file.")
    print(",".join(_COLUMNS))
    for each in models:
        print(f'"{each}",')


def described_device(
    name: str, precision: str, threads: int, cores: str, delegate: str
) -> Configuration:
    """The configuration of a device that is not here, as the options say it."""
    with usage("--device-name"):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError(
                f"A device's name is made of letters, digits, '.', '_' and '-', got {name!r}."
            )
    with usage("--precision"):
        if precision not in PRECISIONS:
            raise ValueError(f"{precision!r} is not one of {', '.join(PRECISIONS)}.")
    configuration = Configuration(
        device=name,
        fingerprint=name,
        precision=precision,
        threads=threads,
        cores=cores or "any",
        delegate=delegate or "xnnpack",
        runtime=ELSEWHERE,
    )
    with usage("--delegate"):
        runtime_of(configuration)
    return configuration


def chosen_priors(text: str, configuration: Configuration) -> tuple[CostModel, ...]:
    """Models of other devices: the shipped ones that fit, those named, or none.

    Args:
        text: Empty for the shipped ones; ``none``; or names of shipped ones and predictor files,
            with commas between.
        configuration: Whose prior they are to be.

    Raises:
        PredictorFileError: If one does not exist or cannot be read.
    """
    if text == "none":
        return ()
    if not text:
        return pretrained_priors(configuration)
    with usage("--priors"):
        return tuple(_prior(name.strip()) for name in text.split(","))


def _prior(name: str) -> CostModel:
    from mnaslat.predictors.network_predictor import open_predictor

    found = open_predictor(Path(name))
    if not isinstance(found, CostModel):
        raise ValueError(f"{name} was learned from layers; a prior is learned from networks alone.")
    return found


def _prior_names(priors: Sequence[CostModel]) -> list[str]:
    configurations = [prior.configuration for prior in priors]
    return [
        f"{each.device} ({'gpu' if runtime_of(each) == 'gpu' else each.cores}, {each.precision})"
        for each in configurations
    ]


def _say_of_other_cores(models: Sequence[CostModel], configuration: Configuration) -> None:
    """Tell where no shipped phone was measured on the same number or kind of cores."""
    if not models or runtime_of(configuration) == "gpu":
        return
    priors = [model.configuration for model in models]
    others = ", ".join(sorted({each.cores for each in priors}))
    n = configuration.threads
    if all(each.threads != n for each in priors):
        say(f"No shipped phone was measured with {n} threads: the nearest are priors ({others}).")
    elif configuration.cores in _OTHER_KINDS:
        say(
            f"The priors are of large cores ({others}), not {configuration.cores} ones. `mnaslat "
            "predictors` lists others for --priors."
        )


def read_measurements(
    path: Path, space: "SearchSpace", resolution: int | None, precision: Precision
) -> list[MeasuredLine]:
    """Networks with their latencies, checked line by line.

    The file has the columns ``model`` (a name, tokens of the space, the path of a .tflite or an
    architecture's JSON file, from the file's own folder on) and ``latency_ms``; others are left
    alone. No code is run, whatever stands there.
    """
    with usage("--measurements"):
        lines = [
            _line(number, row, path, space, resolution, precision) for number, row in _rows(path)
        ]
        if not lines:
            raise ValueError(f"{path} has no measurement. Add lines: MODEL,MILLISECONDS.")
        _check_duplicates(lines, path)
    return lines


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    texts = read_text(path, _MAX_BYTES).splitlines()
    if len(texts) > _MAX_LINES:
        raise ValueError(f"{path} has {len(texts)} lines; at most {_MAX_LINES} are read.")
    reader = csv.reader(texts)
    rows: list[tuple[int, dict[str, str]]] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if header is None:
                header = cells
                missing = [name for name in _COLUMNS if name not in header]
                if missing:
                    raise ValueError(
                        f"{path} has no column {missing[0]!r}. Its first line must name the "
                        f"columns {' and '.join(_COLUMNS)}, got {', '.join(cells)[:80]!r}."
                    )
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, where the first line "
                    f"names {len(header)}. Put quotes around tokens: "
                    f'"{",".join(cells[:-1])[:40]}".'
                )
            rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from None
    return rows


def _line(
    number: int,
    row: dict[str, str],
    path: Path,
    space: "SearchSpace",
    resolution: int | None,
    precision: Precision,
) -> MeasuredLine:
    where = f"{path}, line {number}"
    model, text = row["model"], row["latency_ms"]
    if not text:
        raise ValueError(f"{where}: no latency yet. Fill it in, or delete the line.")
    try:
        latency_ms = float(text)
    except ValueError:
        raise ValueError(f"{where}: {text[:40]!r} is not a number.") from None
    if not (math.isfinite(latency_ms) and latency_ms > 0):
        raise ValueError(
            f"{where}: a latency must be positive milliseconds, got {text[:40]}. Leave out what "
            "could not be measured."
        )
    if names_code(model):
        raise ValueError(
            f"{where}: {model!r} would run code, which a file must not. Export the network to a "
            ".tflite file and name that."
        )
    if model.endswith((".tflite", ".json")):
        model = str(path.parent / model)
    try:
        network = read_stored_network(model, space, resolution)
        (graph,) = as_graphs([network], precision)
    except typer.BadParameter as error:
        raise ValueError(f"{where}: {error.message}") from None
    except (MnaslatError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
    return MeasuredLine(number, row["model"], graph, latency_ms)


def _check_duplicates(lines: Sequence[MeasuredLine], path: Path) -> None:
    """Raise an error where one network has different latencies."""
    for same in _repeated(lines):
        latencies_ms = [line.latency_ms for line in same]
        if max(latencies_ms) > _SAME * min(latencies_ms):
            raise ValueError(
                f"{path}, {_lines_text(same).lower()}: the same network took "
                f"{_listed([f'{each:.4g}' for each in latencies_ms])} ms. Measure again, or delete "
                "the line that is wrong."
            )


def _repeated(lines: Sequence[MeasuredLine]) -> list[list[MeasuredLine]]:
    """Lines of the same network, where there are several."""
    return [same for same in _by_network(lines).values() if len(same) > 1]


def _by_network(lines: Sequence[MeasuredLine]) -> dict[str, list[MeasuredLine]]:
    found: dict[str, list[MeasuredLine]] = {}
    for line in lines:
        found.setdefault(line.graph.signature, []).append(line)
    return found


def _lines_text(lines: Sequence[MeasuredLine]) -> str:
    return f"Lines {_listed([str(line.number) for line in lines])}"


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _shortened(model: str) -> str:
    return model if len(model) <= 24 else f"{model[:23]}…"


def _n_networks(lines: Sequence[MeasuredLine]) -> int:
    return len(_by_network(lines))


def unusual_lines(model: CostModel, lines: Sequence[MeasuredLine]) -> list[UnusualLine]:
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
        doubted = bool(model.state.fit.excess[index] > 0)
        found.append(UnusualLine(line.number, line.model, 1.0 / float(predicted[index]), doubted))
    return [each for each in found if not 1.0 / _UNUSUAL <= each.factor <= _UNUSUAL]


def fit_measurements(
    lines: Sequence[MeasuredLine], priors: Sequence[CostModel], configuration: Configuration
) -> CostModel:
    """A cost model of the device that was measured."""
    with usage("--measurements"):
        n = _n_networks(lines)
        if n < MIN_NETWORKS and not priors:
            raise ValueError(
                f"Without priors at least {MIN_NETWORKS} different networks are needed, got {n}. "
                "Measure more (--suggest says which), or leave out --priors none: other phones "
                "make up for few networks."
            )
        _check_units(lines, priors)
        graphs = [line.graph for line in lines]
        try:
            return CostModel(priors, configuration).fit(graphs, [line.latency_ms for line in lines])
        except ValueError as error:
            text = str(error).replace("fit without priors.", "add --priors none.")
            raise ValueError(text) from None


def _check_units(lines: Sequence[MeasuredLine], priors: Sequence[CostModel]) -> None:
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


def suggested_models(
    model: CostModel, space: "SearchSpace", measured: Sequence[MeasuredLine], n: int
) -> list[str]:
    """Tokens of the networks of a space to measure next, the most telling one first.

    Args:
        model: Fitted to what was measured, or not fitted yet.
        space: Where the networks are to come from.
        measured: What is not worth measuring again.
        n: How many.
    """
    rng = np.random.default_rng(_SUGGESTION_SEED)
    rows = list(dict.fromkeys(map(tuple, space.sample(max(_N_CANDIDATES, 10 * n), rng).tolist())))
    candidates: list[Network] = [space.decode(row) for row in rows]
    known = {line.graph.signature for line in measured}
    graphs = as_graphs(candidates, model.configuration.precision)
    fresh = [index for index, graph in enumerate(graphs) if graph.signature not in known]
    chosen = model.suggest_calibration([graphs[index] for index in fresh], n)
    return [",".join(map(str, rows[fresh[index]])) for index in chosen]
