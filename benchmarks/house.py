"""How the code is built, how fast it starts, and what its tests notice.

Run with ``PYTHONPATH=benchmarks .venv/bin/python benchmarks/house.py``; takes half a minute on an
idle computer. The tests are not run: ``--junit FILE`` gives what ``pytest --junitxml FILE`` wrote,
and ``--breaks BEFORE.json AFTER.json`` two results of ``breaks.py``. Their figures are left out
otherwise.

The rules for imports are those of ``tests/test_import_rules.py``; violations that the test knows
and lets pass count here.
"""

import argparse
import json
import re
import runpy
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _phone import ROOT
from _results import Result, write_results

_N_STARTS = 5
_MAX_MODULES, _MAX_CLI_LINES, _MAX_README_LINES = 17, 2000, 130
_MAX_SUITE_S = 300.0
_IMPORT = (
    "import time; started = time.perf_counter(); import mnaslat; "
    "print(time.perf_counter() - started)"
)
# Arguments of `mnaslat`, and seconds that a start may take.
_COMMANDS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("--help",), 0.3),
    (("predict", "mnasnet-a1", "--predictor", "pixel4-cpu1-fp32"), 1.0),
)


def layout() -> list[Result]:
    """Imports, folders and lengths."""
    rules = runpy.run_path(str(ROOT / "tests" / "test_import_rules.py"))
    circles, violations = rules["circles"](), rules["violations"]()
    folder, n_modules = max(rules["folder_sizes"]().items(), key=lambda item: item[1])
    outside_cli = [
        (name, target)
        for name, targets in rules["IMPORTS"].items()
        for target in targets
        if target.startswith("cli") and not name.startswith(("cli", "__main__"))
    ]
    deep = rules["not_public"]()
    return [
        _count("modules", "import circles", circles, [" - ".join(sorted(c)) for c in circles]),
        _count("modules", "imports against the rules", violations, _arrows(violations)),
        _count("modules", "imports of mnaslat.cli from outside", outside_cli, _arrows(outside_cli)),
        Result("modules", "modules in the largest folder", n_modules, _MAX_MODULES, "lower",
               note=str(folder.relative_to(ROOT))),
        _lines("mnaslat/cli", (ROOT / "mnaslat" / "cli").rglob("*.py"), _MAX_CLI_LINES),
        _count("benchmarks and examples", "imports that are not public", deep, deep),
        _lines("README.md", [ROOT / "README.md"], _MAX_README_LINES),
    ]  # fmt: skip


def _count(task: str, metric: str, found: Any, named: Sequence[str]) -> Result:
    return Result(task, metric, len(found), 0, "equal", note="; ".join(sorted(named)))


def _arrows(pairs: Any) -> list[str]:
    return [f"{name} imports {target}" for name, target in pairs]


def _lines(name: str, paths: Any, goal: int) -> Result:
    n_lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    return Result(name, "lines", n_lines, goal, "lower")


def starting() -> list[Result]:
    """Seconds of process starts, and whether they load torch."""
    import_s = [float(_output(["-c", _IMPORT])) for _ in range(_N_STARTS)]
    results = _seconds("import mnaslat", import_s, 0.1)
    results.append(_torch("import mnaslat", ["-c", "import mnaslat"]))
    for arguments, goal_s in _COMMANDS:
        task, program = f"mnaslat {' '.join(arguments)}", ["-m", "mnaslat", *arguments]
        seconds = []
        for _ in range(_N_STARTS):
            started = time.perf_counter()
            _output(program)
            seconds.append(time.perf_counter() - started)
        results += [*_seconds(task, seconds, goal_s), _torch(task, program)]
    return results


def _output(arguments: Sequence[str]) -> str:
    """What a Python prints; not one that finds the repository's folders as packages."""
    command = [sys.executable, "-P", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _seconds(task: str, seconds: Sequence[float], goal_s: float) -> list[Result]:
    note = f"{len(seconds)} process starts"
    return [
        Result(task, "seconds, median", statistics.median(seconds), goal_s, "lower", note=note),
        Result(task, "seconds, minimum", min(seconds), note=note),
    ]


def _torch(task: str, arguments: Sequence[str]) -> Result:
    command = [sys.executable, "-P", "-X", "importtime", *arguments]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    loaded = re.search(r"\| +torch$", listed, re.MULTILINE) is not None
    return Result(task, "loads torch", int(loaded), 0, "equal")


def suite(junit: Path) -> list[Result]:
    """How long the tests took, by the file that pytest wrote."""
    root = ElementTree.parse(junit).getroot()
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    seconds = sum(float(each.get("time", "nan")) for each in suites)
    n_tests, n_bad, n_skipped = (
        sum(int(each.get(name, "0")) for each in suites for name in names)
        for names in (("tests",), ("failures", "errors"), ("skipped",))
    )
    note = f"{n_tests} tests, {n_skipped} skipped"
    return [
        Result("tests", "seconds of the suite", seconds, _MAX_SUITE_S, "lower", note=note),
        Result("tests", "failed", n_bad, 0, "equal"),
    ]


def breaks(before: Path, after: Path) -> list[Result]:
    """How many breaks of the code the tests found before and after a change."""
    found = []
    for path in (before, after):
        header, *rows = json.loads(path.read_text(encoding="utf-8"))
        found.append((header["commit"], {row["name"]: row["found"] for row in rows}))
    (old_commit, old), (new_commit, new) = found
    lost = sorted(name for name, was in old.items() if was and not new.get(name))
    untried = [name for name in lost if new.get(name) is None]
    note = "; ".join(f"{name}{' (not tried)' if name in untried else ''}" for name in lost)
    return [
        Result("breaks of the code", "found before", sum(map(bool, old.values())),
               note=f"of {len(old)}, commit {old_commit}"),
        Result("breaks of the code", "found after", sum(map(bool, new.values())),
               note=f"of {len(new)}, commit {new_commit}"),
        Result("breaks of the code", "found before and not after", len(lost), 0, "equal",
               note=note),
    ]  # fmt: skip


def main() -> None:
    """Collect the figures and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--junit", metavar="FILE", type=Path)
    parser.add_argument("--breaks", metavar=("BEFORE", "AFTER"), type=Path, nargs=2)
    arguments = parser.parse_args()
    results = [*layout(), *starting()]
    if arguments.junit is not None:
        results += suite(arguments.junit)
    if arguments.breaks is not None:
        results += breaks(*arguments.breaks)
    write_results("house", results)


if __name__ == "__main__":
    main()
