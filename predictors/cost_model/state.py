"""The state of a fitted ``CostModel``, including its priors."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mnaslat.data.measurement import Configuration
from mnaslat.graph import Graph
from mnaslat.predictors.cost_model.fit import CostFit
from mnaslat.predictors.cost_model.intervals import IntervalScores
from mnaslat.predictors.cost_model.op_terms import Term


@dataclass(frozen=True, kw_only=True, eq=False)
class CostState:
    """Everything fitted on one device.

    Attributes:
        configuration: Device and settings.
        fit: Fitted parameters; its ``priors`` are the fits of ``priors``.
        scores: Held-out errors for intervals.
        seen: ``digest`` of each measured network.
        operations: ``operations_of`` the measured networks.
        priors: States of the models that are priors.
    """

    configuration: Configuration
    fit: CostFit
    scores: IntervalScores
    seen: frozenset[str]
    operations: frozenset[str]
    priors: "tuple[CostState, ...]" = ()


def digest(graph: Graph) -> str:
    """Return a short text that is equal for equal networks."""
    return hashlib.sha256(graph.signature.encode()).hexdigest()[:16]


def all_terms(states: Sequence[CostState]) -> dict[Term, None]:
    """Collect the terms of states and of their priors, each once and in order."""
    terms: dict[Term, None] = {}
    for state in states:
        terms |= all_terms(state.priors)
        terms |= dict.fromkeys(state.fit.terms)
    return terms


def all_operations(states: Sequence[CostState]) -> frozenset[str]:
    """Collect the operations of the networks measured for states and for their priors."""
    return frozenset().union(*(each.operations | all_operations(each.priors) for each in states))
