"""Evaluates the accuracy of networks."""
