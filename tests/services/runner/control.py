"""Faults on demand: a socket on which a test asks for a service to be stopped, killed or started.

One request a connection: `VERB SERVICE\\n`, answered by `ok\\n` or `error REASON\\n`. Ports and data stay.
"""

import os
import signal
import socket

from .process import StartFailed
from .service import ATTEMPTS_MAX

REQUEST_BYTES_MAX = 256


def stop(service):
    service.main().stop()


def kill(service):
    service.main().kill()


def start(service):
    """Tried again: after a kill, a child of the old instance may hold on for a moment."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        service.start()
        try:
            return service.await_ready()
        except StartFailed:
            service.main().stop()
            if attempt == ATTEMPTS_MAX:
                raise


def restart(service):
    stop(service)
    start(service)


def pause(service):
    service.main().signal(signal.SIGSTOP)


def resume(service):
    service.main().signal(signal.SIGCONT)


def alarm(service):
    """Publishers are blocked, as when memory is short."""
    service.alarm(True)


def calm(service):
    service.alarm(False)


VERBS = {verb.__name__: verb for verb in (stop, kill, start, restart, pause, resume, alarm, calm)}


class Control:
    """Listens in the run folder and acts in the runner's own thread (its children die with that thread)."""

    def __init__(self, run_folder, services):
        self.path = os.path.join(run_folder, "control")
        self.services = {service.name: service for service in services}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)

    def serve_one(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                request = connection.makefile("rb").readline(REQUEST_BYTES_MAX).decode()
                answer = self.act(request.split())
                connection.settimeout(5)
                connection.sendall(answer.encode())
            except OSError:
                # The test that asked is gone; whoever needs the service sees its state.
                pass

    def act(self, words):
        if len(words) != 2 or words[0] not in VERBS or words[1] not in self.services:
            return f"error expected VERB SERVICE with {'|'.join(VERBS)} and {'|'.join(self.services)}\n"
        try:
            VERBS[words[0]](self.services[words[1]])
        except StartFailed as failure:
            return f"error {str(failure).splitlines()[0]}\n"
        return "ok\n"

    def close(self):
        self.listener.close()


def ask(path, verb, service):
    """What `control.sh` does; returns the answer's line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.sendall(f"{verb} {service}\n".encode())
        return connection.makefile().readline().strip()
