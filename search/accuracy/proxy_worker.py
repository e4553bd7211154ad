"""Trains candidates one after the other; a program that `proxy` starts.

A process of its own, because a candidate that runs out of memory takes its process with it.
Requests and results are lines of JSON on standard input and output; ``SETTINGS`` are JSON too.
"""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnaslat.data.images.image_set import ImageSet
    from mnaslat.search.accuracy.training import TrainingSettings

_OUT_OF_MEMORY_SCORE = 500  # the system then ends a worker, not the search


def main() -> None:
    """Serve requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the search's to handle
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with answers

    def answer(what: dict[str, Any]) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    _offer_to_be_ended_first()
    settings = json.loads(sys.argv[1])
    import torch

    from mnaslat.data.images.loading import load_images
    from mnaslat.errors import ImageSetError
    from mnaslat.search.accuracy.training import TrainingSettings

    torch.set_num_threads(1)  # several workers share the cores, and sums come out the same
    training = TrainingSettings(**settings["training"])
    try:
        images = load_images(settings["images"], settings["resolution"])
        answer({"digest": images.digest})
        requests = _requests()
        while True:
            answer(_result(requests.get(), images, training, settings["device"]))
    except ImageSetError as error:  # not of the candidate: all others would fail too
        answer({"fatal": str(error)})
        os._exit(1)  # the thread that reads requests would keep Python from ending in peace


def _result(
    request: dict[str, Any], images: "ImageSet", training: "TrainingSettings", device: str
) -> dict[str, Any]:
    from mnaslat.architecture import Architecture
    from mnaslat.errors import ImageSetError
    from mnaslat.search.accuracy.training import train

    started = time.perf_counter()
    accuracy, failure = None, ""
    try:
        candidate = Architecture.from_json(request["architecture"])
        accuracy = train(
            candidate, images, replace(training, seed=request["seed"]), device=device
        ).accuracy
    except ImageSetError:
        raise
    except Exception as error:  # any error of this candidate: the next may train well
        failure = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    return {
        "accuracy": accuracy,
        "failure": failure,
        "cost_s": time.perf_counter() - started,
    }


def _requests() -> "SimpleQueue[dict[str, Any]]":
    """Requests as they come; this process ends when the one that asks does, even mid-training."""
    queue: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            queue.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return queue


def _offer_to_be_ended_first() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(str(_OUT_OF_MEMORY_SCORE))
    except OSError:  # not Linux: nothing to be done
        pass


if __name__ == "__main__":
    main()
