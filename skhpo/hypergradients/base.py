"""The derivative of a held-out loss, by one adjoint solve for all hyperparameters.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
theta                 (q,)         hyperparameters
X, X_new              (n, p),      features of the training and of the held-out part,
                      (n_new, p)   as the last step of a pipeline sees them
w                     (m,)         unknowns that a fit determines: coefficients, duals
F(w, theta, X)        (m,)         residual of their equations, zero at a fit
H = dF/dw             (m, m)       symmetric
f(w, theta, X, X_new) (n_new, k)   outputs on the held-out part
l(f)                  scalar       smooth held-out loss
u                     (m,)         adjoint: H u = - (df/dw)' l'(f)
====================  ===========  ====================================================

With w and u frozen, ``dl/dtheta`` is the partial derivative of the Lagrangian
``l(f(w, theta, X, X_new)) + u' F(w, theta, X)``. It is explicit, and smooth where the
active set does not change, so it is taken by central differences, unless the equations
have a formula for it: no fit is repeated, and a parameter of a transformer in front,
which moves X and X_new, is no different from one of the model [1]_. To first order
``l + u' F`` is also the loss at the exact solution, so what is left of F tells how
loose the fit was.

References
----------
.. [1] F. Pedregosa, "Hyperparameter optimization with approximate gradient", ICML 2016,
   for the adjoint; the frozen Lagrangian is its differentiation by parts.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

# Relative step of differences. What is differenced is smooth and has no solver's noise,
# so that a long step is accurate; the error is its square.
STEP = 1e-4
_MAX_NEWTON = 50
# Of the last step, relative to w.
_NEWTON_TOL = 1e-10
_NEWTON_TOL_ROUGH = 1e-9
# If it is this short, another one as exact as that is the last.
_NEARLY, _LAST = 1e-4, 1e-5
# What conjugate gradients leave of the right side of a Newton step, at most and least.
_ROUGH, _FINE = 0.1, 1e-3
# A step that can be left away where it does not lower F.
_SHORT = 1e-6
# So many times as long as the unknowns a step may be.
_FAR = 100.0
_CG_TOL = 1e-8
_MAX_CG = 1000
# A factor that needs more iterations than this is worth making anew.
_MANY_CG = 12


class Derivative(NamedTuple):
    """A smooth held-out loss, and how it changes with the hyperparameters.

    Parameters
    ----------
    loss : float
        Smaller is better.
    slopes : dict of str to float
        Derivative with respect to each hyperparameter, in its own unit; empty where
        none was needed.
    solution : bytes or None, default=None
        From which solves at other hyperparameters can begin, in double precision; as
        it was fitted where there are no slopes, else exact. A path gives that of the
        fit that it begins at, if there is only one.
    """

    loss: float
    slopes: dict
    solution: bytes | None = None


class Equations(ABC):
    """The equations that an estimator solves when it is fitted.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : {array-like, sparse matrix} of shape (n, p)
        What it was fitted to.
    y : array-like of shape (n,) or (n, n_targets)
        Its target.
    sample_weight : ndarray of shape (n,) or None
        Its weights.

    Attributes
    ----------
    kind : {"prediction", "log-odds", "decision"}
        What the outputs are: predictions of a regressor; the logits of
        ``predict_proba``; or decision values, to be calibrated first.
    w : ndarray of shape (m,)
        The unknowns as fitted.
    polished : bool, default=True
        Whether Newton steps lead from there to the solution that is meant; otherwise
        what is left of F is borne with.
    unique : bool, default=False
        Whether there is one solution at most, which is that of the fit, then, however
        loose it is.
    restore : callable or None, default=None
        ``restore(estimator, X, y, solution)`` writes what :meth:`solution` has given
        to an estimator that is not fitted, as far as the equations need it. None:
        every fit is differentiated where it is made.
    path : type or None, default=None
        How to go on from a fit, if not by Newton steps: made as
        :class:`~skhpo.hypergradients.path.Path` is.
    """

    restore = None
    path = None
    unique = False
    kind = "prediction"
    polished = True

    @classmethod
    def variant(cls, estimator):
        """Choose the equations that hold at an estimator's settings.

        Parameters
        ----------
        estimator : estimator
            Not fitted.

        Returns
        -------
        type
            This class, or another one where a setting makes the fit solve something
            else.
        """
        return cls

    @staticmethod
    @abstractmethod
    def names(estimator):
        """Tell which parameters can be differentiated.

        Parameters
        ----------
        estimator : estimator
            Not fitted; what it supports may depend on its settings.

        Returns
        -------
        set of str
            Names of parameters; empty if there are none at these settings.
        """

    @abstractmethod
    def residual(self, w, params, X):
        """Compute F, of shape (m,), at parameters and features of any value."""

    @abstractmethod
    def product(self, w, v):
        """Multiply H, at the estimator's own parameters, by a vector."""

    def solution(self, w):
        """Give what :meth:`begin` and ``restore`` need to go on from w elsewhere.

        Called once for each fit.

        Returns
        -------
        ndarray or None
            None if other parameters can only be reached by a fit.
        """
        return None

    @classmethod
    def begin(cls, estimator, X, y, sample_weight, solution):
        """Give the equations of an estimator that is not fitted, but solved elsewhere.

        Called where :meth:`solution` has given something; then the outputs depend on
        parameters by w alone.

        Parameters
        ----------
        estimator : estimator
            Not fitted; it may be written to.
        X, y, sample_weight : array-like
            What it would be fitted to.
        solution : ndarray
            As :meth:`solution` gave it, of the same fit elsewhere.

        Returns
        -------
        Equations or None
            With that solution as its ``w``; None if only a fit leads elsewhere.
        """
        return None

    def at(self, params, w):
        """Give the equations at other parameters.

        Called on what :meth:`begin` has made.

        Parameters
        ----------
        params : dict of str to object
            Parameters of the estimator.
        w : ndarray of shape (m,)
            A guess of the solution there, in the unknowns of these equations.

        Returns
        -------
        Equations or None
            With a ``w`` from which Newton steps lead to the solution; None if there is
            none to be found.
        """
        return None

    def by_parameter(self, w, params, name):
        """Differentiate F by a parameter that the outputs depend on by w alone.

        Returns
        -------
        ndarray of shape (m,) or None
            None if there is no formula; then it is differenced.
        """
        return None

    def widened(self, w):
        """Give unknowns as those of the equations that :meth:`begin` has made."""
        return w

    def refresh(self):
        """Forget what was kept of H for other parameters, as it has become another."""
        return

    def factor(self, w):
        """Give a callable that solves with H; :class:`Rough` if H is not quite that.

        None: by products alone.
        """
        return None

    @abstractmethod
    def outputs(self, w, params, X, X_new):
        """Compute the outputs, of shape (n_new, k)."""

    @abstractmethod
    def pullback(self, w, X_new, cotangent):
        """Turn derivatives by the outputs, (n_new, k), into those by w, (m,)."""

    def by_factors(self, w, u, params):
        """Differentiate the Lagrangian by the logarithm of a factor of each column.

        Called where F = 0 and ``u`` is the adjoint.

        Returns
        -------
        ndarray of shape (p,) or None
            None if there is no formula; then it is differenced.
        """
        return None

    def by_features(self, w, u, d_f, X, X_new):
        """Differentiate the Lagrangian by the features of both parts.

        Called where F = 0.

        Parameters
        ----------
        w, u : ndarray of shape (m,)
            The solution, and the adjoint.
        d_f : ndarray of shape (n_new, k)
            Derivative of the held-out loss by the outputs.
        X, X_new : {ndarray, sparse matrix} of shape (n, p) and (n_new, p)
            Features.

        Returns
        -------
        pairs : tuple of list of (ndarray, ndarray) or None
            For X the pairs, of shape (n, r) and (r, p), whose products add up to the
            derivative, and those for X_new. None if there is no formula; then it is
            differenced.
        """
        return None


