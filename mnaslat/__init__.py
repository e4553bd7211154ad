"""mnaslat: latency-first neural architecture search for phones.

Public names are loaded when they are first used, so that importing the package stays fast.
"""

from typing import TYPE_CHECKING, Any

from mnaslat.lazy import load_name

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
    "Architecture": "architecture",
    "ArgumentError": "errors",
    "Block": "architecture",
    "Calibration": "workflow.calibrate",
    "Choice": "space",
    "Choices": "space",
    "Configuration": "data.measurement",
    "Decision": "space",
    "Device": "profiling.device",
    "DeviceEvaluation": "workflow.evaluate",
    "DeviceOptions": "profiling.device",
    "Errors": "predictors",
    "Events": "workflow.progress",
    "FileCalibration": "workflow.calibrate_from_file",
    "Graph": "graph",
    "GuardPolicy": "data.guard_policy",
    "LatencyTable": "data.latency_table",
    "Layer": "architecture",
    "MeasuredNetworks": "workflow.measure",
    "MnaslatError": "errors",
    "Network": "network",
    "NotebookEvents": "workflow.progress",
    "PredictedNetwork": "workflow.predict",
    "Profile": "workflow.profile",
    "SearchResult": "search",
    "SearchRun": "search.run.run_folder",
    "SearchSpace": "space",
    "ValidatedCandidate": "workflow.validate",
    "Winner": "search",
    "Workspace": "data.workspace",
    "calibrate": "workflow.calibrate",
    "calibrate_from_file": "workflow.calibrate_from_file",
    "calibration_networks": "workflow.calibrate",
    "describe_device": "workflow.calibrate_from_file",
    "evaluate_predictor": "workflow.evaluate",
    "export_network": "workflow.networks",
    "find_devices": "workflow.devices",
    "graph_from_tflite": "tflite.importer",
    "graph_from_torch": "torch_import",
    "list_predictors": "workflow.predictor_library",
    "list_pretrained": "workflow.predictor_library",
    "list_runs": "workflow.runs",
    "load_network": "zoo",
    "load_predictor": "predictors",
    "load_space": "space",
    "load_winner": "search",
    "lower": "lowering",
    "measure_networks": "workflow.measure",
    "network_names": "zoo",
    "open_device": "workflow.devices",
    "open_run": "workflow.runs",
    "predict_networks": "workflow.predict",
    "profile_space": "workflow.profile",
    "read_measurements": "workflow.measurement_file",
    "read_network": "workflow.networks",
    "reopen_device": "workflow.devices",
    "resume_search": "workflow.search",
    "run_graph": "network",
    "run_search": "workflow.search",
    "save_predictor": "predictors",
    "suggest_networks": "workflow.calibrate_from_file",
    "validate_run": "workflow.validate",
    "write_report": "workflow.report",
    "write_tflite": "tflite",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # names are known, their values come lazily


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
