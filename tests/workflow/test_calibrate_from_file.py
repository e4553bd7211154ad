"""``mnaslat calibrate --measurements``: latencies from elsewhere, and how they can be wrong."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mnaslat
from mnaslat.cli.commands.calibrate import _calibrate_from_file
from mnaslat.data.measurement import Configuration
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError
from mnaslat.lowering import lower
from mnaslat.predictors import CostModel, load_predictor, save_predictor
from mnaslat.space import load_space
from mnaslat.workflow.calibrate_from_file import (
    describe_device,
    fit_measurements,
    named_priors,
    priors_or_pretrained,
    suggest_networks,
)
from mnaslat.workflow.measurement_file import FileMeasurement, read_measurements
from mnaslat.workflow.progress import SILENT
from tests.predictors.made_up_networks import made_up_ms

SPACE = load_space("mnasnet")
TOKENS = [",".join(map(str, row)) for row in SPACE.sample(30, np.random.default_rng(0)).tolist()]
GRAPHS = [lower(SPACE.decode([int(token) for token in row.split(",")])) for row in TOKENS]
LATENCY_MS = made_up_ms(GRAPHS)


@pytest.fixture(scope="module")
def other() -> CostModel:
    """Another device, as a prior."""
    configuration = Configuration(device="other", fingerprint="other")
    return CostModel(configuration=configuration).fit(
        GRAPHS[:20], made_up_ms(GRAPHS, device=1)[:20]
    )


def _file(folder: Path, rows: list[tuple[str, Any]], header: str = "model,latency_ms") -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = folder / "phone.csv"
    path.write_text(f"{header}\n{text.getvalue()}", encoding="utf-8")
    return path


def _good(n: int = 8) -> list[tuple[str, Any]]:
    return [(model, float(ms)) for model, ms in zip(TOKENS[:n], LATENCY_MS[:n], strict=True)]


def _read(path: Path) -> list[FileMeasurement]:
    return read_measurements(path, SPACE)


def _phone(**changes: Any) -> Configuration:
    settings = {"precision": "fp32", "threads": 1, "cores": "", "delegate": ""}
    return describe_device("phone", **{**settings, **changes})


def calibrate_elsewhere(
    workspace: Workspace, path: Path | None, configuration: Configuration, **options: Any
) -> None:
    """Run the command's own part of ``calibrate --measurements``."""
    settings: dict[str, Any] = {"resolution": None, "priors": "", "n_suggested": 0, "json": False}
    _calibrate_from_file(workspace, path, configuration, SPACE, **{**settings, **options})


def chosen_priors(text: str, configuration: Configuration) -> tuple[CostModel, ...]:
    return priors_or_pretrained(named_priors(text), configuration, SILENT)


def suggested_models(model: CostModel, measured: list[FileMeasurement], n: int) -> list[str]:
    found = suggest_networks(_phone(), SPACE, n, measured=measured, predictor=model)
    return [str(each) for each in found]


# --- what is read


def test_names_tokens_and_files_are_read(tmp_path: Path) -> None:
    network = mnaslat.load_network("mobilenet-v2")
    (tmp_path / "network.tflite").write_bytes(mnaslat.write_tflite(lower(network)))
    rows = [("mnasnet-a1", 9.0), (TOKENS[0], 10.0), ("network.tflite", 12.0)]
    lines = _read(_file(tmp_path, rows))
    assert [line.number for line in lines] == [2, 3, 4]
    assert [line.latency_ms for line in lines] == [9.0, 10.0, 12.0]
    assert lines[2].graph.signature == lower(network).signature


def test_further_columns_comments_and_empty_lines_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "phone.csv"
    path.write_text("﻿# made by hand\nnote,latency_ms,model\n\nfirst,9.5,mnasnet-a1\n")
    (line,) = _read(path)
    assert (line.number, line.latency_ms) == (4, 9.5)


