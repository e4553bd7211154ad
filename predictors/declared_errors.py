"""Reads the errors that a predictor's maker declares for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnaslat.predictors.network_predictor import NetworkPredictor

_MAX_NETWORKS, _MAX_ERROR = 10**9, 1e6  # the largest values accepted


@dataclass(frozen=True)
class DeclaredErrors:
    """The number of networks a predictor was fitted to, and its errors on others."""

    n_networks: int
    held_out_mape: float | None  # on networks left out, a fraction; None: unknown
    new_family_mape: float | None = None  # on families of networks left out

    def __str__(self) -> str:
        text = f"fitted on {self.n_networks} network{'' if self.n_networks == 1 else 's'}"
        if self.held_out_mape is not None:
            text += f", held out {self.held_out_mape:.1%} wrong"
        if self.new_family_mape is not None:
            text += f", new families {self.new_family_mape:.1%}"
        return text


def declared_errors(predictor: NetworkPredictor) -> DeclaredErrors:
    """Return the errors in a predictor's provenance, else those of its own fit.

    Provenance counts only in the form that pretrained predictors have.
    """
    stated = predictor.provenance.get("held_out")
    random, new_family = (_entries(stated, name) for name in ("random", "new_family"))
    n, mape = random.get("n"), _fraction(random.get("mape"))
    if type(n) is int and 1 <= n <= _MAX_NETWORKS and mape is not None:
        return DeclaredErrors(n, mape, _fraction(new_family.get("mape")))
    errors = predictor.held_out
    if errors is None:
        return DeclaredErrors(len(predictor.networks), None)
    return DeclaredErrors(errors.n, errors.mape)


def _entries(values: Any, name: str) -> Mapping[str, Any]:
    found = values.get(name) if isinstance(values, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _fraction(value: Any) -> float | None:
    """Check that a value of the provenance, which is unchecked, is an error."""
    known = type(value) in (int, float) and 0 <= value <= _MAX_ERROR
    return float(value) if known else None
