"""Children are trained one by one in workers that may die; the search goes on without them."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnaslat.architecture import Architecture
from mnaslat.data.images.loading import load_images
from mnaslat.errors import ImageSetError, SearchError
from mnaslat.search.accuracy import proxy_worker
from mnaslat.search.accuracy.proxy import (
    ProxyAccuracy,
    ProxySettings,
    candidate_seed,
    default_n_workers,
)
from mnaslat.search.accuracy.source import CandidateResult, ClosableSource
from mnaslat.search.accuracy.training import TrainingSettings, train
from tests.search.tiny_networks import RESOLUTION, tiny_network, without_tokens
from tests.search.toy_runs import ToyAccuracy

TRAINING = TrainingSettings(n_epochs=1, batch_size=32, n_train=96, n_validation=100)
NETWORKS = [tiny_network(kernel, expansion) for kernel in (3, 5) for expansion in (3, 6)]
CANDIDATES = without_tokens(NETWORKS)


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyAccuracy]:
    """Two workers, already at work: most tests share them, for starting one takes seconds."""
    source = proxy_of(n_workers=2)
    yield source
    source.close()


def proxy_of(images: str = "digits", n_workers: int = 1, **training: float) -> ProxyAccuracy:
    settings = ProxySettings(training=replace(TRAINING, **training), n_workers=n_workers)  # type: ignore[arg-type]
    return ProxyAccuracy(images, RESOLUTION, settings)


def accuracies(source: ProxyAccuracy, networks: Sequence[Architecture]) -> list[float | None]:
    results = dict(source.evaluate(without_tokens(networks)))
    return [results[index].accuracy for index in range(len(networks))]


def test_a_child_gets_what_training_it_here_gives(proxy: ProxyAccuracy) -> None:
    images = load_images("digits", RESOLUTION)
    found = accuracies(proxy, NETWORKS)
    for network, accuracy in zip(NETWORKS, found, strict=True):
        settings = replace(TRAINING, seed=candidate_seed(network, 0))
        assert train(network, images, settings).accuracy == accuracy


def test_the_order_and_the_company_of_children_do_not_matter(proxy: ProxyAccuracy) -> None:
    backwards = accuracies(proxy, NETWORKS[::-1])[::-1]
    assert [accuracies(proxy, [network])[0] for network in NETWORKS] == backwards


def test_results_come_with_their_cost(proxy: ProxyAccuracy) -> None:
    for _, result in proxy.evaluate(CANDIDATES[:2]):
        assert isinstance(result, CandidateResult)
        assert 0.0 < result.cost_s < 60.0
    assert list(proxy.evaluate([])) == []


def test_noise_is_the_deviation_over_seeds(proxy: ProxyAccuracy) -> None:
    assert math.isnan(proxy.noise)
    images = load_images("digits", RESOLUTION)
    alone = [
        train(
            NETWORKS[0], images, replace(TRAINING, seed=candidate_seed(NETWORKS[0], seed))
        ).accuracy
        for seed in range(3)
    ]
    assert proxy.measure_noise(NETWORKS[0], 3) == pytest.approx(np.std(alone, ddof=1))
    assert math.isnan(proxy.noise)  # a run could not be gone on with if it changed
    with pytest.raises(ValueError, match="at least 2"):
        proxy.measure_noise(NETWORKS[0], 1)


def test_a_child_that_cannot_be_trained_fails_alone(proxy: ProxyAccuracy) -> None:
    too_big = replace(NETWORKS[0], head_filters=10**12)
    results = dict(proxy.evaluate(without_tokens([too_big, NETWORKS[0]])))
    assert results[0].accuracy is None
    assert "RuntimeError" in results[0].failure
    assert "\n" not in results[0].failure
    assert results[1].accuracy is not None
    with pytest.raises(SearchError, match="The network could not be trained: RuntimeError"):
        proxy.measure_noise(too_big, 2)


def test_a_child_that_diverges_fails_with_the_reason() -> None:
    images = load_images("digits", RESOLUTION)
    training = replace(TRAINING, learning_rate=1e20, n_warmup_epochs=0.0)
    request = {"architecture": NETWORKS[0].to_json(), "seed": 0}
    answer = proxy_worker._result(request, images, training, "cpu")
    assert answer["accuracy"] is None
    assert "Training diverged" in answer["failure"]


def worker_pids(source: ProxyAccuracy) -> list[int]:
    return [worker._process.pid for worker in source._crew]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_whoever_is_given_the_source_can_see_that_it_is_to_be_closed(proxy: ProxyAccuracy) -> None:
    assert isinstance(proxy, ClosableSource)
    assert not isinstance(ToyAccuracy(), ClosableSource)


def test_a_killed_worker_costs_one_child_and_a_new_one_goes_on() -> None:
    source = proxy_of(n_epochs=20)
    source._idle({}, 1)
    first = worker_pids(source)[0]
    threading.Timer(0.2, os.kill, (first, signal.SIGKILL)).start()
    results = dict(source.evaluate(CANDIDATES[:2]))
    assert results[0].accuracy is None
    assert "ended by signal 9" in results[0].failure
    assert results[1].accuracy is not None
    assert worker_pids(source) != [first]
    source.close()


def test_workers_end_when_the_reader_stops_early() -> None:
    source = proxy_of(n_epochs=20)
    answers = source.evaluate(CANDIDATES)
    next(answers)
    (pid,) = worker_pids(source)
    answers.close()  # type: ignore[attr-defined]
    assert not is_running(pid)


def test_workers_end_with_the_source() -> None:
    source = proxy_of()
    source._idle({}, 1)
    (pid,) = worker_pids(source)
    del source
    wait_until(lambda: not is_running(pid))


SEARCHING = """
import signal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background may ignore it
from tests.search.accuracy.test_proxy import CANDIDATES, proxy_of, worker_pids

