"""The phones' ``benchmark_model`` with the arm64 LiteRT, in an emulated processor.

Phones are arm64, and computers mostly are not. Emulated, latencies mean nothing; that the runtime
takes the files written here, and what it computes with them, does.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from mnaslat import write_tflite
from mnaslat.graph import Graph
from mnaslat.lowering import lower
from mnaslat.profiling.phone.tool.output import parse_output
from mnaslat.zoo import load_network

pytestmark = pytest.mark.slow

_LIBRARY_VARIABLE = "MNASLAT_AARCH64_LITERT"  # path of an arm64 libLiteRt.so
_COMPILER, _EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
_PROCESSOR = "cortex-a76"
_CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 38.40
Features\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
_TOOL = Path(__file__).with_name("benchmark_model.c")

# Runs a model once, on the tool's own input, and prints what comes out.
_ONCE = f"""
#define main benchmark_main
#include "{_TOOL}"
#undef main
int main(int n_arguments, char **arguments) {{
  size_t n_bytes;
  void *values;
  if (read_flags(n_arguments, arguments) || read_graph() || load_litert() || build()) return 1;
  if (RunCompiledModel(compiled, 0, n_inputs, inputs, n_outputs, outputs)) return 2;
  if (GetTensorBufferPackedSize(outputs[0], &n_bytes)) return 3;
  if (LockTensorBuffer(outputs[0], &values, 0)) return 4;
  for (size_t i = 0; i < n_bytes / 4; i++) printf("%.9g\\n", ((float *)values)[i]);
  fflush(stdout);
  _exit(0);
}}
"""


class Arm64:
    """Compiles programs for arm64 and runs them.

    Args:
        folder: An empty folder; paths that a program opens are looked for in it first.
        library: The arm64 LiteRT.
    """

    def __init__(self, folder: Path, library: Path) -> None:
        self._folder = folder
        (folder / "system/lib64").mkdir(parents=True)
        (folder / "lib").symlink_to(_LIBRARIES)
        shutil.copy(library, folder / "system/lib64/libLiteRt.so")
        # XNNPACK asks for the processor, and gets nowhere with what this computer's file says.
        (folder / "proc").mkdir()
        cores = [_CPUINFO.format(number=number) for number in range(os.cpu_count() or 1)]
        (folder / "proc/cpuinfo").write_text("".join(cores))

    def compile(self, source: Path) -> Path:
        program = self._folder / source.stem
        command = [_COMPILER, "-O2", "-w", "-o", str(program), str(source), "-ldl", "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return program

    def run(self, program: Path, *arguments: str) -> str:
        """Both outputs, as a phone's shell would give them."""
        done = subprocess.run(
            [_EMULATOR, "-cpu", _PROCESSOR, "-L", str(self._folder), str(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Arm64:
    for program, package in ((_EMULATOR, "qemu-user"), (_COMPILER, "gcc-aarch64-linux-gnu")):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian's package {package}).")
    if not (_LIBRARIES / "libc.so.6").exists():
        pytest.skip("There is no arm64 C library (Debian's package libc6-dev-arm64-cross).")
    if not (_LIBRARIES / "libstdc++.so.6").exists():
        pytest.skip("There is no arm64 C++ library (Debian's package libstdc++6-arm64-cross).")
    folder = tmp_path_factory.mktemp("arm64")
    return Arm64(folder / "root", _library(folder))


def _library(folder: Path) -> Path:
    """LiteRT for arm64: the one that a variable names, else from its wheel."""
    if named := os.environ.get(_LIBRARY_VARIABLE):
        return Path(named)
    command = (
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder),
        "--platform", "manylinux_2_27_aarch64", "--python-version", "311",
        "--only-binary", ":all:", f"ai-edge-litert=={metadata.version('ai-edge-litert')}",
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        pytest.skip(
            "The arm64 wheel of ai-edge-litert cannot be downloaded; unpack its libLiteRt.so and "
            f"set {_LIBRARY_VARIABLE} to the file."
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        return Path(wheel.extract("ai_edge_litert/libLiteRt.so", folder))


@pytest.fixture(scope="module")
def tool(arm64: Arm64) -> Path:
    return arm64.compile(_TOOL)


@pytest.fixture(scope="module")
def once(arm64: Arm64, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("once") / "once.c"
    source.write_text(_ONCE)
    return arm64.compile(source)


def _network(name: str) -> Graph:
    return lower(replace(load_network(name), resolution=32, n_classes=10))


@pytest.fixture(
    params=[Graph.parse("fp32 16x16x8 conv3x3>16:relu"), _network("mnasnet-a1")],
    ids=["convolution", "mnasnet-a1"],
)
def graph(request: pytest.FixtureRequest) -> Graph:
    found: Graph = request.param
    return found


def test_the_tool_times_models_written_here(
    arm64: Arm64, tool: Path, graph: Graph, tmp_path: Path
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(write_tflite(graph))
    reported = parse_output(
        arm64.run(
            tool, f"--graph={model}", "--num_threads=1", "--warmup_runs=1",
            "--warmup_min_secs=0.01", "--num_runs=5", "--min_secs=0.01", "--max_secs=60",
            "--use_xnnpack=true",
        )
    )  # fmt: skip
    assert reported.statistics.n_runs >= 5 and reported.statistics.min_ms > 0
    assert reported.delegated


def test_the_outputs_are_those_of_this_computer(
    arm64: Arm64, once: Path, graph: Graph, tmp_path: Path
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(write_tflite(graph))
    lines = arm64.run(once, f"--graph={model}", "--num_threads=1").splitlines()
    there = np.array([float(line) for line in lines if not line[:1].isalpha()])
    here = _outputs_here(model)
    assert there.shape == here.shape and np.ptp(here) > 1e-3
    assert np.abs(there - here).max() < 1e-4


def _outputs_here(model: Path) -> NDArray[np.float32]:
    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    numbers = np.arange(np.prod(given["shape"])) * 7919 % 1000 / 500 - 1  # as the tool fills it
    interpreter.set_tensor(given["index"], numbers.astype(np.float32).reshape(given["shape"]))
    interpreter.invoke()
    outputs: NDArray[np.float32] = interpreter.get_tensor(wanted["index"]).ravel()
    return outputs
