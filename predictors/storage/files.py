"""One predictor, one file.

A zip of JSON and of arrays without pickle (``archive``). ``manifest.json`` says in ``predictor``
what it is, and has the configuration, the correction and the held-out errors where there are any,
and the provenance: source, licence and whatever else who saved it wants to be known. Further
members, as the predictor needs them:

- ``table.json``: the latency table with its configuration.
- ``kernel_model.npz``: the arrays of the kernel model.
- ``cost_model.json``, ``cost_model.npz``: a cost model with its priors.
- ``calibration.json``: whole networks with their latencies.

A cost model's factors are on the first guesses of unit costs that the version of mnaslat had which
wrote it. ``guesses`` in the manifest is their fingerprint (``cost_fingerprint``): a file on others
is refused, since it would predict something else.

Loading runs no code from the file. Format history: 1, calibrated tables, which have no
``predictor``; 2, the others; 3, cost models alone, with ``guesses`` and the operations met. Cost
models of format 2 do not say what their factors are on, and are no longer read.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mnaslat.errors import PredictorFileError
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
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    measurements: bool = True,
) -> None:
    """Write a predictor to one file, which appears whole or not at all.

    Args:
        predictor: Fitted.
        path: Its folder is made where it does not exist.
        provenance: Plain values: source, licence, networks, errors on held-out data; left out, the
            predictor's own, as it was loaded.
        measurements: Whether the whole networks that a cost model was fitted to, and their
            latencies, are kept. Without them it predicts the same, and is the prior of what is
            fitted to further networks.

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


def load_predictor(path: str | Path) -> Any:  # which kind it is, only the file says
    """Read a predictor written by ``save_predictor``: of the same class, and equal in all it says.

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
    """A copy made of JSON's values alone."""
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
