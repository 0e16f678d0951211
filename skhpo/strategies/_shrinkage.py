"""Shrink many scales towards a common one, and choose how much.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
u                     (d,)         coordinates of the hyperparameters in the unit cube
s                     (p,)         those of them that are scales, in groups
v                     (p,)         log s**2, each minus the mean of its group
tau                   scalar       strength of the shrinkage, infinite: one common scale
L                     scalar       mean smooth loss of the splits
L_1                   scalar       L at the best common scale
====================  ===========  ====================================================

In front of a ridge model a scale ``s`` is a penalty ``alpha / s**2``, so that ``v`` is
minus the logarithm of its penalty. What is minimised is
``L + tau * abs(L_1) * mean(v**2)``.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

# From strong to weak; before the first comes one common scale.
LADDER = (10.0, 1.0, 0.1, 0.01)
# Level at which a difference of losses on left-out splits counts.
_LEVEL = 0.05
_STEP = 1e-5


class Shrinkage(NamedTuple):
    """What is shrunk, and how much.

    Parameters
    ----------
    groups : list of tuple of str
        Names of the scales that have a mean of their own.
    strength : float or None
        tau; None chooses it.
    required : bool, default=True
        Whether it is an error if that cannot be done, or a warning.
    """

    groups: list
    strength: float | None
    required: bool = True


class Choice(NamedTuple):
    """How strongly the scales of a row were shrunk.

    Parameters
    ----------
    strength : float
        tau; 0 for none.
    optimism : float
        Mean loss of the splits, each left out of a search of its own, minus that of the
        candidate; NaN where it was not measured.
    """

    strength: float
    optimism: float = np.nan


class Standing:
    """How far the search over the scales of one combination has come.

    Parameters
    ----------
    strength : float or None
        tau; None chooses it.

    Attributes
    ----------
    descents : list of Descent
        Those among which the best counts.
    optimism : float
        Of the best one.
    untried : list of float
        Strengths that have not been tried to the end.
    """

    def __init__(self, strength):
        self.descents = []
        self.optimism = np.nan
        self.untried = [np.inf, *LADDER] if strength is None else [strength]

    @property
    def best(self):
        """Descent or None: The one with the least loss."""
        found = (descent for descent in self.descents if descent.candidate)
        return min(found, key=lambda descent: descent.loss, default=None)

    def tried(self, strength):
        """Strike a strength off."""
        self.untried = [tau for tau in self.untried if tau != strength]


class Free:
    """Every hyperparameter is a coordinate.

    Parameters
    ----------
    dimensions : dict of str to dimension
        The hyperparameters.
    """

    def __init__(self, dimensions):
        self.dimensions = dimensions

    def start(self, params):
        """Give the coordinates of a setting, and the setting that they stand for."""
        params = {name: params[name] for name in self.dimensions}
        return np.array(
            [d.to_unit(params[n]) for n, d in self.dimensions.items()]
        ), params

    def params(self, u):
        """Turn coordinates into values."""
        pairs = zip(u, self.dimensions.items(), strict=True)
        return {name: dimension.from_unit(x) for x, (name, dimension) in pairs}

    def gradient(self, u, slopes):
        """Turn slopes by values into slopes by coordinates."""
        gradient = np.zeros(len(u))
        for j, (name, dimension) in enumerate(self.dimensions.items()):
            # What has no slope at these settings has no effect.
            gradient[j] = slopes.get(name, 0.0) * _rate(dimension, u[j])
        return gradient


class Tied:
    """The scales of each group are one coordinate, every other hyperparameter is one.

    Parameters
    ----------
    dimensions : dict of str to dimension
        The hyperparameters.
    groups : list of tuple of str
        Names of the scales that are tied.

    Raises
    ------
    ValueError
        If the scales of a group have no range in common that is finite and positive.
    """

    def __init__(self, dimensions, groups):
        self.dimensions = dimensions
        self.groups = groups
        tied = set().union(*groups)
        self.rest = Free({n: d for n, d in dimensions.items() if n not in tied})
        self._ranges = []
        for names in groups:
            low = max(dimensions[name].from_unit(0.0) for name in names)
            high = min(dimensions[name].from_unit(1.0) for name in names)
            if not 0 < low < high < np.inf:
                raise ValueError(
                    f"The ranges of {names[0]!r} and {len(names) - 1} more scales have "
                    f"nothing in common that is finite and positive: ({low}, {high}). "
                    "Give each the same range, such as Real(1e-3, 1e3, log=True), or "
                    "set shrinkage=0."
                )
            self._ranges.append((low, high))

    def start(self, params):
        """Give the coordinates of a setting, and it with scales that agree."""
        u, agree = [], True
        for names, (low, high) in zip(self.groups, self._ranges, strict=True):
            values = [params[name] for name in names]
            u.append(np.mean(np.log(values)) - np.log(low))
            u[-1] /= np.log(high / low)
            agree &= len(set(values)) == 1 and low <= values[0] <= high
        rest, _ = self.rest.start(params)
        u = np.clip([*u, *rest], 0.0, 1.0)
        return u, dict(params) if agree else self.params(u)

    def params(self, u):
        """Turn coordinates into values."""
        params = self.rest.params(u[len(self.groups) :])
        for names, value in zip(self.groups, self._values(u), strict=True):
            params |= dict.fromkeys(names, value)
        return {name: params[name] for name in self.dimensions}

    def gradient(self, u, slopes):
        """Turn slopes by values into slopes by coordinates."""
        k = len(self.groups)
        gradient = np.empty(len(u))
        for j, value in enumerate(self._values(u)):
            low, high = self._ranges[j]
            total = sum(slopes.get(name, 0.0) for name in self.groups[j])
            gradient[j] = total * value * np.log(high / low)
        gradient[k:] = self.rest.gradient(u[k:], slopes)
        return gradient

    def _values(self, u):
        for x, (low, high) in zip(u, self._ranges, strict=False):
            # Rounding must not leave the range.
            yield float(min(max(low * (high / low) ** x, low), high))


class Spread:
    """The term that shrinks: ``strength * unit * mean(v**2)``.

    Parameters
    ----------
    dimensions : dict of str to dimension
        The hyperparameters.
    groups : list of tuple of str
        Names of the scales.
    strength : float
        tau.
    unit : float
        Size of the loss with one common scale.
    """

    def __init__(self, dimensions, groups, strength, unit):
        self.strength = strength
        names = list(dimensions)
        self._dimensions = list(dimensions.values())
        self._groups = [[names.index(name) for name in group] for group in groups]
        self._weight = strength * unit / sum(map(len, groups))

    def __call__(self, u):
        """Give the value at a point, and the gradient, of shape (d,)."""
        value, gradient = 0.0, np.zeros(len(u))
        for group in self._groups:
            dimensions = [self._dimensions[j] for j in group]
            pairs = list(zip(dimensions, u[group], strict=True))
            v = 2 * np.log([dimension.from_unit(x) for dimension, x in pairs])
            v -= v.mean()
            value += self._weight * (v @ v)
            gradient[group] = 2 * self._weight * v * _log_rates(pairs)
        return value, gradient

    def hessian(self, u):
        """Give the second derivatives, of shape (d, d), but for bends of the axes."""
        hessian = np.zeros((len(u), len(u)))
        for group in self._groups:
            pairs = [(self._dimensions[j], u[j]) for j in group]
            centre = np.eye(len(group)) - 1 / len(group)
            rates = _log_rates(pairs)
            block = 2 * self._weight * centre * np.outer(rates, rates)
            hessian[np.ix_(group, group)] = block
        return hessian


def choose(left_out, tuned):
    """Choose the strongest shrinkage that is not clearly worse than the best.

    A split that is left out still has a part in the search: it trains the models that
    the others judge. Where a model is linear in the data, what scales owe to chance
    agreement of two splits shows half in the loss of a split left out, and half through
    that part. So the rise from tuned to left out is counted twice.

    Parameters
    ----------
    left_out, tuned : ndarray of shape (n_strengths, n_splits)
        Loss on each split, left out when the scales were searched, and when it was not,
        from one common scale to the weakest shrinkage so far.

    Returns
    -------
    int
        Which. One is worse if its losses are greater than those of the best by more
        than chance, by a one-sided paired t-test at 5 %.
    """
    failed = ~(np.isfinite(left_out) & np.isfinite(tuned))
    losses = 2 * np.where(failed, np.inf, left_out) - np.where(failed, 0.0, tuned)
    best = losses[losses.mean(axis=1).argmin()]
    return [_worse(row, best) for row in losses].index(False)


def _worse(losses, best):
    """Tell whether losses are greater than others by more than chance."""
    if not np.isfinite(losses).all():
        return bool(np.isfinite(best).all())
    rise, n = losses - best, len(best)
    error = rise.std(ddof=1) / n**0.5
    return bool(rise.mean() > student.ppf(1 - _LEVEL, n - 1) * error)


def _rate(dimension, x):
    """Differentiate a value by its coordinate."""
    low, high = max(x - _STEP, 0), min(x + _STEP, 1)
    return (dimension.from_unit(high) - dimension.from_unit(low)) / (high - low)


def _log_rates(pairs):
    """Differentiate ``log s**2`` by the coordinate of s."""
    return np.array([2 * _rate(d, x) / d.from_unit(x) for d, x in pairs])
