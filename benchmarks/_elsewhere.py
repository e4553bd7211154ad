"""Devices other than the four phones: Pixel 1, FBNet's space on Pixel 2, an FPGA."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from _results import Result
from numpy.typing import NDArray

import mnaslat
from mnaslat.architecture import Architecture
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors import CostModel, prediction_errors
from mnaslat.predictors.base import Floats
from mnaslat.predictors.shipped import pretrained_priors

_PIXEL1_STAGES = (
    "r1_k{k}_s11_e1_i32_o16",
    "r4_k{k}_s22_e{e}_i16_o24",
    "r4_k{k}_s22_e{e}_i24_o40",
    "r4_k{k}_s22_e{e}_i40_o80",
    "r4_k{k}_s11_e{e}_i80_o96",
    "r4_k{k}_s22_e{e}_i96_o192",
    "r1_k{k}_s11_e{e}_i192_o320",
)
_PIXEL1_KINDS = {0: (3, 3), 1: (3, 6), 2: (5, 3), 3: (5, 6)}
_PIXEL1 = Configuration(
    device="pixel1", fingerprint="Pixel 1", delegate="none", cores="1large", runtime="TF Lite"
)


def pixel1(folder: Path) -> list[Result]:
    """Whole networks from measured layers, and with ten of the whole networks."""
    layers, layer_ms = _pixel1_layers(folder)
    wholes, whole_ms, is_mnasnet = _pixel1_wholes(folder)
    priors = pretrained_priors(_PIXEL1)

    def errors(model: CostModel, asked: NDArray[np.intp]) -> tuple[float, float]:
        wrong = np.abs(model.predict([wholes[index] for index in asked]) / whole_ms[asked] - 1.0)
        return float(wrong.mean()), float(wrong[is_mnasnet[asked]].mean())

    everything = np.arange(len(wholes))
    alone = CostModel(priors, _PIXEL1).fit(layers, layer_ms)
    every, mnasnet = errors(alone, everything)
    bare, bare_mnasnet = errors(CostModel((), _PIXEL1).fit(layers, layer_ms), everything)
    note = (
        f"the four phones as priors; without: MnasNet {bare_mnasnet:.2%}, all {bare:.2%}. The "
        "published MobileNetV2 rows hold about 1 ms beside their multiply-adds at widths 0.35 and "
        "0.5 but 4.8 ms at 0.75 and 1.0, which no layer tells. Tried in vain: more noise, other "
        "misfits, a constant in each layer's measurement"
    )

    def calibrated(chosen: NDArray[np.intp]) -> float:
        model = CostModel(priors, _PIXEL1)
        graphs = [*layers, *(wholes[index] for index in chosen)]
        model.fit(graphs, np.concatenate([layer_ms, whole_ms[chosen]]))
        return errors(model, np.setdiff1d(everything, chosen))[0]

    # As for any new phone, from what the priors say. Asked after the layers were measured, the
    # model is too sure of whole networks of their kind.
    chosen = np.array(CostModel(priors, _PIXEL1).suggest_calibration(wholes, 10))
    later = calibrated(np.array(alone.suggest_calibration(wholes, 10)))
    seeds = (0, 1, 2, 3)
    drawn = fmean(
        calibrated(np.random.default_rng(seed).permutation(len(wholes))[:10]) for seed in seeds
    )
    task = "Pixel 1, layers alone"
    ten = (
        f"the ten that the priors suggest; those suggested after the layers {later:.2%}; ten at "
        f"random {drawn:.2%} (mean of seeds 0 to 3)"
    )
    return [
        Result(task, "MAPE, MnasNet", mnasnet, 0.035, "lower", (), note),
        Result(task, "MAPE, all", every, 0.05, "lower", (), note),
        Result(
            "Pixel 1, layers and 10 whole networks", "MAPE, the others", calibrated(chosen), 0.035,
            "lower", (), ten,
        ),
    ]  # fmt: skip


def _pixel1_layers(folder: Path) -> tuple[list[Graph], Floats]:
    table = json.loads((folder / "single_path_layers.json").read_text())
    graphs, latency_ms = [], []
    for kind, (kernel, expansion) in _PIXEL1_KINDS.items():
        stages = [
            stage.format(k=kernel if number else 3, e=expansion)
            for number, stage in enumerate(_PIXEL1_STAGES)
        ]
        layers = mnaslat.lower(Architecture.from_blocks(stages)).layer_graphs()[1:]
        for number in range(22):
            if number == 0 and kind:  # one layer, measured four times
                continue
            graphs.append(layers[number])
            kinds = [str(kind)] if number else list("0123")
            latency_ms.append(fmean(table[str(number)][each] for each in kinds))
    return graphs, np.array(latency_ms)


def _pixel1_wholes(folder: Path) -> tuple[list[Graph], Floats, NDArray[np.bool_]]:
    graphs, latency_ms, is_mnasnet = [], [], []
    with open(folder / "full_models.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            mnasnet = row["model"] == "mnasnet-a1"
            name = "mnasnet-a1" if mnasnet else "mobilenet-v2"
            width, pixels = float(row["depth_multiplier"]), int(row["image_size"])
            network = mnaslat.load_network(f"{name}@{width}", resolution=pixels)
            graphs.append(mnaslat.lower(network))
            latency_ms.append(float(row["pixel1_latency_ms"]))
            is_mnasnet.append(mnasnet)
    return graphs, np.array(latency_ms), np.array(is_mnasnet)


_FBNET_STAGES = (
    (16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1),
)  # fmt: skip
_N_PRIOR, _N_ASKED = 200, 1500


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
    with_table: list[float] = []
    alone: list[float] = []
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
        for priors, found in (((prior,), with_table), ((), alone)):
            model = CostModel(priors, configuration)  # finds the noise of rounding by itself
            model.fit(of(known), measured["pixel2"][known])
            found.append(
                prediction_errors(model.predict(of(asked)), measured["pixel2"][asked]).spearman
            )
    note = (
        f"{_N_PRIOR} sums of Raspberry Pi 4 blocks as prior; without {fmean(alone):.3f}; "
        f"{_N_ASKED} other networks asked"
    )
    task = "FBNet space on Pixel 2, 100 networks"
    return [Result(task, "Spearman", fmean(with_table), 0.70, "higher", seeds, note)]


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


def accelerator(folder: Path) -> list[Result]:
    """An FPGA, from few networks of a MnasNet-like space; none of the phones is like it."""
    with open(folder / "accel_nasbench.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["latency_zcu102.mean"]][:3000]
    latency_ms = np.array([float(row["latency_zcu102.mean"]) for row in rows])
    graphs = [mnaslat.lower(_anb_architecture(row)) for row in rows]
    # Its time goes as a GPU's does: loops over windows beside multiply-adds.
    configuration = Configuration(device="zcu102", fingerprint="zcu102", delegate="gpu")
    seeds, results = (0, 1, 2, 3, 4), []
    for n, goal in ((20, 0.09), (50, 0.045), (100, 0.025)):
        found = []
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(rows))
            known, asked = order[:n], order[1000:2500]
            model = CostModel((), configuration, noise=0.01)
            model.fit([graphs[index] for index in known], latency_ms[known])
            predicted_ms = model.predict([graphs[index] for index in asked])
            found.append(prediction_errors(predicted_ms, latency_ms[asked]).mape)
        note = "terms of a GPU, no priors; by seed " + "; ".join(f"{each:.4f}" for each in found)
        task = f"Accel-NASBench zcu102, {n} networks"
        results.append(Result(task, "MAPE", fmean(found), goal, "lower", seeds, note))
    return results


def _anb_architecture(row: dict[str, str]) -> Architecture:
    blocks, n_in = [], 32
    for number, (stride, n_out) in enumerate(zip(_ANB_STRIDES, _ANB_FILTERS, strict=True)):
        e, k, layers, se = (int(row[f"block{number}_{what}"]) for what in ("e", "k", "l", "se"))
        block = f"r{layers}_k{k}_s{stride}{stride}_e{e}_i{n_in}_o{n_out}"
        blocks.append(f"{block}_se0.25" if se else block)
        n_in = n_out
    return Architecture.from_blocks(blocks)
