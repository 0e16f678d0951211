"""Estimators whose fits hang, die or are counted; for fits in other processes, too."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


def hang():
    time.sleep(1000)


def hang_deaf():
    """Hang, and ignore what a process may ignore."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hang()


def hang_in_c():
    """Hang in C code that does not give other threads their turn."""
    ctypes.PyDLL(None).sleep(1000)


def hang_with_child():
    """Hang in a process that the fit has started."""
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1000)"], check=True)


def leave():
    os._exit(7)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


DEEDS = {
    deed.__name__: deed
    for deed in (hang, hang_deaf, hang_in_c, hang_with_child, leave, kill, segfault)
}


class Misbehaving(RegressorMixin, BaseEstimator):
    """Predict `level`; do something else first, where `deed` names it.

    Parameters
    ----------
    level : float
        What is predicted.
    deed : str or None
        A name of ``DEEDS``; only on training parts that begin with `where`, if given.
    log : str or None
        File that gets a line for each fit: process, level, first target.
    seconds : float
        How long a fit sleeps.
    """

    def __init__(self, level=0.0, deed=None, where=None, log=None, seconds=0.0):
        self.level = level
        self.deed = deed
        self.where = where
        self.log = log
        self.seconds = seconds

    def fit(self, X, y):
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write(f"{os.getpid()} {self.level} {y[0]}\n")
        time.sleep(self.seconds)
        if self.deed is not None and self.where in (None, y[0]):
            DEEDS[self.deed]()
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return self.mean_ + self.level * X[:, 0]


def fits_of(log):
    """Read what fits there were: (level, first target)."""
    if not os.path.exists(log):
        return []
    with open(log) as file:
        return [tuple(map(float, line.split()[1:])) for line in file]


def processes_of(log):
    """Read in which processes, other than this one, the fits were."""
    with open(log) as file:
        return {int(line.split()[0]) for line in file} - {os.getpid()}


def is_alive(pid):
    """Tell whether a process is running; not one that is dead and not yet buried."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
