"""One predictor, one file: a zip of JSON and of arrays without pickle.

``manifest.json`` names the format, the kind, the correction, the held-out errors and the SHA-256
of every other member and of itself; ``table.json`` holds the latency table with its configuration;
``calibration.json`` the full models; ``kernel_model.npz`` the arrays of the kernel model. Loading
checks every hash and runs no code from the file. Format history: 1, the first.
"""

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mnaslat.data.table import LatencyTable
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors.calibrated import CalibratedPredictor
from mnaslat.predictors.correction import Correction, Kind
from mnaslat.predictors.evaluation import Errors
from mnaslat.predictors.kernel_model import KernelModel
from mnaslat.predictors.table_predictor import TablePredictor

_FORMAT = 1
_MEMBERS = ("table.json", "calibration.json", "kernel_model.npz")
_MAX_MEMBER_BYTES = 256 * 2**20


def save_predictor(predictor: CalibratedPredictor, path: Path) -> None:
    """Write a predictor to one file, which appears whole or not at all."""
    arrays = io.BytesIO()
    np.savez(arrays, **predictor.base.kernel_model.to_arrays())  # type: ignore[arg-type]
    calibration = [
        {
            "signature": graph.signature,
            "measured_ms": float(measured_ms),
            "residual": float(residual),
        }
        for graph, measured_ms, residual in zip(
            predictor.networks, predictor.measured_ms, predictor.residuals, strict=True
        )
    ]
    contents = {
        "table.json": json.dumps(predictor.base.table.to_json()).encode(),
        "calibration.json": json.dumps(calibration).encode(),
        "kernel_model.npz": arrays.getvalue(),
    }
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "kind": "mnaslat-predictor",
        "configuration": asdict(predictor.configuration),
        "correction": asdict(predictor.correction),
        "held_out": None if predictor.held_out is None else _finite(asdict(predictor.held_out)),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    manifest["sha256"]["manifest.json"] = _own_hash(manifest)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.json", json.dumps(manifest, indent=1))
            for name, content in contents.items():
                archive.writestr(name, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_predictor(path: str | Path) -> CalibratedPredictor:
    """Read a predictor written by ``save_predictor``.

    Raises:
        PredictorFileError: If the file is missing, truncated, changed since it was written, or of a
            newer version.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_member(archive, "manifest.json"))
            if not isinstance(manifest, dict) or manifest.get("kind") != "mnaslat-predictor":
                raise PredictorFileError(f"{path} is not a predictor of mnaslat.")
            if manifest.get("format") != _FORMAT:
                raise PredictorFileError(
                    f"{path} has format {manifest.get('format')!r}; this mnaslat reads {_FORMAT}. "
                    "Upgrade mnaslat, or calibrate again to write a new file."
                )
            contents = {name: _member(archive, name) for name in _MEMBERS}
        found = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        found["manifest.json"] = _own_hash(manifest)
        for name, digest in found.items():
            if digest != manifest["sha256"][name]:
                raise PredictorFileError(
                    f"{path} was changed after it was written ({name} does not match its hash). "
                    "Get it again from where it came, or calibrate again."
                )
        return _build(manifest, contents)
    except FileNotFoundError:
        raise PredictorFileError(
            f"There is no predictor file {path}. Make one with `mnaslat calibrate`."
        ) from None
    except (
        OSError, zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, AttributeError,
        EOFError, RuntimeError, ArithmeticError, MemoryError,
    ) as error:  # fmt: skip
        raise PredictorFileError(
            f"Cannot read {path} as a predictor: {str(error) or type(error).__name__}. It may be "
            "truncated; get it again from where it came, or calibrate again."
        ) from None


def _own_hash(manifest: dict[str, Any]) -> str:
    others = {
        name: digest for name, digest in manifest["sha256"].items() if name != "manifest.json"
    }
    canonical = json.dumps({**manifest, "sha256": others}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that predictors are not")
    with archive.open(name) as file:
        content = file.read(_MAX_MEMBER_BYTES + 1)  # a bomb's stated size need not be its true one
    if len(content) > _MAX_MEMBER_BYTES:
        raise ValueError(f"{name} is larger than {_MAX_MEMBER_BYTES} bytes")
    return content


def _build(manifest: dict[str, Any], contents: dict[str, bytes]) -> CalibratedPredictor:
    table = LatencyTable.from_json(json.loads(contents["table.json"]))
    if asdict(table.configuration) != manifest["configuration"]:
        raise ValueError("the manifest and the table name different configurations")
    packed = io.BytesIO(contents["kernel_model.npz"])
    with zipfile.ZipFile(packed) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MAX_MEMBER_BYTES:
            raise ValueError(f"kernel_model.npz unpacks to more than {_MAX_MEMBER_BYTES} bytes")
    packed.seek(0)
    with np.load(packed, allow_pickle=False) as arrays:
        kernel_model = KernelModel.from_arrays({name: arrays[name] for name in arrays.files})
    predictor = CalibratedPredictor(TablePredictor(table, kernel_model))
    correction = dict(manifest["correction"])
    kind = correction.pop("kind")
    if kind not in get_args(Kind):
        raise ValueError(f"a correction of kind {kind!r} is not known")
    terms = {name: float(value) for name, value in correction.items()}
    predictor.correction = Correction(kind, **terms)
    calibration = json.loads(contents["calibration.json"])
    predictor.networks = [Graph.parse(entry["signature"]) for entry in calibration]
    predictor.measured_ms = np.array([float(entry["measured_ms"]) for entry in calibration])
    predictor.residuals = np.array([float(entry["residual"]) for entry in calibration])
    # A predicted latency is positive, so that a residual is above -1.
    ratios = np.concatenate([predictor.measured_ms, predictor.residuals + 1.0])
    if not (np.isfinite(ratios) & (ratios > 0)).all():
        raise ValueError("a latency or residual of the calibration is out of range")
    if manifest["held_out"] is not None:
        held_out: dict[str, Any] = {
            name: math.nan if value is None else value
            for name, value in manifest["held_out"].items()
        }
        predictor.held_out = Errors(**held_out)
    return predictor


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
