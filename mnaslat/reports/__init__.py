"""Renders results as HTML pages and text tables; measures and fits nothing."""