source = proxy_of(n_epochs=10_000)
source._idle({}, 1)
print(*worker_pids(source), flush=True)
for _ in source.evaluate(CANDIDATES):
    pass
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_search_however_it_ends(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SEARCHING],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONSAFEPATH": ""},  # it imports the tests
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as search:
        assert search.stdout is not None
        pids = [int(pid) for pid in search.stdout.readline().split()]
        assert len(pids) == 1
        time.sleep(0.2)
        search.send_signal(ending)
        wait_until(lambda: not any(is_running(pid) for pid in pids))


def test_a_worker_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    source = proxy_of()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SearchError, match="does not start"):
        next(source.evaluate(CANDIDATES))


def test_images_that_vanish_or_change_end_the_search(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    source = proxy_of(f"folder:{tmp_path}")
    image.new("L", (8, 8), 99).save(tmp_path / "a" / "0.png")
    with pytest.raises(ImageSetError, match="images changed"):
        next(source.evaluate(CANDIDATES))
    source = proxy_of(f"folder:{tmp_path}")
    (tmp_path / "a" / "0.png").write_bytes(b"")
    with pytest.raises(ImageSetError, match=r"Cannot read the image .*0\.png"):
        next(source.evaluate(CANDIDATES))
    with pytest.raises(ImageSetError, match="Known: digits"):
        proxy_of("mnist")


def test_the_description_has_all_that_decides_and_no_more() -> None:
    one = proxy_of().description
    assert "digits" in one and "n_epochs=1" in one
    assert proxy_of(n_workers=2).description == one
    for other in (proxy_of(seed=1), proxy_of(learning_rate=0.2)):
        assert other.description != one


def test_large_networks_are_made_small_and_small_ones_are_left() -> None:
    def size(own: int, **given: float) -> tuple[int | None, float | None]:
        settled = ProxySettings(**given).for_networks_of(own)  # type: ignore[arg-type]
        return settled.resolution, settled.width

    assert size(224) == (32, 0.35)
    assert size(48) == (48, 1.0)
    assert size(224, resolution=64) == (64, 0.35)
    assert size(224, width=0.5) == (32, 0.5)
    assert size(48, resolution=32) == (32, 0.35)


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"resolution": 0}, {"width": 0.0}, {"n_workers": 0}):
        with pytest.raises(ValueError, match="must be"):
            ProxySettings(**wrong)
    assert 1 <= default_n_workers() <= (os.cpu_count() or 1)


def test_child_seeds_differ_and_last() -> None:
    seeds = {candidate_seed(network, seed) for network in NETWORKS for seed in range(3)}
    assert len(seeds) == 3 * len(NETWORKS)
    assert candidate_seed(tiny_network(), 0) == candidate_seed(tiny_network(), 0)
