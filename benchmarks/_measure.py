"""What all benchmarks share: fair repeats, ratios, goals, tables, memory of a tree.

The machine is rarely idle, so an absolute time proves little. What is compared runs
side by side (:func:`interleave`), and what counts is the median over the repeats of
the ratio within a repeat.
"""

import gc
import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


def interleave(runs, n_repeats, *, n_warm_ups=1):
    """Repeat several things side by side.

    Parameters
    ----------
    runs : dict of str to callable
        What is compared. Each is called without arguments and returns a figure, or
        several as a tuple.
    n_repeats : int
        How often each is called. The order turns by one place with every repeat, so
        that none always comes first or always follows the same other one.
    n_warm_ups : int, default=1
        Rounds before the first repeat, whose figures are thrown away.

    Returns
    -------
    figures : dict of str to ndarray of shape (n_repeats,) or (n_repeats, n_figures)
        Those of equal position belong to one repeat.
    """
    names = list(runs)
    figures = {name: [] for name in names}
    for repeat in range(-n_warm_ups, n_repeats):
        place = repeat % len(names)
        for name in names[place:] + names[:place]:
            gc.collect()
            figure = runs[name]()
            if repeat >= 0:
                figures[name].append(figure)
    return {name: np.array(values) for name, values in figures.items()}


def timed(function):
    """Make `function` return its seconds: by the clock, and of this process's CPU."""

    def run():
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        return time.perf_counter() - wall, time.process_time() - cpu

    return run


class Goal(NamedTuple):
    """A limit for a figure."""

    limit: float
    at_least: bool = False

    def __str__(self):
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"

    def judge(self, figure):
        """Say whether `figure` keeps the limit."""
        met = figure >= self.limit if self.at_least else figure <= self.limit
        return "met" if met else "missed"


NO_GOAL = ("", "")


def judged(figure, goal):
    """Give the last two cells of a row: the goal and whether it is met."""
    return str(goal), goal.judge(figure)


def quartiles(values, digits=2):
    """Write median and quartiles: ``0.85 [0.83, 0.88]``."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def print_table(title, header, rows):
    """Print `rows` of cells below `header`, columns aligned, in Markdown's form."""
    rows = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    print("", f"## {title}", "", lines[0], rule, *lines[1:], sep="\n", flush=True)


def print_machine(packages):
    """Print what the figures depend on: machine, load and versions."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in packages
    )
    print(
        f"{os.cpu_count()} cores, load {load()}; "
        f"Python {platform.python_version()}, {versions}",
        flush=True,
    )


def load():
    """Give the load average of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


class Memory(NamedTuple):
    """Peak memory of a process and its descendants, in MB (10^6 bytes).

    Parameters
    ----------
    total : float
        Peak over time of the sum of the proportional set sizes: a page that several
        processes share counts once.
    parent, child : float
        Peak resident set size of the process itself, and of its largest descendant.
    """

    total: float
    parent: float
    child: float


def peak_memory(command, *, interval=0.05):
    """Run `command` and watch its memory. For Linux: it reads ``/proc``.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    interval : float, default=0.05
        Seconds between two looks.

    Returns
    -------
    memory : Memory
        The peaks.
    """
    process = subprocess.Popen(command)
    total, peaks = 0, {}
    while process.poll() is None:
        sizes = {pid: _sizes(pid) for pid in _tree(process.pid)}
        total = max(total, sum(pss for _, pss in sizes.values()))
        for pid, (rss, _) in sizes.items():
            peaks[pid] = max(rss, peaks.get(pid, 0))
        time.sleep(interval)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    parent = peaks.pop(process.pid)
    return Memory(total / 1e6, parent / 1e6, max(peaks.values(), default=0) / 1e6)


def _tree(pid):
    """List the process `pid` and its descendants."""
    pids = [pid]
    for parent in pids:  # grows while it is read
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += map(int, _read(file).split())
    return pids


def _sizes(pid):
    """Give the resident and the proportional set size of a process, in bytes."""
    kib = {
        name: int(rest[0])
        for name, *rest in map(
            str.split, _read(f"/proc/{pid}/smaps_rollup").splitlines()
        )
        if name in ("Rss:", "Pss:")
    }
    return kib.get("Rss:", 0) * 1024, kib.get("Pss:", 0) * 1024


def _read(file):
    """Read a file of /proc; empty if its process has ended."""
    try:
        return Path(file).read_text()
    except OSError:
        return ""