# --- what is refused, with its line


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("mnasnet-a1", 0), "line 4: a latency must be positive milliseconds, got 0"),
        (("mnasnet-a1", -1), "line 4: a latency must be positive"),
        (("mnasnet-a1", "nan"), "line 4: a latency must be positive"),
        (("mnasnet-a1", "inf"), "line 4: a latency must be positive"),
        (("mnasnet-a1", "fast"), "line 4: 'fast' is not a number"),
        (("mnasnet-a1", ""), "line 4: no latency yet"),
        (("nope", 3.0), "line 4: No network named 'nope'"),
        (("1,2,3", 3.0), "line 4: .*needs 42"),
        (("missing.tflite", 3.0), "line 4: There is no file"),
        (("missing.json", 3.0), "line 4: Cannot read"),
        (("os:getcwd", 3.0), "line 4: 'os:getcwd' would run code"),
        ((TOKENS[0], 1.15 * float(LATENCY_MS[0])), "lines 2 and 4: the same network took"),
        (("networks.py:made", 3.0), "line 4: 'networks.py:made' would run code"),
        (("mnasnet-a1", 3.0, "more"), "line 4: 3 cells, where the first line names 2"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, row: Any, sentence: str) -> None:
    path = _file(tmp_path, [*_good(2), row])
    with pytest.raises(ArgumentError) as caught:
        _read(path)
    assert re.search(sentence, str(caught.value))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "has no measurement"),
        (b"model,latency_ms\n", "has no measurement"),
        (b"mnasnet-a1,9\n", "has no column 'model'"),
        (b"model,latency\nmnasnet-a1,9\n", "has no column 'latency_ms'"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"model,latency_ms\n" + b"#" * 2**25, "is larger than 16 MB"),
        (b"model,latency_ms\n" + b"x,1\n" * 10_000, "has 10001 lines; at most 10000 are read"),
    ],
)
def test_what_is_no_file_of_measurements_is_refused(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "phone.csv"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=sentence):
        _read(path)
    with pytest.raises(ArgumentError, match="Cannot read"):
        _read(tmp_path / "missing.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no file without end")
def test_a_file_without_end_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="/dev/zero is larger than 16 MB"):
        _read(Path("/dev/zero"))
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    with pytest.raises(ArgumentError, match=r"line 2: .*zero\.json is larger than 1 MB"):
        _read(_file(tmp_path, [("zero.json", 3.0)]))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[1]", "does not hold an architecture"),
        (b'{"architecture": [1]}', "does not hold an architecture"),
        (b'{"architecture": null}', "does not hold an architecture"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is no UTF-8 text"),
        (b'{"format": 1, "blocks": 5}', "Not an architecture"),
        (b'{"format": 1, "blocks": [], "resolution": {}}', "line 2: "),
    ],
)
def test_a_json_file_that_is_no_architecture_is_refused(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "network.json").write_bytes(content)
    with pytest.raises(ArgumentError, match=sentence):
        _read(_file(tmp_path, [("network.json", 3.0)]))


def test_measurements_that_agree_may_stand_twice(tmp_path: Path) -> None:
    rows = [*_good(6), (TOKENS[0], 1.02 * float(LATENCY_MS[0]))]
    model = fit_measurements(_read(_file(tmp_path, rows)), _phone(), ())
    assert len(model.predictor.networks) == 6


def test_merged_lines_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path, [*_good(6), (TOKENS[0], 1.02 * float(LATENCY_MS[0]))])
    place = Workspace(tmp_path / "place")
    calibrate_elsewhere(place, path, _phone(), priors="none")
    assert "Lines 2 and 8 are the same network: merged." in capsys.readouterr().out
    calibrate_elsewhere(place, path, _phone(), priors="none", json=True)
    assert json.loads(capsys.readouterr().out)["merged_lines"] == [[2, 8]]


