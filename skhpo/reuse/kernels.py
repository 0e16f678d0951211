"""Support vector machines: parameters that the kernel does not use, and one kernel.

libsvm computes the kernel anew in each fit. Given as a matrix, it is the same for all
penalties. What libsvm then does is the same, too, as long as the matrix is the same in
single precision, in which it is kept, and its diagonal in double precision. A product
of matrices sums in another order than libsvm, so entries that may be rounded to either
of two numbers are computed again, as libsvm would.
"""

import math

import numpy as np
from scipy.linalg.blas import ddot
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from skhpo.reuse.base import Family, NotShared, copy_of, draws

_OF_KERNEL = ("gamma", "degree", "coef0")
_UNUSED = {
    "linear": ("gamma", "degree", "coef0"),
    "rbf": ("degree", "coef0"),
    "sigmoid": ("degree",),
    "precomputed": ("gamma", "degree", "coef0"),
}

# Up to this many samples the matrix takes 50 MB.
_MAX_SAMPLES = 2500

# Share of the entries above which it does not pay to compute them again.
_MAX_DOUBTFUL = 0.01


class SupportVectors(Family):
    """Any candidate answers for all that differ in unused parameters only."""

    shared = _OF_KERNEL

    def key(self, estimator):
        unused = _UNUSED.get(estimator.kernel)
        if unused is None or draws(estimator, nested=False):
            raise NotShared
        # The others are used, and have to be equal.
        used = (name for name in _OF_KERNEL if name not in unused)
        return tuple((name, repr(getattr(estimator, name))) for name in used)

    def size(self, estimator):
        return 0

    def view(self, leader, estimator):
        return copy_of(leader, estimator)

    def examples(self, cls):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(30, 3))
        y = (X[:, 0] + rng.normal(size=30) > 0).astype(int)
        for kernel, name, values in (
            ("linear", "gamma", (0.1, "scale", 2.0)),
            ("rbf", "degree", (2, 5)),
            ("sigmoid", "degree", (3, 1)),
        ):
            yield X, y, [cls(kernel=kernel, **{name: value}) for value in values]


class SharedKernel(SupportVectors):
    """The same, and penalties share the matrix of a Gaussian kernel."""

    shared = (*_OF_KERNEL, "C", "epsilon", "nu")
    exact = False

    def key(self, estimator):
        if estimator.kernel == "rbf":
            return super().key(estimator)
        used = [getattr(estimator, name, None) for name in ("C", "epsilon", "nu")]
        return (*super().key(estimator), *map(repr, used))

    def alone(self, estimator, X):
        n_samples = X.shape[0] if hasattr(X, "shape") else len(X)
        return estimator.kernel != "rbf" or issparse(X) or n_samples > _MAX_SAMPLES

    def leader(self, estimators):
        return KernelMatrix(clone(estimators[0]))

    def view(self, leader, estimator):
        if leader.matrix is None:
            return None
        shadow = clone(estimator).set_params(kernel="precomputed")
        shadow.fit(leader.matrix, leader.y, **leader.params)
        return copy_of(
            shadow,
            estimator,
            **leader.attributes,
            support_vectors_=leader.X[shadow.support_],
        )

    def examples(self, cls):
        for X, y, _ in super().examples(cls):
            if "C" in cls().get_params():
                yield X, y, [cls(C=C) for C in (0.1, 1.0, 30.0)]
            else:
                yield X, y, [cls(nu=nu) for nu in (0.2, 0.5)]


class KernelMatrix:
    """The kernel of the training data, rounded as libsvm rounds it.

    Parameters
    ----------
    estimator : estimator
        A support vector machine with the parameters of the kernel; it is changed.

    Attributes
    ----------
    matrix : ndarray of shape (n_samples, n_samples) or None
        None if it would not pay.
    attributes : dict of str to object
        Fitted attributes that have to do with the data.
    X, y, params : object
        What an estimator is fitted to.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y=None, **params):
        """Compute it."""
        estimator = self.estimator
        if y is None:
            X = validate_data(estimator, X, dtype=np.float64, order="C")
        else:
            X, _ = validate_data(estimator, X, y, dtype=np.float64, order="C")
        self.X, self.y, self.params = X, y, params
        gamma = estimator.gamma
        if gamma == "scale":
            variance = X.var()
            gamma = 1.0 / (X.shape[1] * variance) if variance != 0 else 1.0
        elif gamma == "auto":
            gamma = 1.0 / X.shape[1]
        own = ("n_features_in_", "feature_names_in_")
        self.attributes = {
            name: value for name, value in vars(estimator).items() if name in own
        }
        self.attributes.update(_gamma=gamma, shape_fit_=X.shape)
        # Indices of support vectors mean something else if samples are left out.
        weights = np.asarray(params.get("sample_weight", 1.0))
        self.matrix = None if np.any(weights == 0) else gaussian_kernel(X, gamma)
        return self


def gaussian_kernel(X, gamma):
    """Compute a Gaussian kernel that single precision rounds as that of libsvm.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Data, in rows.
    gamma : float
        Inverse of the squared width.

    Returns
    -------
    matrix : ndarray of shape (n_samples, n_samples) or None
        In double precision. None if there are too many entries of which it is not
        known, from the products of matrices, how they are rounded.
    """
    squares = np.array([ddot(row, row) for row in X])
    norms = np.sqrt(squares)
    # Twice the most by which a sum of products may be off, whatever its order.
    eps = np.finfo(np.float64).eps
    doubt = 2 * (X.shape[1] + 2) * eps * np.outer(norms, norms)
    distances = np.add.outer(squares, squares)
    doubt = gamma * (2 * doubt + 4 * eps * distances) + 4 * eps
    distances -= 2 * (X @ X.T)
    matrix = np.exp(-gamma * distances)
    doubt *= matrix
    with np.errstate(over="ignore", under="ignore"):
        single = (matrix - doubt).astype(np.float32)
        doubtful = single != (matrix + doubt).astype(np.float32)
    np.fill_diagonal(doubtful, False)
    if np.count_nonzero(doubtful) > _MAX_DOUBTFUL * doubtful.size:
        return None
    for i, j in zip(*np.nonzero(doubtful), strict=True):
        distance = squares[i] + squares[j] - 2 * ddot(X[i], X[j])
        matrix[i, j] = math.exp(-gamma * distance)
    np.fill_diagonal(matrix, 1.0)
    return matrix
