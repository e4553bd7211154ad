"""Reads the errors that the maker of a predictor states for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnaslat.predictors.network_predictor import NetworkPredictor

_MAX_NETWORKS, _MAX_ERROR = 10**9, 1e6  # that a predictor may claim


@dataclass(frozen=True)
class JudgedErrors:
    """What a predictor was fitted on, and how wrong it is on what it was not fitted on."""

    n_networks: int
    held_out_mape: float | None  # of networks left out, a fraction; None: not known
    new_family_mape: float | None = None  # of networks unlike all others

    def __str__(self) -> str:
        text = f"fitted on {self.n_networks} network{'' if self.n_networks == 1 else 's'}"
        if self.held_out_mape is not None:
            text += f", held out {self.held_out_mape:.1%} wrong"
        if self.new_family_mape is not None:
            text += f", new families {self.new_family_mape:.1%}"
        return text


def judged_errors(predictor: NetworkPredictor) -> JudgedErrors:
    """As its file says them; in its provenance only where that has the form of shipped ones."""
    told = predictor.provenance.get("held_out")
    random, new_family = (_entries(told, name) for name in ("random", "new_family"))
    n, mape = random.get("n"), _fraction(random.get("mape"))
    if type(n) is int and 1 <= n <= _MAX_NETWORKS and mape is not None:
        return JudgedErrors(n, mape, _fraction(new_family.get("mape")))
    errors = predictor.held_out
    if errors is None:
        return JudgedErrors(len(predictor.networks), None)
    return JudgedErrors(errors.n, errors.mape)


def _entries(values: Any, name: str) -> Mapping[str, Any]:
    found = values.get(name) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _fraction(value: Any) -> float | None:
    """An error that can be printed; provenance is whatever its writer wrote."""
    known = type(value) in (int, float) and 0 <= value <= _MAX_ERROR
    return float(value) if known else None
