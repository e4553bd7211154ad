"""Reads files of latencies that were measured elsewhere."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from mnaslat.errors import MnaslatError
from mnaslat.files import read_text
from mnaslat.graph import Graph, Precision
from mnaslat.predictors.base import as_graphs
from mnaslat.space import SearchSpace
from mnaslat.user_code import names_user_code
from mnaslat.workflow.networks import read_stored_network
from mnaslat.workflow.progress import naming

COLUMNS = ("model", "latency_ms")
_MAX_BYTES, _MAX_LINES = 2**24, 10_000
_SAME = 1.1  # two latencies of one network agree within this factor


@dataclass(frozen=True)
class FileMeasurement:
    """One line of a file of measurements."""

    number: int  # as an editor counts
    model: str
    graph: Graph
    latency_ms: float


def read_measurements(
    path: str | PathLike[str],
    space: SearchSpace,
    *,
    resolution: int | None = None,
    precision: Precision = "fp32",
) -> list[FileMeasurement]:
    """Read networks with their latencies from a CSV file, checked line by line.

    The file has the columns ``model`` (a name, tokens of the space, the path of a .tflite or an
    architecture's JSON file, relative to the file's own folder) and ``latency_ms``; others are
    ignored. No code is run.

    Args:
        path: Of the file.
        space: Of tokens.
        resolution: Pixels of the networks' square input; each one's own if left out.
        precision: Of the networks.

    Raises:
        ValueError: If the file cannot be read, a line is wrong, or one network has different
            latencies; names the line.
    """
    place = Path(path)
    with naming("measurements"):
        lines = [
            _line(number, row, place, space, resolution, precision) for number, row in _rows(place)
        ]
        if not lines:
            raise ValueError(f"{place} has no measurement. Add lines: MODEL,MILLISECONDS.")
        _check_duplicates(lines, place)
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
                missing = [name for name in COLUMNS if name not in header]
                if missing:
                    raise ValueError(
                        f"{path} has no column {missing[0]!r}. Its first line must name the "
                        f"columns {' and '.join(COLUMNS)}, got {', '.join(cells)[:80]!r}."
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
    space: SearchSpace,
    resolution: int | None,
    precision: Precision,
) -> FileMeasurement:
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
    if names_user_code(model):
        raise ValueError(
            f"{where}: {model!r} would run code, which a file must not. Export the network to a "
            ".tflite file and name that."
        )
    if model.endswith((".tflite", ".json")):
        model = str(path.parent / model)
    try:
        network = read_stored_network(model, space, resolution=resolution)
        (graph,) = as_graphs([network], precision)
    except (MnaslatError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
    return FileMeasurement(number, row["model"], graph, latency_ms)


def _check_duplicates(lines: Sequence[FileMeasurement], path: Path) -> None:
    """Raise an error where one network has different latencies."""
    for same in repeated_lines(lines):
        latencies_ms = [line.latency_ms for line in same]
        if max(latencies_ms) > _SAME * min(latencies_ms):
            raise ValueError(
                f"{path}, {lines_text(same).lower()}: the same network took "
                f"{_listed([f'{each:.4g}' for each in latencies_ms])} ms. Measure again, or delete "
                "the line that is wrong."
            )


def repeated_lines(lines: Sequence[FileMeasurement]) -> list[list[FileMeasurement]]:
    """Lines of the same network, where there are several."""
    return [same for same in _by_network(lines).values() if len(same) > 1]


def _by_network(lines: Sequence[FileMeasurement]) -> dict[str, list[FileMeasurement]]:
    found: dict[str, list[FileMeasurement]] = {}
    for line in lines:
        found.setdefault(line.graph.signature, []).append(line)
    return found


def lines_text(lines: Sequence[FileMeasurement]) -> str:
    """Name lines of a file, as in a sentence."""
    return f"Lines {_listed([str(line.number) for line in lines])}"


def _listed(texts: Sequence[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def n_networks(lines: Sequence[FileMeasurement]) -> int:
    """Count the different networks of lines."""
    return len(_by_network(lines))
