"""A space of a few dozen small layers, loaded by the command line as a user's own file would be."""

from dataclasses import replace

from mnaslat.architecture import Architecture
from mnaslat.lowering import lower
from mnaslat.space import Decision, SearchSpace
from mnaslat.space.mnasnet import mnasnet

_OPEN = {
    "block3.op": 2,
    "block3.kernel": 2,
    "block5.se": 2,
    "block6.layers": 3,
    "block7.filters": 2,
}


def small(width: float, resolution: int, n_classes: int) -> SearchSpace:
    """The MnasNet space with all but five decisions taken."""
    whole = mnasnet(width=width, resolution=resolution, n_classes=n_classes)
    decisions = tuple(
        Decision(decision.name, decision.choices[: _OPEN.get(decision.name, 1)])
        for decision in whole.decisions
    )
    return replace(whole, decisions=decisions)


def accuracy(architecture: Architecture) -> float:
    """Made up for the tests: grows with the multiply-adds."""
    return min(1.0, lower(architecture).madds / 1e8)


_asked: list[Architecture] = []


def percent_later(architecture: Architecture) -> float:
    """Is right about twenty-one networks, then answers in percent."""
    _asked.append(architecture)
    return accuracy(architecture) if len(_asked) <= 21 else 75.0
