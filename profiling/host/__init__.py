"""Measures on this computer's CPU."""
