"""Importing stays light, names are what their homes say, and the spine knows no room."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mnaslat

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("profiling", "predictors", "search", "data")
HEAVY = ("torch", "sklearn", "xgboost", "scipy", "plotly", "ai_edge_litert", "adbutils", "pandas")
SPINE = (
    "architecture",
    "errors",
    "fusion",
    "graph",
    "lowering",
    "network",
    "space",
    "tflite",
    "tflite_elements",
    "tflite_import",
    "tflite_reader",
    "tflite_translation",
    "tflite_windows",
    "torch_elements",
    "torch_import",
    "torch_moving",
    "torch_trace",
    "torch_translation",
    "torch_views",
    "torch_weighted",
    "units",
    "zoo",
)


def _run(code: str) -> str:
    """What a fresh interpreter prints, away from this checkout's folder."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


def _loaded_after(statement: str) -> set[str]:
    return set(_run(f"import sys\n{statement}\nprint(*sys.modules)").split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not _loaded_after("import mnaslat") & {*HEAVY, "numpy"}


def test_spaces_and_graphs_need_no_torch() -> None:
    statement = "import mnaslat.space, mnaslat.zoo; mnaslat.space.load_space('mnasnet')"
    assert not _loaded_after(statement) & set(HEAVY)


def test_writing_a_model_needs_no_torch() -> None:
    loaded = _loaded_after("import mnaslat.tflite")
    assert "torch" not in loaded and "sklearn" not in loaded


@pytest.mark.parametrize("name", [name for name in mnaslat.__all__ if name != "__version__"])
def test_every_public_name_can_be_had_first(name: str) -> None:
    assert _run(f"import mnaslat\nprint(getattr(mnaslat, {name!r}).__name__)") == name


def test_no_public_name_is_also_a_module() -> None:
    # Importing mnaslat.x rebinds the attribute x of the package: what `mnaslat.x` is would depend
    # on what was imported before.
    modules = {path.stem for path in (ROOT / "mnaslat").iterdir()}
    assert not modules & set(mnaslat.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mnaslat' has no attribute 'nonsense'"):
        _ = mnaslat.nonsense
    assert set(dir(mnaslat)) == set(mnaslat.__all__)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("module", SPINE)
def test_the_spine_imports_no_room(module: str) -> None:
    imported = _imports(ROOT / "mnaslat" / f"{module}.py")
    rooms = {name for name in imported if name.startswith(tuple(f"mnaslat.{r}" for r in ROOMS))}
    assert not rooms


@pytest.mark.parametrize("module", ["errors", "units"])
def test_errors_and_units_import_nothing_of_ours(module: str) -> None:
    imported = _imports(ROOT / "mnaslat" / f"{module}.py")
    assert not {name for name in imported if name.startswith("mnaslat")}


@pytest.mark.parametrize("module", SPINE)
def test_spine_modules_can_be_imported(module: str) -> None:
    assert importlib.import_module(f"mnaslat.{module}").__doc__
