"""mnaslat: latency-first neural architecture search for phones.

Public names are loaded when they are first used, so that importing the package stays fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnaslat.architecture import Architecture as Architecture
    from mnaslat.architecture import Block as Block
    from mnaslat.architecture import Layer as Layer
    from mnaslat.data.guard_policy import GuardPolicy as GuardPolicy
    from mnaslat.data.latency_table import LatencyTable as LatencyTable
    from mnaslat.data.measurement import Configuration as Configuration
    from mnaslat.data.workspace import Workspace as Workspace
    from mnaslat.errors import ArgumentError as ArgumentError
    from mnaslat.errors import MnaslatError as MnaslatError
    from mnaslat.graph import Graph as Graph
    from mnaslat.lowering import lower as lower
    from mnaslat.network import Network as Network
    from mnaslat.network import run_graph as run_graph
    from mnaslat.predictors import Errors as Errors
    from mnaslat.predictors import load_predictor as load_predictor
    from mnaslat.predictors import save_predictor as save_predictor
    from mnaslat.profiling.device import Device as Device
    from mnaslat.profiling.device import DeviceOptions as DeviceOptions
    from mnaslat.search import SearchResult as SearchResult
    from mnaslat.search import Winner as Winner
    from mnaslat.search import load_winner as load_winner
    from mnaslat.search.run.run_folder import SearchRun as SearchRun
    from mnaslat.space import Choice as Choice
    from mnaslat.space import Choices as Choices
    from mnaslat.space import Decision as Decision
    from mnaslat.space import SearchSpace as SearchSpace
    from mnaslat.space import load_space as load_space
    from mnaslat.tflite import graph_from_tflite as graph_from_tflite
    from mnaslat.tflite import write_tflite as write_tflite
    from mnaslat.torch_import import graph_from_torch as graph_from_torch
    from mnaslat.workflow.calibrate import Calibration as Calibration
    from mnaslat.workflow.calibrate import calibrate as calibrate
    from mnaslat.workflow.calibrate import calibration_networks as calibration_networks
    from mnaslat.workflow.calibrate_from_file import FileCalibration as FileCalibration
    from mnaslat.workflow.calibrate_from_file import calibrate_from_file as calibrate_from_file
    from mnaslat.workflow.calibrate_from_file import describe_device as describe_device
    from mnaslat.workflow.calibrate_from_file import suggest_networks as suggest_networks
    from mnaslat.workflow.devices import find_devices as find_devices
    from mnaslat.workflow.devices import open_device as open_device
    from mnaslat.workflow.devices import reopen_device as reopen_device
    from mnaslat.workflow.evaluate import DeviceEvaluation as DeviceEvaluation
    from mnaslat.workflow.evaluate import evaluate_predictor as evaluate_predictor
    from mnaslat.workflow.measure import MeasuredNetworks as MeasuredNetworks
    from mnaslat.workflow.measure import measure_networks as measure_networks
    from mnaslat.workflow.measurement_file import read_measurements as read_measurements
    from mnaslat.workflow.networks import export_network as export_network
    from mnaslat.workflow.networks import read_network as read_network
    from mnaslat.workflow.predict import PredictedNetwork as PredictedNetwork
    from mnaslat.workflow.predict import predict_networks as predict_networks
    from mnaslat.workflow.predictor_library import list_predictors as list_predictors
    from mnaslat.workflow.predictor_library import list_pretrained as list_pretrained
    from mnaslat.workflow.profile import Profile as Profile
    from mnaslat.workflow.profile import profile_space as profile_space
    from mnaslat.workflow.progress import Events as Events
    from mnaslat.workflow.progress import NotebookEvents as NotebookEvents
    from mnaslat.workflow.report import write_report as write_report
    from mnaslat.workflow.runs import list_runs as list_runs
    from mnaslat.workflow.runs import open_run as open_run
    from mnaslat.workflow.search import resume_search as resume_search
    from mnaslat.workflow.search import run_search as run_search
    from mnaslat.workflow.validate import ValidatedCandidate as ValidatedCandidate
    from mnaslat.workflow.validate import validate_run as validate_run
    from mnaslat.zoo import load_network as load_network
    from mnaslat.zoo import network_names as network_names

__version__ = "0.2.0"

_HOMES = {
    "Architecture": "mnaslat.architecture",
    "ArgumentError": "mnaslat.errors",
    "Block": "mnaslat.architecture",
    "Calibration": "mnaslat.workflow.calibrate",
    "Choice": "mnaslat.space",
    "Choices": "mnaslat.space",
    "Configuration": "mnaslat.data.measurement",
    "Decision": "mnaslat.space",
    "Device": "mnaslat.profiling.device",
    "DeviceEvaluation": "mnaslat.workflow.evaluate",
    "DeviceOptions": "mnaslat.profiling.device",
    "Errors": "mnaslat.predictors",
    "Events": "mnaslat.workflow.progress",
    "FileCalibration": "mnaslat.workflow.calibrate_from_file",
    "Graph": "mnaslat.graph",
    "GuardPolicy": "mnaslat.data.guard_policy",
    "LatencyTable": "mnaslat.data.latency_table",
    "Layer": "mnaslat.architecture",
    "MeasuredNetworks": "mnaslat.workflow.measure",
    "MnaslatError": "mnaslat.errors",
    "Network": "mnaslat.network",
    "NotebookEvents": "mnaslat.workflow.progress",
    "PredictedNetwork": "mnaslat.workflow.predict",
    "Profile": "mnaslat.workflow.profile",
    "SearchResult": "mnaslat.search",
    "SearchRun": "mnaslat.search.run.run_folder",
    "SearchSpace": "mnaslat.space",
    "ValidatedCandidate": "mnaslat.workflow.validate",
    "Winner": "mnaslat.search",
    "Workspace": "mnaslat.data.workspace",
    "calibrate": "mnaslat.workflow.calibrate",
    "calibrate_from_file": "mnaslat.workflow.calibrate_from_file",
    "calibration_networks": "mnaslat.workflow.calibrate",
    "describe_device": "mnaslat.workflow.calibrate_from_file",
    "evaluate_predictor": "mnaslat.workflow.evaluate",
    "export_network": "mnaslat.workflow.networks",
    "find_devices": "mnaslat.workflow.devices",
    "graph_from_tflite": "mnaslat.tflite.importer",
    "graph_from_torch": "mnaslat.torch_import",
    "list_predictors": "mnaslat.workflow.predictor_library",
    "list_pretrained": "mnaslat.workflow.predictor_library",
    "list_runs": "mnaslat.workflow.runs",
    "load_network": "mnaslat.zoo",
    "load_predictor": "mnaslat.predictors",
    "load_space": "mnaslat.space",
    "load_winner": "mnaslat.search",
    "lower": "mnaslat.lowering",
    "measure_networks": "mnaslat.workflow.measure",
    "network_names": "mnaslat.zoo",
    "open_device": "mnaslat.workflow.devices",
    "open_run": "mnaslat.workflow.runs",
    "predict_networks": "mnaslat.workflow.predict",
    "profile_space": "mnaslat.workflow.profile",
    "read_measurements": "mnaslat.workflow.measurement_file",
    "read_network": "mnaslat.workflow.networks",
    "reopen_device": "mnaslat.workflow.devices",
    "resume_search": "mnaslat.workflow.search",
    "run_graph": "mnaslat.network",
    "run_search": "mnaslat.workflow.search",
    "save_predictor": "mnaslat.predictors",
    "suggest_networks": "mnaslat.workflow.calibrate_from_file",
    "validate_run": "mnaslat.workflow.validate",
    "write_report": "mnaslat.workflow.report",
    "write_tflite": "mnaslat.tflite",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnaslat' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
