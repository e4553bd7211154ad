"""Graphs in, milliseconds out; fit, save, load, evaluate."""
