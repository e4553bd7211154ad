"""The phone's ``benchmark_model``: compiled on demand, and given its behaviour."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SOURCE = Path(__file__).with_name("benchmark_model.c")

Fault = Literal["none", "crash", "hang", "garble", "truncate", "exit1", "lowmem"]


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the phone's ``benchmark_model`` behaves, read by it at each start.

    Attributes:
        format: Its output: ``new`` has ``INFO: `` before its lines, and percentiles.
        mode: ``run`` times the model with LiteRT; ``sleep`` sleeps ``sleep_ms`` and prints numbers
            that were never measured, the same for the same model: for tests of plumbing only.
        sleep_ms: How long a whole run takes with ``sleep``.
        fault: ``crash`` (SIGSEGV before the first run), ``hang`` (after the warm-up), ``garble``
            (noise for numbers, exit 0), ``truncate`` (ends within the numbers, exit 0), ``exit1``
            (an error message, exit 1), ``lowmem`` (SIGKILL, as the low-memory killer).
        fault_after: The first run with the fault, counted from 0 over all runs of the phone.
        fault_until: The first run without it again; ``None``: never.
        fault_model: Bytes of the only model that has the fault; ``None``: every model has it.
        slow: Factor on all numbers printed: a phone that throttles, in a way a test recognises.
        gpu: Whether this build has a GPU delegate (played: XNNPACK runs).
        unknown_flags: ``warn`` of flags it does not know, as the real tool does, or ``fail``.
    """

    format: Literal["new", "old"] = "new"
    mode: Literal["run", "sleep"] = "run"
    sleep_ms: float = 0.0
    fault: Fault = "none"
    fault_after: int = 0
    fault_until: int | None = None
    fault_model: bytes | None = None
    slow: float = 1.0
    gpu: bool = False
    unknown_flags: Literal["warn", "fail"] = "warn"

    def text(self) -> str:
        """What the program reads."""
        lines = {
            "format": self.format,
            "mode": self.mode,
            "sleep_ms": self.sleep_ms,
            "fault": self.fault,
            "fault_after": self.fault_after,
            "fault_until": -1 if self.fault_until is None else self.fault_until,
            "slow": self.slow,
            "gpu": "yes" if self.gpu else "no",
            "unknown_flags": self.unknown_flags,
        }
        if self.fault_model is not None:
            lines["fault_crc"] = f"{zlib.crc32(self.fault_model):08x}"
        return "".join(f"{key}={value}\n" for key, value in lines.items())


def compile_benchmark_model(cache: Path) -> Path:
    """Compile the program unless ``cache`` has it; returns its path.

    Raises:
        RuntimeError: If the compiler refuses; the message has its words.
    """
    source = _SOURCE.read_bytes()
    program = cache / f"benchmark_model-{hashlib.sha256(source).hexdigest()[:12]}"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{program.name}.{os.getpid()}"
    done = subprocess.run(
        [compiler(), "-O2", "-o", str(unfinished), str(_SOURCE), "-ldl", "-lm"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{_SOURCE.name} does not compile:\n{done.stderr}")
    unfinished.replace(program)  # two processes may compile at once: both get a whole one
    return program


def compiler() -> str:
    """The C compiler's path; empty if there is none."""
    return shutil.which("cc") or shutil.which("gcc") or ""


def litert_library() -> Path | None:
    """LiteRT's library for C; ``None`` if it is not installed."""
    package = importlib.util.find_spec("ai_edge_litert")
    for folder in (package.submodule_search_locations or []) if package else []:
        library = Path(folder) / "libLiteRt.so"
        if library.exists():
            return library
    return None
