"""Candidates that a model of the scores so far thinks best to try."""

import itertools
import reprlib
import warnings
from bisect import bisect
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property

import numpy as np
from sklearn.utils import check_random_state

from skhpo.gp.maximize import spread_points
from skhpo.strategies._model_space import ModelSpace
from skhpo.strategies.base import count_candidates, mean_score, score_of
from skhpo.strategies.surrogates import SURROGATES

MIN_START = 5

# Where the surrogate has nothing new to offer, so many points are drawn at random. If
# they are all known, too, and the space cannot be listed, it counts as exhausted.
MAX_REPEATS = 10_000
# So many rows of a grid in a row may be gaps of a long distribution; then it ends.
MAX_SKIPPED = 1000

# A point so near to a known one, in every column, tells next to nothing new; among so
# many of the most promising points another is preferred.
MIN_GAP = 1e-3
N_CHECKED = 200
N_AT_A_TIME = 20

# Scores that differ by less, relative to them, differ by rounding.
ROUNDING = 1e-9

# Larger ones would overflow when squared.
MAX_SCORE = 1e150


class BayesStrategy:
    """Learn from the trials which candidate to try next.

    Candidate i is a function of the seed, i, and the trials up to i - `max_pending`.

    Parameters
    ----------
    space : Space
        Where to search.
    n_iter : int
        How many distinct candidates to propose.
    random_state : int, RandomState instance or None
        Source of the seed.
    metric : str, default=None
        Which of several metrics is optimised; None for the first.
    max_pending : int, default=2
        Number of candidates under way at a time. Fixed, so that the proposals do not
        depend on the number of workers.
    surrogate : str or object, default="auto"
        A name of the table of surrogates, or an object with their methods.
    initial_candidates : sequence of dict, default=()
        Settings of the space to evaluate first.
    current : dict of str to object, default=None
        Values for any names; the setting nearest to them comes next.
    n_planned : int, default=None
        The `n_iter` by which the design at the start is sized; None for this one.

    Attributes
    ----------
    n_first : int
        How many of the candidates were given: `initial_candidates` and `current`.
    lack : float
        How much of a resource the next candidates lack; see :meth:`expect_lack`.

    Raises
    ------
    TypeError
        If a distribution can only be drawn from, or a setting is not a dict.
    ValueError
        If a setting is not in the space, or there are more than `n_iter`.
    """

    needs_gradient = False

    def __init__(
        self,
        space,
        n_iter,
        random_state,
        *,
        metric=None,
        max_pending=2,
        surrogate="auto",
        initial_candidates=(),
        current=None,
        n_planned=None,
    ):
        self.space = space
        self._model_space = ModelSpace(space)
        self._domain = self._model_space.domain
        check_settings(space, initial_candidates, "initial_candidates")
        first = [space.setting(params) for params in initial_candidates]
        n_given = len({each.key for each in first})
        if n_given > n_iter:
            raise ValueError(
                f"initial_candidates holds {n_given} settings, more than n_iter = "
                f"{n_iter}; raise n_iter, or give fewer."
            )
        if current is not None:
            first.append(space.setting(space.nearest(current)))
        self.n_first = len({each.key for each in first})
        self.lack = 0.0
        self._with_lack = False
        self.n_candidates = count_candidates(space, n_iter)
        self.max_pending = self._max_pending = max_pending
        # All will be evaluated, so that there is nothing to learn; unless a search that
        # was planned for fewer goes on.
        self._enumerates = self.n_candidates == space.n_values <= (n_planned or n_iter)
        self.exhausted_reason = "n_iter candidates evaluated"
        self._metric = metric
        self._seed = int(check_random_state(random_state).randint(2**31 - 1))
        if isinstance(surrogate, str):
            self._surrogate = SURROGATES[surrogate]()
        else:
            self._surrogate = deepcopy(surrogate)
        self._seen = set()
        self._pending = {}  # key -> model point, in the order of their proposal
        self._points, self._scores = [], []  # of the trials told
        self._points_of = {}  # key -> model point, of all candidates
        self._steps = _Steps()
        if self.n_candidates < n_iter:
            self.exhausted_reason = "search space exhausted"
        if self._enumerates:
            self.max_pending = None
            rest = _listed(space)
        else:
            n_planned = n_planned or n_iter
            n_start = max(
                MIN_START,
                min(self._domain.n_columns + 1, n_planned // 4),
                min(2 * len(space.branches), n_planned // 2),
            )
            rest = self._spread(n_start - len(first))
        self._start = itertools.chain(first, rest)
        self._n_given = len(first)

    def ask(self, n):
        """Propose up to `n` new candidates."""
        candidates = []
        while len(candidates) < n and len(self._seen) < self.n_candidates:
            candidate = next(self._start, None) or self._propose()
            if candidate is None:
                break
            if candidate.key not in self._seen:
                self._seen.add(candidate.key)
                point = self._model_space.encode(candidate.params)
                self._points_of[candidate.key] = point
                self._pending[candidate.key] = self._lacking(point, self.lack)
                candidates.append(candidate)
        return candidates

    def tell(self, trials):
        """Learn the scores of trials, those that were proposed elsewhere included."""
        for trial in trials:
            key = trial.candidate.key
            self._pending.pop(key, None)
            self._seen.add(key)
            if key not in self._points_of:
                self._points_of[key] = self._model_space.encode(trial.params)
            self._points.append(self._points_of[key])
            self._scores.append(mean_score(trial, self._metric))
            self._steps.add(trial, self._metric)

    def n_needed(self, n_asked):
        """Count the trials that the next candidate is proposed from."""
        return 0 if self._enumerates else n_asked - self.max_pending + 1

    def expect_lack(self):
        """Let trials differ in how much of a resource they had; before any is told.

        A surrogate that predicts losses then has that as one more column. Where the
        space is small there is now something to learn: who gets everything.
        """
        self.max_pending = self._max_pending
        if self._enumerates:
            rest = [*self._start]
            order = np.random.default_rng([self._seed, 0]).permutation(
                len(rest) - self._n_given
            )
            rest[self._n_given :] = [rest[self._n_given + i] for i in order]
            self._start = iter(rest)
        self._with_lack = getattr(self._surrogate, "predicts", False)
        self._model_space = ModelSpace(self.space, self._with_lack)
        self._domain = self._model_space.domain

    def learn_again(self, observations):
        """Take these observations in place of all that were told.

        Parameters
        ----------
        observations : list of (object, float, float)
            Key of a candidate that was told, what it lacked of the resource, and its
            score. A candidate may be there several times, with less and less lacking.
        """
        if not self._with_lack:
            # Its score with the most that it had counts.
            observations = [*{each[0]: each for each in observations}.values()]
        self._points = [
            self._lacking(self._points_of[key], lack) for key, lack, _ in observations
        ]
        self._scores = [score for *_, score in observations]

    def expected(self, keys):
        """Predict what candidates score with everything.

        Parameters
        ----------
        keys : list
            Of candidates that were told.

        Returns
        -------
        scores : ndarray of shape (n_keys,) or None
            None if the surrogate does not predict losses, or knows none.
        """
        if not self._with_lack or not np.isfinite(self._scores).any():
            return None
        x = np.array([self._points_of[key] for key in keys])
        mean, _ = self._surrogate.predictor(self._domain, *self._told())(x)
        return -mean

    def _lacking(self, point, lack):
        """Put what is lacking of a resource into a model point, if there is a place."""
        return np.append(point[:-1], lack) if self._with_lack else point

    def predictor(self):
        """Give what the surrogate makes of all trials told.

        Returns
        -------
        Predictor or None
            None if it does not predict scores, or has seen none.
        """
        if (
            not getattr(self._surrogate, "predicts", False)
            or not np.isfinite(self._scores).any()
        ):
            return None
        return Predictor(self._model_space, self._surrogate, *self._told())

    def _spread(self, n):
        """Yield `n` candidates of a scrambled Sobol design."""
        rng = np.random.default_rng([self._seed, 0])
        u = spread_points(self._domain.n_columns, max(n, 0), rng)
        for x in self._domain.from_uniform(u):
            yield self._model_space.candidate(x)

    def _propose(self):
        """Make the most promising candidate that is new; None if there is none."""
        number = len(self._seen)
        rng = np.random.default_rng([self._seed, number])
        pending = np.array([*self._pending.values()]).reshape(
            len(self._pending), self._domain.n_columns
        )
        told, losses = self._told()
        if hasattr(self._surrogate, "step"):
            self._surrogate.step = self._steps.of_mean
        ranked = self._surrogate.propose(
            self._domain, told, losses, pending, number, rng
        )
        known = self._domain.canonical(np.vstack([told, pending]))
        ranked = _far_first(ranked, known)
        points = itertools.chain(ranked, self._draw(rng))
        candidates = map(self._model_space.candidate, points)
        if self.space.n_values < np.inf:
            candidates = itertools.chain(candidates, _listed(self.space))
        for candidate in candidates:
            if candidate.key not in self._seen:
                return candidate
        self.exhausted_reason = "search space exhausted"
        warnings.warn(
            f"{MAX_REPEATS} draws in a row gave nothing new; of n_iter = "
            f"{self.n_candidates} candidates the {number} found are evaluated. Values "
            "that are less likely are left out: give them as a list.",
            UserWarning,
            stacklevel=2,
        )
        return None

    def _draw(self, rng):
        """Yield points at random."""
        for _ in range(MAX_REPEATS):
            yield self._domain.from_uniform(rng.random((1, self._domain.n_columns)))[0]

    def _told(self):
        x = np.array(self._points).reshape(len(self._points), self._domain.n_columns)
        scores = np.array(self._scores, dtype=float)
        clipped = np.clip(scores, -MAX_SCORE, MAX_SCORE)
        return x, -np.where(np.isfinite(scores), clipped, scores)


def _listed(space):
    """Yield the candidates of a finite space one after another."""
    n_skipped = 0
    for params in space.grid():
        try:
            candidate = space.setting(params)
        except ValueError:
            n_skipped += 1
            if n_skipped == MAX_SKIPPED:
                return
        else:
            n_skipped = 0
            yield candidate


def _far_first(ranked, known):
    """Yield points, those that are nearly known ones behind the others.

    Mostly the first one is taken, and the others need not be looked at.
    """
    top, kept = ranked[:N_CHECKED], []
    for start in range(0, len(top), N_AT_A_TIME):
        part = top[start : start + N_AT_A_TIME]
        gaps = np.abs(part.T[:, :, None] - known.T[:, None, :]).max(axis=0, initial=0.0)
        near = gaps.min(axis=1, initial=np.inf) < MIN_GAP
        yield from part[~near]
        kept += [*part[near]]
    yield from ranked[N_CHECKED:]
    yield from kept


class Predictor:
    """What the surrogate of a finished search expects of settings.

    It is fitted to the mean scores of all trials when it is first asked.

    Attributes
    ----------
    resource : str or None
        The resource of the `fidelity`, if that is a hyperparameter. Predictions are for
        all of it, whatever a setting says.
    """

    resource = None

    def __init__(self, model_space, surrogate, x, losses):
        self._model_space = model_space
        self._surrogate = surrogate
        self._told = x, losses

    def __repr__(self):
        """Show the kind of model, and the number of trials it knows."""
        kind = type(self._surrogate).__name__
        return f"<Predictor: {kind} of {len(self._told[1])} trials>"

    def predict(self, params, return_std=False):
        """Predict mean scores.

        Parameters
        ----------
        params : list of dict
            Settings of the space that was searched. With a `fidelity` over a parameter
            that may be there, too: predictions are for all of it.
        return_std : bool, default=False
            Whether to return the standard deviation as well.

        Returns
        -------
        mean : ndarray of shape (n_settings,)
            Expected score of each setting, larger is better.
        std : ndarray of shape (n_settings,)
            How uncertain that is, as a standard deviation. Only if `return_std`.

        Raises
        ------
        ValueError
            If a setting is not in the space.
        """
        if self.resource is not None and isinstance(params, Sequence):
            params = [_without(setting, self.resource) for setting in params]
        check_settings(self._model_space.space, params, "params")
        x = np.array([self._model_space.encode(setting) for setting in params])
        x = x.reshape(len(params), self._model_space.domain.n_columns)
        if len(x) == 0:
            return (np.empty(0), np.empty(0)) if return_std else np.empty(0)
        mean, std = self._predict(x)
        return (-mean, std) if return_std else -mean

    @cached_property
    def _predict(self):
        return self._surrogate.predictor(self._model_space.domain, *self._told)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "_predict"}


def _without(setting, name):
    if not isinstance(setting, dict):
        return setting  # of which it is said what is wrong
    return {key: value for key, value in setting.items() if key != name}


def check_settings(space, settings, what):
    """Raise unless all of these are settings of the space.

    Parameters
    ----------
    space : Space
        Where they have to lie.
    settings : sequence of dict
        What is checked.
    what : str
        Name of the parameter that holds them, for messages.

    Raises
    ------
    TypeError
        If one is not a dict, or a distribution can only be drawn from.
    ValueError
        If one does not lie in the space.
    """
    if isinstance(settings, dict) or not isinstance(settings, Sequence):
        raise TypeError(
            f"{what} = {reprlib.repr(settings)} must be a list of dicts, each from the "
            "names of a branch to values."
        )
    for number, setting in enumerate(settings):
        start = f"{what}[{number}] = {reprlib.repr(setting)}"
        if not isinstance(setting, dict):
            raise TypeError(f"{start} must be a dict from names to values.")
        try:
            space.point(setting)
        except ValueError as error:
            raise ValueError(
                f"{start} is not in the space: {error} Give each name of a branch a "
                "value that the space contains, or widen the space."
            ) from error


class _Steps:
    """The least differences between scores, split by split.

    Where scores count samples, as an accuracy does, they move in steps. That of the
    mean over splits of unequal sizes cannot be seen in the means, which differ by far
    less than a step.
    """

    def __init__(self):
        self._seen = {}  # split -> scores, increasing
        self._least = {}

    def add(self, trial, metric):
        """Take in the scores of a trial."""
        if trial.status != "complete":
            return
        for number, split in enumerate(trial.splits):
            score = score_of(split.test_scores, metric)
            if not np.isfinite(score):
                continue
            seen = self._seen.setdefault(number, [])
            place = bisect(seen, score)
            near = seen[max(place - 1, 0) : place + 1]
            gap = min((abs(score - other) for other in near), default=np.inf)
            if gap > ROUNDING * abs(score):
                seen.insert(place, score)
                self._least[number] = min(gap, self._least.get(number, np.inf))

    @property
    def of_mean(self):
        """float : That of the mean over the splits; 0 if it is not known."""
        least = [*self._least.values()]
        if not least or len(least) < len(self._seen) or not np.isfinite(least).all():
            return 0.0
        return float(np.mean(least)) / len(least)
