"""A bad cable: noise in what the phone's shells say, or a break in the middle of it."""

import random
import threading


class Link:
    """What becomes of shell output on its way to the computer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noise = random.Random(0)
        self._n_garbled = 0
        self._n_until_cut: int | None = None

    def garble(self, n_bytes: int) -> None:
        """Replace the next bytes by noise."""
        with self._lock:
            self._n_garbled = n_bytes

    def cut_after(self, n_bytes: int) -> None:
        """Let so many bytes through, then break the connection once."""
        with self._lock:
            self._n_until_cut = n_bytes

    def carry(self, data: bytes) -> tuple[bytes, bool]:
        """What arrives of the bytes, and whether the connection then breaks."""
        with self._lock:
            n_garbled = min(self._n_garbled, len(data))
            self._n_garbled -= n_garbled
            data = self._noise.randbytes(n_garbled) + data[n_garbled:]
            if self._n_until_cut is None:
                return data, False
            if len(data) < self._n_until_cut:
                self._n_until_cut -= len(data)
                return data, False
            data = data[: self._n_until_cut]
            self._n_until_cut = None
            return data, True
