"""Redis: in memory only, on loopback."""

import shutil
import socket

from .process import Daemon, StartFailed, unprivileged
from .service import Service, clean_environment


class Redis(Service):
    name = "redis"
    variable = "SCIMFLEET_TEST_REDIS_URL"

    def __init__(self, run_folder):
        super().__init__(run_folder, unprivileged("redis", "nobody"))

    def configure(self):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise StartFailed("redis-server is not installed; run tests/services/install.sh redis")
        argv = [program, "--port", str(self.ports[0]), "--bind", "127.0.0.1", "--dir", self.folder,
                "--save", "", "--appendonly", "no", "--daemonize", "no"]
        return [Daemon(self.name, argv, log=self.log, folder=self.folder, env=clean_environment(),
                       account=self.account, stop_seconds=5)]

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def url(self):
        return f"redis://127.0.0.1:{self.ports[0]}/0"
