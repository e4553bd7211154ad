"""Predicts latencies as sums of measured layers; a model estimates the others."""
