"""Reads .tflite files as graphs.

``file_reader`` reads the flatbuffer. Each operator is translated by a function that
``weighted_ops`` or ``elementwise_ops`` registers for its name. Other operators are an error, or an
op of kind ``unknown``.
"""

import mmap
import re
import struct
from os import PathLike
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from mnaslat.errors import ModelFileError, UnsupportedOperation
from mnaslat.graph import Graph, Precision
from mnaslat.graph.importing import Unknown, check_unknown

# These know how to translate: importing them registers what they know.
from mnaslat.tflite import elementwise_ops as _elementwise_ops  # noqa: F401
from mnaslat.tflite import weighted_ops as _weighted_ops  # noqa: F401
from mnaslat.tflite.file_reader import MAX_TABLES, FileOperator, ModelReader, limited
from mnaslat.tflite.translation import TRANSLATIONS

_MAX_INPUTS = 1_000_000  # of all operators together
_TYPES = schema.TensorType
# What garbage in a flatbuffer makes its reader raise.
_GARBAGE = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
    AttributeError,
    AssertionError,
    KeyError,
)


def graph_from_tflite(path: str | PathLike[str], *, unknown: Unknown = "error") -> Graph:
    """Read the graph that a ``.tflite`` file computes.

    It is cut into layers wherever exactly one tensor is alive; a file that ``write_tflite`` made
    gives back the layers it was written from. If the model has several outputs, all are computed
    and the last one to be ready is the graph's.

    Args:
        path: Of the file.
        unknown: What to do with an operator that has no meaning here: raise an error, or take it as
            an op of kind ``unknown``, which predictors price by the elements it moves.

    Raises:
        ModelFileError: If the file is no model, is damaged, or has not one input with a batch of 1.
        UnsupportedOperation: If an operator has no meaning here and ``unknown`` is "error".
        OSError: If the file cannot be opened.
        ValueError: If ``unknown`` is neither.
    """
    check_unknown(unknown)
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if data[4:8] != b"TFL3":
            raise ValueError("it does not start as a .tflite file does")
        return _Import(data, unknown).graph()
    except _GARBAGE as error:
        raise ModelFileError(f"{path} cannot be read as a .tflite file: {error}.") from None


class _Import:
    """Goes through the operators of a file once."""

    def __init__(self, data: Any, unknown: Unknown) -> None:
        self.reader = ModelReader(data)
        self.unknown = unknown
        self.half = False

    def graph(self) -> Graph:
        """The graph of the whole file."""
        reader = self.reader
        n_operators = limited(reader.subgraph.OperatorsLength(), MAX_TABLES, "operators")
        n_inputs = 0
        for number in range(n_operators):
            operator = reader.subgraph.Operators(number)
            n_inputs += operator.InputsLength() + operator.OutputsLength()
            limited(n_inputs, _MAX_INPUTS, "inputs of operators")
            self._read(FileOperator(self.reader, operator))
        outputs = [
            reader.values[reader.subgraph.Outputs(number)]
            for number in range(limited(reader.subgraph.OutputsLength(), MAX_TABLES, "outputs"))
            if reader.subgraph.Outputs(number) in reader.values
        ]
        if not outputs:
            raise ValueError("no output depends on its input")
        return reader.builder.finish(
            outputs, self._precision(), converted=True, places=reader.is_ours
        )

    def _read(self, operator: FileOperator) -> None:
        reader = self.reader
        if not operator.outputs:
            return
        reader.label = reader.name(operator.outputs[0])
        if operator.name == "DEQUANTIZE" and not operator.traced:
            self.half = self.half or reader.tensor(operator.inputs[0]).Type() == _TYPES.FLOAT16
        if not operator.traced:
            reader.constants.update(operator.outputs)
            return
        if TRANSLATIONS.apply(operator.name, reader, operator):
            return
        if self.unknown == "error":
            raise UnsupportedOperation(
                f"The operator {operator.name} at {reader.label!r} has no meaning here. With "
                'unknown="estimate" it is priced by the elements it moves.'
            )
        name = re.sub(r"\W", "_", operator.name.lower())[:64]
        for output in operator.outputs:
            size = reader.shape(output) or (1,)
            reader.put(output, reader.add("unknown", *operator.traced, size=size, name=name))

    def _precision(self) -> Precision:
        reader = self.reader
        kinds = {reader.tensor(index).Type() for index in reader.values}
        if kinds & {_TYPES.INT8, _TYPES.UINT8}:
            return "int8"
        return "fp16" if self.half or _TYPES.FLOAT16 in kinds else "fp32"
