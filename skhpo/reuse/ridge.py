"""Ridge regression: all penalties share one matrix, and may share its decomposition.

The matrix is computed as scikit-learn does and each penalty added to a copy of it, so
that a solution has the same bits. A decomposition into eigenvectors serves all
penalties at once. Its solutions are close where the penalized matrix is well
conditioned; the others are solved for as before.

=========  ==========================================================================
``A``      X'X, or XX' if there are more features than samples, or the kernel matrix;
           of shape (n, n)
``b``      right-hand sides, of shape (n, n_targets)
``alpha``  a penalty: the solution is that of ``(A + alpha I) x = b``
=========  ==========================================================================
"""

from functools import cached_property
from numbers import Real

import numpy as np
import sklearn
from scipy import linalg
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data
from skhpo.reuse.centering import centered

# Up to this size a second copy of the matrix does no harm (200 MB).
_MAX_SIZE = 5000

# A decomposition takes as long as a dozen solutions.
_MIN_PENALTIES = 16

# The error of a solution is about the rounding of a float64 times the condition number;
# this leaves a factor of 45 to the tolerance.
_MAX_CONDITION = 1e4


class Shifted:
    """Solutions of one symmetric system for many penalties.

    Parameters
    ----------
    A : ndarray of shape (n, n)
        Positive semidefinite; it is not changed.
    b : ndarray of shape (n, n_targets)
        Right-hand sides.
    alphas : list of float
        Penalties that will be asked for.
    overwrite : bool
        As scikit-learn calls SciPy.
    """

    def __init__(self, A, b, alphas, *, overwrite):
        self.A = A
        self.b = b
        self.alphas = alphas
        self.overwrite = overwrite

    def solve(self, alpha):
        """Solve for one penalty, to the bits of scikit-learn.

        Returns
        -------
        x : ndarray of shape (n, n_targets) or None
            None if the matrix is singular.
        """
        A = self._penalized(alpha)
        try:
            return linalg.solve(A, self.b, assume_a="pos", overwrite_a=self.overwrite)
        except np.linalg.LinAlgError:
            return None

    def solve_closely(self, alpha):
        """Solve by the decomposition where that is accurate, or as :meth:`solve`."""
        if self._eigen is None:
            return self.solve(alpha)
        values, vectors, projected = self._eigen
        if values[-1] + alpha > _MAX_CONDITION * (values[0] + alpha):
            return self.solve(alpha)
        return vectors @ (projected / (values + alpha)[:, np.newaxis])

    def _penalized(self, alpha):
        A = self.A.copy()
        A.flat[:: len(A) + 1] += alpha
        return A

    @cached_property
    def _eigen(self):
        """tuple or None : Eigenvalues in ascending order, vectors, ``vectors.T @ b``.

        None if it would not pay: few penalties, or ill conditioned with most of them.
        """
        if self.A.dtype != np.float64 or len(self.alphas) < _MIN_PENALTIES:
            return None
        if _condition(self._penalized(np.median(self.alphas))) > _MAX_CONDITION:
            return None
        values, vectors = linalg.eigh(self.A)
        return values, vectors, vectors.T @ self.b


def _condition(A):
    """Estimate the condition number of a positive definite matrix."""
    norm = np.linalg.norm(A, 1)
    factor, failed = linalg.lapack.dpotrf(A, overwrite_a=True)
    if failed:
        return np.inf
    reciprocal, _ = linalg.lapack.dpocon(factor, norm)
    return 1 / reciprocal if reciprocal else np.inf


def _check_weights(weights, X):
    """Raise NotShared for what a fit of its own refuses, or makes sense of."""
    if weights.shape != X.shape[:1] or not np.isfinite(weights).all():
        raise NotShared
    if (weights < 0).any() or not weights.any():
        raise NotShared


