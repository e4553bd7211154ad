"""Searches for the most accurate networks at a target latency."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path

from mnaslat.architecture import Architecture
from mnaslat.data.workspace import Workspace
from mnaslat.errors import ArgumentError, DeviceError, MnaslatError
from mnaslat.predictors.network_predictor import NetworkPredictor, open_predictor, predictor_file
from mnaslat.profiling.device import Device, DeviceOptions, Reopening
from mnaslat.reports.predictor_page import table_of
from mnaslat.search.accuracy.source import AccuracySource, ClosableSource
from mnaslat.search.accuracy.sources import accuracy_source
from mnaslat.search.accuracy.user_function import FunctionAccuracy
from mnaslat.search.problem import SearchProblem
from mnaslat.search.run.progress import SearchProgress
from mnaslat.search.run.run_folder import SearchRun
from mnaslat.search.run.search import Search
from mnaslat.space import SearchSpace
from mnaslat.workflow.arguments import check_arguments, check_whole
from mnaslat.workflow.calibrate import quick_calibration
from mnaslat.workflow.devices import measured_in, open_as_before, reopen_device
from mnaslat.workflow.predictor_library import find_predictor, newest_predictor
from mnaslat.workflow.profile import report_other_space
from mnaslat.workflow.progress import SILENT, Events, OuterStep
from mnaslat.workflow.runs import new_run, unfinished_run
from mnaslat.workflow.search_request import SearchOptions, command_of
from mnaslat.workflow.validate import DeviceValidator, validation_lines

Accuracy = str | AccuracySource | Callable[[Architecture], float]


def run_search(
    space: SearchSpace,
    predictor: NetworkPredictor | str | PathLike[str],
    *,
    accuracy: Accuracy,
    workspace: Workspace,
    target_ms: float | tuple[float, float] | None = None,
    device: Device | None = None,
    reward: str = "hard",
    n_samples: int = 8000,
    searcher: str = "ppo",
    surrogate: bool = True,
    preset: str = "fast",
    latency: str = "point",
    validate_every: int = 20,
    seed: int = 0,
    max_time_s: float | None = None,
    name: str = "",
    events: Events = SILENT,
) -> SearchRun:
    """Search a space for the most accurate network at a target latency.

    The run is kept in a folder of the workspace. ``resume_search`` continues one that was
    interrupted.

    Args:
        space: To be searched.
        predictor: Of latencies; an object, a file, or the name of a pretrained one.
        accuracy: A text as ``--accuracy`` takes it, an accuracy source, or a function that is
            given an architecture and returns a fraction in [0, 1].
        workspace: Keeps the run, and the measurements of its candidates.
        target_ms: Latency wanted in milliseconds, or a range of them; what MnasNet-A1 takes if left
            out.
        device: Measures the best candidates every so often; without one the result rests on
            predictions alone.
        reward: ``hard``: accuracy alone up to the target, above it in proportion less. ``soft``:
            the paper's trade-off.
        n_samples: Networks to evaluate.
        searcher: ``ppo``, or another one of those known.
        surrogate: Whether PPO learns from a model of the accuracies.
        preset: Of the PPO controller: ``fast`` or ``paper``.
        latency: ``point`` gives the reward the prediction, ``upper`` the upper end of its 90 %
            interval.
        validate_every: Rounds between measurements on the device.
        seed: Of all random choices.
        max_time_s: Time to search for in seconds.
        name: Of the run; made from the time if left out.
        events: Receives progress.

    Returns:
        The run, with its ``result``; ``failure`` says what ended it before its time.

    Raises:
        ValueError: If an argument is wrong.
        SearchError: If the target is out of reach or the name is taken.
        MnaslatError: If something ended the search before there was a result.
    """
    check_arguments(space=space, workspace=workspace, device=device)
    check_arguments(max_time_s=max_time_s, seed=seed)
    check_whole("n_samples", n_samples, 1)
    check_whole("validate_every", validate_every, 0)
    path = None if not isinstance(predictor, str | PathLike) else Path(predictor)
    if path is None:
        check_arguments(predictor=predictor)
    options = SearchOptions(
        predictor=None if path is None else str(path),
        target_ms=_target_text(target_ms),
        reward=reward,
        accuracy=_accuracy_text(accuracy),
        samples=n_samples,
        searcher=searcher,
        surrogate=surrogate,
        preset=preset,
        latency=latency,
        validate_every=validate_every if device is not None else 0,
        space=space.name,
        width=space.width,
        seed=seed,
        run=name,
    ).of_space(space)
    options.check()
    model = open_predictor(path) if path is not None else predictor
    assert not isinstance(model, str | PathLike)
    if device is not None:
        _check_device(model, device)
    with open_accuracy(accuracy, space, workspace, seed=seed, events=events) as source:
        run = _started(options, space, model, path, workspace, events)
        return _continued(run, space, source, device, workspace, max_time_s, events)


def resume_search(
    run: SearchRun,
    *,
    workspace: Workspace,
    accuracy: Accuracy | None = None,
    device: Device | None = None,
    max_time_s: float | None = None,
    n_samples: int | None = None,
    events: Events = SILENT,
) -> SearchRun:
    """Continue a run that was interrupted, or evaluate more networks in a finished one.

    Args:
        run: From ``open_run`` or ``run_search``.
        workspace: Keeps the measurements of its candidates.
        accuracy: As for ``run_search``; needed if the run was not started with a text.
        device: Measures candidates if the run was started with a device.
        max_time_s: Time to search for in seconds.
        n_samples: Networks to evaluate in all, if not as many as before.
        events: Receives progress.

    Raises:
        ValueError: If the run needs an accuracy or a device that is not given.
        SearchError: If the run cannot be read.
        MnaslatError: If something ended the search before there was a result.
    """
    check_arguments(workspace=workspace, device=device, max_time_s=max_time_s)
    if not isinstance(run, SearchRun):
        raise ArgumentError("run", f"run must be a SearchRun, as open_run returns it, got {run!r}.")
    if n_samples is not None:
        check_whole("n_samples", n_samples, 1)
    request = run.request
    if accuracy is None and not _names_source(request["accuracy"]):
        raise ArgumentError(
            "accuracy", f"The run was started with {request['accuracy']}: give it again."
        )
    if request["validate_every"] and device is None:
        raise ArgumentError(
            "device",
            f"The run measures its candidates on {run.predictor.configuration.device}: open it "
            "with open_device and give it.",
        )
    if device is not None:
        _check_device(run.predictor, device)
    if n_samples is not None:
        run = replace(run, settings=replace(run.settings, n_samples=n_samples))
    chosen = request["accuracy"] if accuracy is None else accuracy
    seed = int(request["seed"])
    with open_accuracy(chosen, run.space, workspace, seed=seed, events=events) as source:
        measuring = device if request["validate_every"] else None
        return _continued(run, run.space, source, measuring, workspace, max_time_s, events)


def search_in_workspace(
    options: SearchOptions,
    space: SearchSpace,
    workspace: Workspace,
    *,
    predictor: Path | None = None,
    device: str = "",
    device_options: DeviceOptions = DeviceOptions(),
    max_time_s: float | None = None,
    events: Events = SILENT,
) -> SearchRun:
    """Do what ``mnaslat search`` does: resume a run of the same options, or start one.

    Without a predictor the workspace's newest is taken, of the device if one is named; where there
    is none, the device is measured first, for about four minutes.

    Args:
        options: Of the search, of the space.
        space: To be searched.
        workspace: Keeps everything.
        predictor: File, or name of a pretrained one.
        device: Serial or name; that of the predictor if left out.
        device_options: How to reach it: ``benchmark_binary`` and ``guard``.
        max_time_s: Time to search for in seconds.
        events: Receives progress.

    Raises:
        ValueError: If an option is wrong.
        MnaslatError: If something ended the search before there was a result.
    """
    options.check()
    accuracy, seed = options.accuracy, options.seed
    with open_accuracy(accuracy, space, workspace, seed=seed, events=events) as source:
        run = unfinished_run(workspace, options.to_request())
        if run is None:
            model, path = _chosen_predictor(
                workspace, predictor, device, device_options, space, seed, events
            )
            run = _started(options, space, model, path, workspace, events)
        else:
            events.notice(f"Continuing the unfinished run in {run.folder}.")
        target: Device | None = None
        if options.validate_every:
            try:
                target = reopen_device(
                    run.predictor.configuration, device, device_options, events=events
                )
            except DeviceError as error:
                raise DeviceError(
                    f"{error} To search by predictions alone, without measuring, add "
                    "--validate-every 0."
                ) from error
        return _continued(run, space, source, target, workspace, max_time_s, events)


@contextmanager
def open_accuracy(
    accuracy: Accuracy, space: SearchSpace, workspace: Workspace, *, seed: int, events: Events
) -> Iterator[AccuracySource]:
    """Open an accuracy source, and close it at the end if it was made here.

    Small networks are trained and the controller is small too: inside the block torch uses one
    thread, because a second one costs more than it brings, and the device may be measured on the
    other core.

    Raises:
        SearchError: If a text names no source, or the source cannot be made.
    """
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if isinstance(accuracy, str):
            source = accuracy_source(
                accuracy,
                space,
                folder=workspace.path / "supernets",
                seed=seed,
                progress=_TrainingShown(events),
            )
        elif isinstance(accuracy, AccuracySource):
            source = accuracy
        elif not callable(accuracy):
            raise ArgumentError(
                "accuracy",
                "accuracy must be a function of an architecture, an accuracy source, or a text "
                f"such as 'supernet', got a value of type {type(accuracy).__name__}.",
            )
        else:
            source = FunctionAccuracy(accuracy)
        try:
            yield source
        finally:
            if isinstance(accuracy, str) and isinstance(source, ClosableSource):
                source.close()
    finally:
        torch.set_num_threads(n_threads)


def _chosen_predictor(
    workspace: Workspace,
    path: Path | None,
    device: str,
    device_options: DeviceOptions,
    space: SearchSpace,
    seed: int,
    events: Events,
) -> tuple[NetworkPredictor, Path]:
    """The predictor named, else the workspace's newest, else one that is made now."""
    if path is None and newest_predictor(workspace, device) is None:
        before = Reopening(measured=measured_in(workspace, "fp32"))
        target = open_as_before(device, device_options, before, events)
        made = quick_calibration(target, space, workspace, seed=seed, events=events)
        return made.predictor, made.path
    return find_predictor(workspace, path, device)


