"""Lists and loads the predictors of real phones that come with the package.

Their files are in ``predictors/pretrained`` and are made by ``benchmarks/_make_pretrained.py``.
"""

import difflib
import gzip
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from mnaslat.data.measurement import Configuration
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors.cost_model.model import CostModel
from mnaslat.predictors.cost_model.op_terms import runtime_of
from mnaslat.predictors.storage.archive import DAMAGE, read_manifest
from mnaslat.predictors.storage.files import read_predictor

_FOLDER = Path(str(resources.files("mnaslat.predictors"))) / "pretrained"
_NETWORKS = "networks.json.gz"
_FORMATS = (3,)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """The description of a pretrained predictor.

    Attributes:
        name: For ``load_predictor`` and ``--predictor``.
        configuration: Device and settings whose latency it predicts.
        n_networks: Number of measured networks it was fitted to.
        mape: Mean absolute error on networks held out at random, a fraction of the latency.
        new_family_mape: The same on networks whose whole family was held out.
        provenance: Source, licence, names of the networks, all held-out errors.
        path: Path of its file.
    """

    name: str
    configuration: Configuration
    n_networks: int
    mape: float
    new_family_mape: float
    provenance: Mapping[str, Any]
    path: Path


def pretrained() -> dict[str, Pretrained]:
    """List the pretrained predictors by name: four phones, their core sets, their GPUs.

    The name is made of the phone, the processor (``cpu1``: one big core; otherwise the cores, as in
    ``cpu2med``; or ``gpu``) and the precision of the networks. A GPU computes fp32 networks in half
    precision.

    Raises:
        PredictorFileError: If a file was changed since it was installed.

    >>> round(pretrained()["pixel4-cpu1-fp32"].mape, 2)
    0.01
    """
    return {path.stem: _described(path) for path in sorted(_FOLDER.glob("*.mnaslat"))}


def pretrained_path(name: str) -> Path:
    """Find the file of a pretrained predictor.

    Raises:
        ValueError: If there is none of that name.
    """
    path = _FOLDER / f"{name}.mnaslat"
    if _NAME.fullmatch(name) and path.is_file():
        return path
    names = sorted(each.stem for each in _FOLDER.glob("*.mnaslat"))
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    raise ValueError(
        f"No pretrained predictor is named {name!r}. Near: {', '.join(near) or 'none'}. All "
        f"{len(names)} are listed by mnaslat.predictors.pretrained()."
    )


def load_pretrained(name: str) -> CostModel:
    """Load a pretrained predictor.

    It predicts at once, or serves as a prior for a model of another phone.

    Raises:
        ValueError: If there is none of that name.
        PredictorFileError: If its file was changed since it was installed.

    >>> from mnaslat.zoo import load_network
    >>> phone = load_pretrained("pixel4-cpu1-fp32")
    >>> 20 < phone.predict_ms(load_network("mobilenet-v2")) < 60
    True
    """
    predictor = read_predictor(pretrained_path(name))
    if not isinstance(predictor, CostModel):
        raise PredictorFileError(f"{name} is no cost model. Install mnaslat again.")
    return predictor


def pretrained_priors(configuration: Configuration) -> tuple[CostModel, ...]:
    """Load one pretrained predictor per other phone, as priors for a configuration.

    They have the same runtime (CPU or GPU) and precision. Of a phone's core sets, the one with the
    nearest number of threads is chosen; cores of one kind before mixed ones, and large before
    small. The device itself is left out. For fp16, which was not measured, there is none.

    Raises:
        ValueError: If the delegate is neither a CPU's nor a GPU's.

    >>> host = Configuration(device="mine", fingerprint="mine", threads=1)
    >>> [prior.configuration.cores for prior in pretrained_priors(host)]
    ['1large', '1large', '1large', '1large']
    """
    wanted = runtime_of(configuration), configuration.precision
    best: dict[str, tuple[tuple[int, int, str], str]] = {}
    for name, each in pretrained().items():
        other = each.configuration
        if (runtime_of(other), other.precision) != wanted or other.device == configuration.device:
            continue
        kinds = re.findall(r"[a-z]+", other.cores)
        # "large", "med" and "small" sort in this order.
        distance = abs(other.threads - configuration.threads), len(kinds), kinds[0]
        if other.device not in best or distance < best[other.device][0]:
            best[other.device] = distance, name
    return tuple(load_pretrained(name) for _, name in best.values())


def measured_networks() -> dict[str, Graph]:
    """Load the networks that the pretrained predictors were fitted to, by name; in fp32.

    They can serve as candidates for ``CostModel.suggest_calibration``.

    >>> measured_networks()["mobilenetv2_w1"].madds
    313619328
    """
    with gzip.open(_FOLDER / _NETWORKS, "rt", encoding="utf-8") as file:
        signatures = json.load(file)
    return {name: Graph.parse(signature) for name, signature in signatures.items()}


def _described(path: Path) -> Pretrained:
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = read_manifest(archive, path, _FORMATS)
        provenance = manifest["provenance"]
        held_out = provenance["held_out"]
        return Pretrained(
            name=path.stem,
            configuration=Configuration.from_json(provenance["configuration"]),
            n_networks=len(provenance["networks"]),
            mape=float(held_out["random"]["mape"]),
            new_family_mape=float(held_out["new_family"]["mape"]),
            provenance=provenance,
            path=path,
        )
    except DAMAGE as error:
        raise PredictorFileError(
            f"Cannot read the pretrained predictor {path}: {str(error) or type(error).__name__}. "
            "Install mnaslat again."
        ) from None
