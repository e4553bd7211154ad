import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnaslat.user_code import call_user_code, load_user_code, names_user_code


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("mnaslat_user_code_", "own_")):
            del sys.modules[name]


def _file(folder: Path, code: str, name: str = "mine.py") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(code)
    # Python compares times of whole seconds, and a test writes the same file twice in one.
    os.utime(path, ns=(0, hash(code) % 10**18))
    return path


@pytest.mark.parametrize(
    "text", ["", ":", "f", "file.py", "file.py:", ":f", "a b:f", "a..b:f", "my-data.csv:f", "m:f.g"]
)
def test_other_texts_name_no_code(text: str) -> None:
    assert not names_user_code(text)
    with pytest.raises(ValueError, match=r"Write FILE\.py:FUNCTION or MODULE:FUNCTION\."):
        load_user_code(text)


def test_a_function_is_named_by_its_file_or_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, "def double(x):\n    return 2 * x\n", "own_module.py")
    assert call_user_code(f"{path}:double", x=3) == 6
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert call_user_code("own_module:double", x=3) == 6
    monkeypatch.chdir(tmp_path)
    assert call_user_code("own_module.py:double", x=3) == 6


def test_a_file_may_have_the_name_of_any_module(tmp_path: Path) -> None:
    for name in ("json.py", "random.py", "mnaslat.py"):
        path = _file(tmp_path, "NAME = __name__\ndef name():\n    return NAME\n", name)
        found = call_user_code(f"{path}:name")
        assert found.startswith("mnaslat_user_code_") and found in sys.modules
    assert importlib.import_module("json").dumps(1) == "1"


def test_two_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    code = """
from __future__ import annotations
from dataclasses import dataclass, fields
def make():
    @dataclass  # looks its module up in sys.modules when it is made
    class Mine:
        value: int = {}
    return Mine().value
"""
    texts = [f"{_file(tmp_path / name, code.format(n))}:make" for n, name in enumerate("ab")]
    functions = [load_user_code(text) for text in texts]
    assert [function() for function in functions] == [0, 1]


def test_a_changed_file_is_run_anew(tmp_path: Path) -> None:
    text = f"{_file(tmp_path, 'def f(): return 1')}:f"
    assert call_user_code(text) == 1
    _file(tmp_path, "def f(): return 22")
    assert call_user_code(text) == 22


def test_a_file_imports_what_lies_beside_it(tmp_path: Path) -> None:
    _file(tmp_path, "VALUE = 7", "own_neighbour.py")
    path = _file(tmp_path, "def f():\n    from own_neighbour import VALUE\n    return VALUE\n")
    assert call_user_code(f"{path}:f") == 7


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("x = 1\ndef f(:", r"Cannot run .*mine\.py: it failed in .*mine\.py, line 2: SyntaxError"),
        ("1 / 0", r"it failed in .*mine\.py, line 1: ZeroDivisionError: division by zero\.$"),
        ("raise SystemExit(3)", r"line 1: SystemExit: 3\.$"),
        ("import no_such_module_1", r"line 1: ModuleNotFoundError: No module named"),
        ("f = 3", r"mine\.py has no function 'f'\.$"),
        ("def f():\n    raise KeyError('op')", r"mine\.py:f failed in .*, line 2: KeyError: 'op'"),
        ("def f():\n    return {}['\\nop']", r"mine\.py:f failed in .*, line 2: KeyError"),
        ("def f():\n    raise SystemExit", r"f failed in .*, line 2: SystemExit: no message\.$"),
        ("def f():\n    import json\n    json.loads('{')", r"mine\.py, line 3: JSONDecodeError"),
        ("def f(n_classes, n=1): pass", r"needs arguments \(n_classes\)"),
        (
            "class f(Exception):\n    def __init__(self): raise self",
            "failed in .*, line 2: f: no me",
        ),
    ],
)
def test_what_the_code_raises_is_named_with_its_file_and_line(
    tmp_path: Path, code: str, sentence: str
) -> None:
    before = set(sys.modules)
    with pytest.raises(ValueError, match=sentence) as caught:
        call_user_code(f"{_file(tmp_path, code)}:f")
    assert "\n" not in str(caught.value)
    if "Cannot run" in str(caught.value):
        assert not [name for name in set(sys.modules) - before if "user_code_" in name]


def test_what_is_not_there_says_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^There is no file .*missing\.py\.$"):
        load_user_code(f"{tmp_path / 'missing.py'}:f")
    with pytest.raises(ValueError, match=r"PYTHONPATH=\.\).*FILE\.py:FUNCTION"):
        load_user_code("no_such_module_1.part:f")
    with pytest.raises(ValueError, match=r"No module named 'json\.part'"):
        load_user_code("json.part:f")


def test_a_module_that_misses_another_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(tmp_path, "import no_such_module_1", "own_incomplete.py")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ValueError, match="'own_incomplete': No module named 'no_such_module_1'"):
        load_user_code("own_incomplete:f")


def test_an_interrupt_is_no_error_of_the_code(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_user_code(f"{_file(tmp_path, 'raise KeyboardInterrupt')}:f")