def _started(
    options: SearchOptions,
    space: SearchSpace,
    predictor: NetworkPredictor,
    path: Path | None,
    workspace: Workspace,
    events: Events,
) -> SearchRun:
    name = "the predictor" if path is None else path.name
    table = table_of(predictor)
    if table is not None:
        report_other_space(table, space, f"the table of {name}", events)
    settings = options.to_settings(options.targets(predictor, name, space, events))
    saved = predictor if path is None else predictor_file(path)
    run = new_run(workspace, options.run, options.to_request(), settings, saved, space)
    return run.with_space(space)


def _continued(
    run: SearchRun,
    space: SearchSpace,
    source: AccuracySource,
    device: Device | None,
    workspace: Workspace,
    max_time_s: float | None,
    events: Events,
) -> SearchRun:
    validator = None
    events = outer = OuterStep(events)
    if device is not None:
        precision = run.predictor.configuration.precision
        validator = DeviceValidator(workspace, device, precision, outer.inside)
    events.notice(f"Accuracy: {source.description}")
    problem = SearchProblem(
        space=space, accuracy=source, predictor=run.predictor, validator=validator
    )

    def show(now: SearchProgress) -> None:
        best = "none succeeded yet"
        if now.best is not None:
            best = f"best {now.best.accuracy:.3f} at {now.best.predicted_ms:.2f} ms"
        events.progress("Searching", now.n_samples_done, now.n_samples, now.left_s, best)
        for line in validation_lines(now.measured):
            events.notice(line)

    settings = replace(run.settings, max_time_s=max_time_s)
    command = command_of(run) if _names_source(run.request["accuracy"]) else ""
    with Search(problem, settings, run.folder, command=command) as searching:
        if searching.note:
            events.notice(searching.note)
        try:
            return replace(run, result=searching.run(show), failure=None).with_space(space)
        except MnaslatError as error:
            if not searching.found_any:
                raise
            result = searching.result("failed")
            return replace(run, result=result, failure=error).with_space(space)


