"""Predicts the latencies of many candidates of a search."""
