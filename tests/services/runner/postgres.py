"""PostgreSQL: a cluster of its own, a superuser with a password over TCP, a socket in its own folder.

`fsync` stays on, so that what is measured against this instance means something.
"""

import glob
import os
import re
import secrets
import signal
import subprocess

from .process import Daemon, StartFailed, as_account, tail, unprivileged
from .service import Service, clean_environment, newest

USER = "scimfleet"
# Many tests at once, each with a database and pools of its own.
CONNECTIONS_MAX = 300
# The first version whose databases can sort by ICU rules without an operating system locale.
ICU_SINCE = 15


class Postgres(Service):
    name = "postgres"
    variable = "SCIMFLEET_TEST_POSTGRES_URL"

    def __init__(self, run_folder):
        account = unprivileged("postgres", "nobody")
        if account is None and os.geteuid() == 0:
            raise StartFailed("postgres refuses to run as root, and there is no account `postgres` or `nobody`")
        super().__init__(run_folder, account)
        self.bin = newest(glob.glob("/usr/lib/postgresql/*/bin"))
        self.password = secrets.token_hex(16)
        self.data = os.path.join(self.folder, "data")
        # LC_ALL decides about messages too, which the log's readers expect in English.
        self.env = clean_environment("PG", "LC_", "LANG", HOME=self.folder, LC_ALL="C.UTF-8")

    def create(self):
        """Makes the cluster."""
        password_file = self.write("password", self.password)
        argv = [f"{self.bin}/initdb", "-D", self.data, "-U", USER, "--pwfile", password_file, "-E", "UTF8",
                "--auth-host=scram-sha-256", "--auth-local=trust", *self.sorting()]
        with open(self.log, "ab") as log:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False,
                                  cwd=self.folder, env=self.env, **as_account(self.account))
        os.remove(password_file)
        if done.returncode != 0:
            raise StartFailed(f"initdb ended with {done.returncode}; its log:\n{tail(self.log)}")

    def sorting(self):
        """Sorts by language, as most production databases do: code that relies on byte order fails here."""
        version = re.search(r"/(\d+)/bin$", self.bin)
        if version and int(version.group(1)) >= ICU_SINCE:
            return ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8"]
        return ["--locale=C.UTF-8"]

    def configure(self):
        if self.bin is None:
            raise StartFailed("/usr/lib/postgresql/*/bin is missing; run tests/services/install.sh postgres")
        if not os.path.isdir(self.data):
            self.create()
        settings = {"port": self.ports[0], "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
                    "max_connections": CONNECTIONS_MAX, "logging_collector": "off"}
        argv = [f"{self.bin}/postgres", "-D", self.data]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        # SIGINT is its fast shutdown: it does not wait for clients.
        return [Daemon(self.name, argv, log=self.log, folder=self.folder, env=self.env, account=self.account,
                       stop_signal=signal.SIGINT, stop_seconds=20)]

    def answers(self):
        argv = [f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.ports[0]), "-t", "1"]
        return subprocess.run(argv, env=self.env, check=False).returncode == 0

    def url(self):
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.ports[0]}/postgres"
