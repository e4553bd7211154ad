"""Saves a predictor to one file and reads it back.

The file is a zip of JSON and of arrays without pickle (``archive``). ``manifest.json`` has the kind
of predictor (``predictor``), the configuration, the correction and held-out errors if there are
any, and the provenance: source, licence and further values of the maker. Other members, as needed:

- ``table.json``: the latency table with its configuration.
- ``kernel_model.npz``: the arrays of the kernel model.
- ``cost_model.json``, ``cost_model.npz``: a cost model with its priors.
- ``calibration.json``: whole networks with their latencies.

A cost model's factors multiply the initial estimates of unit costs of the version of mnaslat that
wrote it. ``guesses`` in the manifest is their fingerprint (``term_fingerprint``): a file with
another is refused, because it would predict other latencies.

Loading runs no code from the file. Format history: 1, calibrated tables, without
``predictor``; 2, the others; 3, cost models only, with ``guesses`` and the known operations. Cost
models of format 2 have no fingerprint and are no longer read. ``docs/formats.md`` lists all files.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnaslat.errors import PredictorFileError
from mnaslat.predictors.base import StrPath
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.storage.archive import DAMAGE, read_manifest, read_members, write_archive
from mnaslat.predictors.storage.contents import (
    MEMBERS,
    Kind,
    build,
    check_guesses,
    kind_of,
    members_of,
)
from mnaslat.predictors.table.kernel_model import KernelModel
from mnaslat.predictors.table.predictor import TablePredictor

Predictor = CalibratedPredictor | CostModel | KernelModel | TablePredictor

_FIRST: Kind = "calibrated table"
_FORMATS = (1, 2, 3)
_FORMAT_OF: Mapping[Kind, int] = {"cost model": 3, "calibrated cost model": 3}  # others: 2
_MAX_PROVENANCE = 2**20  # characters of JSON


def save_predictor(
    predictor: Predictor,
    path: StrPath,
    *,
    provenance: Mapping[str, Any] | None = None,
    measurements: bool = True,
) -> None:
    """Save a predictor to one file, written atomically.

    Args:
        predictor: A fitted predictor.
        path: Path of the file; its folder is made if it does not exist.
        provenance: Plain values: source, licence, networks, errors on held-out data; left out, the
            predictor's own.
        measurements: Whether to store the networks that a cost model was fitted to and their
            latencies. Without them it predicts the same; ``recalibrated`` then uses it as a prior.

    Raises:
        ValueError: If nothing was fitted, or the provenance is not made of plain values.
    """
    kind = kind_of(predictor)
    manifest, contents = members_of(predictor, measurements)
    known = predictor.provenance if provenance is None else provenance
    if kind == _FIRST and not known:  # an older mnaslat can read it
        write_archive(Path(path), {"format": 1, **manifest}, contents)
        return
    outer = {"format": _FORMAT_OF.get(kind, 2), "predictor": kind}
    write_archive(Path(path), {**outer, **manifest, "provenance": _plain(known)}, contents)


def read_predictor(path: StrPath) -> Any:  # the file says which kind it is
    """Read a predictor that ``save_predictor`` wrote: of the same class, and equal in every value.

    Raises:
        PredictorFileError: If the file is missing, truncated, changed since it was written, of a
            newer version, or a cost model learned on other first guesses of unit costs.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = read_manifest(archive, path, _FORMATS)
            kind = manifest.get("predictor", _FIRST)
            if kind not in MEMBERS:
                raise ValueError(f"a predictor of kind {str(kind)[:40]!r} is not known")
            contents = read_members(archive, path, manifest, MEMBERS[kind])
        check_guesses(kind, manifest, path)
        predictor = build(kind, manifest, contents)
        predictor.provenance = MappingProxyType(_plain(manifest.get("provenance", {})))
        return predictor
    except FileNotFoundError:
        raise PredictorFileError(
            f"There is no predictor file {path}. Make one with `mnaslat calibrate`."
        ) from None
    except DAMAGE as error:
        raise PredictorFileError(
            f"Cannot read {path} as a predictor: {str(error).rstrip('.') or type(error).__name__}. "
            "It may be truncated; get it again from where it came, or calibrate again."
        ) from None


def _plain(provenance: Any) -> dict[str, Any]:
    """Copy a provenance, and check that it has only JSON's values."""
    if not isinstance(provenance, Mapping):
        raise ValueError("the provenance is no mapping of names to values")
    try:
        text = json.dumps(dict(provenance), allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the provenance is not made of plain values: {error}") from None
    if len(text) > _MAX_PROVENANCE:
        raise ValueError(f"the provenance has more than {_MAX_PROVENANCE} characters")
    plain: dict[str, Any] = json.loads(text)
    return plain
