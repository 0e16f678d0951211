"""Workers of joblib whose search is gone."""

import contextlib
import os
import signal
import threading
import time
from multiprocessing import parent_process

# How often a worker looks whether the search is still there.
_WATCH_SECONDS = 0.5


def die_with_parent():
    """Make sure that a worker of joblib does not outlive the search.

    One that is in a fit when the process of the search is killed would go on with it,
    for ever if it hangs. Does nothing where workers are not children of the search.
    """
    if os.name == "posix" and parent_process() is not None and not _watched:
        _watched.append(os.getppid())
        threading.Thread(target=_watch_parent, daemon=True).start()


_watched = []


def _watch_parent():
    while os.getppid() == _watched[0]:
        time.sleep(_WATCH_SECONDS)
    # Not its process group, which is that of the user's shell or script.
    for pid in [*_descendants(os.getpid()), os.getpid()]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _descendants(pid):
    """Find what a process has started; nothing where there is no /proc."""
    children = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        with contextlib.suppress(OSError, ValueError, IndexError):
            child = int(entry)
            with open(f"/proc/{entry}/stat") as file:
                # The name of the program, in brackets, may hold anything.
                parent = int(file.read().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(child)
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[1:]
