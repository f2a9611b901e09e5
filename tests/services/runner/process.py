"""One daemon as a child process: its own session, its own log, ended by pid and never by name."""

import ctypes
import os
import pwd
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOG_TAIL_LINES = 25
POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """A daemon ended, or did not answer in time. The text carries the tail of its log."""


def adopt_orphans():
    """Makes this process the parent of whatever its descendants leave behind."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent():
    # A runner that is killed outright has no time to clean up; the kernel does it then.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def unprivileged(*names):
    """The first of these accounts that exists, if this process may become it; else None (stay as we are)."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def as_account(account):
    """The arguments of `subprocess` that run a child as `account`."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def tail(path):
    """The last lines of a log, indented, for an error message."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            lines = log.read().splitlines()[-LOG_TAIL_LINES:]
    except OSError as error:
        lines = [str(error)]
    return "\n".join(f"    {line}" for line in lines)


class Daemon:
    """A program that stays in the foreground of its own session."""

    def __init__(self, name, argv, *, log, folder, env, account=None, stop_signal=signal.SIGTERM, stop_seconds=15):
        self.name, self.argv, self.log, self.folder, self.env = name, argv, log, folder, env
        self.account, self.stop_signal, self.stop_seconds = account, stop_signal, stop_seconds
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env=self.env, start_new_session=True, preexec_fn=die_with_parent, **as_account(self.account))

    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        """Sends a signal to every process of the daemon's session."""
        if self.child is not None:
            try:
                os.killpg(self.child.pid, number)
            except ProcessLookupError:
                pass

    def wait_until(self, answers, seconds):
        """Returns when `answers()` is true; raises StartFailed when the daemon ends or time is up."""
        deadline = time.monotonic() + seconds
        while not answers():
            if not self.running():
                code = self.child.returncode if self.child else None
                raise StartFailed(f"{self.name} ended with {code} while starting; its log:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} did not answer within {seconds} s; its log:\n{tail(self.log)}")
            time.sleep(POLL_SECONDS)

    def request_stop(self):
        if self.running():
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(self.stop_signal)

    def stop(self):
        """Asks the daemon to end, insists after `stop_seconds`, and leaves nothing of its session."""
        self.request_stop()
        self.finish_stop()

    def finish_stop(self):
        if self.child is None:
            return
        try:
            self.child.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        """Ends the daemon at once, as a crash would."""
        if self.child is not None:
            self.signal(signal.SIGKILL)
            self.child.wait()
            self.child = None
