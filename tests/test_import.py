"""Importing stays light, and names are what their homes say."""

import subprocess
import sys
from pathlib import Path

import pytest

import mnaslat

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "sklearn", "xgboost", "scipy", "plotly", "ai_edge_litert", "adbutils", "pandas")


def _run(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints, away from this checkout's folder."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
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


_EACH_FIRST = """
import sys

def forget():
    for module in [each for each in sys.modules if each.partition(".")[0] == "mnaslat"]:
        del sys.modules[module]

for name in sys.argv[1:]:
    forget()
    import mnaslat
    found = getattr(mnaslat, name)
    assert getattr(found, "__name__", name) == name or name == "Choices", name  # an alias
    print(name)
"""


def test_every_public_name_can_be_had_first() -> None:
    names = [name for name in mnaslat.__all__ if name != "__version__"]
    assert _run(_EACH_FIRST, *names).split() == names


def test_no_public_name_is_also_a_module() -> None:
    # Importing mnaslat.x rebinds the attribute x of the package: what `mnaslat.x` is would depend
    # on what was imported before.
    modules = {path.stem for path in (ROOT / "mnaslat").iterdir()}
    assert not modules & set(mnaslat.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mnaslat' has no attribute 'nonsense'"):
        _ = mnaslat.nonsense
    assert set(dir(mnaslat)) == set(mnaslat.__all__)
