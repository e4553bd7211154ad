"""The tests' phone in software, for benchmarks."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def _load_tests() -> None:
    """Make ``tests`` importable without the repository root on the path (docs/decisions.md)."""
    folder = ROOT / "tests"
    spec = importlib.util.spec_from_file_location(
        "tests", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tests"] = module
    spec.loader.exec_module(module)


@contextmanager
def phones(folder: Path, n: int = 1) -> Iterator[tuple[list[Any], Path, dict[str, str]]]:
    """Phones that an adb server of their own knows; gives them, their tool, and an environment."""
    _load_tests()
    from tests.phone.adb_server import AdbServer
    from tests.phone.benchmark_model import compile_benchmark_model
    from tests.phone.phone import Phone

    if reason := Phone.missing():
        raise SystemExit(f"No phone can be played here: {reason}")
    tool = compile_benchmark_model(folder / "tool")
    with AdbServer(folder / "adb") as server:
        started = [Phone(folder / f"phone{number}", serial_number=f"BENCH{number}",
                         disk_bytes=1024 * 2**20) for number in range(n)]  # fmt: skip
        try:
            for phone in started:
                phone.start()
                server.connect(phone)
            environment = {
                **os.environ,
                **server.environment,
                "XDG_CACHE_HOME": str(folder / "cache"),
            }
            yield started, tool, environment
        finally:
            for phone in started:
                phone.stop()
