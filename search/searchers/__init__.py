"""Proposes the next networks of a search."""
