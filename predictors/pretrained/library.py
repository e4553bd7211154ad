"""The predictors of real phones that come with the package.

Their files lie in ``predictors/pretrained`` and are made by ``benchmarks/_make_pretrained.py``.
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
from mnaslat.predictors.storage.files import load_predictor

_FOLDER = Path(str(resources.files("mnaslat.predictors"))) / "pretrained"
_NETWORKS = "networks.json.gz"
_FORMATS = (3,)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What a shipped predictor says of itself.

    Attributes:
        name: For ``load_pretrained`` and ``--predictor``.
        configuration: Whose latency it predicts.
        n_networks: How many measured networks it was fitted to.
        mape: Mean error of networks held out at random, a fraction of the latency.
        new_family_mape: The same of networks whose whole family was held out.
        provenance: Source, licence, names of the networks, all held-out errors.
        path: Of the file.
    """

    name: str
    configuration: Configuration
    n_networks: int
    mape: float
    new_family_mape: float
    provenance: Mapping[str, Any]
    path: Path


def pretrained() -> dict[str, Pretrained]:
    """The shipped predictors by name, in order: four phones, their core sets, their GPUs.

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
    """The file of a shipped predictor.

    Raises:
        ValueError: If there is none of that name.
    """
    path = _FOLDER / f"{name}.mnaslat"
    if _NAME.fullmatch(name) and path.is_file():
        return path
    names = sorted(each.stem for each in _FOLDER.glob("*.mnaslat"))
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5) or names[:5]
    raise ValueError(
        f"No shipped predictor is named {name!r}. Near: {', '.join(near) or 'none'}. All "
        f"{len(names)} are listed by mnaslat.predictors.pretrained()."
    )


def load_pretrained(name: str) -> CostModel:
    """A shipped predictor.

    It can be asked at once, or be a prior of what is fitted to measurements of another phone.

    Raises:
        ValueError: If there is none of that name.
        PredictorFileError: If its file was changed since it was installed.

    >>> from mnaslat.zoo import load_network
    >>> phone = load_pretrained("pixel4-cpu1-fp32")
    >>> 20 < phone.predict_ms(load_network("mobilenet-v2")) < 60
    True
    """
    predictor = load_predictor(pretrained_path(name))
    if not isinstance(predictor, CostModel):
        raise PredictorFileError(f"{name} is no cost model. Install mnaslat again.")
    return predictor


def pretrained_priors(configuration: Configuration) -> tuple[CostModel, ...]:
    """What is known of other phones that are used in the same way: one shipped predictor a phone.

    Of the same runtime (CPU or GPU) and precision, and of the phone's core sets the one with as
    many threads, or nearly; cores of one kind before mixed ones, and large before small. None of
    the device itself; none at all for fp16, which was not measured.

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
        # "large", "med" and "small" happen to stand in this order.
        distance = abs(other.threads - configuration.threads), len(kinds), kinds[0]
        if other.device not in best or distance < best[other.device][0]:
            best[other.device] = distance, name
    return tuple(load_pretrained(name) for _, name in best.values())


def measured_networks() -> dict[str, Graph]:
    """The networks that the shipped predictors were fitted to, by name; in fp32.

    Candidates for ``CostModel.suggest_calibration`` where nothing better is at hand.

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
            f"Cannot read the shipped predictor {path}: {str(error) or type(error).__name__}. "
            "Install mnaslat again."
        ) from None
