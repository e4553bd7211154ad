"""Runs ``mnaslat ARGUMENTS`` for tests: in this process, or as a program of its own."""

import importlib
import io
import json
import os
import signal
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_CLI = _ROOT / "tests" / "cli"


class CommandLine:
    """Runs ``mnaslat ARGUMENTS``.

    Attributes:
        small: Options that choose a space of a few dozen small layers.
    """

    small = ("--space", f"{_CLI / 'small_space.py'}:small", "--resolution", "32", "--width", "0.25")

    @property
    def environment(self) -> dict[str, str]:
        """The tests' own modules can be imported by ``--accuracy module:function``."""
        return {**os.environ, "PYTHONPATH": str(_CLI), "PYTHONSAFEPATH": "1"}

    def command(self, *arguments: str) -> list[str]:
        """What has to be run."""
        return [sys.executable, "-m", "mnaslat", *arguments]

    def run(
        self, *arguments: str, status: int = 0, process: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run to the end and check the exit status.

        Args:
            arguments: What follows ``mnaslat``.
            status: The exit status that must come.
            process: Start a program, which takes seconds, instead of running it in this process.
        """
        done = self._as_program(arguments) if process else self._here(arguments)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, process: bool = False) -> Any:
        """Run with ``--json`` and read what is printed."""
        return json.loads(self.run(*arguments, "--json", process=process).stdout)

    def _as_program(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def _here(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        from mnaslat.cli import main

        output, errors = _Captured(), _Captured(errors="backslashreplace")
        status = 0
        with _as_if_alone(["mnaslat", *arguments], self.environment):
            with redirect_stdout(output), redirect_stderr(errors):
                try:
                    main()
                except SystemExit as end:
                    status = _exit_status(end)
        return subprocess.CompletedProcess(
            self.command(*arguments), status, output.text(), errors.text()
        )


@cache
def help_of(*command: str) -> str:
    """What ``mnaslat COMMAND --help`` prints."""
    return CommandLine().run(*command, "--help").stdout


class _Captured(io.TextIOWrapper):
    """A standard stream that keeps what is written, and is no terminal."""

    def __init__(self, errors: str = "strict") -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", errors=errors, write_through=True)

    def text(self) -> str:
        self.flush()
        return self._bytes.getvalue().decode("utf-8")


def _exit_status(end: SystemExit) -> int:
    """The status with which Python ends, and prints what is no number."""
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    print(end.code, file=sys.stderr)
    return 1


@contextmanager
def _as_if_alone(argv: list[str], environment: dict[str, str]) -> Iterator[None]:
    """What a program of its own starts with, and afterwards everything as it was before.

    Modules of the user's that were imported meanwhile are forgotten, so that the next run imports
    them anew.
    """
    modules, paths = set(sys.modules), list(sys.path)
    hook, interrupt = sys.excepthook, signal.getsignal(signal.SIGINT)
    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else 0
    importlib.invalidate_caches()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", argv)
        patch.setattr(sys.modules["__main__"], "__package__", None)  # else usage says pytest
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
        folder = Path.cwd()
        try:
            yield
        finally:
            os.chdir(folder)
            sys.path[:] = paths
            sys.excepthook = hook
            signal.signal(signal.SIGINT, interrupt)
            if torch:
                torch.set_num_threads(n_threads)
            for name in set(sys.modules) - modules:
                if not _is_installed(sys.modules[name]):
                    del sys.modules[name]


_HOMES: list[str | Path] = [
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(_ROOT / name for name in ("mnaslat", "profiling", "predictors", "search", "data")),
    *(each for each in sys.path if each.endswith(("-packages", "lib-dynload"))),
]
_INSTALLED = tuple(f"{Path(home).resolve()}{os.sep}" for home in _HOMES)


def _is_installed(module: ModuleType) -> bool:
    """Whether a module is of Python, of a package or of mnaslat, and none of the user's."""
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is None or spec.origin in ("built-in", "frozen"):
        return True
    homes = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return all(str(Path(home).resolve()).startswith(_INSTALLED) for home in homes)