class Explicit(Equations):
    """Outputs that are a formula of data and parameters, without unknowns.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X, y, sample_weight : array-like
        What it was fitted to.
    """

    def __init__(self, estimator, X, y, sample_weight):
        self.estimator = estimator
        self.y = y
        self.sample_weight = sample_weight
        self.w = np.empty(0)

    def residual(self, w, params, X):
        return np.empty(0)

    def product(self, w, v):
        return v

    def pullback(self, w, X_new, cotangent):
        return np.empty(0)


def packed(solution):
    """Write a solution to bytes, for :class:`Derivative`."""
    return np.asarray(solution, "<f8").tobytes()


def unpacked(solution):
    """Read what :func:`packed` has written."""
    return np.frombuffer(solution, "<f8").astype(float)


def difference(function, value, step=STEP):
    """Differentiate a function of one number, by a central difference.

    Parameters
    ----------
    function : callable
        Of a float; gives a float or an array.
    value : float
        Where.
    step : float, default=STEP
        Relative to the value.

    Returns
    -------
    slope : float or ndarray
        Of the shape that the function gives.
    """
    step *= abs(value) or 1.0
    return (function(value + step) - function(value - step)) / (2 * step)


class Rough:
    """Solves with a matrix like H, positive definite, to precondition with.

    Parameters
    ----------
    solve : callable
        Solves with that matrix.

    Attributes
    ----------
    outdated : bool
        Whether it has turned out to be rather unlike H.
    """

    def __init__(self, solve):
        self.solve = solve
        self.outdated = False


