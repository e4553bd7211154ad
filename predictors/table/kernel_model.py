"""Estimates the latency of unmeasured layers with a model fitted to measured layers.

It has two steps. First a roofline-like sum: every op costs a non-negative combination of its
multiply-adds (with output channels rounded up to the tiles that XNNPACK computes), elements moved,
weights, pixels and a constant, with coefficients of its own for each class of op (kind, kernel,
stride). Then gradient-boosted trees predict the log residual of the sum. The error of each step
alone is in ``docs/decisions.md``, "The kernel model".
"""

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.graph import WEIGHTED, Graph, ShapedOp
from mnaslat.predictors.base import checked_latency_ms
from mnaslat.predictors.estimator import Estimator
from mnaslat.predictors.table.boosted_trees import Trees

OpClass = tuple[str, int, int, bool]  # kind, kernel, stride, works on a single pixel

_N_TERMS, _N_SHAPE = 9, 10
MIN_LAYERS = 8
# Working sets beyond these many elements no longer stay in a core's caches.
_CACHE_ELEMENTS = (300_000, 500_000)
_TREES = {
    "n_estimators": 700,
    "max_depth": 5,
    "learning_rate": 0.04,
    "subsample": 0.7,
    "colsample_bytree": 0.4,
    "min_child_weight": 2,
}
_MAX_CORRECTION = math.log(4.0)  # the trees may change the sum by a factor of four at most


