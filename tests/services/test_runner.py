"""The runner keeps its word: codes passed on, nothing left running, taken ports survived, faults on demand.

Uses Redis, the quickest of the three, wherever any service does.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from runner import ports, redis  # noqa: E402

WITH = [os.path.join(HERE, "with-services.sh"), "--only", "redis", "--"]
DEADLINE_SECONDS = 30


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("SCIMFLEET_TEST_")}


def run(script):
    return subprocess.run([*WITH, "bash", "-c", script], env=environment(), text=True, capture_output=True,
                          timeout=DEADLINE_SECONDS, check=False)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")
        time.sleep(0.02)


# Prints the pids of the runner's children (the service, the command) and then stays.
REPORT = 'echo $(cat /proc/$PPID/task/$PPID/children); echo "$TMPDIR"; exec sleep 600'


class Runner(unittest.TestCase):
    def started(self):
        """A runner whose command stays: the process, its children's pids, its run folder."""
        child = subprocess.Popen([*WITH, "bash", "-c", REPORT], env=environment(), text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(child.stdout.close)
        pids = [int(word) for word in child.stdout.readline().split()]
        return child, pids, os.path.dirname(child.stdout.readline().strip())

    def test_passes_the_exit_code(self):
        self.assertEqual(run("exit 7").returncode, 7)

    def test_gives_a_url_that_answers(self):
        done = run('exec 3<>"/dev/tcp/127.0.0.1/$(echo "$SCIMFLEET_TEST_REDIS_URL" | grep -oE "[0-9]+/0$" | cut -d/ -f1)"'
                   ' && printf "PING\\r\\n" >&3 && head -c5 <&3')
        self.assertEqual(done.stdout, "+PONG")

    def test_ends_what_the_command_leaves_behind(self):
        done = run("setsid sleep 600 & echo $!; disown")
        pid = int(done.stdout)
        self.assertFalse(is_alive(pid))
        self.assertIn(str(pid), done.stderr)

    def test_ends_everything_when_terminated(self):
        child, pids, folder = self.started()
        self.assertEqual(len(pids), 2)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(DEADLINE_SECONDS), 128 + signal.SIGTERM)
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])
        self.assertFalse(os.path.exists(folder))

    def test_ends_everything_when_killed_outright(self):
        child, pids, folder = self.started()
        child.kill()
        child.wait(DEADLINE_SECONDS)
        until(lambda: not any(is_alive(pid) for pid in pids), f"{pids} end with their runner")
        run("true")
        self.assertFalse(os.path.exists(folder), "the next runner removes an abandoned folder")

    def test_moves_on_when_its_ports_are_taken(self):
        drawn = ports.draw
        with socket.socket() as squatter, tempfile.TemporaryDirectory() as folder:
            squatter.bind(("127.0.0.1", 0))
            squatter.listen()
            os.chmod(folder, 0o711)
            service = redis.Redis(folder)
            offers = [[squatter.getsockname()[1]], drawn(1)]
            ports.draw = lambda count: offers.pop(0)
            try:
                service.launch()
                service.settle()
                self.assertTrue(service.answers())
                self.assertEqual(offers, [])
            finally:
                ports.draw = drawn
                service.stop()

    def test_kills_and_starts_again_on_demand(self):
        ask = f"{HERE}/control.sh"
        done = run(f"{ask} kill redis; {ask} start redis; {ask} restart redis; {ask} pause redis; {ask} resume redis;"
                   f" {ask} kill nothing")
        self.assertEqual(done.stdout.split("\n")[:5], ["ok"] * 5)
        self.assertIn("error expected", done.stdout)


if __name__ == "__main__":
    unittest.main()
