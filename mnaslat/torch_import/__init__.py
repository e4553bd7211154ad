"""Reads torch modules as graphs."""

from mnaslat.torch_import.importer import graph_from_torch

__all__ = ["graph_from_torch"]
