"""One thread for BLAS while a strategy computes, so that its results are the same.

The last bits of a product depend on the number of threads that BLAS uses, and with them
which of two equally good candidates comes first. That number holds for the whole
process, so several searches in threads of one process have to agree on it.
"""

import threading
from contextlib import contextmanager, nullcontext
from functools import cache

from joblib import parallel_config
from threadpoolctl import ThreadpoolController  # scikit-learn depends on it

_lock = threading.Lock()
_inside = []  # the limit that the first has set, for each who is inside


@contextmanager
def one_thread():
    """Give BLAS one thread until the last of those who ask for it has left."""
    with _lock:
        if _inside:
            limit = _inside[0]
        else:
            with _in_control():
                limit = _libraries().limit(limits=1)
        _inside.append(limit)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                with _in_control():
                    limit.restore_original_limits()


@contextmanager
def on_its_own(one):
    """Keep what a strategy computes apart from the workers of its search.

    A model may use joblib itself. In the active backend it would share its pool with
    the search, and close it at its end.

    Parameters
    ----------
    one : bool
        Whether BLAS gets one thread.
    """
    with (
        parallel_config("sequential", n_jobs=1),
        one_thread() if one else nullcontext(),
    ):
        yield


@contextmanager
def _in_control():
    """Let this thread set limits, whichever other did so before.

    From its version 3.8 on, threadpoolctl lets one thread of a process only. The last
    who leaves need not be the one who came first.
    """
    _let_go()
    yield
    _let_go()


def _let_go():
    for library in _libraries().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@cache
def _libraries():
    """Look for BLAS once; it takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")
