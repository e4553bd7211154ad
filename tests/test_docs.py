"""What README shows is run, and the figures and options in docs are those of the code."""

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.latency_table import LatencyTable, Row
from mnaslat.data.measurement import Configuration
from mnaslat.predictors import CalibratedPredictor, TablePredictor, save_predictor
from mnaslat.profiling.phone.device import LAYERS, NETWORKS
from mnaslat.space import load_space
from tests.command_line import help_of

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


PHONES = (Path(__file__).resolve().parent.parent / "docs" / "phones.md").read_text(encoding="utf-8")


def _python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def _made_up_predictor(path: Path) -> None:
    """A predictor file with invented latencies: the README's lines need one to load."""
    space = load_space("mnasnet")
    signatures = list(space.layer_frequencies())[::40]
    rows = {signature: Row(1.0 + index) for index, signature in enumerate(signatures)}
    configuration = Configuration(device="host", fingerprint="made up")
    base = TablePredictor(LatencyTable(configuration, rows))
    networks = [space.decode(row) for row in space.sample(4, np.random.default_rng(0))]
    predictor = CalibratedPredictor(base).fit(networks, base.predict_ms(networks))
    save_predictor(predictor, path)


def test_the_library_examples_run(tmp_path: Path) -> None:
    predictor = tmp_path / "made-up.mnaslat"
    _made_up_predictor(predictor)
    code = "\n".join(_python_blocks())
    code = code.replace("mnaslat-workspace/predictors/NAME.mnaslat", str(predictor))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3887038", "311579072"]


def test_every_option_that_readme_types_exists() -> None:
    for command, options in re.findall(r"^mnaslat (\w+)([^#\n]*)", README, re.MULTILINE):
        for option in re.findall(r"--[\w-]+", options):
            assert option in help_of(command), f"mnaslat {command} has no {option}"


def test_the_make_targets_that_readme_names_exist() -> None:
    makefile = (Path(__file__).resolve().parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`?make ([\w-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_limits_of_the_guard_are_documented_as_they_are() -> None:
    (section,) = re.findall(r"## The guard\n(.*?)\n## ", PHONES, re.DOTALL)
    section = re.sub(r"`--guard [^`]*`", "", section)  # an example
    told = dict(re.findall(r"`([a-z-]+)=([\d.]+)`", section))
    limits = {name.replace("_", "-"): value for name, value in asdict(GuardPolicy()).items()}
    assert {name: float(text) for name, text in told.items()} == limits


def test_the_documented_example_of_a_guard_is_read() -> None:
    (example,) = re.findall(r"`--guard ([a-z-]+=\d[^`]*)`", PHONES)
    assert GuardPolicy.parse(example).changes == example


def test_the_rounds_of_phones_are_documented_as_they_are() -> None:
    text = " ".join(PHONES.split())
    (told,) = re.findall(
        r"timed for (\d+) ms a round and networks for (\d+) ms, "
        r"in (\w+) to (\w+) \((\w+) to (\w+)\)",
        text,
    )
    words = {"two": 2, "three": 3, "five": 5, "six": 6}
    assert [int(each) for each in told[:2]] == [LAYERS.round_ms, NETWORKS.round_ms]
    planned = [LAYERS.n_rounds, LAYERS.max_rounds, NETWORKS.n_rounds, NETWORKS.max_rounds]
    assert [words[each] for each in told[2:]] == planned


def test_every_option_that_the_page_on_phones_names_exists() -> None:
    of_measuring = help_of("profile")
    for quoted in re.findall(r"`([^`]+)`", PHONES.replace("python -m tests.phone --folder", "")):
        command = re.match(r"mnaslat (\w+)", quoted)
        shown = help_of(command[1]) if command else of_measuring
        for option in re.findall(r"--[\w-]+", quoted):
            assert option in shown, f"{quoted}: no {option}"
