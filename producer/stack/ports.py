"""Free ports on the loopback address.

Knows nothing of who will listen on them; a port that is free now may be taken a moment later.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection
from typing import Final

#: All ports that are handed out, and those 10,000 above, lie below 32,768, where Linux begins to give out ports for
#: outgoing connections.
RANGE: Final = range(11_000, 22_000)

#: SeaweedFS listens for gRPC at each of its ports and 10,000.
GRPC_OFFSET: Final = 10_000


def is_free(port: int) -> bool:
    """Say whether nobody listens on a loopback port."""
    with socket.socket() as probe:
        # What the servers do too: a connection of a server that has just ended, in TIME_WAIT, is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def are_free(ports: Collection[int]) -> bool:
    """Say whether every port of a set, and the one 10,000 above it, is free."""
    return all(is_free(port) and is_free(port + GRPC_OFFSET) for port in ports)


def free_ports(count: int, *, avoiding: Collection[int] = ()) -> list[int]:
    """Return distinct ports that are free, each with the one 10,000 above it."""
    taken = set(avoiding)
    ports: list[int] = []
    while len(ports) < count:
        port = random.choice(RANGE)
        if port not in taken and are_free([port]):
            taken.add(port)
            ports.append(port)
    return ports
