"""Ports that stay free while nobody listens on them."""

import os
import random
import socket

_LOWEST, _N_PORTS = 20_000, 3_000  # below those that systems hand out to outgoing connections


def free_port() -> int:
    """A loopback port that nobody listens on.

    The system's own choice would be one that it may give to any connection as soon as a phone is
    unplugged; the phone has to come back on the same one. For the same reason each of pytest's
    workers has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _LOWEST + worker % 4 * _N_PORTS
    for _ in range(100):
        port = random.SystemRandom().randrange(first, first + _N_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"No free port from {first} to {first + _N_PORTS}.")