class _Penalties(Family):
    """Penalties on the diagonal of one matrix.

    Attributes
    ----------
    leader_class : type
        Of what is fitted for all of them.
    """

    shared = ("alpha",)

    def key(self, estimator):
        alpha = estimator.alpha
        if not isinstance(alpha, Real) or isinstance(alpha, bool):
            raise NotShared  # one for each target
        return ()

    def leader(self, estimators):
        alphas = [each.alpha for each in estimators]
        return self.leader_class(clone(estimators[0]), alphas)


class _Leader:
    """What the fits of all penalties begin with.

    Parameters
    ----------
    estimator : estimator
        Gives the other parameters; it is changed.
    alphas : list of float
        Penalties of the candidates.

    Attributes
    ----------
    estimator : estimator
        Fitted, but for what depends on the penalty.
    """

    def __init__(self, estimator, alphas):
        self.estimator = estimator
        self.alphas = alphas


class RidgeLeader(_Leader):
    """The matrix of ridge regression, or its singular values.

    Attributes
    ----------
    offsets : tuple of (ndarray, ndarray, ndarray)
        Means of X and y, and scales, for the intercept.
    """

    def fit(self, X, y, sample_weight=None):
        """Centre and weight the data, as scikit-learn does."""
        X, y, weights = self._checked(X, y, sample_weight)
        estimator = self.estimator
        X, y, self.offsets = centered(X, y, estimator.fit_intercept, weights)
        if y.ndim == 1:
            y = y.reshape(-1, 1)
        if weights is not None:
            root = np.sqrt(weights)[:, np.newaxis]
            X, y = X * root, y * root
        solver = "svd" if estimator.solver == "svd" else "cholesky"
        estimator.solver_, estimator.n_iter_ = solver, None
        estimator.coef_ = estimator.intercept_ = None  # each view has its own
        self._X = X
        self._decomposed = self._system = None
        if solver == "svd":
            U, s, Vt = np.linalg.svd(X, full_matrices=False)
            self._decomposed = s, Vt, U.T @ y
        elif X.shape[1] > X.shape[0]:
            self._system = Shifted(X @ X.T, y, self.alphas, overwrite=False)
        else:
            self._system = Shifted(X.T @ X, X.T @ y, self.alphas, overwrite=True)
        return self

    def _checked(self, X, y, sample_weight):
        estimator, floats = self.estimator, [np.float64, np.float32]
        if hasattr(estimator, "_prepare_data"):  # a classifier
            X, _, weights, y = estimator._prepare_data(
                X, y, sample_weight, estimator.solver
            )
            X = X if X.dtype in floats else X.astype(np.float64)
            weights = weights.astype(X.dtype, copy=False)
        else:
            X, y = validate_data(
                estimator, X, y, dtype=floats, multi_output=True, y_numeric=True
            )
            weights = sample_weight
            if weights is not None:
                weights = np.asarray(weights, dtype=X.dtype)
        if weights is not None:
            _check_weights(weights, X)
        return X, y.astype(X.dtype), weights

    def coef(self, alpha, *, exact):
        """Give the coefficients for a penalty, or None if the matrix is singular.

        Parameters
        ----------
        alpha : float
            The penalty.
        exact : bool
            Whether with the bits of scikit-learn.

        Returns
        -------
        coef : ndarray of shape (n_features,) or (n_targets, n_features) or None
            Of the centred data.
        """
        if self._decomposed is not None:
            s, Vt, projected = self._decomposed
            used = s > 1e-15  # as scikit-learn has it
            factor = np.zeros((len(s), projected.shape[1]), dtype=s.dtype)
            penalties = np.full(projected.shape[1], alpha, dtype=s.dtype)
            factor[used] = s[used][:, None] / (s[used][:, None] ** 2 + penalties)
            coef = (Vt.T @ (factor * projected)).T
        else:
            system = self._system
            alpha = system.A.dtype.type(alpha)
            x = system.solve(alpha) if exact else system.solve_closely(alpha)
            if x is None:
                return None
            coef = x.T if system.overwrite else (self._X.T @ x).T
        return coef.ravel() if len(coef) == 1 else coef


