"""Converts each kind of predictor to the contents of its file, and back with checks."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mnaslat.arrays import Floats
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors.calibration.correction import Correction
from mnaslat.predictors.calibration.correction import Kind as CorrectionKind
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.cost_model.serialization import state_from_values, state_to_values
from mnaslat.predictors.cost_model.state import digest
from mnaslat.predictors.cost_model.term_fingerprint import guesses_fingerprint
from mnaslat.predictors.evaluation import Errors
from mnaslat.predictors.storage.archive import pack_arrays, unpack_arrays
from mnaslat.predictors.table.kernel_model import KernelModel
from mnaslat.predictors.table.predictor import TablePredictor

Kind = Literal["calibrated table", "calibrated cost model", "cost model", "table", "kernel model"]
_TABLE, _KERNEL_MODEL = "table.json", "kernel_model.npz"
_COST_VALUES, _COST_ARRAYS = "cost_model.json", "cost_model.npz"
_CALIBRATION = "calibration.json"
_GUESSES = "guesses"  # entry of the manifest
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "calibrated table": (_TABLE, _CALIBRATION, _KERNEL_MODEL),
    "calibrated cost model": (_COST_VALUES, _COST_ARRAYS, _CALIBRATION),
    "cost model": (_COST_VALUES, _COST_ARRAYS, _CALIBRATION),
    "table": (_TABLE, _KERNEL_MODEL),
    "kernel model": (_KERNEL_MODEL,),
}
_MAX_NETWORKS = 10**9
_Members = tuple[dict[str, Any], dict[str, bytes]]


def kind_of(predictor: object) -> Kind:
    """Return the kind of a predictor, as files name it.

    Raises:
        ValueError: If it cannot be saved.
    """
    if isinstance(predictor, CalibratedPredictor):
        is_table = isinstance(predictor.base, TablePredictor)
        return "calibrated table" if is_table else "calibrated cost model"
    if isinstance(predictor, CostModel):
        return "cost model"
    if isinstance(predictor, TablePredictor):
        return "table"
    if isinstance(predictor, KernelModel):
        return "kernel model"
    raise ValueError(f"A {type(predictor).__name__} cannot be saved.")


def members_of(predictor: Any, measurements: bool) -> _Members:
    """Return the entries of the manifest, and the members by name."""
    if isinstance(predictor, CalibratedPredictor):
        entries, contents = members_of(predictor.base, False)
        entries["correction"] = asdict(predictor.correction)
        entries["held_out"] = _held_out(predictor.held_out)
        contents[_CALIBRATION] = _json(
            [
                {
                    "signature": graph.signature,
                    "measured_ms": float(measured_ms),
                    "residual": float(residual),
                }
                for graph, measured_ms, residual in zip(
                    predictor.networks, predictor.measured_ms, predictor.residuals, strict=True
                )
            ]
        )
        order = MEMBERS[kind_of(predictor)]
        return entries, {name: contents[name] for name in order}
    if isinstance(predictor, CostModel):
        return _cost_members(predictor, measurements)
    if isinstance(predictor, TablePredictor):
        contents = {
            _TABLE: json.dumps(predictor.measured.to_json()).encode(),
            _KERNEL_MODEL: pack_arrays(predictor.fitted_kernel_model.to_arrays()),
        }
        return {"configuration": asdict(predictor.configuration)}, contents
    return {}, {_KERNEL_MODEL: pack_arrays(predictor.to_arrays())}


def check_guesses(kind: str, manifest: Mapping[str, Any], path: Path) -> None:
    """Check that a cost model was fitted with this version's initial estimates of unit costs.

    Raises:
        PredictorFileError: If it was fitted with others.
    """
    if _COST_VALUES not in MEMBERS.get(kind, ()):
        return
    today = _guesses_of(Configuration.from_json(manifest["configuration"]))
    if manifest.get(_GUESSES) != today:
        raise PredictorFileError(
            f"{path} was learned by a mnaslat with other first guesses of what ops cost: here it "
            "would predict something else. Fit it anew to its measurements (`mnaslat calibrate "
            "--measurements FILE`), or use the version of mnaslat that wrote it."
        )


def _guesses_of(configuration: Configuration) -> str:
    return guesses_fingerprint(runtime_of(configuration), configuration.precision)


def build(kind: str, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> Any:
    """Build a predictor from the members that ``members_of`` made.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, ArithmeticError: If something is missing,
            out of range or does not fit together.
    """
    if kind == "kernel model":
        return _kernel_model(contents)
    base: Any = _cost_model(manifest, contents) if _COST_VALUES in contents else None
    if base is None:
        base = _table(manifest, contents)
    return _calibrated(base, manifest, contents) if kind.startswith("calibrated") else base


def _cost_members(model: CostModel, measurements: bool) -> _Members:
    values, arrays = state_to_values(model.state)
    known = zip(model.networks, model.measured_ms, strict=True) if measurements else ()
    calibration = [
        {"signature": graph.signature, "measured_ms": float(measured_ms)}
        for graph, measured_ms in known
    ]
    configuration = model.state.configuration
    entries = {
        "configuration": asdict(configuration),
        _GUESSES: _guesses_of(configuration),
        "held_out": _held_out(model.held_out),
    }
    return entries, {
        _COST_VALUES: _json(values),
        _COST_ARRAYS: pack_arrays(arrays),
        _CALIBRATION: _json(calibration),
    }


def _cost_model(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> CostModel:
    arrays = unpack_arrays(contents[_COST_ARRAYS], _COST_ARRAYS)
    state = state_from_values(json.loads(contents[_COST_VALUES]), arrays)
    if asdict(state.configuration) != manifest["configuration"]:
        raise ValueError("the manifest and the cost model name different configurations")
    model = CostModel.from_state(state)
    if "correction" not in manifest:  # else networks and errors are the correction's
        model.networks, model.measured_ms = _networks(json.loads(contents[_CALIBRATION]))
        model.held_out = _errors(manifest["held_out"])
    if model.networks and frozenset(map(digest, model.networks)) != state.seen:
        raise ValueError("the networks of the calibration are not those that were fitted")
    return model


def _table(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> TablePredictor:
    table = LatencyTable.from_json(json.loads(contents[_TABLE]))
    if asdict(table.configuration) != manifest["configuration"]:
        raise ValueError("the manifest and the table name different configurations")
    return TablePredictor(table, _kernel_model(contents))


def _kernel_model(contents: Mapping[str, bytes]) -> KernelModel:
    return KernelModel.from_arrays(unpack_arrays(contents[_KERNEL_MODEL], _KERNEL_MODEL))


def _calibrated(
    base: Any, manifest: Mapping[str, Any], contents: Mapping[str, bytes]
) -> CalibratedPredictor:
    predictor = CalibratedPredictor(base)
    correction = dict(manifest["correction"])
    kind = correction.pop("kind")
    if kind not in get_args(CorrectionKind):
        raise ValueError(f"a correction of kind {kind!r} is not known")
    terms = {name: float(value) for name, value in correction.items()}
    predictor.correction = Correction(kind, **terms)
    calibration = json.loads(contents[_CALIBRATION])
    predictor.networks, predictor.measured_ms = _networks(calibration)
    predictor.residuals = np.array([float(entry["residual"]) for entry in calibration])
    # A predicted latency is positive, so that a residual is above -1.
    if not (np.isfinite(predictor.residuals) & (predictor.residuals > -1)).all():
        raise ValueError("a residual of the calibration is out of range")
    predictor.held_out = _errors(manifest["held_out"])
    return predictor


def _networks(calibration: Any) -> tuple[tuple[Graph, ...], Floats]:
    if not isinstance(calibration, list):
        raise ValueError("the calibration is no list")
    networks = tuple(Graph.parse(entry["signature"]) for entry in calibration)
    measured_ms = np.array([float(entry["measured_ms"]) for entry in calibration])
    if not (np.isfinite(measured_ms) & (measured_ms > 0)).all():
        raise ValueError("a latency of the calibration is out of range")
    return networks, measured_ms


def _errors(values: Any) -> Errors | None:
    if values is None:
        return None
    n, *numbers = (values[each.name] for each in fields(Errors))
    if type(n) is not int or not 1 <= n <= _MAX_NETWORKS or len(values) != len(numbers) + 1:
        raise ValueError("the held-out errors are not what they should be")
    found = [math.nan if number is None else float(number + 0) for number in numbers]
    if any(abs(number) == math.inf for number in found):
        raise ValueError("a held-out error is out of range")
    return Errors(n, *found)


def _held_out(errors: Errors | None) -> dict[str, Any] | None:
    return None if errors is None else errors.to_json()


def _json(values: Any) -> bytes:
    return json.dumps(values).encode()