def test_a_line_that_disagrees_with_all_others_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = _good(12)
    rows[9] = (rows[9][0], 5 * rows[9][1])
    path, place = _file(tmp_path, rows), Workspace(tmp_path / "place")
    calibrate_elsewhere(place, path, _phone())
    reported = capsys.readouterr().out
    assert re.search(
        r"Line 11 \(.*\) is \d\.\d times what the others imply; it counts little: measure", reported
    )
    assert reported.count("what the others imply") == 1
    assert "Next: mnaslat predict MODEL --predictor" in reported
    calibrate_elsewhere(place, path, _phone(), json=True)
    (unusual,) = json.loads(capsys.readouterr().out)["unusual_lines"]
    assert unusual["line"] == 11 and unusual["counts_little"] and 3.5 < unusual["factor"] < 7


def test_a_few_networks_say_little(
    tmp_path: Path, other: CostModel, capsys: pytest.CaptureFixture[str]
) -> None:
    save_predictor(other, tmp_path / "other.mnaslat")
    path, place = _file(tmp_path, _good(2)), Workspace(tmp_path / "place")
    priors = str(tmp_path / "other.mnaslat")
    calibrate_elsewhere(place, path, _phone(), priors=priors)
    reported = capsys.readouterr().out
    assert "so few networks say little about it" in reported and "nan" not in reported
    calibrate_elsewhere(place, path, _phone(), priors=priors, json=True)
    assert json.loads(capsys.readouterr().out)["held_out"]["spearman"] is None


def test_priors_of_other_cores_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, place = _file(tmp_path, _good(2)), Workspace(tmp_path / "place")
    for changes, sentence in (
        ({"threads": 7}, "No shipped phone was measured with 7 threads"),
        ({"cores": "little"}, "The priors are of large cores (1large), not little ones"),
    ):
        calibrate_elsewhere(place, path, _phone(**changes))
        assert sentence in capsys.readouterr().err
    place = Workspace(tmp_path / "half")
    with pytest.raises(ArgumentError, match="leave out --priors none"):
        calibrate_elsewhere(place, path, _phone(precision="fp16"))
    assert "No shipped phone was measured in fp16 on a CPU" in capsys.readouterr().err


def test_a_delegate_without_known_costs_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'nnapi' is not known .* xnnpack, gpu") as refused:
        _phone(delegate="nnapi")
    assert refused.value.argument == "delegate"


def test_microseconds_are_a_question(tmp_path: Path, other: CostModel) -> None:
    rows = [(model, 1000 * ms) for model, ms in _good()]
    with pytest.raises(ArgumentError, match="Are these latencies in microseconds"):
        fit_measurements(_read(_file(tmp_path, rows)), _phone(), [other])


@pytest.mark.parametrize(("factor", "unit"), [(1000.0, "microseconds"), (0.001, "seconds")])
def test_one_line_in_another_unit_is_a_question(
    tmp_path: Path, other: CostModel, factor: float, unit: str
) -> None:
    rows = _good()
    rows[3] = (rows[3][0], factor * rows[3][1])
    with pytest.raises(ArgumentError, match=rf"Line 5: is .* in {unit}\?"):
        fit_measurements(_read(_file(tmp_path, rows)), _phone(), [other])


def test_too_few_networks_say_what_would_help(tmp_path: Path, other: CostModel) -> None:
    lines = _read(_file(tmp_path, _good(3)))
    with pytest.raises(ArgumentError, match="at least 5 different networks are needed, got 3"):
        fit_measurements(lines, _phone(), ())
    assert fit_measurements(lines, _phone(), [other]).held_out is not None


@pytest.mark.parametrize(
    "changes", [{"precision": "fp64"}, {"name": "../up"}, {"name": ""}, {"name": "a b"}]
)
def test_a_device_is_described_in_known_words(changes: dict[str, str]) -> None:
    settings = {"name": "phone", "precision": "fp32", "cores": "", "delegate": "", **changes}
    with pytest.raises(ArgumentError):
        describe_device(threads=1, **settings)


# --- priors


