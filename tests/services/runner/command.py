"""Runs the command that the services are for, passes signals on, and ends what it leaves behind."""

import os
import select
import signal
import subprocess
import time

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Longer than the 25 s in which a role drains.
GRACE_SECONDS = 30


class Interrupted(Exception):
    """A signal came before the command was started."""

    def __init__(self, number):
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


class Command:
    def __init__(self):
        self.child = None
        self.received = None
        self.deadline = None
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in FORWARDED:
            signal.signal(number, self.on_signal)

    def on_signal(self, number, _frame):
        if self.received is None:
            self.received, self.deadline = number, time.monotonic() + GRACE_SECONDS
        if self.child is None:
            self.ignore_signals()
            raise Interrupted(number)
        if self.child.poll() is None:
            self.child.send_signal(number)

    def ignore_signals(self):
        """From here on the runner is tidying up, which must not be cut short."""
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN)

    def run(self, argv, env, control):
        """The command's exit code; 128 + n after signal n."""
        self.child = subprocess.Popen(argv, env=env)
        while self.child.poll() is None:
            ready, _, _ = select.select([self.wake_read, control.listener], [], [], 1)
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
            if control.listener in ready:
                control.serve_one()
            if self.deadline is not None and time.monotonic() > self.deadline:
                self.child.kill()
        code = self.child.returncode
        if self.received is not None:
            return 128 + self.received
        return 128 - code if code < 0 else code


def _children():
    """Processes whose parent is this one, as (pid, command)."""
    me, found = os.getpid(), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                text = stat.read()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        if int(rest[1]) == me and rest[0] != "Z":
            found.append((int(entry), name))
    return found


def end_leftovers(own, seconds=GRACE_SECONDS):
    """Ends children other than `own` (orphans of the command come to the runner); returns what they were.

    Their own children become ours as they end, hence the loop. SIGTERM first, SIGKILL when time is up.
    """
    seen, deadline = {}, time.monotonic() + seconds
    while True:
        left = [(pid, name) for pid, name in _children() if pid not in own]
        if not left:
            return sorted(f"{name} ({pid})" for pid, name in seen.items())
        for pid, name in left:
            late = time.monotonic() > deadline
            if pid not in seen or late:
                seen[pid] = name
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        _reap(own)
        time.sleep(0.05)


def _reap(own):
    for pid, _ in _children_and_zombies():
        if pid not in own:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _children_and_zombies():
    path = f"/proc/self/task/{os.getpid()}/children"
    try:
        with open(path, encoding="ascii") as file:
            return [(int(pid), "") for pid in file.read().split()]
    except OSError:
        return []
