"""A process that outlives the search for a moment, to end what it has left."""

import contextlib
import os
import subprocess
import sys
import weakref

_IS_POSIX = os.name == "posix"

# The guard: kills the process groups and removes the folders that it was told of and
# not told to forget. It imports next to nothing, and starts in a few milliseconds.
_GUARD = """
import os, shutil, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
known = {}
for line in sys.stdin:
    if line == "end\\n":
        break
    verb, kind, what = line.rstrip("\\n").split(" ", 2)
    if verb == "guard":
        known[what] = kind
    else:
        known.pop(what, None)
for what, kind in known.items():
    if kind == "group":
        try:
            os.killpg(int(what), signal.SIGKILL)
        except OSError:
            pass
for what, kind in known.items():
    if kind == "folder":
        shutil.rmtree(what, ignore_errors=True)
"""


class Guard:
    """A process that outlives the search for a moment, to kill what it has left.

    There is none on Windows, where workers that are in a fit end after it.
    """

    def __init__(self):
        self._process = None
        if _IS_POSIX:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _GUARD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
            _guards.add(self)

    def tell(self, verb, kind, what):
        """Say what to guard, or to forget."""
        self._say(f"{verb} {kind} {what}\n")

    def _say(self, line):
        if self._process is not None:
            # If somebody has killed it, the search goes on without it.
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def close(self):
        """End it; it removes what is left."""
        # Where a fork of the program has the pipe too, closing alone would not tell it.
        self._say("end\n")
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()


# A fork holds the pipes of its parent, and would hide its death from the guard.
_guards = weakref.WeakSet()


def _leave_guards():
    nowhere = os.open(os.devnull, os.O_RDWR)
    for guard in list(_guards):
        # Not closed: the number may soon be that of another file.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, guard._process.stdin.fileno(), inheritable=False)
    os.close(nowhere)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_guards)
