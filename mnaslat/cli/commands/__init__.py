"""Holds one module for each command: it parses, calls the Python API and prints."""
