"""The space and the accuracies of the golden workspace, as a user's own file would have them.

Named on the command line: ``--space golden_space.py:space --accuracy golden_space:accuracy``.
"""

from dataclasses import replace

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.space import Decision, SearchSpace
from mnaslat.space.mnasnet import mnasnet

_OPEN = {
    "block2.kernel": 2,
    "block3.op": 2,
    "block3.kernel": 2,
    "block4.filters": 2,
    "block5.se": 2,
    "block6.layers": 2,
    "block7.filters": 2,
}


def space(width: float, resolution: int, n_classes: int) -> SearchSpace:
    """The MnasNet space with all but seven decisions taken: 128 rows."""
    whole = mnasnet(width=width, resolution=resolution, n_classes=n_classes)
    decisions = tuple(
        Decision(decision.name, decision.choices[: _OPEN.get(decision.name, 1)])
        for decision in whole.decisions
    )
    return replace(whole, decisions=decisions)


def accuracy(architecture: Architecture) -> float:
    """Made up: grows with the multiply-adds and, less, with the weights."""
    graph = lower(architecture)
    return min(1.0, 0.3 + graph.madds / 2e6 + graph.n_params / 1e6)
