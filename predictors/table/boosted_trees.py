"""Evaluates boosted regression trees stored as plain arrays.

xgboost grows the trees; they are stored and evaluated here. xgboost's own reader is not safe for
untrusted files: a forged one can crash the process (``docs/decisions.md``, "Trees as arrays").
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_NODES = 4_000_000
_ROWS_AT_ONCE = 4096
_LEAF = -1


@dataclass(frozen=True)
class Trees:
    """Regression trees, each a row of nodes padded to the same number.

    Attributes:
        feature: Index of the feature that a node compares, shape ``(trees, nodes)``.
        threshold: A row goes left if its feature is below; in a leaf, the leaf's value.
        left: Index of the left child; -1 marks a leaf. Children come after their parents.
        right: Index of the right child.
        base: Constant added to the sum of the leaves.
        n_features: Number of features.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    base: float
    n_features: int

    @classmethod
    def grow(
        cls, inputs: NDArray[Any], targets: NDArray[Any], settings: Mapping[str, Any]
    ) -> "Trees":
        """Fit trees with xgboost.

        Args:
            inputs: Shape ``(n, features)``.
            targets: Shape ``(n,)``.
            settings: Arguments of ``xgboost.XGBRegressor``.
        """
        from xgboost import XGBRegressor

        model = XGBRegressor(**settings, n_jobs=1, random_state=0)
        model.fit(inputs, targets)
        learner = json.loads(model.get_booster().save_raw("json"))["learner"]
        grown = learner["gradient_booster"]["model"]["trees"]
        base = float(str(learner["learner_model_param"]["base_score"]).strip("[]"))
        shape = (len(grown), max(len(tree["left_children"]) for tree in grown))
        feature, left, right = (np.full(shape, _LEAF, np.int32) for _ in range(3))
        threshold = np.zeros(shape, np.float32)
        for row, tree in enumerate(grown):
            n_nodes = len(tree["left_children"])
            feature[row, :n_nodes] = tree["split_indices"]
            threshold[row, :n_nodes] = tree["split_conditions"]
            left[row, :n_nodes] = tree["left_children"]
            right[row, :n_nodes] = tree["right_children"]
        return cls(np.maximum(feature, 0), threshold, left, right, base, inputs.shape[1])

    def predict(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Predict, shape ``(n,)``, for inputs of shape ``(n, features)``."""
        single = inputs.astype(np.float32)  # xgboost compares in single precision
        parts = [
            self._predict(single[start : start + _ROWS_AT_ONCE])
            for start in range(0, len(single), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return arrays that ``from_arrays`` reads back."""
        return {
            "tree_feature": self.feature,
            "tree_threshold": self.threshold,
            "tree_left": self.left,
            "tree_right": self.right,
            "tree_base": np.array([self.base]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], n_features: int) -> "Trees":
        """Read the arrays that ``to_arrays`` returned.

        Raises:
            ValueError: If the arrays are no trees: wrong shapes, children before their parents,
                features that do not exist, values that are not finite.
        """
        feature = np.asarray(arrays["tree_feature"], np.int32)
        threshold = np.asarray(arrays["tree_threshold"], np.float32)
        left, right = (np.asarray(arrays[f"tree_{side}"], np.int32) for side in ("left", "right"))
        base = np.asarray(arrays["tree_base"], np.float64)
        if feature.ndim != 2 or not 0 < feature.size <= _MAX_NODES or base.shape != (1,):
            raise ValueError("the trees have the wrong shape")
        if not feature.shape == threshold.shape == left.shape == right.shape:
            raise ValueError("the trees' arrays do not fit together")
        own = np.arange(feature.shape[1])
        leaf = left == _LEAF
        sound = (left > own) & (right > own) & (np.maximum(left, right) < feature.shape[1])
        if not (sound | leaf).all() or not ((feature >= 0) & (feature < n_features)).all():
            raise ValueError("the trees have children or features that do not exist")
        if not (np.isfinite(threshold).all() and np.isfinite(base).all()):
            raise ValueError("the trees hold values that are not finite")
        return cls(feature, threshold, left, right, float(base[0]), n_features)

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        rows = np.arange(len(inputs))[:, None]
        trees = np.arange(len(self.left))[None, :]
        node = np.zeros((len(inputs), len(self.left)), np.int32)
        while True:
            left = self.left[trees, node]
            inner = left != _LEAF
            if not inner.any():
                break
            below = inputs[rows, self.feature[trees, node]] < self.threshold[trees, node]
            node = np.where(inner, np.where(below, left, self.right[trees, node]), node)
        total: NDArray[np.float64] = self.base + self.threshold[trees, node].sum(
            axis=1, dtype=np.float64
        )
        return total
