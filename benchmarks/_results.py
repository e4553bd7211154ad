"""How a benchmark writes what it found: JSON for machines, a table for people."""

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from mnaslat.profiling.host import cpu_name

_FOLDER = Path(__file__).resolve().parent / "results"
_VERSIONS = ("mnaslat", "ai-edge-litert", "numpy", "torch", "scikit-learn", "xgboost")


@dataclass(frozen=True)
class Result:
    """One figure we claim, and what it should be."""

    task: str
    metric: str
    value: float
    goal: float
    better: Literal["lower", "higher", "equal"]
    seeds: Sequence[int] = ()
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        if self.better == "equal":
            return self.value == self.goal
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def _number(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() else f"{value:.4g}"


def write_results(name: str, results: Sequence[Result]) -> None:
    """Write ``results/NAME.json`` and ``NAME.md``; missed goals are shown as missed."""
    header = {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: metadata.version(package) for package in _VERSIONS},
        "date": time.strftime("%Y-%m-%d"),
    }
    _FOLDER.mkdir(exist_ok=True)
    rows = [{**asdict(result), "reached": result.reached} for result in results]
    text = json.dumps([header, *rows], indent=1)
    (_FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    versions = ", ".join(f"{package} {version}" for package, version in header["versions"].items())  # type: ignore[attr-defined]
    lines = [
        f"# {name}",
        "",
        f"{header['machine']}; Python {header['python']}; {versions}; {header['date']}.",
        "",
        "| task | metric | value | goal | reached | seeds | note |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    sign = {"lower": "<=", "higher": ">=", "equal": "="}
    for result in results:
        seeds = ", ".join(map(str, result.seeds))
        reached = "yes" if result.reached else "**missed**"
        lines.append(
            f"| {result.task} | {result.metric} | {_number(result.value)} | "
            f"{sign[result.better]} {_number(result.goal)} | {reached} | {seeds} | {result.note} |"
        )
    (_FOLDER / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    missed = [result for result in results if not result.reached]
    print(f"{len(results) - len(missed)} of {len(results)} goals reached; see {_FOLDER}/{name}.md")
    for result in missed:
        print(f"  missed: {result.task}, {result.metric}: {_number(result.value)}")
