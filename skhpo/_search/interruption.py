"""One Ctrl-C ends a search; what it sets going is not interrupted by the next."""

import signal
import threading
from contextlib import contextmanager


@contextmanager
def one_interruption():
    """Let the first Ctrl-C through, and hold back the second.

    After the first the search ends its workers and lays out what it has, which takes
    moments. A third one gets through, in case it does not.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    n_seen = 0

    def handle(number, frame):
        nonlocal n_seen
        n_seen += 1
        if n_seen != 2:
            signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        # A fit may have set its own, which is not ours to undo.
        if signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, signal.default_int_handler)
