"""``examples/journey.ipynb`` runs from its first cell to its last, on this computer."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "journey.ipynb"
_SECONDS = 180
# The kernel ``python3`` is this Python itself. In a process of its own, so that nothing of the
# kernel's client is left in this one.
_EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
source, target, folder = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
resources = {"metadata": {"path": folder}}
NotebookClient(notebook, timeout=180, kernel_name="python3", resources=resources).execute()
nbformat.write(notebook, target)
"""

pytestmark = pytest.mark.xdist_group("timing")  # it measures this computer


def _cells(kind: str) -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == kind]


def test_the_notebook_is_kept_without_outputs() -> None:
    assert len(_cells("code")) >= 8 and len(_cells("markdown")) >= 8
    for cell in _cells("code"):
        assert cell["outputs"] == [] and cell["execution_count"] is None


def test_every_cell_runs_and_shows_its_progress(tmp_path: Path) -> None:
    for package in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the notebook needs {package}: pip install 'mnaslat[dev]'")
    executed = tmp_path / "executed.ipynb"
    own = ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(tmp_path / name.lower()) for name in own}}
    done = subprocess.run(
        [sys.executable, "-c", _EXECUTE, str(NOTEBOOK), str(executed), str(tmp_path)],
        env={**environment, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    outputs = [json.dumps(cell["outputs"]) for cell in cells if cell["cell_type"] == "code"]
    assert "<table>" in outputs[1] and "progress value" in outputs[1]  # the table, and a bar
    assert "Searching: 60 of 60" in outputs[4]
    assert outputs[5].count("measured") == 3
    assert (tmp_path / "journey-workspace" / "report.html").read_bytes()[:9].lower() == b"<!doctype"
    assert "winner.tflite" in outputs[6] and "32 linear>10" in outputs[7].replace("&gt;", ">")
