"""Free TCP ports on loopback.

They are drawn from below the kernel's ephemeral range, so that no outgoing connection takes one
between the draw and the daemon's own bind. A daemon that still loses the race is started again
elsewhere (see `service.Service.settle`).
"""

import random
import socket

FIRST, LAST = 20000, 31999
DRAWS_MAX = 2000


def is_free(port):
    """Whether a daemon could listen on `port` of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def draw(count):
    """`count` different free ports."""
    found = []
    for _ in range(DRAWS_MAX):
        port = random.randint(FIRST, LAST)
        if port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"found no {count} free ports between {FIRST} and {LAST} on 127.0.0.1")
