"""Installs and runs the benchmark tool of a phone, and reads its output."""
