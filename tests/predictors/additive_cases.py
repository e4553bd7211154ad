"""Predictors and spaces that the tests of compiled and differentiable predictors share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mnaslat.arrays import Floats, Tokens
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph, Precision
from mnaslat.lowering import lower
from mnaslat.predictors.base import Network, as_graphs
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.compiled.additive import AdditivePredictor
from mnaslat.predictors.compiled.space_layers import space_layers
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.table.predictor import TablePredictor
from mnaslat.space import Decision, SearchSpace
from mnaslat.space.mnasnet import mnasnet

_OPEN = {"block1.layers": 2, "block2.filters": 3, "block3.filters": 2, "block3.op": 3,
         "block5.skip": 2, "block7.filters": 2}  # fmt: skip

# All the ways from the sum of layers to the latency.
CORRECTIONS = {
    "none": Correction("none", 1.0),
    "scale": Correction("scale", 1.07),
    "affine": Correction("affine", 0.9, 3.0),
    "affine, with less than nothing at the end": Correction("affine", 1.2, -2.0),
    # For about half of the networks of the small space.
    "affine, at its lower bound": Correction("affine", 1.0, -39.0),
    "memory": Correction("memory", 1.1, 0.0, -20.0, 8.0, 4.1),
}


def small_space() -> SearchSpace:
    """The MnasNet space on small images with all but six decisions taken: 144 networks."""
    whole = mnasnet(resolution=32, n_classes=10)
    decisions = tuple(
        Decision(decision.name, decision.choices[: _OPEN.get(decision.name, 1)])
        for decision in whole.decisions
    )
    return replace(whole, decisions=decisions)


def all_rows(space: SearchSpace) -> Tokens:
    """Every row of tokens of a small space."""
    return np.array(list(np.ndindex(*space.n_choices)), dtype=np.int64)


def configuration(precision: Precision = "fp32") -> Configuration:
    """Of a device that does not exist."""
    return Configuration(device="host", fingerprint="made-up CPU", precision=precision)


def table_predictor(
    space: SearchSpace, precision: Precision = "fp32", *, every: int = 1
) -> TablePredictor:
    """Made-up latencies of 0.1 to 5 ms for every layer of a space, or for every n-th."""
    rng = np.random.default_rng(0)
    layers = space_layers(space, precision).graphs[::every]
    rows = {layer.signature: Row(float(rng.uniform(0.1, 5.0))) for layer in layers}
    return TablePredictor(LatencyTable(configuration(precision), rows))


def corrected(space: SearchSpace, name: str) -> CalibratedPredictor:
    """The table's sum with one of ``CORRECTIONS``."""
    predictor = CalibratedPredictor(table_predictor(space))
    predictor.correction = CORRECTIONS[name]
    return predictor


def cost_model(space: SearchSpace) -> CostModel:
    """Fitted to every fifth network of a small space, with latencies of `Curved` and some noise."""
    rows = all_rows(space)[::5]
    noise = np.random.default_rng(3).normal(1.0, 0.03, len(rows))
    graphs = [lower(space.decode(row)) for row in rows]
    return CostModel().fit(graphs, Curved().predict_ms(graphs) * noise)


def corrected_cost_model(space: SearchSpace) -> CalibratedPredictor:
    """A cost model as the base of an affine correction."""
    predictor = CalibratedPredictor(cost_model(space))
    predictor.correction = CORRECTIONS["affine"]
    return predictor


class Curved(AdditivePredictor):
    """No sum: the more kinds of op share the multiply-adds, the slower; roots of features that are
    0 in some networks."""

    configuration = configuration()
    kinds = ("conv", "dwconv", "linear", "avg_pool")

    def predict_ms(self, networks: Sequence[Network]) -> Floats:
        """Latency in milliseconds."""
        return self.from_features(self.additive_features(as_graphs(networks, "fp32")))

    def additive_features(self, graphs: Sequence[Graph]) -> Floats:
        """Thousands of elements that ops of each kind put out."""
        return np.array(
            [
                [
                    sum(np.prod(op.output) for op in graph.shaped_ops() if op.op.kind == kind) / 1e3
                    for kind in self.kinds
                ]
                for graph in graphs
            ]
        ).reshape(len(graphs), len(self.kinds))

    def from_features(self, features: Floats) -> Floats:
        """The root of the product is one; the root of each another."""
        latency_ms: Floats = 0.1 * features[:, 0] + np.sqrt(features).sum(axis=1)
        return latency_ms


AnyPredictor = TablePredictor | CalibratedPredictor | CostModel | Curved


def slow_ms(predictor: AnyPredictor, space: SearchSpace, rows: Tokens) -> Floats:
    """Network by network."""
    return predictor.predict_ms([space.decode(row) for row in rows])
