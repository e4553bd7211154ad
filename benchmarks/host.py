"""Figures of the host device: counting, writing, measuring, predicting, starting up, the demo.

Takes about half an hour on two idle cores. Measurements stay in ``bench-workspace``, so that an
interrupted run goes on; delete the folder for a fresh one.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _arrays import Floats
from _command import mnaslat_command
from _results import Result, write_results

import mnaslat
from mnaslat import Architecture, Network, run_graph
from mnaslat.data import LatencyTable
from mnaslat.predictors import (
    CalibratedPredictor,
    TablePredictor,
    load_predictor,
    prediction_errors,
)
from mnaslat.profiling import most_useful_first
from mnaslat.tflite import random_weights, write_tflite

ROOT = Path(__file__).resolve().parent.parent
WORKSPACE = ROOT / "bench-workspace"
SEEDS = (10, 11, 12)  # of the evaluation networks; 0 to 2 were looked at while the correction
#                      was made
N_EVALUATION, N_CALIBRATION = 30, 20


def counts() -> list[Result]:
    """Parameters and multiply-adds of the published networks, and the size of the space."""
    published = {
        "mnasnet-a1": (3_887_038, 311.6),
        "mnasnet-b1": (4_383_312, 314.4),
        "mnasnet-small": (2_030_264, 68.3),
        "mobilenet-v2": (3_504_872, 300.8),
    }
    results = []
    for name, (params, madds) in published.items():
        graph = mnaslat.lower(mnaslat.load_network(name))
        results.append(Result(name, "parameters", graph.n_params, params, "equal"))
        results.append(
            Result(name, "distance from published multiply-adds (M)",
                   abs(graph.madds / 1e6 - madds), 0.1, "lower")
        )  # fmt: skip
    paper = mnaslat.load_space("mnasnet-paper")
    results.append(Result("mnasnet-paper", "networks / 432^7", paper.size / 432**7, 1, "equal"))
    space = mnaslat.load_space("mnasnet")
    rows = space.sample(10_000, np.random.default_rng(0))
    kept = sum(bool((space.encode(space.decode(row)) == row).all()) for row in rows)
    results.append(
        Result("mnasnet", "token rows that survive of 10,000", kept, 10_000, "equal", (0,))
    )
    return results


def fastest_ms(action: Callable[[], object], n: int = 15) -> float:
    """The fastest of several runs."""
    durations = []
    for _ in range(n):
        start = time.perf_counter()
        action()
        durations.append(1e3 * (time.perf_counter() - start))
    return min(durations)


def writing() -> list[Result]:
    """How long a .tflite file takes to write."""
    space = mnaslat.load_space("mnasnet")
    layers = [
        layer
        for row in space.sample(10, np.random.default_rng(0))
        for layer in mnaslat.lower(space.decode(row)).layer_graphs()
    ]
    per_layer_ms = [
        fastest_ms(partial(write_tflite, layer, random_weights(layer)), 5) for layer in layers
    ]
    heaviest_mb = max(layer.layers[0].n_weights for layer in layers) * 4 / 1e6
    note = f"the heaviest layer has {heaviest_mb:.0f} MB of weights"
    graph = mnaslat.lower(mnaslat.load_network("mnasnet-a1"))
    weights = Network(graph).eval().folded_weights()
    a1_ms = fastest_ms(lambda: write_tflite(graph, weights))
    return [
        Result("write a layer", "ms, median", statistics.median(per_layer_ms), 5, "lower", (0,)),
        Result("write a layer", "ms, slowest", max(per_layer_ms), 5, "lower", (0,), note),
        Result("write MnasNet-A1", "ms", a1_ms, 60, "lower"),
    ]


def parity() -> list[Result]:
    """Torch against the runtime on whole networks at 224 pixels."""
    space = mnaslat.load_space("mnasnet")
    released = [mnaslat.load_network("mnasnet-a1"), mnaslat.load_network("mnasnet-b1")]
    drawn = [space.decode(row) for row in space.sample(20, np.random.default_rng(1))]
    results = []
    for name, architectures in (("A1 and B1", released), ("20 random networks", drawn)):
        errors = np.array([_parity_errors(each) for each in architectures])
        note = (
            f"median {np.median(errors[:, 0]):.2g}; torch in single against double precision "
            f"reaches {errors[:, 1].max():.2g}"
        )
        worst = float(errors[:, 0].max())
        task = f"parity of {name} at 224 px"
        metric = "RMS difference / RMS deviation over inputs, worst"
        results.append(Result(task, metric, worst, 1e-4, "lower", (0, 1), note))
    return results


def _parity_errors(architecture: Architecture) -> tuple[float, float]:
    """Of the runtime, and of torch's own rounding."""
    from ai_edge_litert.interpreter import Interpreter

    torch.manual_seed(0)
    graph = mnaslat.lower(architecture)
    network = Network(graph).eval()
    coarse = torch.nn.functional.interpolate(torch.randn(24, 3, 7, 7), scale_factor=32)
    images = coarse + 0.5 * torch.randn(24, 3, 224, 224)
    tested = images[:8]
    with torch.no_grad():
        # Batch norm as data leaves it: else the output hardly depends on the input.
        run_graph(graph, images, network.op_weights(), training=True, momentum=1.0)
        expected = network(tested).numpy()
        content = write_tflite(graph, network.folded_weights())
        exact = network.double()(tested.double()).numpy()
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for image in tested.permute(0, 2, 3, 1).contiguous().numpy():
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    deviation = float(np.sqrt((expected.std(axis=0) ** 2).mean()))

    def error(difference: Floats) -> float:
        return float(np.sqrt((difference**2).mean())) / deviation

    return error(np.stack(found) - expected), error(expected - exact)


