"""Make the golden files anew: ``python -m tests.golden.make [PART ...]``.

The files hold what mnaslat gave before a change that must change no results. Run this only after a
file format, a predictor or a searcher was changed on purpose, then for that part alone, and say in
the commit what moved and why. A test that fails after a change meant to change nothing has found a
mistake; making the file anew would hide it.

Parts: predictions, searches, commands, workspace. The last one measures on this computer's CPU for
about two minutes, and takes the name of its processor into the files.
"""

import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.latency_table import LatencyTable
from mnaslat.predictors import TablePredictor, load_pretrained, pretrained, save_predictor
from mnaslat.search import run as run_module
from tests.golden import commands, made_up


def _write(name: str, content: Any) -> None:
    """One line for each entry of the second level, so that a difference can be read."""
    parts = []
    for key, value in content.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    assert json.loads(text) == content
    (made_up.FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def predictions() -> None:
    """Shipped predictors, made-up ones in files, and fits to made-up latencies."""
    graphs = {precision: made_up.networks(precision) for precision in ("fp32", "int8")}
    shipped = {
        name: made_up.predictions(
            load_pretrained(name), graphs[each.configuration.precision], every=made_up.EVERY
        )
        for name, each in pretrained().items()
    }
    made_up.PREDICTORS.mkdir(exist_ok=True)
    saved = {}
    for name, predictor in made_up.new_predictors().items():
        path = made_up.PREDICTORS / f"{name}.mnaslat"
        save_predictor(predictor, path, provenance={"source": "made up"})
        saved[name] = made_up.predictions(predictor, made_up.asked_of(predictor))
    _write("predictions", {"shipped": shipped, "saved": saved, "fitted": made_up.fits()})


def searches() -> None:
    """A short search of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: made_up.search(settings, Path(folder) / str(index))
            for index, (name, settings) in enumerate(made_up.SEARCHES.items())
        }
    _write("searches", {"arithmetic": made_up.arithmetic(), **found})


def command_list() -> None:
    """Every command and what it takes."""
    _write("commands", commands.described())


def workspace() -> None:
    """A workspace with a finished and an unfinished run, and what is found in it."""
    target = made_up.FOLDER / "workspace"
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # Paths are written as they are named: relative ones say nothing of this computer.
        shutil.copy(made_up.FOLDER / "golden_space.py", folder)
        commands.stand_in(Path(folder), patch)
        there = ("--workspace", "workspace")
        on_host = (*commands.SPACE_OPTIONS, "--device", "host", *there)
        commands.run("profile", *on_host)
        commands.run("calibrate", "--models", "12", *on_host)
        _finished_run(there)
        expected = _unfinished_run(there)
        made = Path("workspace")
        shutil.rmtree(made / "locks")
        for lock in made.rglob("*.lock"):
            lock.unlink()
        _without_most_raw_runs(made / "measurements.sqlite")
        for path in made.rglob("*.sqlite"):
            _compacted(path)
        (table,) = (made / "tables").iterdir()
        winner = made / "runs" / "finished" / "winner.json"
        asked = ("mnasnet-small@0.35", "mobilenet-v2@0.5", str(winner))
        printed = commands.run("predict", *asked, *there, "--json")[0]
        _write(
            "workspace",
            {
                "arithmetic": made_up.arithmetic(),
                "predicted": json.loads(printed)["models"],
                "table": _of_table(table, winner),
                "finished": _summary(made / "runs" / "finished"),
                "unfinished": {**_summary(made / "runs" / "unfinished"), **expected},
            },
        )
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(made, target)


def _finished_run(there: tuple[str, ...]) -> None:
    commands.run(
        *commands.SEARCH_OPTIONS, "--searcher", "random", "--samples", "40", "--validate-every",
        "1", "--run", "finished", *there,
    )  # fmt: skip


def _unfinished_run(there: tuple[str, ...]) -> dict[str, Any]:
    """Leave the run stopped half-way; give what it comes to when nobody stops it."""
    shutil.copytree("workspace", "undisturbed")
    commands.run(*commands.UNFINISHED, "--workspace", "undisturbed")
    import golden_space  # type: ignore[import-not-found]  # beside this file

    undisturbed, n_asked = golden_space.accuracy, 0

    def stopped(architecture: Architecture) -> float:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 54:
            raise KeyboardInterrupt
        return float(undisturbed(architecture))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden_space, "accuracy", stopped)
        patch.setattr(run_module, "_CHECKPOINT_S", 0.0)  # so that there is one
        with contextlib.suppress(AssertionError):  # it ends with status 130
            commands.run(*commands.UNFINISHED, *there)
    for ending in ("pt", "tflite"):  # they are large, and written anew when the run ends
        Path(f"workspace/runs/unfinished/winner.{ending}").unlink()
    return {"at the end": made_up.found_in(Path("undisturbed/runs/unfinished"))}


def _of_table(path: Path, winner: Path) -> dict[str, Any]:
    table = LatencyTable.load(path)
    architecture = Architecture.from_json(json.loads(winner.read_text(encoding="utf-8")))
    return {
        "n_rows": len(table),
        "winner_ms": TablePredictor(table).predict_ms(architecture),
    }


def _summary(run: Path) -> dict[str, Any]:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return {
        "ended": result["ended"],
        "winner": result["winner"]["tokens"],
        "n_samples": result["n_samples"],
        **made_up.found_in(run),
    }


def _without_most_raw_runs(path: Path) -> None:
    """Megabytes of single runs; a round may be without them, as other tools do not tell them."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE rounds SET runs_ms = x'', warmup_ms = x'' WHERE subject % 9 != 0")
        database.commit()


def _compacted(path: Path) -> None:
    """In one file, without what was deleted."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        database.execute("VACUUM")


PARTS = {
    "predictions": predictions,
    "searches": searches,
    "commands": command_list,
    "workspace": workspace,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
        print(f"made {part}")
