"""Registry: .tflite operator -> translating function."""

from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from mnaslat.graph import Fused, Kind
from mnaslat.tflite.file_reader import FileOperator, ModelReader

_FUSED = schema.ActivationFunctionType
_ACTIVATIONS: dict[int, Fused] = {
    _FUSED.NONE: "",
    _FUSED.RELU: "relu",
    _FUSED.RELU6: "relu6",
    _FUSED.RELU_N1_TO_1: "relu_n1_to_1",
}

_Translate = Callable[[ModelReader, FileOperator], bool]
_TRANSLATIONS: dict[str, _Translate] = {}


def translate(reader: ModelReader, operator: FileOperator) -> bool:
    """Add an operator that depends on the input to the graph; returns whether its kind is known."""
    known = _TRANSLATIONS.get(operator.name)
    return known is not None and known(reader, operator)


def translates(*names: str) -> Callable[[_Translate], _Translate]:
    """Register a function for operators; it says whether it knew what to do."""

    def register(function: _Translate) -> _Translate:
        for name in names:
            _TRANSLATIONS[name] = function
        return function

    return register


def activated(
    reader: ModelReader, operator: FileOperator, code: int, kind: Kind, *values: int, **fields: Any
) -> bool:
    """Add an operation with the activation that is fused into it."""
    if code not in _ACTIVATIONS and code != _FUSED.TANH:
        return False
    value = reader.add(kind, *values, activation=_ACTIVATIONS.get(code, ""), **fields)
    if code == _FUSED.TANH:
        value = reader.add("tanh", value)
    return reader.put(operator.outputs[0], value)
