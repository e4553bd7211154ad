"""Predicts latencies as sums of measured layers; a model prices the others."""