def solve(equations, w, rhs, factor, rtol=1e-6):
    """Solve ``H(w) x = rhs``, with a factor of H near w to start from, if there is one.

    Parameters
    ----------
    equations : Equations
        Gives products with H.
    w : ndarray of shape (m,)
        Where.
    rhs : ndarray of shape (m,)
        Right side.
    factor : callable, Rough or None
        As :meth:`Equations.factor` gives it.
    rtol : float, default=1e-6
        What may be left of the right side, relative to it, without a factor.

    Returns
    -------
    x : ndarray of shape (m,)
        The solution.
    """
    if factor is not None and not isinstance(factor, Rough):
        x = factor(rhs)
        for _ in range(5):
            left = rhs - equations.product(w, x)
            if np.linalg.norm(left) <= _CG_TOL * np.linalg.norm(rhs):
                break
            x += factor(left)
        return x
    return _conjugate_gradients(equations, w, rhs, factor, rtol)


def _conjugate_gradients(equations, w, rhs, rough, rtol):
    x, left = np.zeros_like(rhs), rhs.copy()
    goal = rtol * np.linalg.norm(rhs)
    direction, old = np.zeros_like(rhs), 1.0
    for n in range(_MAX_CG):
        if np.linalg.norm(left) <= goal:
            break
        if rough is not None and n == _MANY_CG:
            rough.outdated = True
        z = left if rough is None else rough.solve(left)
        new = left @ z
        direction = z + new / old * direction
        Hd = equations.product(w, direction)
        curvature = direction @ Hd
        if not curvature > 0:
            break  # to rounding H is singular in this direction
        length = new / curvature
        x += length * direction
        left -= length * Hd
        old = new
    return x


def polish(equations, params, X, tol=None):
    """Take damped Newton steps until the equations hold, where they are polished.

    Parameters
    ----------
    equations : Equations
        Start at their ``w``.
    params : dict of str to object
        Parameters of the estimator.
    X : {ndarray, sparse matrix} of shape (n, p)
        Features.
    tol : float, default=None
        Length of a step, relative to w, that is the last; None for one so short that
        it need not be taken.

    Returns
    -------
    w : ndarray of shape (m,)
        The solution.
    factor : callable, Rough or None
        Of H near it.
    converged : bool
        Whether the steps came to an end.
    """
    w = equations.w
    factor = equations.factor(w) if len(w) else None
    if not equations.polished or not len(w):
        return w, factor, True
    by_factor = factor is not None and not isinstance(factor, Rough)
    F = equations.residual(w, params, X)
    roughness = _ROUGH
    for _ in range(_MAX_NEWTON):
        if by_factor:
            step, goal = factor(F), _NEWTON_TOL
        else:
            # Rough steps are enough, as there are more to come.
            step = solve(equations, w, F, factor, roughness)
            goal = _NEWTON_TOL_ROUGH
        length, size = np.linalg.norm(step), np.linalg.norm(w)
        if tol is not None and length <= tol * size:
            return w - step, factor, True
        if length <= goal * size:
            return w, factor, True
        if not by_factor and length <= _NEARLY * size:
            return w - solve(equations, w, F, factor, _LAST), factor, True
        if not length <= _FAR * np.linalg.norm(equations.w):
            # H is all but singular: what lies there is no solution of this fit.
            break
        new, F_new, length = _shorten(equations, params, X, w, step, F)
        if new is None:
            # Where the step is short, F is only rounding by now.
            return w, factor, np.linalg.norm(step) <= _SHORT * np.linalg.norm(w)
        ratio = np.linalg.norm(F_new) / np.linalg.norm(F)
        w, F = new, F_new
        if by_factor and (length < 1 or ratio > 0.3):
            factor = equations.factor(w)
            by_factor = factor is not None
        elif isinstance(factor, Rough) and factor.outdated:
            equations.refresh()
            factor = equations.factor(w)
        roughness = min(_ROUGH, max(_FINE, ratio**2))
    return w, factor, False


def _shorten(equations, params, X, w, step, F):
    """Halve a step until it does not go far beyond the minimum along it."""
    length = 1.0
    while length > 1e-4:
        new = w - length * step
        F_new = equations.residual(new, params, X)
        if np.linalg.norm(F_new) < np.linalg.norm(F):
            return new, F_new, length
        # Where F is a gradient, this tells of progress that its norm does not show.
        if abs(step @ F_new) < 0.5 * abs(step @ F):
            return new, F_new, length
        length /= 2
    return None, F, length
