"""The pages in docs say what the code does: packages and versions."""

import json
import re
from pathlib import Path

from mnaslat.data import measurement_store
from mnaslat.data.latency_table import LatencyTable
from mnaslat.data.workspace import Workspace
from mnaslat.predictors.storage import files as predictor_files
from mnaslat.search.run import checkpoint, result, run_folder, run_store

ROOT = Path(__file__).resolve().parent.parent
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def _version(name: str) -> int:
    """The number in the last column of a file's row."""
    found = re.search(rf"^\| `{re.escape(name)}`.*\D(\d+) \|$", FORMATS, re.MULTILINE)
    assert found, name
    return int(found[1])


def test_the_versions_of_files_are_those_of_the_code() -> None:
    assert _version("measurements.sqlite") == measurement_store._SCHEMA_VERSION
    assert _version("predictors/*.mnaslat") == max(predictor_files._FORMATS)
    assert _version("runs/NAME/") == _version("run.json") == run_folder.FORMAT
    assert _version("search.sqlite") == run_store.STORE_VERSION
    assert _version("searcher.pt") == checkpoint._FORMAT
    assert _version("result.json") == result.RESULT_FORMAT


def test_the_table_shown_can_be_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```json\n(.*?)```", FORMATS, re.DOTALL)
    table = LatencyTable.from_json(json.loads(block))
    assert table.to_json()["format"] == _version("tables/DEVICE-KEY.json")
    assert Workspace(tmp_path).predictors.name == "predictors"


def test_every_place_that_a_page_names_exists() -> None:
    for path in re.findall(r"`([\w/]+\.py)`", ARCHITECTURE):
        if "/" in path:
            assert (ROOT / path).is_file(), path
    folders = {"data", "profiling", "predictors", "search"}
    for row in re.findall(r"^\| (`mnaslat\..*?) \|", ARCHITECTURE, re.MULTILINE):
        for name in re.findall(r"`(?:mnaslat\.)?(\w+)`", row):
            place = ROOT / name if name in folders else ROOT / "mnaslat" / name
            assert place.is_dir() or place.with_suffix(".py").is_file(), name


def test_contributors_find_their_commands() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([\w-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    dev = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("dev = [")[2]
    for tool in re.findall(r"entry: \.venv/bin/([\w-]+)", hooks):
        assert f'"{tool}>=' in dev.partition("]")[0], tool
