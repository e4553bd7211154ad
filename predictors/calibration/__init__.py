"""Corrects a sum of layers to the latency of whole networks."""