def _check_device(predictor: NetworkPredictor, device: Device) -> None:
    configuration = predictor.configuration
    configuration.require(device.configuration(configuration.precision), f"Device {device.name}")


def _target_text(target_ms: float | tuple[float, float] | None) -> str:
    if target_ms is None:
        return ""
    try:
        if isinstance(target_ms, tuple | list):
            return ":".join(f"{float(each)!r}" for each in target_ms)
        return f"{float(target_ms)!r}"
    except (TypeError, ValueError):
        raise ArgumentError(
            "target_ms",
            f"target_ms must be milliseconds, or two of them as a range, got {target_ms!r}.",
        ) from None


def _accuracy_text(accuracy: Accuracy) -> str:
    if isinstance(accuracy, str):
        return accuracy
    named = getattr(accuracy, "description", None) or getattr(accuracy, "__name__", "function")
    return f"<{str(named).strip('<>')}>"


def _names_source(text: str) -> bool:
    """Whether a run's record of its accuracies is a text that makes them again."""
    return not text.startswith("<")


class _TrainingShown:
    """Reports the training of an accuracy source as progress."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._since: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        since, first = self._since = self._since or (now, done)
        seconds_left = (now - since) / max(done - first, 1) * (total - done)
        self._events.progress("Preparing the accuracies", done, total, seconds_left)
