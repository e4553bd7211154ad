"""Converts a cost model's state to plain values and arrays, and back with all values checked.

A state and those of its priors form a tree. They are listed with priors before the models that use
them; the last is the model itself.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnaslat.arrays import Floats
from mnaslat.data.measurement import Configuration
from mnaslat.predictors.cost_model.fit import MAX_NETWORKS, CostFit, CostSettings
from mnaslat.predictors.cost_model.intervals import IntervalScores
from mnaslat.predictors.cost_model.op_terms import Term
from mnaslat.predictors.cost_model.state import CostState

_MAX_STATES = 64
_MAX_TERMS = 2000
_MAX_LAYERS = 100_000
_MAX_OPERATIONS = 200
_MAX_TEXT = 64
_MAX_LOG = 100.0  # of a factor on an initial estimate
_DIGEST = re.compile(r"[0-9a-f]{16}")
_ARRAYS = ("theta", "shares", "parts", "dual", "excess", "alone", "with_family")


def state_to_values(state: CostState) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return plain values, one entry per state, and their arrays.

    Raises:
        ValueError: If there are too many priors of priors.
    """
    entries: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}

    def add(each: CostState) -> int:
        priors = [add(prior) for prior in each.priors]
        if len(entries) >= _MAX_STATES:
            raise ValueError(
                f"A file holds at most {_MAX_STATES} cost models, priors of priors included."
            )
        number = len(entries)
        scores = each.scores
        entries.append(
            {
                "configuration": asdict(each.configuration),
                "terms": [list(term) for term in each.fit.terms],
                "layers": list(each.fit.layers),
                "level": each.fit.level,
                "settings": asdict(each.fit.settings),
                "n_families": scores.n_families,
                "usual_deviation": scores.usual_deviation,
                "novel_deviation": scores.novel_deviation,
                "seen": sorted(each.seen),
                "operations": sorted(each.operations),
                "priors": priors,
            }
        )
        for name in _ARRAYS:
            arrays[f"{number}_{name}"] = getattr(
                scores if name in ("alone", "with_family") else each.fit, name
            )
        return number

    add(state)
    return entries, arrays


def state_from_values(entries: Any, arrays: Mapping[str, NDArray[Any]]) -> CostState:
    """Read the values that ``state_to_values`` returns.

    Raises:
        ValueError: If something is missing, out of range or does not fit together.
    """
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MAX_STATES:
        raise ValueError(f"a cost model has 1 to {_MAX_STATES} states")
    waiting: dict[int, CostState] = {}
    for number, entry in enumerate(entries):
        # Each is the prior of one other: with shared ones, recursion could take exponential time.
        priors = tuple(waiting.pop(_whole(index, number - 1)) for index in entry["priors"])
        own = {name: _floats(arrays[f"{number}_{name}"]) for name in _ARRAYS}
        waiting[number] = _state(entry, own, priors)
    if list(waiting) != [len(entries) - 1]:
        raise ValueError("a cost model's states do not form a tree")
    return waiting[len(entries) - 1]


def _state(
    entry: Mapping[str, Any], arrays: Mapping[str, Floats], priors: tuple[CostState, ...]
) -> CostState:
    terms = tuple(Term(*map(_text, term)) for term in entry["terms"])
    n, n_terms = arrays["dual"].size, len(terms)
    if not 1 <= n <= MAX_NETWORKS or not 1 <= n_terms <= _MAX_TERMS:
        raise ValueError(f"a cost model cannot have {n} networks and {n_terms} terms")
    if len(set(terms)) != n_terms:
        raise ValueError("a cost model has a term twice")
    layers = _digests(entry["layers"], _MAX_LAYERS)
    shapes = {"theta": (n_terms,), "shares": (n, n_terms), "parts": (n, len(layers))}
    for name, array in arrays.items():
        if array.shape != shapes.get(name, (n,)):
            raise ValueError(f"a cost model's {name} has the shape {array.shape}")
    _check_ranges(arrays)
    configuration = Configuration.from_json(entry["configuration"])
    seen = _digests(entry["seen"], n)
    settings = {name: float(value) for name, value in entry["settings"].items()}
    return CostState(
        configuration=configuration,
        fit=CostFit(
            terms=terms,
            layers=layers,
            theta=arrays["theta"],
            shares=arrays["shares"],
            parts=arrays["parts"],
            dual=arrays["dual"],
            excess=arrays["excess"],
            level=_number(entry["level"], -_MAX_LOG, _MAX_LOG),
            settings=CostSettings(**settings),
            priors=tuple(prior.fit for prior in priors),
        ),
        scores=IntervalScores(
            alone=arrays["alone"],
            with_family=arrays["with_family"],
            n_families=_whole(entry["n_families"], n),
            usual_deviation=_number(entry["usual_deviation"], 1e-9, _MAX_LOG),
            novel_deviation=_number(entry["novel_deviation"], 1e-9, _MAX_LOG),
        ),
        seen=frozenset(seen),
        operations=_operations(entry["operations"]),
        priors=priors,
    )


def _check_ranges(arrays: Mapping[str, Floats]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all() or np.abs(array).max() > 1e9:
            raise ValueError(f"a cost model's {name} is out of range")
    if np.abs(arrays["theta"]).max() > _MAX_LOG:
        raise ValueError("a cost model's theta is out of range")
    for name in ("shares", "parts", "excess", "alone", "with_family"):
        if arrays[name].min() < 0:
            raise ValueError(f"a cost model's {name} is negative")
    for name in ("shares", "parts"):
        if np.abs(arrays[name].sum(axis=1) - 1.0).max() > 1e-6:
            raise ValueError(f"a cost model's {name} do not add up to 1")
    for name in ("alone", "with_family"):
        if (np.diff(arrays[name]) < 0).any():
            raise ValueError(f"a cost model's {name} is not in order")


def _digests(values: Any, most: int) -> tuple[str, ...]:
    if not (isinstance(values, list) and len(values) <= most):
        raise ValueError("a cost model's list of networks or layers is wrong")
    if not all(map(_DIGEST.fullmatch, values)) or len(set(values)) != len(values):
        raise ValueError("a cost model's networks or layers are not what they should be")
    return tuple(values)


def _operations(values: Any) -> frozenset[str]:
    if not (isinstance(values, list) and 1 <= len(values) <= _MAX_OPERATIONS):
        raise ValueError("a cost model's list of operations is wrong")
    return frozenset(map(_text, values))


def _floats(array: NDArray[Any]) -> Floats:
    if array.dtype != np.float64:
        raise ValueError(f"a cost model's array holds {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.float64)


def _number(value: Any, least: float, most: float) -> float:
    number = float(value)
    if not least <= number <= most:
        raise ValueError(f"{number} does not lie between {least} and {most}")
    return number


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:20]!r} is no whole number up to {most}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError("a cost model's term or operation is no short text")
    return value
