"""The course of one descent: which places become candidates, which only looks."""

import math
import warnings
from dataclasses import replace

import numpy as np

from skhpo.strategies._descent import End, descend, descend_many, scout
from skhpo.strategies._shrinkage import Tied

# Losses of a fit and of a look at the same place differ by no more, relatively.
_CLOSE = 1e-3
# By so much more the loss of a fit may exceed that of its equations without a word.
_LOOSE = 0.01
# What is nearer to an end than this tells nothing new.
_APART = 0.02
# Rows around an end of several coordinates, for each of them.
_N_AROUND = 4
_NO_SOLUTION = (
    "HypergradSearch looks between candidates by solves of its own, and at {} it has "
    "found no solution. The search goes on by fits, which take longer."
)
_NOT_CONFIRMED = (
    "HypergradSearch looks between candidates by solves of its own. At {} they give a "
    "loss of {:.6g}, the fits one of {:.6g}. The search goes on by fits, which take "
    "longer."
)
_STOPPED_EARLY = (
    "At {} the fits have a loss of {:.6g}, the exact solutions of their equations one "
    "of {:.6g}: they were stopped early, and other values may suit such fits better. "
    "Lower the estimator's tol, or raise its max_iter."
)


class Rows:
    """Candidates that are settled, in place of a descent.

    Parameters
    ----------
    settings : list of Candidate
        One after the other.
    strength : float
        As that of the descent they belong to.
    """

    def __init__(self, settings, strength):
        self.strength = strength
        self._settings = iter(settings)

    def next(self):
        """Give the next candidate; None at the end."""
        setting = next(self._settings, None)
        return setting and replace(setting, needs_slopes=False)

    def learn(self):
        """Nothing follows from losses and slopes."""


