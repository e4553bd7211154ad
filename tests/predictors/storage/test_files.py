"""A predictor in a file: the same after reading, and refused in one sentence when it is not."""

import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.errors import PredictorFileError
from mnaslat.graph import Graph
from mnaslat.predictors.calibration.predictor import CalibratedPredictor
from mnaslat.predictors.network_predictor import load_predictor
from mnaslat.predictors.storage import archive as archives
from mnaslat.predictors.storage.files import save_predictor
from mnaslat.predictors.table.predictor import TablePredictor

CONFIGURATION = Configuration(device="host", fingerprint="made-up CPU")
MEASURED = [Graph.parse(f"fp32 8x8x8 conv1x1>{8 * n}") for n in range(1, 21)]
# The last two are not in the table: the kernel model has to price them.
ASKED = [*MEASURED, *(Graph.parse(f"fp32 8x8x8 conv{k}x{k}>12") for k in (1, 3))]
MEMBERS = ("manifest.json", "table.json", "calibration.json", "kernel_model.npz")


def _predictor() -> CalibratedPredictor:
    rows = {graph.signature: Row(0.1 * n, 0.01, 2) for n, graph in enumerate(MEASURED, start=1)}
    base = TablePredictor(LatencyTable(CONFIGURATION, rows))
    noise = np.random.default_rng(0).normal(1.1, 0.02, len(MEASURED))
    return CalibratedPredictor(base).fit(MEASURED, base.predict_ms(MEASURED) * noise + 0.3)


@pytest.fixture(scope="module")
def predictor() -> CalibratedPredictor:
    return _predictor()


