"""A second benchmark tool is a class and a row in the registry: nothing else names a tool."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from mnaslat.data.delegates import DELEGATES
from mnaslat.data.guard_policy import GuardPolicy
from mnaslat.data.measurement import Statistics
from mnaslat.data.measurement_store import Store
from mnaslat.graph import Graph
from mnaslat.profiling.phone.adb.connection import Connection
from mnaslat.profiling.phone.adb.queries import describe
from mnaslat.profiling.phone.device import PhoneDevice
from mnaslat.profiling.phone.session import PhoneSession
from mnaslat.profiling.phone.tool.base import BenchmarkOutput, OutputError
from mnaslat.profiling.phone.tool.binary import Binary
from mnaslat.profiling.phone.tool.installation import FOLDER
from mnaslat.profiling.phone.tool.registry import TOOLS, tool_named, tool_of
from mnaslat.profiling.sweep import Job, sweep
from mnaslat.profiling.timing_plan import TimingPlan
from tests.phone.phone import Phone
from tests.profiling.phone.sweeping import PLAN, signatures

# Prints the length of the model's file as milliseconds, and keeps the files' names.
SCRIPT = f"""#!/bin/sh
read -r signature < $1
echo $1 >> {FOLDER}/names
echo "${{#signature}} ms with $2 threads"
"""


class Ruler:
    """A tool whose models are texts and whose latencies are their lengths."""

    name = "ruler"
    package = published = ""
    platforms: Mapping[str, str] = {}
    model_suffix = ".txt"
    options: Mapping[str, str] = {"none": ""}

    def write_model(self, graph: Graph) -> bytes:
        return f"{graph.signature}\n".encode()

    def command(
        self, program: str, model: str, plan: TimingPlan, *, threads: int, delegate: str
    ) -> str:
        return f"sh {program} {model} {threads}"

    def parse(self, text: str) -> BenchmarkOutput:
        length, unit, *_ = text.split() or [""]
        if unit != "ms":
            raise OutputError(text)
        ms = float(length)
        statistics = Statistics(n_runs=1, first_ms=ms, min_ms=ms, max_ms=ms, mean_ms=ms, std_ms=0.0)
        return BenchmarkOutput(statistics=statistics, warmup_ms=0.0, init_ms=0.0)

    def why_it_failed(self, text: str) -> str:
        return text.strip()


def test_a_phone_is_measured_with_another_tool(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOOLS, "ruler", Ruler())
    program = tmp_path / "ruler"
    program.write_text(SCRIPT)
    connection = Connection(phone.serial)
    session = PhoneSession(
        connection=connection,
        description=describe(connection),
        binary=Binary(program, hashlib.sha256(program.read_bytes()).hexdigest(), "ruler"),
        threads=3,
        delegate="none",
        policy=GuardPolicy(poll_s=0.05),
    )
    device = PhoneDevice(session)
    store = Store(tmp_path / "store.sqlite")
    job = Job(kind="layer", graphs=tuple(map(Graph.parse, signatures(12))))
    result = sweep(device, store, job, PLAN)
    found = store.measurements(device.configuration("fp32"), "layer")
    store.close()
    assert (result.n_measured, result.failures) == (12, {})
    assert {name: each.latency_ms for name, each in found.items()} == {
        name: len(name) for name in signatures(12)
    }
    assert set(phone.place(f"{FOLDER}/names").read_text().split()) == {
        f"models/{index}.txt" for index in range(13)
    }
    runtime = device.configuration("fp32").runtime
    assert runtime == f"ruler {session.binary.sha256[:12]}"
    assert device.plan("layer").resolution_ms == 0.0  # a ruler's clock is not coarse
    assert tool_of(runtime) == (TOOLS["ruler"], session.binary.sha256[:12])


def test_every_tool_has_known_delegates_and_benchmark_model_has_all() -> None:
    for tool in TOOLS.values():
        assert set(tool.options) <= set(DELEGATES)
    assert set(tool_named("benchmark_model").options) == set(DELEGATES)


def test_a_tool_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(
        ValueError, match=r"No benchmark tool named 'ruler'\. Known: benchmark_model"
    ):
        tool_named("ruler")
    assert tool_of("ai-edge-litert 2.3.0") is None
    assert tool_of("benchmark_model") is None
