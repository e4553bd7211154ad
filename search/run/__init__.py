"""Runs a search: evaluates, validates, stores and resumes it."""
