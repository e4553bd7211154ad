"""How a benchmark writes what it found: JSON for machines, a table for people."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from mnaslat.profiling import cpu_name

_FOLDER = Path(__file__).resolve().parent / "results"
_VERSIONS = ("mnaslat", "ai-edge-litert", "numpy", "torch", "scikit-learn", "xgboost")


@dataclass(frozen=True)
class Result:
    """One figure we claim and what it should be; without a goal it is there to compare with."""

    task: str
    metric: str
    value: float
    goal: float | None = None
    better: Literal["lower", "higher", "equal"] = "lower"
    seeds: Sequence[int] = ()
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        if self.better == "equal":
            return self.value == self.goal
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def _number(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() else f"{value:.4g}"


def _row(result: Result) -> str:
    sign = {"lower": "<=", "higher": ">=", "equal": "="}[result.better]
    goal = "" if result.goal is None else f"{sign} {_number(result.goal)}"
    reached = {True: "yes", False: "**missed**", None: ""}[result.reached]
    seeds = ", ".join(map(str, result.seeds))
    value = _number(result.value)
    return (
        f"| {result.task} | {result.metric} | {value} | {goal} | {reached} | {seeds} | "
        f"{result.note} |"
    )


def _commit() -> str:
    """The commit that the figures are made from, marked where files differ from it."""
    asked = ["git", "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(
            asked, cwd=_FOLDER.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def header() -> dict[str, Any]:
    """What figures depend on beside the code: machine, versions, commit and date."""
    return {
        "machine": f"{cpu_name()}, {os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: metadata.version(package) for package in _VERSIONS},
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write_results(name: str, results: Sequence[Result]) -> None:
    """Write ``results/NAME.json`` and ``NAME.md``; missed goals are shown as missed."""
    found = header()
    named = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    _FOLDER.mkdir(exist_ok=True)
    rows = [{**asdict(result), "reached": result.reached} for result in results]
    text = json.dumps([found, *rows], indent=1)
    (_FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    lines = [
        f"# {name}",
        "",
        f"{found['machine']}; Python {found['python']}; {named}; commit {found['commit']}; "
        f"{found['date']}.",
        "",
        "| task | metric | value | goal | reached | seeds | note |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(result) for result in results]
    (_FOLDER / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    judged = [result for result in results if result.goal is not None]
    missed = [result for result in judged if not result.reached]
    print(f"{len(judged) - len(missed)} of {len(judged)} goals reached; see {_FOLDER}/{name}.md")
    for result in missed:
        print(f"  missed: {result.task}, {result.metric}: {_number(result.value)}")
