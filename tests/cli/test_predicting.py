"""``mnaslat predict``: any network in, and why it takes so long."""

import re
from pathlib import Path
from typing import Any

import pytest

import mnaslat
from mnaslat.predictors import CostModel, pretrained, save_predictor
from mnaslat.predictors.network_predictor import predictor_file
from tests.command_line import help_of
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
    rows = cli.json(*asked, process=True)["models"]
    assert rows[0]["predicted_ms"] == pytest.approx(rows[1]["predicted_ms"], rel=0.05)


def test_a_torch_module_sees_an_image_of_the_resolution(cli: Any, options: tuple[str, ...]) -> None:
    asked = ("predict", "torch_networks:plain", "--explain", *options)
    small, large = (
        cli.json(*asked, *more)["models"][0]["predicted_ms"]
        for more in (("--resolution", "64"), ())
    )
    assert small < large


def test_help_warns_of_running_code() -> None:
    assert "name only code you trust" in _words(help_of("predict"))


def test_explain_says_which_layer_takes_how_long(cli: Any, tmp_path: Path) -> None:
    options = ("--predictor", "pixel4-cpu1-fp32", "--workspace", str(tmp_path))
    shown = cli.run("predict", "mnasnet-a1", "--explain", *options).stdout
    assert re.search(r"block3\.1 .* ms +\d+\.\d% +estimated .* to .* ms +mbconv3 k5", shown)
    (row,) = cli.json("predict", "mnasnet-a1", "--explain", *options)["models"]
    layers = row["explanation"]["layers"]
    assert sum(layer["latency_ms"] for layer in layers) == pytest.approx(row["predicted_ms"])
    assert sum(layer["share"] for layer in layers) == pytest.approx(1.0)
    expected = {"place", "label", "latency_ms", "source", "low_ms", "high_ms", "share", "unknown"}
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
    assert "1 operation was in no network" in shown and "cumsum in 1" in shown
    assert row["unknown"] == [{"place": "1", "operation": "cumsum"}]


def test_what_no_fitted_network_had_is_named(cli: Any, tmp_path: Path) -> None:
    place = ("--workspace", str(tmp_path), "--predictor", "pixel4-cpu1-fp32")
    asked = ("predict", "torch_networks:attentive", "mobilenet-v2", "--explain", *place)
    strange, usual = cli.json(*asked)["models"]
    named = {each["operation"]: each["place"] for each in strange["unknown"]}
    assert named["softmax"] == "3" and named["linear of several vectors"] == "2"
    sources = {each["place"]: each["source"] for each in strange["explanation"]["layers"]}
    assert sources["3"] == "unknown" and sources["0"] == "estimated"
    assert usual["unknown"] == [] and usual["n_unknown"] == 0
    shown = cli.run(*asked[:2], *place).stdout
    assert "operations were in no network that the predictor was fitted on" in shown
    assert "softmax in 3" in shown


def test_a_module_in_a_file_may_import_its_neighbours(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("N = 8\n")
    file = tmp_path / "networks.py"
    file.write_text(
        "from torch import nn\nfrom neighbour_of_mine import N\n"
        "def made():\n    return nn.Conv2d(3, N, 3)\n"
    )
    place = ("--workspace", str(tmp_path), "--predictor", "pixel4-cpu1-fp32")
    (row,) = cli.json("predict", f"{file}:made", *place)["models"]
    assert row["predicted_ms"] > 0


def test_an_error_in_a_users_function_names_its_line(cli: Any, options: tuple[str, ...]) -> None:
    error = _words(cli.run("predict", "torch_networks:failing", *options, status=2).stderr)
    assert re.search(r"torch_networks\.py, line \d+: RuntimeError: weights are missing\.", error)


def test_a_module_that_cannot_be_traced_says_what_to_do(cli: Any, options: tuple[str, ...]) -> None:
    error = cli.run("predict", "torch_networks:deciding", *options, status=1).stderr
    assert "decides by the values of a tensor" in error and "meta" not in error
    error = cli.run("predict", "torch_networks:grey", *options, status=1).stderr
    assert "one RGB image of --resolution (224) pixels" in error


def test_the_size_of_a_file_cannot_be_changed(
    cli: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    asked = ("predict", str(tmp_path / "network.tflite"), "--resolution", "128", *options)
    assert "--resolution: The size of the image stands in" in _words(
        cli.run(*asked, status=2).stderr
    )


def test_layers_of_a_module_are_named_by_its_modules(cli: Any, options: tuple[str, ...]) -> None:
    asked = ("predict", "torch_networks:plain", "--explain", *options)
    layers = cli.json(*asked)["models"][0]["explanation"]["layers"]
    assert [each["place"] for each in layers] == ["0", "2"]
    assert layers[0]["label"] == "224x224x3 pad+1 conv3x3/2+0>16:relu"


def test_a_cost_model_says_what_it_was_fitted_on(cli: Any, tmp_path: Path) -> None:
    asked = ("predict", "mnasnet-a1", "--predictor", "pixel4-cpu1-fp32", "-w", str(tmp_path))
    shown = cli.run(*asked).stdout
    assert re.search(r"fitted on 102 networks, held out \d\.\d% wrong, new families \d\.\d%", shown)
    assert "measured layers" not in shown
    found = cli.json(*asked)
    assert found["n_networks"] == 102 and 0 < found["held_out_mape"] < found["new_family_mape"]


def test_predictors_are_listed_with_their_errors(
    cli: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    found = cli.json("predictors", "-w", str(tmp_path / "none"), process=True)
    assert not (tmp_path / "none").exists() and found["workspace"] == []
    (pixel,) = (each for each in found["shipped"] if each["predictor"] == "pixel4-cpu1-fp32")
    assert pixel["n_networks"] == 102 and 0 < pixel["held_out_mape"] < pixel["new_family_mape"]
    folder = tmp_path / "predictors"
    folder.mkdir()
    (folder / "mine.mnaslat").write_bytes(Path(options[1]).read_bytes())
    (folder / "damaged.mnaslat").write_bytes(b"")
    (mine,) = cli.json("predictors", "-w", str(tmp_path))["workspace"]
    assert mine["predictor"].endswith("mine.mnaslat") and mine["n_networks"] == 30
    shown = cli.run("predictors", "-w", str(tmp_path)).stdout
    assert re.search(r"mine\.mnaslat +\d", shown) and re.search(r"s10-gpu-fp32 +\d", shown)


def test_the_file_of_a_predictor_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    assert predictor_file(Path("s10-gpu-fp32")) == pretrained()["s10-gpu-fp32"].path
    own = tmp_path / "own.mnaslat"
    assert predictor_file(own) == own
    with pytest.raises(mnaslat.MnaslatError, match="no predictor file s10-gpu-fp3.*s10-gpu-fp32"):
        predictor_file(Path("s10-gpu-fp3"))


def test_evaluating_what_is_not_here_tells_what_is_known(cli: Any, tmp_path: Path) -> None:
    asked = ("evaluate", "--predictor", "pixel4-gpu-fp32", "-w", str(tmp_path))
    error = cli.run(*asked, status=1).stderr
    assert "fitted on 102 networks, held out" in error and "calibrate --measurements" in error
    assert error.count("\n") == 1


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
        ("torch_networks:asking", "needs arguments (n_classes)"),
        ("no_such_module:net", "PYTHONPATH=.). A file can be named as FILE.py:FUNCTION."),
        ("missing.py:net", "There is no file missing.py"),
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
