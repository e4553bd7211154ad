"""Runs models on the host, in a process of its own: ``python -m mnaslat.profiling.host.worker``.

A model that crashes or hangs the runtime takes only this process with it. Requests come on standard
input: a line of JSON with the timing and the models' sizes, then the models. Each answer is one
line of JSON on standard output, a list with an entry for each model.
"""

import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Serve requests until standard input ends."""
    _end_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the runtime prints must not mix with answers
    settings = json.loads(sys.argv[1])
    if settings["cores"]:
        os.sched_setaffinity(0, settings["cores"])
    from ai_edge_litert.interpreter import Interpreter

    gc.disable()
    requests = sys.stdin.buffer
    answers.write("ready\n")
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        models = [requests.read(size) for size in request["sizes"]]
        found = _time(Interpreter, models, request, settings["threads"])
        answers.write(json.dumps(found) + "\n")
        answers.flush()
        gc.collect()


def _end_with_parent() -> None:
    """Exit if the parent process is gone, even while a model hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _time(
    interpreter_class: Any, models: list[bytes], request: dict[str, Any], threads: int
) -> list[dict[str, Any]]:
    """Load all models, then time them in turns, a window each."""
    answers: list[dict[str, Any]] = []
    loaded: list[tuple[dict[str, Any], Callable[[], None]]] = []
    for model in models:
        answers.append({"runs_ns": []})
        try:
            invoke, answers[-1]["init_ns"] = _load(interpreter_class, model, threads)
            answers[-1]["warmup_ns"] = _run_until(
                invoke, request["warmup_ms"] * 1e6, request["min_warmup_runs"], 10**9
            )
            loaded.append((answers[-1], invoke))
        except (RuntimeError, ValueError) as error:
            answers[-1] = {"error": str(error)}
    n_windows = request["n_windows"]
    for _ in range(n_windows):
        for answer, invoke in loaded:
            answer["runs_ns"] += _run_until(
                invoke,
                request["round_ms"] * 1e6 / n_windows,
                -(-request["min_runs"] // n_windows),
                -(-request["max_runs"] // n_windows),
            )
    return answers


def _load(interpreter_class: Any, model: bytes, threads: int) -> tuple[Callable[[], None], int]:
    import numpy as np

    start = time.perf_counter_ns()
    interpreter = interpreter_class(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        values = np.random.default_rng(0).standard_normal(detail["shape"], dtype=np.float32)
        interpreter.set_tensor(detail["index"], values)
    return interpreter.invoke, time.perf_counter_ns() - start


def _run_until(invoke: Callable[[], None], budget_ns: float, least: int, most: int) -> list[int]:
    clock = time.perf_counter_ns
    runs: list[int] = []
    total = 0
    while (total < budget_ns or len(runs) < least) and len(runs) < most:
        before = clock()
        invoke()
        runs.append(clock() - before)
        total += runs[-1]
    return runs


if __name__ == "__main__":
    main()