class Descent:
    """One descent: generator of points, in terms of candidates.

    Parameters
    ----------
    strategy : GradientStrategy
        Knows what was evaluated.
    fixed : dict of str to object
        Values of the hyperparameters that stay.
    axes : Free or Tied
        Those that move, and the coordinates in which they do.
    start : ndarray of shape (d,)
        In the unit cube.
    n_rows : int
        Number of candidates at most.
    first : dict of str to object, default=None
        The setting at `start`, to the last bit.
    left_out : int, default=None
        A split that does not count.
    spread : Spread, default=None
        A term that is added to the loss.
    learnt : list of ndarray, default=None
        Curvature that was learnt before, if there is such a term; it is added to.
    given : list of tuple (u, f, g), default=()
        Other points of a lone coordinate that are known.
    may_poll : callable, at_kink : bool
        As in :func:`~skhpo.strategies._descent.descend`.
    is_short : bool, default=False
        Whether it has so few rows that looks which cost nearly as much as one are not
        worth it.

    Attributes
    ----------
    best : ndarray of shape (d,)
        The best point so far, `start` before there is one.
    loss : float
        Its loss, with the term that is added.
    candidate : Candidate or None
        The candidate there.
    visited : list of tuple (ndarray of shape (d,), Candidate)
        Where it was.
    strength : float
        How strongly it shrinks scales; infinite where they are tied, 0 for not at all.
    reason : str or None
        Why it ended; None while it has not, or where it had no candidates left.
    """

    def __init__(
        self,
        strategy,
        fixed,
        axes,
        start,
        n_rows,
        first=None,
        *,
        left_out=None,
        spread=None,
        learnt=None,
        given=(),
        may_poll=lambda f: True,
        at_kink=False,
        is_short=False,
    ):
        self.reason = None
        self.n_rows = 0
        self.best = start
        self.loss = np.inf
        self.candidate = None
        self.visited = []
        self.strength = np.inf if isinstance(axes, Tied) else 0.0
        if spread is not None:
            self.strength = spread.strength
        self._ended = False
        self._strategy = strategy
        self._fixed = fixed
        self._axes = axes
        self._max_rows = n_rows
        self._may_poll = may_poll
        self._is_short = is_short
        self._left_out, self._spread, self._given = left_out, spread, given
        self._look = None  # gives derivatives at other places, where that takes no fits
        self._lowest = np.inf, None, None  # loss, place, and setting, rows or not
        self._reason = None  # why the search ended, while its end is no row yet
        self._places = []  # where it has looked, with settings and losses
        self._ends = None  # of these, what is to be a row once the end is one
        if not len(start):
            self._search = _once(start)
        elif spread is None:
            self._search = descend(start, lambda: self._look is None, may_poll, at_kink)
        else:
            self._search = descend_many(start, spread.hessian(start), learnt)
        self._u = next(self._search)
        self._next = strategy.space.setting(first) if first else self._setting(self._u)

    def next(self):
        """Give the next candidate; None at the end."""
        self.learn()
        if self._ended:
            return None
        self.n_rows += 1
        # From the first row it looks about, and later ones only confirm what it saw.
        # Whether there are rows to come does not count: what is recorded is the same.
        looks = self._reason is not None or (not self.visited and self._may_look())
        # Of scales that are shrunk, other descents go on from the slopes of rows.
        spared = looks and self._strategy.shrinkage is None
        return replace(self._next, needs_slopes=False) if spared else self._next

    def _may_look(self):
        """Tell whether it would look about from a row."""
        return (
            self._strategy.look_from is not None
            and self._spread is None
            and len(self._u) > 0
        )

    def learn(self):
        """Go on as far as losses and slopes are known."""
        while not self._ended:
            row = self._strategy.known(self._next)
            known = row or self._looked()
            if known is None:
                if self.n_rows >= self._max_rows:
                    self._ended = True
                return
            if row is not None:
                known = self._take(row)
                if known is None:
                    self._ended = True
                    return
            f, g = self._value(self._u, known)
            looked = self._lowest[0]
            if f < looked:
                self._lowest = f, self._u, self._next
            if self._reason is not None:
                # Of a fit that is no solution there may be a loss, and no slope.
                self._confirm(f if np.isfinite(f) else self._mean_loss(known), looked)
            else:
                self._go_on(f, g)

    def _take(self, row):
        """Take a row in, and look about from the first one that can be looked from.

        Returns
        -------
        derivatives : sequence of (Derivative or None), or None
            At the row; with slopes, unless they are of no use any more. None if they
            are, and it is too late to find them.
        """
        self.visited.append((self._u, self._next))
        if self._reason is not None:
            return row
        f, _ = self._value(self._u, row)
        if np.isfinite(f) and self._can_look():
            self._look = self._strategy.look_from(
                self._next.params, row, is_short=self._is_short
            )
            looked = self._scouted(f)
            if looked is not None:
                return looked
        looked = self._looked()
        if looked is not None and (
            all(derivative.solution for derivative in looked)
            or self._is_close(row, looked)
        ):
            self._strategy.learn(self._next, looked)
        elif self._strategy.with_slopes(self._next) is None:
            return None
        row = self._strategy.known(self._next)
        self._remember(self._value(self._u, row)[0])
        return looked or row

    def _can_look(self):
        """Tell whether it begins to look from this row: the first, if others follow."""
        is_first, is_last = len(self.visited) == 1, self.n_rows >= self._max_rows
        return is_first and not is_last and self._may_look()

    def _scouted(self, f):
        """Begin where the loss of the first split alone is low, if that is far away.

        Parameters
        ----------
        f : float
            Loss of the row.

        Returns
        -------
        derivatives : sequence of (Derivative or None), or None
            With all splits, at the place where the search is now. None if it stays.
        """
        is_whole = self._strategy.shrinkage is None and self._left_out is None
        if self._look is None or len(self._u) != 1 or not is_whole:
            return None
        search, places = scout(self._u), []
        u, setting = next(search), self._next
        while True:
            found = self._look(self._moved(setting), 1)
            if not found:
                return None
            known = self._value(u, found)
            places.append((u, setting, known[0]))
            try:
                u = search.send(known)
            except StopIteration as stop:
                u, curvature = stop.value
                break
            setting = self._setting(u)
        if u is None:
            return None
        setting = self._setting(u)
        found = self._look(self._moved(setting))
        if not (found and self._value(u, found)[0] < f):
            return None
        self._remember(f)
        self._u, self._next = u, setting
        self._places += places
        self._saw(found)
        self._search = descend(u, lambda: self._look is None, curvature=curvature)
        next(self._search)
        return found

    def _remember(self, f):
        """Take the loss of a row for the best one, if it is."""
        if f < self.loss:
            self.best, self.loss, self.candidate = self._u, f, self._next

    def _is_close(self, row, looked):
        """Tell whether fits have the losses that were seen by a look."""
        loss = self._mean_loss(looked)
        return abs(self._mean_loss(row) - loss) <= _CLOSE * abs(loss)

    def _looked(self):
        """Give the derivatives at the next place, if that takes no fits."""
        if self._look is None or self._reason is not None:
            return None
        found = self._look(self._moved(self._next))
        if not found:
            self._look = self._strategy.look_from = None
            if found is None:  # otherwise it is too late for more
                warnings.warn(
                    _NO_SOLUTION.format(self._next.params), RuntimeWarning, stacklevel=2
                )
            return None
        self._saw(found)
        return found

    def _saw(self, found):
        """Note a look at all splits where the search is now."""
        loss = self._mean_loss(found)
        self._places.append((self._u, self._next, loss))
        self._strategy.looks.append((self._next.params, loss))

    def _go_on(self, f, g):
        """Ask the search where it wants to look next."""
        try:
            self._u = self._search.send((f, g, self._given))
        except StopIteration as stop:
            self._reason = stop.value
            _, self._u, self._next = self._lowest
            if isinstance(stop.value, End):
                self._reason, self._u = stop.value
                self._next = self._setting(self._u)
            if self._next is None or self._strategy.known(self._next) is not None:
                self._end()
            return
        self._next = self._setting(self._u)

    def _confirm(self, f, looked):
        """See whether the fits are where the looks have been, or better."""
        if self._ends is not None:
            self._remember(f)
            self._go_to_end()
            return
        exact, limit = f, looked + _CLOSE * abs(looked)
        if np.isfinite(f) and f > limit:
            # The fits may be loose.
            row = self._strategy.with_slopes(self._next)
            if row is None:
                self._ended = True
                return
            exact, _ = self._value(self._u, row)
        self._remember(exact)
        if exact <= limit:
            if f > looked + _LOOSE * abs(looked):
                text = _STOPPED_EARLY.format(self._next.params, f, exact)
                warnings.warn(text, RuntimeWarning, stacklevel=2)
            self._ends = self._bracket_ends()
            self._go_to_end()
            return
        if np.isfinite(f):  # of fits that fail the search says so itself
            text = _NOT_CONFIRMED.format(self._next.params, looked, f)
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._look = self._strategy.look_from = self._reason = None
        self._places = []
        self._search = descend(self.best, may_poll=self._may_poll)
        self._u = next(self._search)
        self._next = self.candidate

    def _go_to_end(self):
        """Go to the next end of the bracket that is to be a row, or to the end."""
        if self._ends and self.n_rows < self._max_rows:
            self._u, self._next = self._ends.pop()
        else:
            self._end()

    def _mean_loss(self, derivatives):
        if any(map(_failed, derivatives)):
            return np.inf
        return float(np.mean([derivative.loss for derivative in derivatives]))

    def _end(self):
        """Be at an end, and let go of the data that looks need."""
        self.reason = self._reason
        self._ended = True
        self._look = None

    def _bracket_ends(self):
        """List places next to the end of a lone coordinate, if they are no rows."""
        if not self._strategy.rows_around or len(self._u) != 1:
            return []
        places = sorted(self._places, key=lambda place: place[0][0])
        below = [place for place in places if place[0][0] <= self._u[0] - _APART]
        above = [place for place in places if place[0][0] >= self._u[0] + _APART]
        ends = below[-1:] + above[:1]
        return [(u, s) for u, s, _ in ends if self._strategy.known(s) is None]

    def around(self):
        """List the lowest places where it has only looked, four for each coordinate.

        They are apart from one another and from the best one, and may have a better
        score where that is not the loss.
        """
        found, chosen = [], [self.best]
        if not self._strategy.rows_around or len(self.best) == 1:
            return found  # a lone coordinate has a bracket
        for u, setting, _ in sorted(self._places, key=lambda place: place[2]):
            distances = [np.linalg.norm(u - other) for other in chosen]
            if min(distances) >= _APART and self._strategy.known(setting) is None:
                chosen.append(u)
                found.append(setting)
        return found[: _N_AROUND * len(self.best)]

    @property
    def split_losses(self):
        """ndarray of shape (n_splits,): Losses of the best candidate."""
        if self.candidate is None:
            return np.empty(0)
        known = self._strategy.known(self.candidate)
        return np.array([np.inf if _failed(d) else d.loss for d in known])

    def onward(self, axes, n_rows, **options):
        """Give a descent from the best candidate of this one, in other coordinates."""
        params = (self.candidate or self._next).params
        start, _ = axes.start(params)
        return Descent(
            self._strategy, self._fixed, axes, start, n_rows, params, **options
        )

    def without(self, split, n_rows):
        """Give a descent with a split left out, from the best point visited for it."""
        points = [
            (u, *self._value(u, self._strategy.known(candidate), split), candidate)
            for u, candidate in self.visited
        ]
        best = min(points, key=lambda point: point[1])
        others = [(u[0], f, g[0]) for u, f, g, _ in points if u[0] != best[0][0]]
        return Descent(
            self._strategy,
            self._fixed,
            self._axes,
            best[0],
            n_rows,
            best[3].params,
            left_out=split,
            given=[p for p in others if np.isfinite(p[1])] if len(best[0]) == 1 else (),
        )

    def _setting(self, u):
        """Give the candidate at a point of the cube."""
        params = {**self._fixed, **self._axes.params(u)}
        return self._strategy.space.setting(params)

    def _moved(self, setting):
        """Give those of its values that move."""
        return {name: setting.params[name] for name in self._axes.dimensions}

    def _value(self, u, derivatives, left_out=None):
        """Give the loss, and the slopes by coordinates of the cube."""
        left_out = self._left_out if left_out is None else left_out
        counted = [d for k, d in enumerate(derivatives) if k != left_out]
        nothing = np.inf, np.zeros(len(u))
        if any(_failed(d) for d in counted):
            return nothing
        loss = float(np.mean([d.loss for d in counted]))
        gradient = np.zeros(len(u))  # rows that only confirm have none
        if all(d.slopes for d in counted):
            gradient = self._axes.gradient(u, _mean_slopes(counted))
        if self._spread is not None:
            value, slope = self._spread(u)
            loss, gradient = loss + value, gradient + slope
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            return nothing
        return loss, gradient


def _once(start):
    yield start


def _failed(derivative):
    return derivative is None or not math.isfinite(derivative.loss)


def _mean_slopes(derivatives):
    """Average the slopes over splits."""
    names = derivatives[0].slopes
    rows = [[derivative.slopes[name] for name in names] for derivative in derivatives]
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
