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
active set does not change, so it is taken by central differences: no fit is repeated,
and a parameter of a transformer in front, which moves X and X_new, is no different from
one of the model [1]_. To first order ``l + u' F`` is also the loss at the exact
solution, so what is left of F tells how loose the fit was.

References
----------
.. [1] F. Pedregosa, "Hyperparameter optimization with approximate gradient", ICML 2016,
   for the adjoint; the frozen Lagrangian is its differentiation by parts.
"""

from abc import ABC, abstractmethod
from inspect import signature
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

# The name of the relative tolerance changed with SciPy 1.12.
_RTOL = "rtol" if "rtol" in signature(cg).parameters else "tol"
_MAX_NEWTON = 50
# Of the last step, relative to w.
_NEWTON_TOL = 1e-10
_NEWTON_TOL_ROUGH = 1e-9
_ROUGH = 0.1
# So many times as long as the unknowns a step may be.
_FAR = 100.0
_CG_TOL = 1e-8
_MAX_CG = 1000


class Derivative(NamedTuple):
    """A smooth held-out loss, and how it changes with the hyperparameters.

    Parameters
    ----------
    loss : float
        Smaller is better.
    slopes : dict of str to float
        Derivative with respect to each hyperparameter, in its own unit.
    curve : tuple of (float, float, float), default=()
        Other values of the only hyperparameter, with loss and slope there, where they
        come nearly for free.
    """

    loss: float
    slopes: dict
    curve: tuple = ()


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
    """

    kind = "prediction"
    polished = True

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

    def at(self, params):
        """Give the equations at other parameters, if that costs next to nothing.

        Parameters
        ----------
        params : dict of str to object
            Parameters of the estimator.

        Returns
        -------
        Equations or None
            None if it would cost about a fit.
        """
        return None

    def factor(self, w):
        """Give a callable that solves with H, at least roughly; None: by products."""
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


def solve(equations, w, rhs, factor, rtol=1e-7):
    """Solve ``H(w) x = rhs``, with a factor of H near w to start from, if there is one.

    Parameters
    ----------
    equations : Equations
        Gives products with H.
    w : ndarray of shape (m,)
        Where.
    rhs : ndarray of shape (m,)
        Right side.
    factor : callable or None
        As :meth:`Equations.factor` gives it.
    rtol : float, default=1e-7
        What may be left of the right side, relative to it, without a factor.

    Returns
    -------
    x : ndarray of shape (m,)
        The solution.
    """
    if factor is not None:
        x = factor(rhs)
        for _ in range(5):
            left = rhs - equations.product(w, x)
            if np.linalg.norm(left) <= _CG_TOL * np.linalg.norm(rhs):
                break
            x += factor(left)
        return x
    H = LinearOperator(2 * (len(w),), matvec=lambda v: equations.product(w, v))
    x, _ = cg(H, rhs, maxiter=_MAX_CG, atol=0.0, **{_RTOL: rtol})
    return x


def polish(equations, params, X):
    """Take damped Newton steps until the equations hold, where they are polished.

    Parameters
    ----------
    equations : Equations
        Start at their ``w``.
    params : dict of str to object
        Parameters of the estimator.
    X : {ndarray, sparse matrix} of shape (n, p)
        Features.

    Returns
    -------
    w : ndarray of shape (m,)
        The solution.
    factor : callable or None
        Of H near it.
    """
    w = equations.w
    factor = equations.factor(w) if len(w) else None
    if not equations.polished:
        return w, factor
    F = equations.residual(w, params, X)
    for _ in range(_MAX_NEWTON if len(w) else 0):
        if factor is not None:
            step, goal = factor(F), _NEWTON_TOL
        else:
            # Rough steps are enough, as there are more to come.
            step, goal = solve(equations, w, F, None, _ROUGH), _NEWTON_TOL_ROUGH
        length = np.linalg.norm(step)
        if length <= goal * np.linalg.norm(w):
            break
        if not length <= _FAR * np.linalg.norm(equations.w):
            # H is all but singular: what lies there is no solution of this fit.
            break
        new, F_new, length = _shorten(equations, params, X, w, step, F)
        if new is None:
            break
        slow = length < 1 or np.linalg.norm(F_new) > 0.3 * np.linalg.norm(F)
        w, F = new, F_new
        if slow and factor is not None:
            factor = equations.factor(w)
    return w, factor


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
