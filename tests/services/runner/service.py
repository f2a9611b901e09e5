"""What RabbitMQ, Redis and PostgreSQL have in common here."""

import os
import sys

from . import ports
from .process import StartFailed

ATTEMPTS_MAX = 3


class Service:
    """A private instance in a folder of its own. Subclasses say how it is configured and asked."""

    name = ""
    variable = ""
    ports_needed = 1
    ready_seconds = 60

    def __init__(self, run_folder, account):
        self.folder = os.path.join(run_folder, self.name)
        self.account = account
        self.log = os.path.join(self.folder, "log.txt")
        self.ports = []
        self.daemons = []
        os.mkdir(self.folder, 0o700)
        self.give(self.folder)

    def give(self, path):
        """Hands a path to the account that the service runs as."""
        if self.account is not None:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def write(self, name, text):
        """Writes a file of the service's own folder and returns its path."""
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        self.give(path)
        return path

    def launch(self):
        """Picks ports, configures and starts; does not wait."""
        self.ports = ports.draw(self.ports_needed)
        self.daemons = self.configure()
        self.start()

    def start(self):
        """Starts with the ports and data that it has."""
        for daemon in self.daemons:
            if not daemon.running():
                daemon.start()

    def await_ready(self):
        self.daemons[-1].wait_until(self.answers, self.ready_seconds)

    def settle(self):
        """Waits for the first answer. A start that fails is tried again on other ports."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self.await_ready()
            except StartFailed as failure:
                self.stop()
                if attempt == ATTEMPTS_MAX:
                    raise
                taken = [port for port in self.ports if not ports.is_free(port)]
                why = f"ports {taken} are taken" if taken else str(failure)
                print(f"services: {self.name}, attempt {attempt} of {ATTEMPTS_MAX}: {why}", file=sys.stderr)
                self.launch()

    def request_stop(self):
        for daemon in reversed(self.daemons):
            daemon.request_stop()

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()

    def main(self):
        """The daemon that a fault is about."""
        return self.daemons[-1]

    def alarm(self, on):
        """Has the service behave as if it were short of memory, or well again."""
        raise StartFailed(f"{self.name} has no memory alarm (asked for {on})")

    def configure(self):
        """Writes configuration for `self.ports`; returns the daemons in the order of their start."""
        raise NotImplementedError

    def answers(self):
        """Whether clients are served now."""
        raise NotImplementedError

    def url(self):
        """What a test connects to."""
        raise NotImplementedError


def clean_environment(*prefixes, **extra):
    """The environment without variables that would lead a daemon to somebody else's configuration."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    env["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"
    env.update(extra)
    return env


def newest(found):
    """Of several installed versions the highest; None when there is none."""
    def version(path):
        return [int(digits) for digits in "".join(c if c.isdigit() else " " for c in path).split()]
    return max(found, key=version, default=None)
