"""Devices and spaces other than the four phones': FBNet's space on Pixel 2, an FPGA."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from _results import Result
from numpy.typing import NDArray

import mnaslat
from mnaslat import Architecture
from mnaslat.data import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, prediction_errors

_FBNET_STAGES = (
    (16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1),
)  # fmt: skip
_N_PRIOR, _N_ASKED = 200, 1500
_OURS = "100 networks"


def fbnet(folder: Path) -> list[Result]:
    """One hundred whole networks of a phone that tells integer milliseconds."""
    content = json.loads((folder / "archs.json").read_text())
    choices, names = np.array(content["archs"]), content["op_names"]
    measured = {
        device: np.array(json.loads((folder / f"latency_{device}.json").read_text()))
        for device in ("pixel2", "raspi4")
    }
    configuration = Configuration(device="pixel2", fingerprint="Pixel 2", delegate="none")
    seeds = (0, 1, 2)
    found: dict[str, list[float]] = {}
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(choices))
        known, asked = order[:100], order[100 : 100 + _N_ASKED]
        # The table of another device: sums of its blocks, of networks that are not asked.
        tabled = order[-_N_PRIOR:]
        graphs = {
            int(index): _fbnet_graph(choices[index], names)
            for index in np.concatenate([known, asked, tabled])
        }

        def of(indices: NDArray[np.intp], graphs: dict[int, Graph] = graphs) -> list[Graph]:
            return [graphs[int(index)] for index in indices]

        other = Configuration(device="raspi4", fingerprint="Raspberry Pi 4", delegate="none")
        prior = CostModel((), other).fit(of(tabled), measured["raspi4"][tabled])
        ways = {
            "multiply-adds alone": np.array([float(graph.madds) for graph in of(asked)]),
            "the sums of Raspberry Pi 4 blocks alone": measured["raspi4"][asked],
        }
        for priors, name in (((prior,), _OURS), ((), "100 networks, no prior")):
            model = CostModel(priors, configuration)  # finds the noise of rounding by itself
            model.fit(of(known), measured["pixel2"][known])
            ways[name] = model.predict(of(asked))
        for name, score in ways.items():
            errors = prediction_errors(score, measured["pixel2"][asked])
            found.setdefault(name, []).append(errors.spearman)
    note = f"{_N_PRIOR} sums of Raspberry Pi 4 blocks as prior; {_N_ASKED} other networks asked"
    task, best = "FBNet space on Pixel 2, ", found.pop(_OURS)
    ours = Result(task + _OURS, "Spearman", fmean(best), 0.70, "higher", seeds, note)
    others = (
        Result(task + name, "Spearman", fmean(each), None, "higher", seeds)
        for name, each in found.items()
    )
    return [ours, *others]


def _fbnet_graph(choices: Sequence[int], names: Sequence[str]) -> Graph:
    layers = ["conv3x3/2>16:relu"]
    n_in, position = 16, 0
    for n_out, n_blocks, first_stride in _FBNET_STAGES:
        for number in range(n_blocks):
            stride = first_stride if number == 0 else 1
            layers += _fbnet_block(names[choices[position]], n_in, n_out, stride)
            n_in, position = n_out, position + 1
    layers += ["conv1x1>1504:relu", "global_pool", "linear>1000"]
    return Graph.parse(f"fp32 224x224x3 {' | '.join(layers)}")


def _fbnet_block(name: str, n_in: int, n_out: int, stride: int) -> list[str]:
    steps = "" if stride == 1 else f"/{stride}"
    same = n_in == n_out and stride == 1
    if name == "skip":
        return [] if same else [f"conv1x1{steps}>{n_out}:relu"]
    kernel, expansion = int(name[1]), int(name[4])
    middle, groups = n_in * expansion, "%2" if "g2" in name else ""
    ops = [f"conv1x1>{middle}{groups}:relu"]
    ops += ["shuffle%2"] if groups else []
    ops += [f"dwconv{kernel}x{kernel}{steps}:relu", f"conv1x1>{n_out}{groups}"]
    ops += [f"add@{len(ops)},0"] if same else []
    return [" ".join(ops)]


_ANB_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_ANB_FILTERS = (16, 24, 40, 80, 112, 192, 320)
_SEEDS = (0, 1, 2, 3, 4)


def accelerator(folder: Path) -> list[Result]:
    """An FPGA, from few networks of a MnasNet-like space; none of the phones is like it."""
    with open(folder / "accel_nasbench.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["latency_zcu102.mean"]][:3000]
    latency_ms = np.array([float(row["latency_zcu102.mean"]) for row in rows])
    graphs = [mnaslat.lower(_anb_architecture(row)) for row in rows]
    # Its time goes as a GPU's does: loops over windows beside multiply-adds.
    gpu, cpu = (
        Configuration(device="zcu102", fingerprint="zcu102", delegate=delegate)
        for delegate in ("gpu", "none")
    )
    results = []
    for n, goal in ((20, 0.09), (50, 0.045), (100, 0.025)):
        for way, model, wanted in (
            ("", CostModel((), gpu, noise=0.01), goal),
            (", noise of a GPU", CostModel((), gpu), None),
            (", terms of a CPU", CostModel((), cpu), None),
        ):
            found = []
            for seed in _SEEDS:
                order = np.random.default_rng(seed).permutation(len(rows))
                known, asked = order[:n], order[1000:2500]
                model.fit([graphs[index] for index in known], latency_ms[known])
                predicted_ms = model.predict([graphs[index] for index in asked])
                found.append(prediction_errors(predicted_ms, latency_ms[asked]).mape)
            note = "by seed " + "; ".join(f"{each:.4f}" for each in found)
            if wanted is not None:
                note = f"terms of a GPU, noise=0.01, no priors; {note}"
            task = f"Accel-NASBench zcu102, {n} networks{way}"
            results.append(Result(task, "MAPE", fmean(found), wanted, "lower", _SEEDS, note))
    return results


def _anb_architecture(row: dict[str, str]) -> Architecture:
    blocks, n_in = [], 32
    for number, (stride, n_out) in enumerate(zip(_ANB_STRIDES, _ANB_FILTERS, strict=True)):
        e, k, layers, se = (int(row[f"block{number}_{what}"]) for what in ("e", "k", "l", "se"))
        block = f"r{layers}_k{k}_s{stride}{stride}_e{e}_i{n_in}_o{n_out}"
        blocks.append(f"{block}_se0.25" if se else block)
        n_in = n_out
    return Architecture.from_blocks(blocks)
