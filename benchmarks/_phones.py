"""Measured latencies of 102 CNNs on four phones: read, with known bad cells left out.

The three cells are those that the data's README names; they are in no fit and judge nothing.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _arrays import Floats
from numpy.typing import NDArray

from mnaslat.data import Configuration
from mnaslat.graph import Graph, Precision

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PHONES = {
    "pixel4": "Pixel 4, Snapdragon 855",
    "s10": "Galaxy S10, Exynos 9820",
    "a03s": "Galaxy A03s, Helio P35",
    "iphone7": "iPhone 7, A10 Fusion",
}
# Several times what every other phone says. (phone, cores, precision, model)
_BAD_CELLS = {
    ("s10", "1large2med", "float", "mobilenet_wd2"),
    ("s10", "1large2med", "float", "sepreresnet12"),
    ("pixel4", "4small", "float", "hardnet39ds"),
}
Groups = Sequence[NDArray[np.intp]]

# One core set or processor of each phone.
KINDS = {"big core fp32": "cpu1-fp32", "int8": "cpu1-int8", "GPU": "gpu-fp32"}
_PRECISIONS: dict[str, Precision] = {"float": "fp32", "quant": "int8"}
# Networks of one kind; of the others, the first letters name the family.
_FAMILIES = (
    (r"(se|pre|sepre)?resnet(bc)?\d|diracnet", "resnet"),
    (r"(fd)?mobilenet(b)?_w", "mobilenet"),
    (r"mobilenetv2", "mobilenetv2"),
    (r"mobilenetv3", "mobilenetv3"),
    (r"proxyless|spnas", "proxylessnas"),
    (r"squeeze", "squeezenet"),
    (r"regnet", "regnet"),
    (r"mnasnet", "mnasnet"),
    (r"hardnet", "hardnet"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One phone with one core set and precision.

    Attributes:
        name: As shipped: phone, processor, precision.
        configuration: The same in full.
        models: Names of the networks that were measured and are not known to be wrong.
        latency_ms: Of each, shape ``(len(models),)``.
    """

    name: str
    configuration: Configuration
    models: tuple[str, ...]
    latency_ms: Floats

    def graphs(self, networks: dict[str, Graph]) -> list[Graph]:
        """The networks' graphs, in the precision that was measured."""
        precision = self.configuration.precision
        return [in_precision(networks[model], precision) for model in self.models]


@dataclass(frozen=True, eq=False)
class Phones:
    """The four phones' measurements."""

    folder: Path
    columns: dict[str, Column]
    networks: dict[str, Graph]

    def of_kind(self, kind: str) -> list[Column]:
        """One column a phone."""
        return [self.columns[f"{phone}-{KINDS[kind]}"] for phone in PHONES]

    def several_cores(self) -> list[list[Column]]:
        """All fp32 columns of more than one core, by phone."""
        return [
            [
                column
                for column in self.columns.values()
                if column.configuration.device == phone
                and column.configuration.threads > 1
                and column.configuration.precision == "fp32"
            ]
            for phone in PHONES
        ]


def in_precision(graph: Graph, precision: Precision) -> Graph:
    """The same network in another precision."""
    return Graph.parse(f"{precision} {graph.signature.partition(' ')[2]}")


def family_of(model: str) -> str:
    """Networks of one family are left out together."""
    for pattern, family in _FAMILIES:
        if re.match(pattern, model):
            return family
    return model.split("_")[0].rstrip("0123456789")


def families_of(models: Sequence[str]) -> list[str]:
    """The family of each."""
    return [family_of(model) for model in models]


def groups_of(models: Sequence[str], name: str, seed: int = 0) -> Groups:
    """Places of networks that are left out together: ``10f`` or ``LFO``."""
    if name == "10f":
        order = np.random.default_rng(seed).permutation(len(models))
        return [np.sort(order[start::10]) for start in range(10)]
    families = np.array(families_of(models))
    return [np.flatnonzero(families == family) for family in dict.fromkeys(families)]


def by_phone(found: Sequence[float]) -> str:
    """For notes, in the order of ``PHONES``."""
    return "by phone " + ", ".join(f"{each:.2%}" for each in found)


def read_columns(folder: Path) -> dict[str, Column]:
    """All columns of ``tflite_cnn_e2e.csv`` by name, latencies in milliseconds."""
    with open(folder / "tflite_cnn_e2e.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for title in rows[0]:
        if not title.endswith("|mean"):
            continue
        phone, cores, kind, _ = title.split("|")
        kept = [
            row
            for row in rows
            if row[title] and (phone, cores, kind, row["model"]) not in _BAD_CELLS
        ]
        configuration = _configuration(phone, cores, _PRECISIONS[kind])
        processor = "gpu" if cores == "gpu" else "cpu1" if cores == "1large" else f"cpu{cores}"
        name = f"{phone}-{processor}-{configuration.precision}"
        columns[name] = Column(
            name=name,
            configuration=configuration,
            models=tuple(row["model"] for row in kept),
            latency_ms=np.array([float(row[title]) for row in kept]) / 1e3,  # microseconds
        )
    return columns


def _configuration(phone: str, cores: str, precision: Precision) -> Configuration:
    on_gpu = cores == "gpu"
    return Configuration(
        device=phone,
        fingerprint=PHONES[phone],
        precision=precision,
        threads=1 if on_gpu else sum(map(int, re.findall(r"\d", cores))),
        cores="any" if on_gpu else cores,
        delegate="gpu" if on_gpu else "none",
        runtime="TensorFlow Lite",
    )
