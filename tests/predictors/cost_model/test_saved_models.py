"""A cost model in a file: the same after reading, and refused in one sentence when it is not."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.measurement import Configuration
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors import (
    CalibratedPredictor,
    CostModel,
    KernelModel,
    TablePredictor,
    load_predictor,
    save_predictor,
)
from mnaslat.predictors.storage.archive import own_hash, pack_arrays, unpack_arrays
from mnaslat.predictors.storage.files import Predictor
from tests.predictors.made_up_networks import made_up_ms, made_up_networks

CONFIGURATION = Configuration(device="phone", fingerprint="made-up phone")
NETWORKS, _ = made_up_networks(40, seed=5)
LATENCY_MS = made_up_ms(NETWORKS)
# The last has ops that no network has.
ASKED = [*NETWORKS, Graph.parse("fp32 16x16x8 conv3x3>16%4 hard_swish")]
MEMBERS = ("cost_model.json", "cost_model.npz", "calibration.json")
PROVENANCE = {"source": "made up", "licence": "none", "held_out": {"mape": 0.01}}


@pytest.fixture(scope="module")
def model() -> CostModel:
    prior = CostModel().fit(NETWORKS[:20], made_up_ms(NETWORKS[:20], device=1))
    second = CostModel([prior]).fit(NETWORKS[:10], made_up_ms(NETWORKS[:10], device=2))
    return CostModel([prior, second], CONFIGURATION).fit(NETWORKS[20:32], LATENCY_MS[20:32])


@pytest.fixture(scope="module")
def content(model: CostModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "a.mnaslat"
    save_predictor(model, path, provenance=PROVENANCE)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.mnaslat"
    path.write_bytes(content)
    return path


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _forge(path: Path, name: str, member: bytes) -> None:
    """Replace a member and make all hashes fit again."""
    members = {**_members(path), name: member}
    manifest = json.loads(members["manifest.json"])
    for each in MEMBERS:
        manifest["sha256"][each] = hashlib.sha256(members[each]).hexdigest()
    manifest["sha256"]["manifest.json"] = own_hash(manifest)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for each in MEMBERS:
            archive.writestr(each, members[each])


def _refuse(path: Path, reason: str = "Cannot read") -> None:
    with pytest.raises(PredictorFileError, match=reason) as caught:
        load_predictor(path)
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 1000


# --- the same after reading


def test_a_model_read_back_predicts_the_same_bit_for_bit(model: CostModel, path: Path) -> None:
    again = load_predictor(path)
    assert isinstance(again, CostModel)
    assert again.predict(ASKED).tobytes() == model.predict(ASKED).tobytes()
    for coverage in (0.5, 0.9):
        for bound, expected in zip(
            again.predict_interval_ms(ASKED, coverage),
            model.predict_interval_ms(ASKED, coverage),
            strict=True,
        ):
            assert bound.tobytes() == expected.tobytes()
    assert again.explain(ASKED[-1]) == model.explain(ASKED[-1])
    assert again.suggest_calibration(NETWORKS, 5) == model.suggest_calibration(NETWORKS, 5)


def test_a_model_read_back_knows_all_it_knew(model: CostModel, path: Path) -> None:
    again = load_predictor(path)
    assert again.configuration == CONFIGURATION
    assert again.held_out == model.held_out
    assert [each.signature for each in again.networks] == [
        each.signature for each in model.networks
    ]
    assert again.measured_ms.tolist() == model.measured_ms.tolist()
    assert again.provenance == PROVENANCE
    assert len(again.priors) == 2 and len(again.priors[1].priors) == 1
    further = again.recalibrated(NETWORKS[:5], LATENCY_MS[:5])
    expected = model.recalibrated(NETWORKS[:5], LATENCY_MS[:5])
    np.testing.assert_allclose(further.predict(ASKED), expected.predict(ASKED), rtol=1e-9)


def test_reading_and_writing_again_changes_nothing(path: Path, tmp_path: Path) -> None:
    second = tmp_path / "deep" / "b.mnaslat"
    save_predictor(load_predictor(path), second)
    assert second.read_bytes() == path.read_bytes()
    with zipfile.ZipFile(second) as archive:  # nor does the time of writing
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_without_measurements_it_predicts_the_same_and_becomes_a_prior(
    model: CostModel, tmp_path: Path
) -> None:
    save_predictor(model, tmp_path / "a.mnaslat", measurements=False)
    assert json.loads(_members(tmp_path / "a.mnaslat")["calibration.json"]) == []
    again = load_predictor(tmp_path / "a.mnaslat")
    assert again.predict(ASKED).tobytes() == model.predict(ASKED).tobytes()
    assert again.held_out == model.held_out and again.networks == ()
    further = again.recalibrated(NETWORKS[:5], LATENCY_MS[:5])
    assert further.priors == (again,)
    assert not set(again.suggest_calibration(NETWORKS, 40)) & set(range(20, 32))


def test_every_kind_of_predictor_survives(model: CostModel, tmp_path: Path) -> None:
    layers = list({layer: None for graph in NETWORKS for layer in graph.layer_graphs()})
    table = TablePredictor(LatencyTable(CONFIGURATION, {})).fit(
        layers[:50], made_up_ms(layers[:50])
    )
    kernel_model = KernelModel().fit(layers, made_up_ms(layers))
    predictors: list[Predictor] = [
        model,
        table,
        kernel_model,
        CalibratedPredictor(table).fit(NETWORKS, LATENCY_MS),
        CalibratedPredictor(model).fit(NETWORKS, 2.0 * LATENCY_MS),
        CalibratedPredictor(model),
    ]
    for number, predictor in enumerate(predictors):
        file = tmp_path / f"{number}.mnaslat"
        save_predictor(predictor, file)
        again = load_predictor(file)
        assert type(again) is type(predictor)
        assert again.predict(ASKED).tobytes() == predictor.predict(ASKED).tobytes()


def test_what_was_not_fitted_or_is_none_is_not_saved(tmp_path: Path) -> None:
    unfitted: tuple[Predictor, ...] = (CostModel(), KernelModel())
    for predictor in unfitted:
        with pytest.raises(ValueError, match="Fit the (cost|kernel) model first"):
            save_predictor(predictor, tmp_path / "a.mnaslat")
    with pytest.raises(ValueError, match="A str cannot be saved"):
        save_predictor("pixel4", tmp_path / "a.mnaslat")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("provenance", [{"a": object()}, {"a": float("nan")}, {"a": "x" * 2**21}])
def test_a_provenance_that_json_cannot_hold_is_refused(
    model: CostModel, tmp_path: Path, provenance: Any
) -> None:
    with pytest.raises(ValueError):
        save_predictor(model, tmp_path / "a.mnaslat", provenance=provenance)
    assert list(tmp_path.iterdir()) == []


# --- damaged or made to harm


@pytest.mark.parametrize("name", ["manifest.json", *MEMBERS])
def test_a_missing_member_is_refused(path: Path, name: str) -> None:
    members = _members(path)
    del members[name]
    with zipfile.ZipFile(path, "w") as archive:
        for each, member in members.items():
            archive.writestr(each, member)
    _refuse(path)


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("member", [b"", b"\0", b"null", b"{}", b"[[]]", b"[" * 200_000])
def test_a_member_that_is_something_else_is_refused(path: Path, name: str, member: bytes) -> None:
    _forge(path, name, member)
    _refuse(path)


def _first(change: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda states: change(states[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.clear(),
        lambda states: states.pop(),  # two states that nothing was learned from
        lambda states: states.extend(states * 40),
        lambda states: states[-1].update(priors=[0]),
        lambda states: states[-1].update(priors=[3]),  # its own prior
        lambda states: states[-1].update(priors=[-1]),
        lambda states: states[-1].update(priors=[2, 2]),  # as one prior twice: too many ways
        lambda states: states[-1].update(priors=[True]),
        lambda states: states[-1].update(priors=["0"]),
        _first(lambda state: state.update(terms=[])),
        _first(lambda state: state["terms"].append(state["terms"][0])),
        _first(lambda state: state["terms"][0].append("x")),
        _first(lambda state: state.update(layers=[])),
        _first(lambda state: state["layers"].__setitem__(0, state["layers"][1])),
        _first(lambda state: state["layers"].__setitem__(0, 5)),
        _first(lambda state: state["settings"].update(layer_misfit=-1.0)),
        _first(lambda state: state["terms"].__setitem__(1, ["x" * 100] * 4)),
        _first(lambda state: state["terms"].__setitem__(1, [1, 2, 3, 4])),
        _first(lambda state: state.update(level=float("nan"))),
        _first(lambda state: state.update(level=1e300)),
        _first(lambda state: state.update(level="x")),
        _first(lambda state: state["settings"].update(noise=0.0)),
        _first(lambda state: state["settings"].update(reach=float("inf"))),
        _first(lambda state: state["settings"].update(further=1.0)),
        _first(lambda state: state.update(n_families=-1)),
        _first(lambda state: state.update(n_families=10**9)),
        _first(lambda state: state.update(usual_deviation=0.0)),
        _first(lambda state: state.update(novel_deviation=float("nan"))),
        _first(lambda state: state.update(seen=["x"])),
        _first(lambda state: state.update(seen=[5])),
        _first(lambda state: state.update(seen=["0" * 16] * 10**4)),
        _first(lambda state: state.update(operations=[])),
        _first(lambda state: state.update(operations=[5])),
        _first(lambda state: state.update(operations=["conv"] * 10**4)),
        _first(lambda state: state.update(configuration={})),
        _first(lambda state: state.pop("priors")),
    ],
)
def test_a_forged_state_is_refused(path: Path, change: Callable[[Any], object]) -> None:
    states = json.loads(_members(path)["cost_model.json"])
    change(states)
    _forge(path, "cost_model.json", json.dumps(states).encode())
    _refuse(path)


@pytest.mark.parametrize(
    "name", ["theta", "shares", "parts", "dual", "excess", "alone", "with_family"]
)
@pytest.mark.parametrize(
    "forged",
    [
        lambda array: array[:0],
        lambda array: array[None],
        lambda array: array * np.nan,
        lambda array: array * 0 + 1e300,
        lambda array: array.astype(np.float32),
        lambda array: array.astype(np.complex128),
        lambda array: np.array(["x"]),
        lambda array: np.zeros(10**6),
    ],
)
def test_a_forged_array_is_refused(path: Path, name: str, forged: Callable[[Any], Any]) -> None:
    arrays = unpack_arrays(_members(path)["cost_model.npz"], "x")
    arrays[f"0_{name}"] = forged(arrays[f"0_{name}"])
    _forge(path, "cost_model.npz", pack_arrays(arrays))
    _refuse(path)


@pytest.mark.parametrize("name", ["shares", "parts", "excess", "alone", "with_family"])
def test_an_array_that_cannot_be_negative_is_refused(path: Path, name: str) -> None:
    arrays = unpack_arrays(_members(path)["cost_model.npz"], "x")
    arrays[f"0_{name}"].flat[0] = -0.5
    _forge(path, "cost_model.npz", pack_arrays(arrays))
    _refuse(path, "is negative")


def test_a_pickle_in_the_arrays_never_runs(path: Path) -> None:
    arrays = {**unpack_arrays(_members(path)["cost_model.npz"], "x")}
    packed = Path(path.parent / "trap.npz")
    np.savez(packed, **{**arrays, "0_theta": np.array([print], dtype=object)})  # type: ignore[arg-type]
    _forge(path, "cost_model.npz", packed.read_bytes())
    _refuse(path, "allow_pickle=False")
    _forge(path, "cost_model.npz", pickle.dumps(print))
    _refuse(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(predictor="something else"),
        lambda manifest: manifest.update(predictor="table"),
        lambda manifest: manifest.update(predictor=[]),
        lambda manifest: manifest.update(provenance=5),
        lambda manifest: manifest.update(held_out={"n": 1}),
        lambda manifest: manifest.update(held_out={**manifest["held_out"], "mape": "x"}),
        lambda manifest: manifest["configuration"].update(threads=2),
        lambda manifest: manifest.pop("held_out"),
    ],
)
def test_a_forged_manifest_is_refused(path: Path, change: Callable[[Any], object]) -> None:
    manifest = json.loads(_members(path)["manifest.json"])
    change(manifest)
    _forge(path, "manifest.json", json.dumps(manifest).encode())
    _refuse(path)


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {},
        {"signature": "none", "measured_ms": 1.0},
        {"signature": NETWORKS[0].signature, "measured_ms": 0.0},
        {"signature": NETWORKS[0].signature, "measured_ms": float("nan")},
        {"signature": NETWORKS[0].signature.replace("fp32", "int8"), "measured_ms": 1.0},
        {"signature": NETWORKS[0].signature, "measured_ms": 1.0},  # fewer than were seen
    ],
)
def test_a_forged_calibration_is_refused(path: Path, entry: object) -> None:
    _forge(path, "calibration.json", json.dumps([entry]).encode())
    _refuse(path)


@pytest.mark.parametrize("guesses", [None, "0" * 16])
def test_a_file_learned_on_other_guesses_is_refused(path: Path, guesses: str | None) -> None:
    manifest = json.loads(_members(path)["manifest.json"])
    manifest["guesses"] = guesses
    _forge(path, "manifest.json", json.dumps(manifest).encode())
    _refuse(path, "other first guesses .* Fit it anew .* or use the version of mnaslat that wrote")
