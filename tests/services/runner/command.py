"""Runs the command that the services are for, passes signals on, and ends what it leaves behind."""

import os
import select
import signal
import subprocess
import time

from .process import die_with_parent

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
        self.child = subprocess.Popen(argv, env=env, preexec_fn=die_with_parent)
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
    """Processes whose parent is this one, as (pid, command, whether it is only a zombie)."""
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
        if int(rest[1]) == me:
            found.append((int(entry), name, rest[0] == "Z"))
    return found


def end_leftovers(own, seconds=GRACE_SECONDS):
    """Ends children other than `own` (orphans of the command come to the runner); returns what they were.

    Their own children become ours as they end, hence the loop. SIGTERM first, SIGKILL when time is up.
    """
    seen, deadline = {}, time.monotonic() + seconds
    while True:
        left = [child for child in _children() if child[0] not in own]
        if not left:
            return sorted(f"{name} ({pid})" for pid, name in seen.items())
        late = time.monotonic() > deadline
        for pid, name, zombie in left:
            if zombie:
                os.waitpid(pid, os.WNOHANG)
            elif pid not in seen or late:
                seen[pid] = name
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.02)