def test_the_shipped_phones_are_the_priors_unless_told_otherwise() -> None:
    assert [prior.configuration.threads for prior in chosen_priors("", _phone())] == [1] * 4
    gpus = chosen_priors("", _phone(delegate="gpu"))
    assert {prior.configuration.delegate for prior in gpus} == {"gpu"}
    assert chosen_priors("none", _phone()) == ()
    (named,) = chosen_priors("s10-cpu1-fp32", _phone())
    assert named.configuration.device == chosen_priors("", _phone())[-1].configuration.device


def test_a_prior_can_be_a_file(tmp_path: Path, other: CostModel) -> None:
    save_predictor(other, tmp_path / "other.mnaslat")
    (prior,) = chosen_priors(str(tmp_path / "other.mnaslat"), _phone())
    assert prior.configuration == other.configuration
    with pytest.raises(mnaslat.MnaslatError, match="no predictor file nope"):
        chosen_priors("nope", _phone())


def test_priors_make_few_networks_go_further(tmp_path: Path, other: CostModel) -> None:
    lines = _read(_file(tmp_path, _good(5)))
    errors = []
    for priors in ((), (other,)):
        predicted = fit_measurements(lines, _phone(), priors).predictor.predict(GRAPHS[20:])
        errors.append(np.abs(predicted / LATENCY_MS[20:] - 1).mean())
    assert errors[1] < errors[0]


# --- what to measure next


def test_suggestions_are_networks_of_the_space_that_were_not_measured(other: CostModel) -> None:
    model = CostModel((other,), _phone())
    first = suggested_models(model, [], 3)
    assert first == suggested_models(model, [], 3)
    graphs = [lower(SPACE.decode([int(each) for each in row.split(",")])) for row in first]
    lines = [
        FileMeasurement(number, row, graph, float(ms))
        for number, (row, graph, ms) in enumerate(
            zip(first, graphs, made_up_ms(graphs), strict=True), start=2
        )
    ]
    fitted = fit_measurements(lines, _phone(), [other]).predictor
    assert not set(first) & set(suggested_models(fitted, lines, 3))


def test_what_is_suggested_can_be_filled_in_and_read(
    tmp_path: Path, other: CostModel, capsys: pytest.CaptureFixture[str]
) -> None:
    save_predictor(other, tmp_path / "other.mnaslat")
    workspace, priors = Workspace(tmp_path / "place"), str(tmp_path / "other.mnaslat")
    calibrate_elsewhere(workspace, None, _phone(), priors=priors, n_suggested=6)
    sheet = capsys.readouterr().out
    assert sheet.startswith("model,latency_ms\n") and sheet.count("\n") == 7
    path = tmp_path / "filled.csv"
    path.write_text(re.sub(r",$", ",12.5", sheet, flags=re.MULTILINE))
    calibrate_elsewhere(workspace, path, _phone(), priors=priors)
    assert "each predicted by a fit without it: MAPE" in capsys.readouterr().out
    stored = workspace.newest_predictor()
    assert stored is not None
    assert load_predictor(stored).configuration == _phone()


# --- the command itself


def test_the_command_fits_saves_and_predicts(cli: Any, tmp_path: Path) -> None:
    path, place = _file(tmp_path, _good(12)), ("--workspace", str(tmp_path / "place"))
    asked = ("calibrate", "--measurements", str(path), "--device-name", "mine", *place)
    found = cli.json(*asked, "--priors", "none")
    assert found["held_out"]["n"] == 12 and found["priors"] == []
    (row,) = cli.json("predict", TOKENS[20], *place)["models"]
    assert row["predicted_ms"] == pytest.approx(LATENCY_MS[20], rel=0.3)
    report = tmp_path / "report.html"
    cli.run("report", found["predictor"], "--output", str(report), *place)
    assert "Calibrated on 12 whole networks" in report.read_text(encoding="utf-8")


def test_the_commands_options_need_each_other(cli: Any, tmp_path: Path) -> None:
    place = ("--workspace", str(tmp_path))
    for options in (("--suggest", "2", "--device", "host"), ("--device-name", "phone")):
        cli.run("calibrate", *options, *place, status=2)
