"""Runs models on the host, in a process of its own: ``python -m mnaslat.profiling.worker``.

A model that crashes or hangs the runtime takes only this process with it. Requests come on standard
input: a line of JSON with the timing and the model's size, then the model. Each answer is one line
of JSON on standard output.
"""

import gc
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Serve requests until standard input ends."""
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
        model = requests.read(request["size"])
        try:
            answer = _time(Interpreter, model, request, settings["threads"])
        except (RuntimeError, ValueError) as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        gc.collect()


def _time(
    interpreter_class: Any, model: bytes, request: dict[str, Any], threads: int
) -> dict[str, Any]:
    import numpy as np

    start = time.perf_counter_ns()
    interpreter = interpreter_class(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        values = np.random.default_rng(0).standard_normal(detail["shape"], dtype=np.float32)
        interpreter.set_tensor(detail["index"], values)
    init_ns = time.perf_counter_ns() - start
    clock, invoke = time.perf_counter_ns, interpreter.invoke

    def run_until(budget_ns: float, least: int, most: int) -> list[int]:
        runs: list[int] = []
        total = 0
        while (total < budget_ns or len(runs) < least) and len(runs) < most:
            before = clock()
            invoke()
            runs.append(clock() - before)
            total += runs[-1]
        return runs

    warmup = run_until(request["warmup_ms"] * 1e6, request["min_warmup_runs"], 10**9)
    runs = run_until(request["round_ms"] * 1e6, request["min_runs"], request["max_runs"])
    return {"init_ns": init_ns, "warmup_ns": warmup, "runs_ns": runs}


if __name__ == "__main__":
    main()
