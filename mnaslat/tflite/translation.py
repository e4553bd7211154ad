"""Registers the functions that translate the operators of .tflite files."""

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from mnaslat.graph import Fused, Kind
from mnaslat.graph.importing import Translations
from mnaslat.tflite.file_reader import FileOperator, ModelReader

_FUSED = schema.ActivationFunctionType
_ACTIVATIONS: dict[int, Fused] = {
    _FUSED.NONE: "",
    _FUSED.RELU: "relu",
    _FUSED.RELU6: "relu6",
    _FUSED.RELU_N1_TO_1: "relu_n1_to_1",
}

TRANSLATIONS: Translations[ModelReader, FileOperator] = Translations()
translates = TRANSLATIONS.of


def activated(
    reader: ModelReader, operator: FileOperator, code: int, kind: Kind, *values: int, **fields: Any
) -> bool:
    """Add an operation with its fused activation; return False if that is not known."""
    if code not in _ACTIVATIONS and code != _FUSED.TANH:
        return False
    value = reader.add(kind, *values, activation=_ACTIVATIONS.get(code, ""), **fields)
    if code == _FUSED.TANH:
        value = reader.add("tanh", value)
    return reader.put(operator.outputs[0], value)
