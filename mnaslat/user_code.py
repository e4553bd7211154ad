"""Loads functions of the user, named as ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``.

Loading runs the file or imports the module, so callers do it only for what the user has typed.
Every error of the code becomes a ``ValueError`` that names the user's own file and line.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FORMS = "FILE.py:FUNCTION or MODULE:FUNCTION"
_OPTIONAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def names_user_code(text: str) -> bool:
    """Tell whether a text has one of the two forms, without looking for the code.

    >>> [names_user_code(text) for text in ("net.py:made", "nets.small:made", "a:b.c")]
    [True, True, False]
    """
    home, colon, name = text.rpartition(":")
    is_module = all(part.isidentifier() for part in home.split("."))
    return bool(colon) and name.isidentifier() and (home.endswith(".py") or is_module)


def load_user_code(text: str) -> Callable[..., Any]:
    """Load the function of the user that a text names.

    A file is run anew each time, and can import modules that lie beside it.

    Raises:
        ValueError: If there is no such file, module or function, or it fails while it is loaded.
    """
    if not names_user_code(text):
        raise ValueError(f"{text!r} does not name a function. Write {FORMS}.")
    home, _, name = text.rpartition(":")
    module = _run_file(Path(home)) if home.endswith(".py") else _import_module(home)
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{home} has no function {name!r}.")
    found: Callable[..., Any] = function
    return found


def call_user_code(text: str, **arguments: Any) -> Any:
    """Load the function that a text names and call it.

    Raises:
        ValueError: If it cannot be loaded, needs other arguments, or fails.
    """
    function = load_user_code(text)
    home, _, name = text.rpartition(":")
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError:
        needed = ", ".join(_needed_arguments(function))
        raise ValueError(
            f"{name} in {home} {f'needs arguments ({needed})' if needed else 'takes none'}, but is "
            f"called with {', '.join(arguments) or 'none'}. Write a function that calls it, and "
            "name that."
        ) from None
    except ValueError:  # some that are built in have no signature
        pass
    try:
        return function(**arguments)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{text} failed {failure_of(error)}") from error


def failure_of(error: BaseException) -> str:
    """Say at which line of the user's own code an error came up, and what it is.

    The text continues a sentence: "in my_net.py, line 3: KeyError: 'op'."
    """
    place = _last_own_line(error)
    text = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    if isinstance(error, SyntaxError) and error.filename:
        place, text = f"in {error.filename}, line {error.lineno}:", error.msg
    return f"{place or 'with'} {type(error).__name__}: {text}."


def _import_module(name: str) -> ModuleType:
    importlib.invalidate_caches()  # a notebook may have written the module just now
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name != name.partition(".")[0]:
            raise ValueError(f"Cannot import {name!r}: {error}. Is it installed?") from None
        raise ValueError(
            f"Cannot import {name!r}: it is neither installed nor in a folder of PYTHONPATH (the "
            "current folder is not unless you add it: PYTHONPATH=.). A file can be named as "
            "FILE.py:FUNCTION."
        ) from None
    except (Exception, SystemExit) as error:
        raise ValueError(f"Cannot import {name!r}: it failed {failure_of(error)}") from error


def _run_file(path: Path) -> ModuleType:
    """Run a Python file as a module with a name of its own."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    place = path.resolve()
    # Dataclasses look their module up in sys.modules, also after it was loaded. The name must not
    # be one that any import statement means, and differ from that of other files of this name.
    name = f"mnaslat_user_code_{hashlib.sha256(bytes(place)).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(place.parent) not in sys.path:  # as if Python ran it: it may import neighbours
        sys.path.insert(0, str(place.parent))
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, Exception | SystemExit):
            raise ValueError(f"Cannot run {path}: it failed {failure_of(error)}") from error
        raise
    return module


def _needed_arguments(function: Callable[..., Any]) -> list[str]:
    return [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is inspect.Parameter.empty and each.kind not in _OPTIONAL
    ]


def _last_own_line(error: BaseException) -> str:
    """The last line that is neither of mnaslat nor of an installed package."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        name, file = str(frame.f_globals.get("__name__")), frame.f_code.co_filename
        foreign = ("site-packages", "dist-packages", "<frozen", str(Path(inspect.__file__).parent))
        if name.partition(".")[0] != "mnaslat" and not any(part in file for part in foreign):
            found = f"in {file}, line {trace.tb_lineno}:"
        trace = trace.tb_next
    return found