class Ridge(_Penalties):
    """Penalties of ridge regression of dense data, by a direct solver."""

    leader_class = RidgeLeader

    def key(self, estimator):
        if estimator.solver not in ("auto", "cholesky", "svd") or estimator.positive:
            raise NotShared
        if sklearn.get_config().get("array_api_dispatch") or draws(estimator):
            raise NotShared
        return super().key(estimator)

    def alone(self, estimator, X):
        return issparse(X) or min(getattr(X, "shape", (0,))) > _MAX_SIZE

    def view(self, leader, estimator):
        coef = leader.coef(estimator.alpha, exact=self.exact)
        if coef is None:
            return None
        view = copy_of(leader.estimator, estimator, coef_=coef)
        view._set_intercept(*leader.offsets)
        return view

    def examples(self, cls):
        X, y = tiny_data(cls)
        X = X + 3.0
        alphas = [*np.geomspace(0.01, 10, 2 if self.exact else _MIN_PENALTIES)]
        others = ({"fit_intercept": False}, {"solver": "svd"}) if self.exact else ()
        for part in (slice(None), slice(3)):  # and with fewer samples than features
            for params in ({}, *others):
                yield X[part], y[part], [cls(alpha, **params) for alpha in alphas]


class CloseRidge(Ridge):
    """The same by one decomposition, where that is accurate."""

    exact = False


class KernelLeader(_Leader):
    """The kernel matrix of kernel ridge regression."""

    def fit(self, X, y, sample_weight=None):
        """Compute the kernel matrix."""
        estimator = self.estimator
        X, y = validate_data(
            estimator,
            X,
            y,
            accept_sparse=("csr", "csc"),
            multi_output=True,
            y_numeric=True,
        )
        K = estimator._get_kernel(X)
        if estimator.kernel == "precomputed":
            K = K.copy()
        self._is_flat = y.ndim == 1
        y = y.reshape(-1, 1) if self._is_flat else y
        self._root = None
        if sample_weight is not None:
            weights = np.asarray(sample_weight)
            if weights.dtype not in (np.float64, np.float32):
                weights = weights.astype(np.float64)
            _check_weights(weights, X)
            self._root = np.sqrt(weights)
            y = y * self._root[:, np.newaxis]
            K *= np.outer(self._root, self._root)
        estimator.X_fit_ = X
        estimator.dual_coef_ = None  # each view has its own
        self._system = Shifted(K, y, self.alphas, overwrite=False)
        return self

    def dual_coef(self, alpha, *, exact):
        """Give the coefficients for a penalty, or None if the matrix is singular.

        Parameters
        ----------
        alpha : float
            The penalty.
        exact : bool
            Whether with the bits of scikit-learn.

        Returns
        -------
        dual_coef : ndarray of shape (n_samples,) or (n_samples, n_targets) or None
            Weights of the training samples.
        """
        system, alpha = self._system, np.atleast_1d(alpha)[0]
        x = system.solve(alpha) if exact else system.solve_closely(alpha)
        if x is None:
            return None
        if self._root is not None:
            x *= self._root[:, np.newaxis]
        return x.ravel() if self._is_flat else x


class KernelRidge(_Penalties):
    """Penalties of kernel ridge regression: one kernel matrix."""

    leader_class = KernelLeader

    def alone(self, estimator, X):
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        return n_samples > _MAX_SIZE

    def view(self, leader, estimator):
        dual_coef = leader.dual_coef(estimator.alpha, exact=self.exact)
        if dual_coef is None:
            return None
        return copy_of(leader.estimator, estimator, dual_coef_=dual_coef)

    def examples(self, cls):
        X, y = tiny_data(cls)
        n = 2 if self.exact else _MIN_PENALTIES
        for kernel, alphas in (
            ("linear", np.geomspace(1.0, 30, n)),
            ("rbf", np.geomspace(0.1, 5, n)),
        ):
            yield X, y, [cls(alpha, kernel=kernel) for alpha in alphas]


class CloseKernelRidge(KernelRidge):
    """The same by one decomposition, where that is accurate."""

    exact = False
