"""The run folder: one per runner, locked while that runner lives, removed with everything in it.

A folder whose runner was killed outright has no lock any more; the next runner removes it.
"""

import fcntl
import glob
import os
import shutil
import tempfile

PREFIX = "scimfleet-services-"
KEPT = "kept"

_locks = []


def _lock(path):
    """Holds the folder's lock until this process ends; False when somebody else holds it."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    _locks.append(handle)
    return True


def make():
    """A new, locked folder that other accounts may pass through to folders of their own."""
    _remove_abandoned()
    path = tempfile.mkdtemp(prefix=PREFIX)
    _lock(path)
    os.chmod(path, 0o711)
    return path


def keep(path):
    """Marks a folder that the user asked for."""
    with open(os.path.join(path, KEPT), "w", encoding="utf-8"):
        pass


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def _remove_abandoned():
    for path in glob.glob(os.path.join(tempfile.gettempdir(), PREFIX + "*")):
        # A folder is made and locked in two steps; 0700 is what it has in between.
        ready = os.path.isdir(path) and os.stat(path).st_mode & 0o777 == 0o711
        mine = ready and os.stat(path).st_uid == os.geteuid()
        if mine and not os.path.exists(os.path.join(path, KEPT)) and _lock(path):
            remove(path)
