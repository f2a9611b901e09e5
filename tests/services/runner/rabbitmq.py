"""RabbitMQ 3.10 or later, with an epmd of its own: own node name, ports, folders and cookie.

The policies of `deploy/rabbitmq/definitions.json` are in force, so that tests meet the broker as it
is deployed. The management plugin is off: nothing in the tests needs it, and it costs start-up time.
"""

import base64
import glob
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess

from .process import Daemon, StartFailed, as_account, unprivileged
from .service import Service, clean_environment, newest

# An Erlang runtime starts for it, on a machine that is busy with tests.
CONTROL_SECONDS_MAX = 60
USER = "scimfleet"
DEPLOYED = os.path.join(os.path.dirname(__file__), "..", "..", "..", "deploy", "rabbitmq", "definitions.json")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# Class 10, method 10: Connection.Start (AMQP 0-9-1, 1.4.2.1).
CONNECTION_START = b"\x00\x0a\x00\x0a"


def find_server():
    """The server script itself; the wrapper in PATH insists on the system's own node."""
    direct = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    if os.path.exists(direct):
        return direct
    return newest(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))


def password_hash(password):
    """RabbitMQ's salted SHA-256: base64 of salt and digest."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class RabbitMq(Service):
    name = "rabbitmq"
    variable = "SCIMFLEET_TEST_AMQP_URL"
    ports_needed = 3
    ready_seconds = 120

    def __init__(self, run_folder):
        super().__init__(run_folder, unprivileged("rabbitmq", "nobody"))
        self.node = f"scimfleet{os.getpid()}@localhost"
        self.password = secrets.token_hex(16)

    def definitions(self):
        """The deployed policies, and the account that tests use."""
        with open(DEPLOYED, encoding="utf-8") as file:
            wanted = json.load(file)
        wanted["vhosts"] = [{"name": "/"}]
        wanted["users"] = [{"name": USER, "password_hash": password_hash(self.password), "tags": "administrator",
                            "hashing_algorithm": "rabbit_password_hashing_sha256"}]
        wanted["permissions"] = [{"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
        return self.write("definitions.json", json.dumps(wanted))

    def configure(self):
        server, epmd = find_server(), shutil.which("epmd")
        if server is None or epmd is None:
            raise StartFailed("rabbitmq-server or epmd is not installed; run tests/services/install.sh rabbitmq")
        amqp, distribution, mapper = self.ports
        env = self.environment(distribution, mapper)
        self.write("rabbitmq.conf", "\n".join([
            f"listeners.tcp.1 = 127.0.0.1:{amqp}",
            f"load_definitions = {self.definitions()}",
            # A small disk is no reason to block publishers of a test.
            "disk_free_limit.absolute = 10MB",
            "log.console = true", "log.console.level = info", "log.file = false", ""]))
        self.write("enabled_plugins", "[].\n")
        # In the foreground it is our child and has a pid of ours; a broker that starts its own leaves it behind.
        mapper_argv = [epmd, "-port", str(mapper), "-address", "127.0.0.1"]
        shared = {"log": self.log, "folder": self.folder, "env": env, "account": self.account}
        return [Daemon("epmd", mapper_argv, stop_seconds=3, **shared),
                Daemon(self.name, [server], stop_seconds=20, **shared)]

    def environment(self, distribution, mapper):
        return clean_environment(
            "RABBITMQ_", "ERL_", "MNESIA",
            HOME=self.folder,
            ERL_EPMD_PORT=str(mapper), ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=self.node, RABBITMQ_DIST_PORT=str(distribution),
            RABBITMQ_CONF_ENV_FILE=os.path.join(self.folder, "none"),
            RABBITMQ_CONFIG_FILE=os.path.join(self.folder, "rabbitmq"),
            RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(self.folder, "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=os.path.join(self.folder, "data"),
            RABBITMQ_LOG_BASE=os.path.join(self.folder, "log"),
            RABBITMQ_PID_FILE=os.path.join(self.folder, "pid"),
            # Idle schedulers sleep instead of spinning: the tests need the processors.
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none"
                                                " -kernel inet_dist_use_interface {127,0,0,1}",
            # The script then becomes the broker, instead of watching over it with a pid of its own.
            RUNNING_UNDER_SYSTEMD="true")

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=2) as connection:
                connection.sendall(PROTOCOL_HEADER)
                return connection.recv(64)[7:11] == CONNECTION_START
        except OSError:
            return False

    def alarm(self, on):
        """The watermark of zero blocks whoever publishes (a documented use of `set_vm_memory_high_watermark`)."""
        tool = find_server().replace("rabbitmq-server", "rabbitmqctl")
        argv = [tool, "--node", self.node, "set_vm_memory_high_watermark", "0" if on else "0.4"]
        done = subprocess.run(argv, env=self.environment(*self.ports[1:]), cwd=self.folder, capture_output=True, text=True,
                              check=False, timeout=CONTROL_SECONDS_MAX, **as_account(self.account))
        if done.returncode != 0:
            raise StartFailed((done.stderr or done.stdout).strip() or "rabbitmqctl failed")

    def url(self):
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.ports[0]}/%2f"
