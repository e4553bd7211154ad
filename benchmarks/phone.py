"""Figures of phones over adb, on phones in software (``tests/phone``).

What is real: the adb server, the protocol, Android's shell and tools, and every latency that stands
under "journey" (LiteRT runs the models on this computer's processor). No phone hung on this
computer. Takes about forty minutes on two idle cores. Each part's results stay in
``bench-workspace``, so that an interrupted run goes on; delete the folder for a fresh one.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _phone import ROOT, phones
from _results import Result, write_results

from mnaslat.data import Workspace

KEPT = ROOT / "bench-workspace"
_SLEEP_MS = 150.0
_SEEDS = (10, 11)
_N_EVALUATION = 20


def _command(arguments: tuple[str, ...], workspace: Path) -> list[str]:
    print("$ mnaslat", *arguments, flush=True)
    return [sys.executable, "-m", "mnaslat", *arguments, "--workspace", str(workspace), "--json"]


def _run(environment: Mapping[str, str], workspace: Path, *arguments: str) -> Any:
    done = subprocess.run(
        _command(arguments, workspace), env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def overhead(folder: Path) -> list[Result]:
    """What adb, the shell and the guard cost where the phone's work is a sleep."""
    with phones(folder) as ((phone,), tool, environment):
        phone.set_benchmark(mode="sleep", sleep_ms=_SLEEP_MS)
        found = _run(
            environment, folder / "workspace", "profile", "--device", phone.serial,
            "--benchmark-binary", str(tool), "--budget", "2m",
        )  # fmt: skip
        share = 1.0 - found["n_rounds"] * _SLEEP_MS / 1e3 / found["wall_s"]
    note = f"{found['n_rounds']} rounds of {_SLEEP_MS:g} ms in {found['wall_s']:.0f} s, real sizes"
    return [
        Result("adb's share of a sweep's wall time", "fraction", share, 0.20, "lower", (), note)
    ]


def side_by_side(folder: Path) -> list[Result]:
    """Two sweeps into one workspace against one alone."""
    with phones(folder, n=2) as (both, tool, environment):
        for phone in both:
            phone.set_benchmark(mode="sleep", sleep_ms=400.0)
        space = ("--space", f"{ROOT / 'tests/cli/small_space.py'}:small", "--width", "0.25")
        options = ("profile", *space, "--resolution", "64", "--benchmark-binary", str(tool))

        def sweep(workspace: str, serials: list[str]) -> float:
            started = time.monotonic()
            running = [
                subprocess.Popen(
                    _command((*options, "--device", serial), folder / workspace),
                    env=environment,
                    stdout=subprocess.DEVNULL,
                )
                for serial in serials
            ]
            if any(each.wait() for each in running):
                raise SystemExit("A sweep failed.")
            return time.monotonic() - started

        alone_s = sweep("alone", [both[0].serial])
        together_s = sweep("together", [each.serial for each in both])
    store = Workspace(folder / "together").store()
    tables = [store.measurements(each, "layer") for each in store.configurations()]
    store.close()
    complete = len(tables) == 2 and set(tables[0]) == set(tables[1])
    ratio = together_s / alone_s
    return [
        Result("two sweeps side by side", "wall time / one alone", ratio, 1.3, "lower"),
        Result("two sweeps side by side", "tables whole and apart", int(complete), 1, "equal"),
    ]


def journey(folder: Path) -> list[Result]:
    """Profile, calibrate, evaluate on fresh networks, search with validation, report."""
    workspace = folder / "workspace"
    with phones(folder) as ((phone,), tool, environment):
        where = ("--device", phone.serial)
        found = _run(
            environment, workspace, "profile", *where, "--benchmark-binary", str(tool),
            "--budget", "10m",
        )  # fmt: skip
        _run(environment, workspace, "calibrate", *where, "--models", "20")
        draws = [
            _run(environment, workspace, "evaluate", *where, "--models", str(_N_EVALUATION),
                 "--seed", str(seed))
            for seed in _SEEDS
        ]  # fmt: skip
        searched = _run(
            environment, workspace, "search", *where, "--samples", "400", "--validate-every", "10"
        )
        _run(environment, workspace, "report", "--output", str(folder / "report.html"))
    mapes = [draw["mape"] for draw in draws]
    note = (
        f"{found['n_measured']} of {found['n_total']} layers; by seed "
        f"{', '.join(f'{mape:.2%}' for mape in mapes)}; the measurements repeat within "
        f"{statistics.mean(draw['repeatability'] for draw in draws):.2%}"
    )
    errors = [
        abs(each["predicted_ms"] / each["measured_ms"] - 1.0)
        for each in searched["front"]
        if each["measured_ms"] is not None
    ]
    return [
        Result("journey: 20 fresh networks", "MAPE", statistics.mean(mapes), 0.03, "lower",
               _SEEDS, note),
        Result("journey: 20 fresh networks", "within 5 %",
               statistics.mean(draw["within_5"] for draw in draws), 0.9, "higher", _SEEDS),
        Result("journey: 20 fresh networks", "Spearman",
               statistics.mean(draw["spearman"] for draw in draws), 0.98, "higher", _SEEDS),
        Result("journey: networks of the front that were measured", "median error of prediction",
               statistics.median(errors), 0.05, "lower", (0,), f"{len(errors)} networks"),
    ]  # fmt: skip


def faults(folder: Path) -> list[Result]:
    """The fault suite: sweeps of 200 layers, three seeds for each fault."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", "-p", "no:cacheprovider",
               "tests/profiling/phone/test_faults.py"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    counted = {
        word: int(number)
        for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    }
    n_passed = counted.get("passed", 0)
    n_run = n_passed + sum(counted.get(word, 0) for word in ("failed", "error"))
    note = f"{n_passed} of {n_run} sweeps came to the table of an undisturbed one"
    share = n_passed / n_run if n_run else 0.0
    return [
        Result("faults at random moments", "fraction survived", share, 1, "equal", (0, 1, 2), note)
    ]


def main() -> None:
    """Run each part unless an interrupted run has its results already, and write them all."""
    results: list[Result] = []
    for part in (overhead, side_by_side, journey, faults):
        kept = KEPT / f"phone-{part.__name__}.json"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as folder:
                found = part(Path(folder))
            KEPT.mkdir(exist_ok=True)
            kept.write_text(json.dumps([asdict(each) for each in found]), encoding="utf-8")
        results += [Result(**each) for each in json.loads(kept.read_text(encoding="utf-8"))]
    write_results("phone", results)


if __name__ == "__main__":
    main()
