"""The Python API, step by step: what the command line calls, and what notebooks import.

``mnaslat`` itself hands out its public names. Nothing here prints: long work reports ``Events``.
"""
