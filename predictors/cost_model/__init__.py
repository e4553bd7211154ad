"""Learns the costs of operations from the latencies of whole networks."""
