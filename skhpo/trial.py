"""The values that travel between the parts of a search.

A strategy proposes a :class:`Candidate`; evaluation answers with one
:class:`SplitResult` for each split; the engine puts them together as a
:class:`Trial`. All three are frozen: whoever holds one may keep it.
"""

import reprlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

# Why a search ended whose time was over.
TIMED_OUT = "timeout reached"
_SHORT = reprlib.Repr()
_SHORT.maxdict = 10
_SHORT.maxstring = _SHORT.maxother = 60


class Rung(NamedTuple):
    """How much of a resource a candidate is given.

    Parameters
    ----------
    n_resources : int
        Number of samples, or value of a parameter.
    iteration, bracket : int
        Where it stands in a schedule, from 0 on.
    fraction : float, default=1.0
        Of the samples of each split, in (0, 1]; 1 where these are not the resource.
    follows : int, default=None
        Number of the trial with less of a parameter, where that is the resource.
    may_follow : bool, default=False
        Whether one with more of it may come.
    """

    n_resources: int
    iteration: int
    bracket: int
    fraction: float = 1.0
    follows: int | None = None
    may_follow: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting of the hyperparameters, proposed by a strategy.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.
    point : ndarray of shape (n_dims,), default=None
        The same setting in the unit cube, where the strategy works there.
    rung : Rung, default=None
        How much is spent on it; None where all candidates get the same.
    key : hashable, default=None
        Candidates with equal keys are the same setting, so that one evaluation
        may serve all of them. None: never the same as another.
    needs_slopes : bool, default=True
        Whether a strategy that follows gradients has a use for its slopes; otherwise
        the loss of its fits and their solutions are enough.
    """

    params: dict[str, object]
    point: np.ndarray | None = None
    rung: Rung | None = None
    key: Hashable | None = None
    needs_slopes: bool = True

    @property
    def fraction(self):
        """float : Share of the samples of each split that it is evaluated on."""
        return 1.0 if self.rung is None else self.rung.fraction


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What fitting and scoring one candidate on one split gave.

    Parameters
    ----------
    test_scores, train_scores : float or dict of str to float
        Scores on the held-out and on the training part, larger is better; a dict
        holds one score for each metric. ``train_scores`` is None unless train
        scores were asked for.
    fit_time, score_time : float
        Seconds. Scoring the training part is not counted, as in scikit-learn.
    error : str, default=None
        Traceback of the fit, when it failed.
    stop : bool, default=False
        Whether a callback asked to end the search at this task.
    derivative : Derivative, default=None
        A smooth held-out ``loss``, smaller is better, and its ``slopes`` by
        hyperparameter, when the search follows gradients; without slopes where they
        were not needed.
    limit : float, default=None
        Seconds of ``fit_timeout``, when the fit was killed for it.
    group : int, default=None
        Equal for candidates whose fits on this split were made together; their
        ``fit_time`` is the whole time divided by their number. None for a fit apart.
    """

    test_scores: float | dict[str, float]
    train_scores: float | dict[str, float] | None
    fit_time: float
    score_time: float
    error: str | None = None
    stop: bool = False
    derivative: object = None
    limit: float | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate with the results of its splits.

    Parameters
    ----------
    number : int
        Row of the candidate in ``cv_results_``.
    candidate : Candidate
        What was evaluated.
    splits : tuple of (SplitResult or None)
        One result for each split, in the order of the splits; None where the search
        ended before, or the candidate was given up.
    group : int
        Number of the trial whose fits answered for this one: its own number,
        unless it repeats an earlier candidate.
    raced : bool, default=False
        Whether the candidate was given up before its last split.
    """

    number: int
    candidate: Candidate
    splits: tuple[SplitResult | None, ...]
    group: int
    raced: bool = False

    @property
    def params(self):
        """dict : The hyperparameters of the candidate."""
        return self.candidate.params

    @property
    def done(self):
        """dict of int to SplitResult : Results by split, as far as there are any."""
        return {
            number: split
            for number, split in enumerate(self.splits)
            if split is not None
        }

    @property
    def n_splits_done(self):
        """int : Number of splits that were evaluated, failed fits included."""
        return len(self.done)

    @property
    def cut_off(self):
        """bool : Whether some splits were not evaluated."""
        return None in self.splits

    @property
    def errors(self):
        """dict of int to str : Cause by split, for each fit that failed."""
        return {
            number: split.error
            for number, split in self.done.items()
            if split.error is not None
        }

    @property
    def status(self):
        """str : "complete", "raced", "failed" or "timeout".

        "raced" if it was given up before its last split; "failed" if the fits of all
        splits failed; "timeout" if the search ended before the last split, or all fits
        failed and one of them for ``fit_timeout``.
        """
        if self.raced:
            return "raced"
        if self.cut_off:
            return "timeout"
        if any(split.error is None for split in self.splits):
            return "complete"
        limited = any(split.limit is not None for split in self.splits)
        return "timeout" if limited else "failed"


def shortened(params):
    """Write a setting for a message.

    Parameters
    ----------
    params : dict of str to object
        What ``set_params`` receives.

    Returns
    -------
    text : str
        Its repr; what is long is cut.
    """
    return _SHORT.repr(params)