@pytest.fixture(scope="module")
def content(predictor: CalibratedPredictor, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "a.mnaslat"
    save_predictor(predictor, path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "a.mnaslat"
    path.write_bytes(content)
    return path


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _write(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, member)


def _forge(path: Path, name: str, member: bytes) -> None:
    """Replace a member and make all hashes fit again, as someone who means harm would."""
    members = {**_members(path), name: member}
    manifest = json.loads(members["manifest.json"])
    for each in MEMBERS[1:]:
        manifest["sha256"][each] = hashlib.sha256(members[each]).hexdigest()
    manifest["sha256"]["manifest.json"] = archives.own_hash(manifest)
    _write(path, {**members, "manifest.json": json.dumps(manifest).encode()})


def _refuse(path: Path, reason: str | None = None) -> None:
    with pytest.raises(PredictorFileError, match=reason) as caught:
        load_predictor(path)
    assert str(caught.value).endswith(".") and len(str(caught.value)) < 1000


# --- the same after reading


def test_a_predictor_read_back_predicts_the_same_bit_for_bit(
    predictor: CalibratedPredictor, path: Path
) -> None:
    again = load_predictor(str(path))
    assert again.predict_ms(ASKED).tobytes() == predictor.predict_ms(ASKED).tobytes()
    assert again.predict_detailed(ASKED) == predictor.predict_detailed(ASKED)
    for graph in ASKED:
        assert again.predict_interval_ms(graph) == predictor.predict_interval_ms(graph)


def test_a_predictor_read_back_knows_all_it_knew(
    predictor: CalibratedPredictor, path: Path
) -> None:
    again = load_predictor(path)
    assert again.configuration == predictor.configuration
    assert (again.correction, again.held_out) == (predictor.correction, predictor.held_out)
    assert again.correction.kind == "affine"
    assert again.table == predictor.table
    assert [each.signature for each in again.networks] == [each.signature for each in MEASURED]
    assert again.measured_ms.tolist() == predictor.measured_ms.tolist()
    assert again.residuals.tolist() == predictor.residuals.tolist()


def test_a_predictor_read_back_can_be_recalibrated(
    predictor: CalibratedPredictor, path: Path
) -> None:
    again = load_predictor(path).recalibrated(MEASURED[:2], [5.0, 6.0])
    expected = predictor.recalibrated(MEASURED[:2], [5.0, 6.0])
    assert again.correction == expected.correction
    assert len(again.networks) == len(MEASURED)


def test_reading_and_writing_again_changes_nothing(path: Path, tmp_path: Path) -> None:
    second = tmp_path / "deep" / "b.mnaslat"
    save_predictor(load_predictor(path), second)
    assert second.read_bytes() == path.read_bytes()
    with zipfile.ZipFile(second) as archive:  # nor does the time of writing
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_predictor_that_was_never_calibrated_is_kept_too(tmp_path: Path) -> None:
    predictor = CalibratedPredictor(_predictor().base)
    save_predictor(predictor, tmp_path / "a.mnaslat")
    again = load_predictor(tmp_path / "a.mnaslat")
    assert again.held_out is None and again.residuals.size == 0
    assert again.predict_ms(ASKED).tolist() == predictor.predict_ms(ASKED).tolist()


def test_a_rank_correlation_that_does_not_exist_survives(tmp_path: Path) -> None:
    predictor = CalibratedPredictor(_predictor().base).fit(MEASURED[:3], [1.0, 1.0, 1.0])
    assert predictor.held_out is not None and np.isnan(predictor.held_out.spearman)
    save_predictor(predictor, tmp_path / "a.mnaslat")
    again = load_predictor(tmp_path / "a.mnaslat")
    assert again.held_out is not None and np.isnan(again.held_out.spearman)
    assert again.held_out.mape == predictor.held_out.mape


def test_a_fresh_process_reads_the_same_predictions(
    predictor: CalibratedPredictor, path: Path, tmp_path: Path
) -> None:
    script = """
import sys
from mnaslat.graph import Graph
from mnaslat.predictors import load_predictor

asked = [Graph.parse(signature) for signature in sys.argv[2:]]
print(load_predictor(sys.argv[1]).predict_ms(asked).tobytes().hex())
"""
    printed = subprocess.run(
        [sys.executable, "-c", script, str(path), *(graph.signature for graph in ASKED)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONHASHSEED": "3"},
    ).stdout
    assert bytes.fromhex(printed) == predictor.predict_ms(ASKED).tobytes()


def test_a_file_appears_whole_or_not_at_all(
    predictor: CalibratedPredictor, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    writestr, n_written = zipfile.ZipFile.writestr, 0

    def fail_late(archive: zipfile.ZipFile, name: str, member: bytes) -> None:
        nonlocal n_written
        n_written += 1
        if n_written == 3:
            raise OSError(28, "No space left on device")
        writestr(archive, name, member)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail_late)
    with pytest.raises(OSError, match="No space left"):
        save_predictor(predictor, path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["a.mnaslat"]


# --- damaged


@pytest.mark.parametrize("twentieth", range(20))
def test_a_truncated_file_is_refused(path: Path, content: bytes, twentieth: int) -> None:
    path.write_bytes(content[: len(content) * twentieth // 20])
    _refuse(path, "It may be truncated; get it again")


def test_a_file_without_its_last_byte_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content[:-1])
    _refuse(path)


def test_any_flipped_byte_is_refused_or_without_effect(
    predictor: CalibratedPredictor, path: Path, content: bytes
) -> None:
    rng = random.Random(4)
    expected = predictor.predict_ms(ASKED).tobytes()
    n_refused = 0
    for position in rng.sample(range(len(content)), 150) + list(
        range(len(content) - 60, len(content))
    ):
        damaged = bytearray(content)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            found = load_predictor(path)  # times and flags of the zip itself say nothing to us
            assert found.predict_ms(ASKED).tobytes() == expected
        except PredictorFileError:
            n_refused += 1
    assert n_refused > 100


@pytest.mark.parametrize("name", MEMBERS)
def test_a_changed_member_is_refused_and_named(path: Path, name: str) -> None:
    members = _members(path)
    if name.endswith(".json"):
        member = members[name].replace(b"0.", b"0.1", 1)  # still JSON, with another number
        assert member != members[name]
    else:
        member = members[name] + b"\0"
    _write(path, {**members, name: member})
    _refuse(path, f"was changed after it was written \\({name} does not match its hash\\)")


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("member", [b"", b"\0", b"null", b"[]", b'{"kind": "mnaslat-predictor"}'])
def test_a_member_that_is_something_else_is_refused(path: Path, name: str, member: bytes) -> None:
    _write(path, {**_members(path), name: member})
    _refuse(path)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_missing_member_is_refused(path: Path, name: str) -> None:
    members = _members(path)
    del members[name]
    _write(path, members)
    _refuse(path, name)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    _refuse(tmp_path / "absent.mnaslat", r"There is no predictor file .*`mnaslat calibrate`\.")


@pytest.mark.parametrize("content", [b"", b"PK\5\6" + b"\0" * 18, b"no zip at all", b"\x80\x05N."])
def test_what_is_no_predictor_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mnaslat").write_bytes(content)
    _refuse(tmp_path / "a.mnaslat")


def test_a_folder_and_what_lies_below_a_file_are_refused(tmp_path: Path, path: Path) -> None:
    _refuse(tmp_path, "Cannot read")
    _refuse(path / "below", "Cannot read")


def test_a_newer_format_and_another_kind_are_refused(path: Path) -> None:
    members = _members(path)
    manifest = json.loads(members["manifest.json"])
    newer = {**manifest, "format": 4, "sha256": "in another form"}
    _write(path, {"manifest.json": json.dumps(newer).encode()})
    _refuse(path, r"has format 4; this mnaslat reads 1, 2 and 3\. Upgrade mnaslat")
    other = {**manifest, "kind": "mnaslat-search"}
    _write(path, {**members, "manifest.json": json.dumps(other).encode()})
    _refuse(path, "is not a predictor of mnaslat")


# --- made to harm: all hashes fit


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, sprung: str) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self._sprung,)


def _arrays(path: Path) -> dict[str, Any]:
    with np.load(io.BytesIO(_members(path)["kernel_model.npz"])) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _packed(arrays: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


@pytest.mark.parametrize("name", ["classes", "scale", "coefficients", "tree_left", "further"])
def test_a_pickle_in_the_arrays_never_runs(path: Path, tmp_path: Path, name: str) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([_Trap(str(sprung))], dtype=object)
    _forge(path, "kernel_model.npz", _packed({**_arrays(path), name: trap}))
    _refuse(path, "allow_pickle=False")
    assert not sprung.exists()
    _forge(path, "kernel_model.npz", pickle.dumps(_Trap(str(sprung))))
    _refuse(path)
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["manifest.json", "table.json", "calibration.json"])
def test_json_is_refused_before_it_takes_memory(path: Path, name: str) -> None:
    n_bytes = (4 if name == "manifest.json" else 16) * 2**20
    values = b"[" + b"{}," * (n_bytes // 3) + b"{}]"  # would take 25 times as much
    _write(path, {**_members(path), name: values})
    tracemalloc.start()
    _refuse(path, f"{name} is larger than {n_bytes} bytes")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3 * n_bytes + 2**20


def test_arrays_that_unpack_to_too_much_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the true limit takes seconds to reach
    monkeypatch.setattr(archives, "_MAX_MEMBER_BYTES", 10**6)
    members = _members(path)
    _write(path, {**members, "kernel_model.npz": b" " * (10**6 + 1)})
    _refuse(path, "kernel_model.npz is larger than")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scale.npy", b"\0" * (10**6 + 1))
    _write(path, members)
    _forge(path, "kernel_model.npz", inner.getvalue())
    _refuse(path, "kernel_model.npz unpacks to more than")


def test_what_could_not_be_read_again_is_not_written(
    predictor: CalibratedPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_MAX_JSON_BYTES", 100)
    with pytest.raises(ValueError, match=r"table\.json is larger than 100 bytes"):
        save_predictor(predictor, tmp_path / "a.mnaslat")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("header", ["{'descr': '<f8', 'shape': (3,", "((((", "\0", '"' * 3, "1+"])
def test_an_array_whose_header_is_no_header_is_refused(path: Path, header: str) -> None:
    text = header.encode().ljust(117) + b"\n"
    array = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name in _arrays(path):
            archive.writestr(f"{name}.npy", array)
    _forge(path, "kernel_model.npz", inner.getvalue())
    _refuse(path, "Cannot read")


def test_an_array_that_claims_to_be_huge_is_refused(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    )
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name in _arrays(path):
            archive.writestr(f"{name}.npy", header.getvalue())
    _forge(path, "kernel_model.npz", inner.getvalue())
    _refuse(path)


def test_names_that_lead_elsewhere_are_never_written(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    traps = {"../up.txt": b"x", str(tmp_path / "absolute.txt"): b"x", "..\\back.txt": b"x"}
    _write(path, {**_members(path), **traps})
    before = sorted(tmp_path.rglob("*"))
    load_predictor(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("correction"),
        lambda manifest: manifest.update(correction=None),
        lambda manifest: manifest["correction"].update(scale=0.0),
        lambda manifest: manifest["correction"].update(scale=float("nan")),
        lambda manifest: manifest["correction"].update(scale=10**400),
        lambda manifest: manifest["correction"].update(offset_ms=float("inf")),
        lambda manifest: manifest["correction"].update(offset_ms=[]),
        lambda manifest: manifest.pop("held_out"),
        lambda manifest: manifest.update(held_out={"n": 1}),
        lambda manifest: manifest.update(held_out=[]),
        lambda manifest: manifest["held_out"].update(n=10**400),
        lambda manifest: manifest["held_out"].update(n=1.5),
        lambda manifest: manifest["held_out"].update(mape=10**400),
        lambda manifest: manifest["held_out"].update(within_5="x"),
        lambda manifest: manifest["held_out"].update(within_5=float("inf")),
        lambda manifest: manifest["held_out"].update(more=1.0),
        lambda manifest: manifest["configuration"].update(precision="fp99"),
        lambda manifest: manifest.update(configuration={}),
        lambda manifest: manifest["configuration"].update(threads=2),
    ],
)
def test_a_forged_manifest_is_refused(path: Path, change: Callable[[Any], object]) -> None:
    manifest = json.loads(_members(path)["manifest.json"])
    change(manifest)
    _forge(path, "manifest.json", json.dumps(manifest).encode())
    _refuse(path, "Cannot read")


@pytest.mark.parametrize(
    "calibration",
    [
        None,
        5,
        [5],
        [{}],
        [{"signature": "none", "measured_ms": 1.0, "residual": 0.0}],
        [{"signature": 5, "measured_ms": 1.0, "residual": 0.0}],
        [{"signature": MEASURED[0].signature, "measured_ms": "x", "residual": 0.0}],
        [{"signature": MEASURED[0].signature, "measured_ms": 10**400, "residual": 0.0}],
        [{"signature": MEASURED[0].signature, "measured_ms": 0.0, "residual": 0.0}],
        [{"signature": MEASURED[0].signature, "measured_ms": float("nan"), "residual": 0.0}],
        [{"signature": MEASURED[0].signature, "measured_ms": 1.0, "residual": float("nan")}],
    ],
)
def test_a_forged_calibration_is_refused(path: Path, calibration: object) -> None:
    _forge(path, "calibration.json", json.dumps(calibration).encode())
    _refuse(path, "Cannot read")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", np.frombuffer(b"{", np.uint8)),
        ("classes", np.frombuffer(b"[[1, 2]]", np.uint8)),
        ("classes", np.frombuffer(b"[]", np.uint8)),
        ("scale", np.zeros(3)),
        ("scale", np.array(["x"])),
        ("coefficients", np.zeros(0)),
        ("coefficients", np.full(9, np.nan)),
        ("tree_left", np.zeros((0, 0), np.int32)),
        ("tree_left", np.zeros((1, 1), np.int32)),
        ("tree_base", np.zeros(0)),
    ],
)
def test_a_forged_kernel_model_is_refused(path: Path, name: str, value: Any) -> None:
    _forge(path, "kernel_model.npz", _packed({**_arrays(path), name: value}))
    _refuse(path, "Cannot read")


def test_a_table_in_another_format_inside_is_refused(path: Path) -> None:
    table = json.loads(_members(path)["table.json"])
    _forge(path, "table.json", json.dumps({**table, "format": 2}).encode())
    _refuse(path, "latency table has format 2")


def test_json_that_is_nested_without_end_is_refused(path: Path) -> None:
    _forge(path, "calibration.json", b"[" * 200_000)
    _refuse(path)
    _write(path, {"manifest.json": b"[" * 200_000})
    _refuse(path)


def test_an_encrypted_or_oddly_compressed_file_is_refused(path: Path, content: bytes) -> None:
    encrypted = bytearray(content)
    at = content.index(b"PK\1\2")
    encrypted[at + 8] |= 1  # the first member is said to be encrypted
    path.write_bytes(encrypted)
    _refuse(path)
    path.write_bytes(content)
    members = _members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    _refuse(path, "compressed in a way that predictors are not")
