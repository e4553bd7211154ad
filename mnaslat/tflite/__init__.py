"""Writes networks as .tflite files and reads .tflite files as graphs."""

from mnaslat.tflite.importer import graph_from_tflite
from mnaslat.tflite.writer import random_weights, write_tflite

__all__ = ["graph_from_tflite", "random_weights", "write_tflite"]
