"""Fits to record, and files that hold them; for tests in other processes, too."""

import math
import sys
from dataclasses import fields

import pytest

from skhpo.checkpoint import Checkpoint
from skhpo.hypergradients.base import Derivative
from skhpo.trial import SplitResult

ASPECTS = {"X": [1.0, 2.0], "y": [0, 1], "cv": 3}
SEARCH = {"seed": 7, "n_iter": 4, "n_splits": 3}
nan = float("nan")

RESULTS = {
    "plain": SplitResult(0.1, None, 1.5, 0.25),
    "train": SplitResult(1 / 3, 2 / 3, 1e-9, 1e9),
    "metrics": SplitResult({"acc": 0.1, "f1": nan}, {"acc": 0.2, "f1": 1.0}, 1.0, 2.0),
    "not finite": SplitResult(-math.inf, math.inf, nan, 0.0),
    "smallest": SplitResult(5e-324, -0.0, 0.1, 0.2),
    "largest": SplitResult(sys.float_info.max, -sys.float_info.max, 0.1, 0.2),
    "integers": SplitResult(3, -4, 1, 0),
    "long integers": SplitResult(2**200 + 1, -(2**90), 1.0, 0.0),
    "booleans": SplitResult(True, False, 1.0, 0.0),
    "failed": SplitResult(
        nan, None, 0.0, 0.0, "Traceback …\n \x00\ud800 'a': \"b\"\r\n"
    ),
    "killed": SplitResult(nan, nan, 0.5, 0.0, "killed", limit=0.1),
    "slopes": SplitResult(
        0.5, None, 1.0, 2.0, derivative=Derivative(0.1, {"C": nan, "a__b": -0.0})
    ),
    "solution": SplitResult(
        0.5, None, 1.0, 2.0, derivative=Derivative(0.1, {"C": 1.0}, bytes(range(16)))
    ),
    "names": SplitResult({0: 1.0, "": 2.0}, None, 1.0, 2.0),
}


def bits(value):
    """Spell out a value so that what is equal has equal bits, NaN too."""
    if isinstance(value, SplitResult):
        return [bits(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Derivative):
        return ["Derivative", *map(bits, value)]
    if isinstance(value, (tuple, list)):
        return [type(value), *map(bits, value)]
    if isinstance(value, dict):
        return [(name, bits(v)) for name, v in value.items()]
    return type(value), value.hex() if type(value) is float else value


def unit(i, split=0):
    return f"key{i}", {"C": float(i), "kernel": "rbf"}, split


def write(path, n=4, **options):
    """Record three splits of each of n candidates, and leave the next fit begun."""
    with Checkpoint(path).open(ASPECTS, **SEARCH, **options) as journal:
        for i in range(n):
            for split in range(3):
                journal.begin([unit(i, split)])
                journal.end([unit(i, split)], [SplitResult(i + split / 7, None, 1, 2)])
        journal.begin([unit(n)])


def recorded(path, n=4, **search):
    with Checkpoint(path).open(ASPECTS, **search) as journal:
        found = {
            (i, s): journal.recorded(f"key{i}", s) for i in range(n) for s in range(3)
        }
    return {
        place: bits(result) for place, result in found.items() if result is not None
    }


def refused(path, match, error=ValueError, aspects=ASPECTS):
    """Check that a file is refused by its name, and left as it is."""
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode
    with pytest.raises(error, match=match) as caught:
        Checkpoint(path).open(aspects)
    assert f"checkpoint '{path}' " in str(caught.value)
    assert before == (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
    return str(caught.value)
