"""Ports that stay free while nobody listens on them."""

import random
import socket

_FIRST, _LAST = 20_000, 32_000  # below those that systems hand out to outgoing connections


def free_port() -> int:
    """A loopback port that nobody listens on.

    The system's own choice would be one that it may give to any connection as soon as a phone is
    unplugged; the phone has to come back on the same one.
    """
    for _ in range(100):
        port = random.SystemRandom().randrange(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port between {_FIRST} and {_LAST}.")