def measuring() -> list[Result]:
    """The full sweep, and predictions from it and from two fifths of it."""
    sweep = mnaslat_command(WORKSPACE, "profile", "--device", "host")
    results = []
    if sweep["n_rounds"] >= 2 * sweep["n_total"]:  # not where an earlier sweep is resumed
        (WORKSPACE / "sweep.json").write_text(json.dumps(sweep))
    sweep = json.loads((WORKSPACE / "sweep.json").read_text())
    results.append(
        Result(
            f"full sweep, {sweep['n_total']} layers",
            "timed inference / wall time",
            sweep["timed_s"] / sweep["wall_s"],
            0.8,
            "higher",
            (0,),
            f"{sweep['wall_s'] / 60:.1f} min, {sweep['n_rounds']} rounds, "
            f"{sweep['n_unsettled']} layers never settled",
        )
    )
    calibration = mnaslat_command(
        WORKSPACE, "calibrate", "--device", "host", "--models", str(N_CALIBRATION)
    )
    full = load_predictor(calibration["predictor"])
    space = mnaslat.load_space("mnasnet")
    order = most_useful_first(space.layer_frequencies())
    part_rows = {
        signature: full.table.rows[signature] for signature in order[: int(0.4 * len(order))]
    }
    part = CalibratedPredictor(TablePredictor(LatencyTable(full.configuration, part_rows)))
    part.fit(full.networks, full.measured_ms)
    uncalibrated = full.base
    evaluations = [
        mnaslat_command(WORKSPACE, "evaluate", "--models", str(N_EVALUATION), "--seed", str(seed),
                        "--predictor", calibration["predictor"])
        for seed in SEEDS
    ]  # fmt: skip
    repeatability = float(np.mean([each["repeatability"] for each in evaluations]))
    allowed = max(0.02, 1.3 * repeatability)
    spread = "; ".join(f"{each['mape']:.4f}" for each in evaluations)
    task = f"{N_EVALUATION} fresh networks, {N_CALIBRATION} calibration networks, full sweep"
    for metric, goal, better, note in (
        ("mape", allowed, "lower", f"by seed {spread}; repeatability {repeatability:.4f}"),
        ("within_5", 0.95, "higher", ""),
        ("spearman", 0.99, "higher", ""),
    ):
        value = float(np.mean([each[metric] for each in evaluations]))
        results.append(Result(task, metric, value, goal, better, SEEDS, note))  # type: ignore[arg-type]
    part_errors, base_errors = [], []
    for evaluation in evaluations:
        architectures = [space.decode(each["tokens"]) for each in evaluation["networks"]]
        measured_ms = np.array([each["measured_ms"] for each in evaluation["networks"]])
        part_errors.append(prediction_errors(part.predict_ms(architectures), measured_ms))
        base_errors.append(prediction_errors(uncalibrated.predict_ms(architectures), measured_ms))
    part_mape = float(np.mean([each.mape for each in part_errors]))
    full_mape = float(np.mean([each["mape"] for each in evaluations]))
    base_mape = float(np.mean([each.mape for each in base_errors]))
    task = f"the same from {len(part_rows)} of {len(order)} layers"
    spread = "; ".join(f"{each.mape:.4f}" for each in part_errors)
    results.append(Result(task, "mape", part_mape, 0.03, "lower", SEEDS, f"by seed {spread}"))
    note = f"the plain sum's mape is {base_mape:.4f}"
    task = "calibrated against the plain sum of layers"
    results.append(Result(task, "mape ratio", full_mape / base_mape, 1.0, "lower", SEEDS, note))
    return results


def starting() -> list[Result]:
    """Import and start-up, as whole processes."""

    def seconds(*command: str) -> float:
        durations = []
        for _ in range(7):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            durations.append(time.perf_counter() - start)
        return statistics.median(durations)

    bare = f"python alone {seconds('-c', 'pass'):.3f}"
    imported_s = seconds("-c", "import mnaslat")
    help_s = seconds("-m", "mnaslat", "--help")
    return [
        Result("import mnaslat", "s, median of 7", imported_s, 0.3, "lower", (), bare),
        Result("mnaslat --help", "s, median of 7", help_s, 0.5, "lower", (), bare),
    ]


def journey() -> list[Result]:
    """The demo: how long, and how near the winners' predictions are to their measurements."""
    workspace = ROOT / "demo-workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = time.perf_counter()
    subprocess.run(
        ["sh", "examples/demo.sh", str(workspace)], check=True, env=environment, cwd=ROOT
    )
    minutes = (time.perf_counter() - started) / 60
    found = json.loads(next((workspace / "runs").glob("*/result.json")).read_text())
    errors = [abs(row["predicted_ms"] / row["measured_ms"] - 1.0) for row in found["validations"]]
    winner = found["winner"]
    note = (
        f"{len(errors)} candidates measured; winner {winner['measured_ms']:.3f} ms at a target of "
        f"{found['settings']['reward']['target_ms']:.3f} ms, accuracy {winner['accuracy']:.3f}"
    )
    return [
        Result("demo", "minutes, without installing", minutes, 9, "lower", (0,)),
        Result(
            "demo, networks measured during the search",
            "median error of the prediction made before",
            statistics.median(errors),
            0.05,
            "lower",
            (0,),
            note,
        ),
    ]


def main() -> None:
    """Run everything and write the results."""
    results = counts() + writing() + parity() + starting() + measuring()
    write_results("host", results + journey())


if __name__ == "__main__":
    main()
