"""What a process keeps from task to task, of the search that it works for."""

from uuid import uuid4

# Of each class the key of one search, and what is kept for it.
_OF_THIS_PROCESS = {}


class Keeper:
    """Base of what comes anew with each task of a worker, and finds what it kept.

    Attributes
    ----------
    _kept : dict
        Starts empty in each process; it does not travel.
    """

    def __init__(self):
        self._key = uuid4().hex
        self._kept = {}

    def __getstate__(self):
        return {**self.__dict__, "_kept": None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        key, kept = _OF_THIS_PROCESS.get(type(self), (None, None))
        if key != self._key:
            kept = {}
            _OF_THIS_PROCESS[type(self)] = self._key, kept
        self._kept = kept
