"""Candidates along the gradient of a smooth held-out loss."""

import itertools
import math

import numpy as np

from skhpo.strategies._descent import CONVERGED, descend
from skhpo.strategies.bayes import BayesStrategy

# Rows that a descent should have for itself; where combinations of the other
# hyperparameters are so many that it would have fewer, a model chooses among them.
MIN_ROWS = 6
# Rows of a descent from a setting that the model has chosen, that one included.
_N_LOCAL = 4
_STEP = 1e-5


class GradientStrategy:
    """Descend in the hyperparameters that can be differentiated.

    The others are searched around it: all combinations one after another if they are
    few, else settings that a model proposes, each followed by a short descent.

    Parameters
    ----------
    space : Space
        Where candidates come from.
    n_iter : int
        Number of distinct candidates at most.
    smooth_names : callable
        ``smooth_names(params, names)`` tells which of the `names` can be differentiated
        at a setting.
    current : dict of str to object
        Values for any names; descents start at those that lie in the space, and in the
        middle of the dimension for the others.
    random_state : int, RandomState instance or None, default=None
        Decides what the model proposes, where there is one.
    metric : str, default=None
        Name of the metric that the model maximises.
    n_planned : int, default=None
        The `n_iter` by which rows are shared out; None for this one.
    """

    needs_gradient = True
    max_pending = 1

    def __init__(
        self,
        space,
        n_iter,
        smooth_names,
        current,
        *,
        random_state=None,
        metric=None,
        n_planned=None,
    ):
        self.space = space
        self.n_candidates = min(n_iter, space.n_values)
        self._reason = None
        self._smooth_names = smooth_names
        self._current = current
        self._seen = {}  # key -> (loss, slopes by name), once it is told
        self._descent = None
        arms = self._arms(n_planned or n_iter)
        if arms is None:
            self._model = BayesStrategy(
                space,
                n_iter,
                random_state,
                metric=metric,
                max_pending=1,
                current=current,
                n_planned=n_planned,
            )
            self._descents = self._modelled()
        else:
            self._model = None
            self._descents = self._enumerated(arms)

    @property
    def exhausted_reason(self):
        """Why there is no further candidate."""
        if len(self._seen) >= self.n_candidates:
            return "n_iter candidates evaluated"
        return self._reason

    def _arms(self, n_iter):
        """List the fixed parts, each with its smooth names; None if they are many."""
        arms = []
        for branch in self.space.branches:
            free = [name for name, d in branch.items() if d.continuous]
            rest = {name: d for name, d in branch.items() if name not in free}
            n_fixed = math.prod(d.n_values for d in rest.values())
            if (len(arms) + n_fixed) * MIN_ROWS > max(n_iter, MIN_ROWS):
                return None
            for values in itertools.product(*(d.values() for d in rest.values())):
                fixed = dict(zip(rest, values, strict=True))
                smooth = self._smooth_names({**fixed, **_middle(branch, free)}, free)
                if len(smooth) < len(free):
                    return None
                arms.append((fixed, {name: branch[name] for name in smooth}))
        return arms

    def _enumerated(self, arms):
        """Yield the descents, each for its share of the rows."""
        for number, (fixed, dimensions) in enumerate(arms):
            left = self.n_candidates - len(self._seen)
            share = -(-left // (len(arms) - number))
            yield from self._from(fixed, dimensions, share)
        self._reason = self._reason or "search space exhausted"

    def _from(self, fixed, dimensions, n_rows):
        """Yield a descent from the current values, another if it ends at a bound."""
        first = {name: self._start(name, d) for name, d in dimensions.items()}
        start = np.array([d.to_unit(first[name]) for name, d in dimensions.items()])
        descent = Descent(self, fixed, dimensions, start, n_rows, {**fixed, **first})
        yield descent
        self._reason = descent.reason or self._reason
        if descent.reason not in (CONVERGED, None):
            # Another valley may lie on the other side.
            other = np.where(descent.best > 0.5, 0.25, 0.75)
            again = Descent(self, fixed, dimensions, other, n_rows - descent.n_rows)
            yield again
            if again.loss < descent.loss:
                self._reason = again.reason or self._reason

    def _start(self, name, dimension):
        """Give the current value; the middle if it is none of the dimension."""
        value = self._current.get(name)
        try:
            dimension.to_unit(value)
        except ValueError:
            return dimension.from_unit(0.5)
        return value

    def _modelled(self):
        """Yield short descents from the settings that the model proposes."""
        while True:
            candidates = self._model.ask(1)
            if not candidates:
                self._reason = self._model.exhausted_reason
                return
            params = candidates[0].params
            branch = next(b for b in self.space.branches if _holds(b, params))
            free = [name for name in params if branch[name].continuous]
            fixed = {name: v for name, v in params.items() if name not in free}
            smooth = self._smooth_names(params, free)
            dimensions = {name: branch[name] for name in smooth}
            fixed = {name: v for name, v in params.items() if name not in dimensions}
            start = np.array(
                [d.to_unit(params[name]) for name, d in dimensions.items()]
            )
            yield Descent(self, fixed, dimensions, start, _N_LOCAL, first=params)

    def ask(self, n):
        """Propose the next point of the descent; nothing while it is not told."""
        while len(self._seen) < self.n_candidates:
            if self._descent is None:
                self._descent = next(self._descents, None)
                if self._descent is None:
                    return []
            candidate = self._descent.next()
            if candidate is None:
                self._descent = None
            elif candidate.key not in self._seen:
                self._seen[candidate.key] = None
                return [candidate]
        return []

    def tell(self, trials):
        """Learn losses and slopes."""
        for trial in trials:
            self._seen[trial.candidate.key] = _mean_derivative(trial)
        if self._model is not None:
            self._model.tell(trials)

    def known(self, candidate):
        """Give loss and slopes of a candidate; None before it is told."""
        return self._seen.get(candidate.key)


class Descent:
    """One descent: generator of points, in terms of candidates.

    Parameters
    ----------
    strategy : GradientStrategy
        Knows what was evaluated.
    fixed : dict of str to object
        Values of the hyperparameters that stay.
    dimensions : dict of str to dimension
        Those that move.
    start : ndarray of shape (d,)
        In the unit cube.
    n_rows : int
        Number of candidates at most.
    first : dict of str to object, default=None
        The setting at `start`, to the last bit.

    Attributes
    ----------
    best : ndarray of shape (d,)
        The best point so far, `start` before there is one.
    loss : float
        Its loss.
    reason : str or None
        Why it ended.
    """

    def __init__(self, strategy, fixed, dimensions, start, n_rows, first=None):
        self.reason = None
        self.n_rows = 0
        self.best = start
        self.loss = np.inf
        self._strategy = strategy
        self._fixed = fixed
        self._dimensions = dimensions
        self._max_rows = n_rows
        self._search = descend(start) if len(start) else _once(start)
        self._u = next(self._search)
        self._candidate = strategy.space.setting(first or self._params())

    def next(self):
        """Give the next candidate; None at the end."""
        while (known := self._strategy.known(self._candidate)) is not None:
            loss, slopes, curve = known
            f, g = self._in_cube(self._u, loss, slopes)
            if f < self.loss:
                self.best, self.loss = self._u, f
            try:
                self._u = self._search.send((f, g, self._curve_in_cube(curve)))
            except StopIteration as stop:
                self.reason = stop.value
                return None
            if self.n_rows >= self._max_rows:
                return None
            self._candidate = self._strategy.space.setting(self._params())
        self.n_rows += 1
        return self._candidate

    def _params(self):
        moving = {
            name: dimension.from_unit(u)
            for u, (name, dimension) in zip(
                self._u, self._dimensions.items(), strict=True
            )
        }
        return {**self._fixed, **moving}

    def _in_cube(self, u, loss, slopes):
        """Turn slopes by values into slopes by coordinates of the cube."""
        gradient = np.zeros(len(u))
        if not np.isfinite(loss):
            return np.inf, gradient
        for j, (name, dimension) in enumerate(self._dimensions.items()):
            low, high = max(u[j] - _STEP, 0), min(u[j] + _STEP, 1)
            rise = dimension.from_unit(high) - dimension.from_unit(low)
            # What has no slope at these settings has no effect.
            gradient[j] = slopes.get(name, 0.0) * rise / (high - low)
        if not np.isfinite(gradient).all():
            return np.inf, np.zeros(len(u))
        return loss, gradient

    def _curve_in_cube(self, curve):
        """Give the points of a curve as the search of one coordinate takes them."""
        if len(self._dimensions) != 1:
            return []
        ((name, dimension),) = self._dimensions.items()
        points = []
        for value, loss, slope in curve:
            u = dimension.to_unit(value)
            f, g = self._in_cube(np.array([u]), loss, {name: slope})
            points.append((u, f, float(g[0])))
        return [point for point in points if np.isfinite(point[1])]


def _middle(branch, names):
    return {name: branch[name].from_unit(0.5) for name in names}


def _once(start):
    yield start


def _holds(branch, params):
    """Tell whether a setting lies in a branch."""
    if branch.keys() != params.keys():
        return False
    try:
        for name, dimension in branch.items():
            dimension.to_unit(params[name])
    except ValueError:
        return False
    return True


def _mean_derivative(trial):
    """Average loss, slopes and curve over the splits; infinite if a fit failed."""
    derivatives = [split.derivative for split in trial.splits]
    if any(d is None or not math.isfinite(d.loss) for d in derivatives):
        return math.inf, {}, []
    loss = np.mean([derivative.loss for derivative in derivatives])
    slopes = {
        name: float(np.mean([derivative.slopes[name] for derivative in derivatives]))
        for name in derivatives[0].slopes
    }
    curves = [derivative.curve for derivative in derivatives]
    curve = [
        (points[0][0], *np.mean([point[1:] for point in points], axis=0).tolist())
        for points in zip(*curves, strict=True)
    ]
    return float(loss), slopes, curve
