"""``mnaslat predict``: any network in, and why it takes so long."""

import re
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.predictors import CostModel, save_predictor
from tests.predictors.made_up_networks import made_up_ms, made_up_networks


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A predictor of a phone that does not exist, and a workspace."""
    folder = tmp_path_factory.mktemp("predicting")
    graphs, _ = made_up_networks(30, 1)
    file = folder / "phone.mnaslat"
    save_predictor(CostModel().fit(graphs, made_up_ms(graphs)), file)
    return "--predictor", str(file), "--workspace", str(folder)


def _words(text: str) -> str:
    return re.sub(r"[\s│]+", " ", text)


def test_a_tflite_file_is_predicted_like_its_network(
    cli: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "network.tflite"
    file.write_bytes(mnaslat.write_tflite(mnaslat.lower(mnaslat.load_network("mobilenet-v2"))))
    rows = cli.json("predict", "mobilenet-v2", str(file), *options)["models"]
    assert rows[0]["predicted_ms"] == pytest.approx(rows[1]["predicted_ms"], rel=1e-9)
    assert "explanation" not in rows[0]


def test_a_torch_module_is_predicted_like_its_network(cli: Any, options: tuple[str, ...]) -> None:
    asked = ("predict", "torch_networks:mobilenet", "mobilenet-v2", *options)
    rows = cli.json(*asked)["models"]
    assert rows[0]["predicted_ms"] == pytest.approx(rows[1]["predicted_ms"], rel=0.05)


def test_a_torch_module_sees_an_image_of_the_resolution(cli: Any, options: tuple[str, ...]) -> None:
    asked = ("predict", "torch_networks:plain", "--explain", *options)
    small, large = (
        cli.json(*asked, *more)["models"][0]["predicted_ms"]
        for more in (("--resolution", "64"), ())
    )
    assert small < large


def test_help_warns_of_running_code(cli: Any) -> None:
    assert "name only code you trust" in _words(cli.run("predict", "--help").stdout)


def test_explain_says_which_layer_takes_how_long(cli: Any, options: tuple[str, ...]) -> None:
    shown = cli.run("predict", "mnasnet-a1", "--explain", *options).stdout
    assert re.search(r"block3\.1 .* ms +\d+\.\d% +estimated .* to .* ms +mbconv3 k5", shown)
    (row,) = cli.json("predict", "mnasnet-a1", "--explain", *options)["models"]
    layers = row["explanation"]["layers"]
    assert sum(layer["latency_ms"] for layer in layers) == pytest.approx(row["predicted_ms"])
    assert sum(layer["share"] for layer in layers) == pytest.approx(1.0)
    expected = {"place", "label", "latency_ms", "source", "low_ms", "high_ms", "share"}
    assert all(layer.keys() == expected for layer in layers)
    assert {layer["source"] for layer in layers} == {"estimated"}


def test_explain_draws_bars_into_a_page(cli: Any, options: tuple[str, ...], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    asked = ("predict", "mnasnet-a1", "mobilenet-v2", "-o", str(page), *options)
    assert f"Report: {page}" in cli.run(*asked, "--explain").stdout
    text = page.read_text(encoding="utf-8")
    assert text.count('<section class="part explained">') == 2
    widths = [float(width) for width in re.findall(r'style="width: ([\d.]+)%"', text)]
    assert len(widths) > 30 and max(widths) == 100.0
    assert "plotly" not in text  # the bars need no script
    assert "give --explain too" in _words(cli.run(*asked, status=2).stderr)


def test_explain_of_a_table_names_measured_layers(cli: Any, calibrated: Path) -> None:
    asked = ("predict", ",".join(["0"] * 42), *cli.small[:2], "--resolution", "32")
    (row,) = cli.json(*asked, "--explain", "--workspace", str(calibrated))["models"]
    layers = row["explanation"]["layers"]
    assert sum(layer["latency_ms"] for layer in layers) == pytest.approx(row["predicted_ms"])


def test_what_has_no_meaning_is_refused_or_estimated(cli: Any, options: tuple[str, ...]) -> None:
    error = cli.run("predict", "torch_networks:odd", *options, status=1).stderr
    assert "cumsum" in error and "--unknown estimate" in error
    (row,) = cli.json("predict", "torch_networks:odd", "--unknown", "estimate", *options)["models"]
    assert row["n_unknown"] == 1
    shown = cli.run("predict", "torch_networks:odd", "--unknown", "estimate", *options).stdout
    assert "1 operations are not known" in shown


def test_a_shipped_phone_needs_no_measurement(cli: Any, tmp_path: Path) -> None:
    place = ("--workspace", str(tmp_path))
    found = cli.json("predict", "mobilenet-v2", "--predictor", "pixel4-cpu1-fp32", *place)
    assert 10 < found["models"][0]["predicted_ms"] < 100
    assert found["models"][0]["low_ms"] < found["models"][0]["high_ms"]
    report = tmp_path / "report.html"
    cli.run("report", "pixel4-cpu1-fp32", "--output", str(report), *place)
    text = report.read_text(encoding="utf-8")
    assert "Calibrated on 102 whole networks" in text and "<dd>MIT</dd>" in text


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("missing.tflite", "There is no file missing.tflite"),
        ("no_such_module:net", "Cannot import 'no_such_module'"),
        ("torch_networks:nothing", "has no function 'nothing'"),
        ("torch_networks:number", "returned a int, not a torch module"),
    ],
)
def test_what_is_no_network_is_a_usage_error(
    cli: Any, options: tuple[str, ...], model: str, sentence: str
) -> None:
    assert sentence in _words(cli.run("predict", model, *options, status=2).stderr)


def test_an_unknown_way_with_the_unknown_is_a_usage_error(
    cli: Any, options: tuple[str, ...]
) -> None:
    error = cli.run("predict", "mnasnet-a1", "--unknown", "skip", *options, status=2).stderr
    assert "neither error nor estimate" in _words(error)


def test_a_damaged_tflite_file_is_one_sentence(
    cli: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "damaged.tflite"
    file.write_bytes(b"\x1c\0\0\0TFL3 and no more")
    error = cli.run("predict", str(file), *options, status=1).stderr
    assert "cannot be read as a .tflite file" in error
    assert error.count("\n") == 1


def test_another_precision_and_an_unknown_phone_are_one_sentence(
    cli: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    place = ("--workspace", str(tmp_path))
    named = ("--predictor", "pixel4-cpu1-fp3")
    error = cli.run("predict", "mnasnet-a1", *named, *place, status=1).stderr
    assert "pixel4-cpu1-fp32" in error
    graphs, _ = made_up_networks(12, 1, "int8")
    file = tmp_path / "int8.mnaslat"
    save_predictor(CostModel().fit(graphs, made_up_ms(graphs)), file)
    model = tmp_path / "network.tflite"
    model.write_bytes(mnaslat.write_tflite(mnaslat.lower(mnaslat.load_network("mnasnet-a1"))))
    asked = ("predict", str(model), "--predictor", str(file), *place)
    assert "for int8, but a graph is fp32" in cli.run(*asked, status=1).stderr
