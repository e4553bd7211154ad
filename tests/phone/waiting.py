"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

_POLL_S = 0.02


def wait_until(is_so: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return once ``is_so``; raises ``TimeoutError`` if it does not come."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {timeout_s:g} s in vain.")
        time.sleep(_POLL_S)
