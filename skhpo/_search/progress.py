"""What the user sees while a search runs: one line, kept up to date."""

import contextlib
import math
import os
import reprlib
import shutil
import sys
import time

import numpy as np

# Seconds between two states of the line that is overwritten, and between two lines
# where nothing can be.
REDRAW_SECONDS = 0.1
PLAIN_SECONDS = 10.0


class Progress:
    """Show how far the search is.

    On a terminal and in a notebook one line is overwritten; elsewhere, and where each
    fit prints a line of its own, whole lines come now and then, and one at the end.
    As a context manager it ends the line whatever happens. It never raises: a display
    that fails is no reason to lose a search.

    Parameters
    ----------
    verbose : int
        0 shows nothing; above 1 each fit prints a line of its own.
    n_candidates : int or None
        How many candidates there will be; None if that is not known.
    metric : str, default=None
        Which of several metrics decides; None: the first.
    stream : file, default=None
        Where to write; None is ``sys.stdout`` at the time of writing.
    clock : callable, default=time.monotonic
        Gives the time in seconds.
    shows_best : bool, default=True
        Whether the highest score so far is shown.
    """

    def __init__(
        self,
        verbose,
        n_candidates,
        metric=None,
        stream=None,
        clock=time.monotonic,
        shows_best=True,
    ):
        self._verbose = verbose
        self._n_candidates = n_candidates
        self._metric = metric
        self._stream = stream
        self._clock = clock
        self._shows_best = shows_best
        self._n_done = self._n_recalled = 0
        self._n_failed = self._n_fits = 0
        self._best = self._best_score = None
        self._width_drawn = 0
        self._closed = not verbose
        if verbose:
            self._start = clock()
            # The overwritten line comes with the first candidate; a whole line only
            # where the search takes its time.
            self._drawn_at = self._start if self._in_lines() else -math.inf

    def __enter__(self):
        """Show progress until the block ends."""
        return self

    def __exit__(self, *_):
        """End the line."""
        self.close()

    def update(self, trial, recalled=False):
        """Take in a finished trial.

        Called in the main thread, for each trial in the order of the candidates.

        Parameters
        ----------
        trial : Trial
            Complete, raced or failed.
        recalled : bool, default=False
            Whether no fit was made for it now, which says nothing of the time left.
        """
        if self._closed:
            return
        self._n_done += 1
        self._n_recalled += recalled
        self._n_failed += len(trial.errors)
        self._n_fits += trial.n_splits_done
        rung = trial.candidate.rung
        n_resources = 0 if rung is None else rung.n_resources
        # Scores with more of a resource come before any with less.
        score = n_resources, _mean_score(trial, self._metric)
        if not math.isnan(score[1]) and (
            self._best is None or score > self._best_score
        ):
            self._best, self._best_score = trial, score
        in_lines = self._in_lines()
        now = self._clock()
        if now - self._drawn_at >= (PLAIN_SECONDS if in_lines else REDRAW_SECONDS):
            self._drawn_at = now
            self._draw(self._text(now), in_lines)

    def close(self, reason=None):
        """Show the last state and end the line; closing again does nothing.

        Parameters
        ----------
        reason : str, default=None
            Why the search ended.
        """
        if self._closed:
            return
        self._closed = True
        in_lines = self._in_lines()
        text = self._text(self._clock(), reason, ended=True)
        # Nothing will overwrite it, so it may be longer than the terminal is wide.
        self._write(text + "\n" if in_lines else f"\r{text.ljust(self._width_drawn)}\n")

    def _text(self, now, reason=None, ended=False):
        """Compose the line; what may be cut off comes last."""
        seconds = now - self._start
        of_all = "" if self._n_candidates is None else f"/{self._n_candidates}"
        parts = [f"{self._n_done}{of_all} candidates"]
        if reason is not None and self._n_done != self._n_candidates:
            parts[0] += f" ({reason})"
        if self._n_failed:
            parts.append(f"{self._n_failed} of {self._n_fits} fits failed")
        parts.append(f"{_duration(seconds)} elapsed")
        n_fitted = self._n_done - self._n_recalled
        if not ended and self._n_candidates is not None and n_fitted:
            n_left = max(self._n_candidates - self._n_done, 0)
            parts.append(f"{_duration(seconds / n_fitted * n_left)} left")
        if self._best is not None and self._shows_best:
            name = self._metric or _first_metric(self._best) or "score"
            params = _shorten(self._best.params)
            parts.append(f"best {name} {self._best_score[1]:.4g} with {params}")
        return _printable(", ".join(parts))

    def _draw(self, text, in_lines):
        if in_lines:
            self._write(f"{text}\n")
            return
        # A full last column would make some terminals go to the next line.
        width = max(_width(self._out()) - 1, 1)
        if len(text) > width:
            text = text[: max(width - 3, 0)] + "..."[:width]
        self._write("\r" + text.ljust(min(self._width_drawn, width)))
        self._width_drawn = len(text)

    def _out(self):
        return sys.stdout if self._stream is None else self._stream

    def _in_lines(self):
        """Tell whether lines are written one below the other."""
        return self._verbose > 1 or not _overwrites(self._out())

    def _write(self, text):
        # Closed streams, and the user's own: anything may happen.
        with contextlib.suppress(Exception):
            stream = self._out()
            stream.write(text)
            stream.flush()


def _overwrites(stream):
    """Tell whether a carriage return goes back to the start of the line."""
    notebook = getattr(sys.modules.get("ipykernel.iostream"), "OutStream", None)
    with contextlib.suppress(Exception):
        if isinstance(notebook, type) and isinstance(stream, notebook):
            return True
        return bool(stream.isatty())
    return False


def _width(stream):
    """Columns of the terminal, or of what stands for one."""
    with contextlib.suppress(Exception):
        if n_columns := os.get_terminal_size(stream.fileno()).columns:
            return n_columns
    return shutil.get_terminal_size(fallback=(100, 24)).columns


def _mean_score(trial, metric):
    """Average the deciding metric over the splits; NaN if it has no mean."""
    try:
        scores = [_of_metric(result.test_scores, metric) for result in trial.splits]
        return sum(scores) / len(scores)
    except Exception:  # a scorer may return anything
        return math.nan


def _of_metric(scores, metric):
    if isinstance(scores, dict):
        return float(scores[metric or next(iter(scores))])
    return float(scores)


def _first_metric(trial):
    """Name the first of several metrics, if there are several."""
    scores = trial.splits[0].test_scores
    return next(iter(scores), None) if isinstance(scores, dict) else None


def _duration(seconds):
    """Write seconds for people.

    Examples
    --------
    >>> [_duration(seconds) for seconds in (0.23, 34.4, 100, 7500, 1e5)]
    ['0.2 s', '34 s', '1 min 40 s', '2 h 05 min', '1 d 03 h']
    """
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600:02d} h"


def _shorten(params):
    with contextlib.suppress(Exception):
        return _short.repr(
            {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in params.items()
            }
        )
    return "parameters that cannot be shown"


def _printable(text):
    """Keep to what every encoding has and what moves no cursor."""
    text = text.encode("ascii", "backslashreplace").decode()
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


_short = reprlib.Repr()
_short.maxdict = 10
_short.maxstring = _short.maxother = 40
