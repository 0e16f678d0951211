"""Losses and slopes at other hyperparameters, by solves of our own instead of fits.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
v                     scalar       a hyperparameter
w                     (m,)         the solution of the equations F(w, v) = 0
t                     (m,)         dw/dv, the tangent: H t = - dF/dv
d_f                   (n_new, k)   derivative of the held-out loss by the outputs
u                     (m,)         the adjoint: H u = - (df/dw)' d_f
====================  ===========  ====================================================

A path begins at a fit. The solution at another place is guessed by the tangents of
those that are known, and mended by Newton steps, with a factor of H from elsewhere to
precondition conjugate gradients; a lasso's by coordinate descent. The tangent is also
the slope: ``dl/dv = d_f' (df/dw) t``. So that it is the same wherever fits are made, it
takes from them the solution that it begins at, and nothing else. If it is first asked
for a place far away, that of another split there may be nearer. Where features move as
well, each solution begins at the one before, and slopes are those of the Lagrangian of
:mod:`skhpo.hypergradients.base`.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import NamedTuple

import numpy as np

from skhpo._sklearn import InvalidParameterError
from skhpo.hypergradients.base import (
    STEP,
    Derivative,
    Rough,
    difference,
    packed,
    polish,
    solve,
)
from skhpo.hypergradients.features import multiplied_out

# Of the last Newton step, relative to w; what is left is a small part of it.
_TOL = 1e-4
_TANGENT_TOL = 1e-4
# A guess goes no further, in powers of e.
_FAR = 1.5
# Steps in which a place is gone to where one step is too long.
_DETOURS = 2, 4, 8


def lagrangian_of(equations, w, u, d_f):
    """Give the Lagrangian, with the solution and the adjoint frozen.

    Parameters
    ----------
    equations : Equations
        Of the fit.
    w, u : ndarray of shape (m,)
        Their solution, and the adjoint there.
    d_f : ndarray of shape (n_new, k)
        Derivative of the held-out loss by the outputs.

    Returns
    -------
    callable
        A function of the estimator's parameters, X and X_new.
    """

    def lagrangian(params, X, X_new):
        f = equations.outputs(w, params, X, X_new)
        return np.vdot(d_f, f) + u @ equations.residual(w, params, X)

    return lagrangian


def by_tangent(equations, w, u, d_f, params, X, tangent, scale):
    """Differentiate the Lagrangian along a change of features.

    Parameters
    ----------
    equations, w, u, d_f
        As :func:`lagrangian_of` takes them.
    params : dict of str to object
        Parameters of the estimator.
    X : tuple of {ndarray, sparse matrix}
        The features of both parts.
    tangent : tuple of {ndarray, Tangent}
        Their derivatives by a hyperparameter.
    scale : float
        Size of the hyperparameter.

    Returns
    -------
    slope : float
        By the formula of the equations, else by a central difference.
    """
    pairs = equations.by_features(w, u, d_f, *X)
    if pairs is None:
        lagrangian = partial(lagrangian_of(equations, w, u, d_f), params)
        return along(lagrangian, X, tuple(map(multiplied_out, tangent)), scale)
    return float(
        sum(
            np.vdot(A, change @ B.T)
            for of_part, change in zip(pairs, tangent, strict=True)
            for A, B in of_part
        )
    )


def along(function, X, tangent, scale):
    """Differentiate a function of features along a change of them.

    Parameters
    ----------
    function : callable
        Of the features of both parts.
    X, tangent : tuple of {ndarray, sparse matrix}
        The features, and their derivatives by a hyperparameter.
    scale : float
        Size of the hyperparameter.

    Returns
    -------
    slope : float
        By a central difference.
    """
    step = STEP * (abs(scale) or 1.0)
    ends = [
        function(*(part + h * t for part, t in zip(X, tangent, strict=True)))
        for h in (step, -step)
    ]
    return float(ends[0] - ends[1]) / (2 * step)


class _Known(NamedTuple):
    """What a path has found at a place.

    Parameters
    ----------
    values : tuple of float
        Of the hyperparameters.
    place : ndarray of shape (d,)
        Their logarithms.
    w : ndarray of shape (m,)
        The solution.
    tangents : list of ndarray of shape (m,), default=()
        Its derivatives by the logarithms; none of the fit that the path begins at.
    derivative : Derivative, default=None
        What it told.
    """

    values: tuple
    place: np.ndarray
    w: np.ndarray
    tangents: list = ()
    derivative: Derivative = None


class Solutions(ABC):
    """Solutions on one split, as hyperparameters move."""

    n_bytes = 0  # what is kept, beside what it was given
    costly = False  # whether a solution may cost nearly as much as a fit
    guide = None  # solutions on another split, to begin near

    def at(self, values):
        """Solve at other values of the hyperparameters.

        Parameters
        ----------
        values : dict of str to float
            One for each name.

        Returns
        -------
        Derivative or None
            None if there is no solution to be found.
        """
        try:
            with np.errstate(all="ignore"):
                return self._at(values)
        except (ArithmeticError, np.linalg.LinAlgError, InvalidParameterError):
            return None

    @abstractmethod
    def _at(self, values):
        """Solve there; an error of the numbers means that there is no solution."""


class Path(Solutions):
    """Solutions of one set of equations, on one split, as a hyperparameter moves.

    Parameters
    ----------
    equations : Equations
        As :meth:`Equations.begin` makes them.
    params : dict of str to object
        Parameters of the estimator there.
    names : list of str
        Those of them that move.
    X, X_new : {ndarray, sparse matrix} of shape (n, p) and (n_new, p)
        Features of the training and of the held-out part.
    held_out : callable
        ``held_out(f)`` gives the loss of outputs, and its derivative by them.
    """

    def __init__(self, equations, params, names, X, X_new, held_out):
        self._equations = equations
        self._params = params
        self._names = names
        self._X, self._X_new = X, X_new
        self._held_out = held_out
        values = self._values(params)
        self._fit = _Known(values, self._place(values), equations.w)
        self._known = []

    def _at(self, values):
        params = {**self._params, **values}
        values = self._values(params)
        for known in self._known:
            if known.values == values:
                return known.derivative
        place, at_fit = self._place(values), values == self._fit.values
        guess = self._fit.w if at_fit else self._guess(place)
        equations = self._equations.at(params, guess)
        if equations is None:
            return None
        # At the fit it is exact, however loose that is.
        tol = None if at_fit else _TOL
        w, factor, converged = polish(equations, params, self._X, tol)
        if not (converged and np.isfinite(w).all()):
            return None
        loss, d_f = self._held_out(equations.outputs(w, params, self._X, self._X_new))
        if not (np.isfinite(loss) and np.isfinite(d_f).all()):
            return None
        pulled = equations.pullback(w, self._X_new, d_f)
        slopes, tangents = {}, []
        for name in self._names:
            scale = abs(float(params[name])) or 1.0
            moved = equations.by_parameter(w, params, name)
            if moved is None:
                moved = _difference(equations, w, params, name, self._X)
            t = -solve(equations, w, moved, factor, _TANGENT_TOL)
            slopes[name] = float(pulled @ t)
            tangents.append(equations.widened(scale * t))
        w = equations.widened(w)
        if isinstance(factor, Rough) and factor.outdated:
            equations.refresh()
        of_fit = packed(w) if at_fit and equations.unique else None
        derivative = Derivative(float(loss), slopes, of_fit)
        self._known.append(_Known(values, place, w, tangents, derivative))
        return derivative

    def _values(self, params):
        return tuple(float(params[name]) for name in self._names)

    @staticmethod
    def _place(values):
        """Give coordinates in which values are as far apart as their logarithms."""
        return np.log(np.maximum(values, 1e-12))

    def _guess(self, place):
        """Guess a solution from the nearest ones, at first also on another split."""
        known = [*self._known, self._fit]
        if not self._known and isinstance(self.guide, Path):
            shape = self._fit.w.shape
            known += [item for item in self.guide._known if item.w.shape == shape]
        known.sort(key=lambda item: np.abs(item.place - place).sum())
        near = known[0]
        if not near.tangents:
            return near.w
        move = np.clip(place - near.place, -_FAR, _FAR)
        if len(place) == 1:
            for other in known[1:]:
                opposite = (other.place[0] - place[0]) * (near.place[0] - place[0]) < 0
                if opposite and other.tangents:
                    ends = [(k.place[0], k.w, k.tangents[0]) for k in (near, other)]
                    return _between(*ends, place[0])
        moves = zip(move, near.tangents, strict=True)
        return near.w + sum(dx * t for dx, t in moves)


class MapPath(Solutions):
    """Solutions on one split, as hyperparameters of a feature map move too.

    Each begins at the one before, but that of the fit at the fit. Slopes are those of
    the frozen Lagrangian.

    Parameters
    ----------
    feature_map : FeatureMap
        Gives the features of both parts.
    mapped : dict of str to str
        What moves of it, and its own names of them.
    begin : callable
        ``begin(X)`` gives the equations on the features of the training part.
    w : ndarray of shape (m,)
        Where their solution is looked for first.
    params : dict of str to object
        Parameters of the estimator.
    own : dict of str to str
        What moves of the estimator, and its own names of them.
    current : dict of str to float
        Values of all that moves, for those that are not given.
    held_out : callable
        ``held_out(f)`` gives the loss of outputs, and its derivative by them.
    """

    def __init__(self, feature_map, mapped, begin, w, params, own, current, held_out):
        self._map = feature_map
        self._mapped = mapped
        self._begin = begin
        self._fit = self._w = w
        self._params = params
        self._own = own
        self._current = current
        self._held_out = held_out
        self._place = current

    @property
    def n_bytes(self):
        return self._map.n_bytes

    def at(self, values):
        values = {**self._current, **values}
        found = super().at(values)
        for n_steps in _DETOURS:
            before = self._place
            if found is not None or before == values:
                break
            # The solution is too far from the one before; others lie between.
            for k in range(1, n_steps):
                super().at(on_the_way(before, values, k / n_steps))
            found = super().at(values)
        return found

    def _at(self, values):
        at = {own: values[name] for name, own in self._mapped.items()}
        features, tangents = self._map.at(at)
        moved = {own: values[name] for name, own in self._own.items()}
        params = {**self._params, **moved}
        equations = self._begin(features[0])
        at_fit = values == self._current
        guess = self._fit if at_fit else self._w
        equations = equations and equations.at(params, guess)
        if equations is None:
            return None
        tol = None if at_fit else _TOL
        w, factor, converged = polish(equations, params, features[0], tol)
        if not (converged and np.isfinite(w).all()):
            return None
        loss, d_f = self._held_out(equations.outputs(w, params, *features))
        if not (np.isfinite(loss) and np.isfinite(d_f).all()):
            return None
        self._w, self._place = equations.widened(w), values
        u = -equations.pullback(w, features[1], d_f)
        u = solve(equations, w, u, factor)
        slopes = {}
        for name, own in self._own.items():
            by_w = equations.by_parameter(w, params, own)
            if by_w is None:
                by_w = _difference(equations, w, params, own, features[0])
            slopes[name] = float(u @ by_w)
        for name, own in self._mapped.items():
            at = equations, w, u, d_f, params, features
            slopes[name] = by_tangent(*at, tangents[own], values[name])
        of_fit = packed(self._w) if at_fit and equations.unique else None
        return Derivative(float(loss), slopes, of_fit)


def on_the_way(before, values, share):
    """Give values between others, in their logarithms where they have some."""
    between = {}
    for name, end in values.items():
        start = before[name]
        if start > 0 and end > 0:
            between[name] = start * (end / start) ** share
        else:
            between[name] = start + share * (end - start)
    return between


def _difference(equations, w, params, name, X):
    """Differentiate F by a parameter."""

    def residual(value):
        return equations.residual(w, {**params, name: value}, X)

    return difference(residual, float(params[name]))


def _between(a, b, x):
    """Evaluate the Hermite cubic between two points with values and slopes."""
    width = b[0] - a[0]
    s = (x - a[0]) / width
    rise = b[1] - a[1]
    return (
        a[1]
        + s * s * (3 - 2 * s) * rise
        + s * (1 - s) * width * ((1 - s) * a[2] - s * b[2])
    )