class KernelModel(Estimator):
    """Predicts the latency of single layers; fitted to a latency table.

    An op of an unmeasured class is estimated as one of the most similar measured class.
    """

    provenance: Mapping[str, Any] = MappingProxyType({})
    _classes: list[OpClass]
    _scale: Floats
    _coefficients: Floats
    _trees: Trees | None = None

    def fit(self, graphs: Sequence[Graph], latency_ms: Sequence[float] | Floats) -> "KernelModel":
        """Fit the model to measured layers.

        Args:
            graphs: Single-layer graphs, at least eight.
            latency_ms: Shape ``(n,)``, all positive.

        Raises:
            ValueError: If there are too few layers, the shapes differ or a latency is not positive.
        """
        if len(graphs) < MIN_LAYERS:
            raise ValueError(
                f"A kernel model needs at least {MIN_LAYERS} measured layers with one latency "
                f"each, got {len(graphs)} layers. Profile for longer."
            )
        latency_ms = checked_latency_ms(latency_ms, len(graphs), "A kernel model")
        from scipy.optimize import nnls

        self._classes = sorted({_op_class(op) for layer in graphs for op in layer.shaped_ops()})
        terms, shapes = self._features(graphs)
        self._scale = np.maximum(terms.max(axis=0), 1e-12)
        scaled = terms / self._scale
        # Relative errors: a fast layer counts as much as a slow one.
        self._coefficients = nnls(scaled / latency_ms[:, None], np.ones(len(graphs)))[0]
        roofline_ms = self._roofline_ms(scaled)
        inputs = _tree_inputs(scaled, shapes, roofline_ms)
        self._trees = Trees.grow(inputs, np.log(latency_ms / roofline_ms), _TREES)
        return self

    def predict(self, graphs: Sequence[Graph]) -> Floats:
        """Predict latencies of single-layer graphs in milliseconds, shape ``(n,)``."""
        trees = self._fitted()
        terms, shapes = self._features(graphs)
        scaled = terms / self._scale
        roofline_ms = self._roofline_ms(scaled)
        corrections = trees.predict(_tree_inputs(scaled, shapes, roofline_ms))
        latency_ms: Floats = roofline_ms * np.exp(
            np.clip(corrections, -_MAX_CORRECTION, _MAX_CORRECTION)
        )
        return latency_ms

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything fitted, as arrays that can be saved without pickle."""
        trees = self._fitted()
        return {
            "classes": np.frombuffer(json.dumps(self._classes).encode(), np.uint8),
            "scale": self._scale,
            "coefficients": self._coefficients,
            **trees.to_arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "KernelModel":
        """Read the arrays that ``to_arrays`` returned.

        Raises:
            ValueError: If the arrays do not fit together.
        """
        model = cls()
        classes = json.loads(arrays["classes"].tobytes())
        model._classes = [(str(a), int(b), int(c), bool(d)) for a, b, c, d in classes]
        model._scale = arrays["scale"].astype(np.float64)
        model._coefficients = arrays["coefficients"].astype(np.float64)
        if not model._scale.shape == model._coefficients.shape == (_N_TERMS * len(classes),):
            raise ValueError("the kernel model's arrays have the wrong shape")
        if not np.isfinite([model._scale, model._coefficients]).all() or (model._scale <= 0).any():
            raise ValueError("the kernel model's arrays are not finite and positive")
        n_features = (_N_TERMS + _N_SHAPE) * len(classes) + 1
        model._trees = Trees.from_arrays(arrays, n_features)
        return model

    def _fitted(self) -> Trees:
        if self._trees is None:
            raise ValueError("Fit the kernel model first.")
        return self._trees

    def _roofline_ms(self, scaled: Floats) -> Floats:
        # A sum along each row, not a matrix product: BLAS rounds a row alone otherwise than among
        # others on some processors, and a layer must cost the same in any batch.
        roofline_ms: Floats = np.maximum((scaled * self._coefficients).sum(axis=1), 1e-4)
        return roofline_ms

    def _features(self, layers: Sequence[Graph]) -> tuple[Floats, Floats]:
        index = {op_class: position for position, op_class in enumerate(self._classes)}
        terms = np.zeros((len(layers), len(index), _N_TERMS))
        shapes = np.zeros((len(layers), len(index), _N_SHAPE))
        for row, layer in enumerate(layers):
            seen: set[int] = set()
            for op in layer.shaped_ops():
                op_class = _op_class(op)
                if op_class not in index:
                    index[op_class] = index[min(self._classes, key=_distance_from(op_class))]
                column = index[op_class]
                terms[row, column] += _terms(op)
                shape = _shape(op)
                shapes[row, column, _N_SHAPE // 2 :] = shape  # the last op of its class ...
                if column not in seen:
                    shapes[row, column, : _N_SHAPE // 2] = shape  # ... and the first
                    seen.add(column)
        return terms.reshape(len(layers), -1), shapes.reshape(len(layers), -1)


def _op_class(shaped: ShapedOp) -> OpClass:
    op = shaped.op
    return (op.kind, max(op.kernel), max(op.stride), math.prod(shaped.output[:-1]) == 1)


def _distance_from(wanted: OpClass) -> Any:
    """Return a sort key: the dissimilarity of a measured class to the wanted one."""

    def distance(known: OpClass) -> tuple[bool, bool, bool, int, int]:
        return (
            known[0] != wanted[0],
            (known[0] in WEIGHTED) != (wanted[0] in WEIGHTED),
            known[3] != wanted[3],
            abs(known[1] - wanted[1]),
            abs(known[2] - wanted[2]),
        )

    return distance


def _terms(shaped: ShapedOp) -> list[float]:
    moved_in = sum(math.prod(shape) for shape in shaped.inputs)
    moved_out = math.prod(shaped.output)
    moved = moved_in + moved_out
    weights = math.prod(shaped.weight_shape) if shaped.weight_shape else 0
    channels = shaped.output[-1]
    return [
        # XNNPACK computes 16 or 32 output channels at a time on the CPUs at hand.
        shaped.madds * _rounded_up(channels, 16) / channels,
        shaped.madds * _rounded_up(channels, 32) / channels,
        moved_in,
        moved_out,
        weights,
        1.0,
        moved_out / channels,
        max(0, moved - _CACHE_ELEMENTS[0]),
        max(0, moved + weights - _CACHE_ELEMENTS[1]),
    ]


def _shape(shaped: ShapedOp) -> list[float]:
    inputs, outputs = shaped.inputs[0][-1], shaped.output[-1]
    pixels = math.prod(shaped.output[:-1])
    return [math.log(inputs), math.log(outputs), math.log(pixels), outputs % 16, inputs % 16]


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _tree_inputs(scaled: Floats, shapes: Floats, roofline_ms: Floats) -> Floats:
    return np.hstack([np.log1p(1e3 * scaled), shapes, np.log(roofline_ms)[:, None]])
