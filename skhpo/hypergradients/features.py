"""Transformers whose features are a formula of their hyperparameters.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
v                     scalar       a hyperparameter
Z                     (m, p)       the training samples that a Nystroem map rests on
B                     (n, m)       what the kernel of X and Z is a function of
K, A                  (n, m),      that kernel, and the one of Z and Z
                      (m, m)
q_i, a_i              (m,), scalar eigenvectors and eigenvalues of A
g(a)                  scalar       sign(a) / sqrt(max(abs(a), 1e-12))
N                     (m, m)       sum_i g(a_i) q_i q_i'
W, b                  (p, m), (m,) frequencies at gamma = 1/2, and offsets
phi                   (n, m)       K N, or sqrt(2 / m) cos(sqrt(2 gamma) X W + b)
====================  ===========  ====================================================

In ``d phi = dK N + K dN`` the latter is that of a function of a symmetric matrix,
``q_i' dN q_j = D_ij q_i' dA q_j`` with the divided differences
``D_ij = (g(a_i) - g(a_j)) / (a_i - a_j)`` [1]_. B does not change with v, nor does what
was drawn, so both are kept. A linear model needs ``d phi`` times a few vectors, which
takes n m steps in place of n m^2; so that of a Nystroem map is given as products.

References
----------
.. [1] N. J. Higham, "Functions of Matrices", 2008, theorem 3.11 (Daleckii and Krein).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from sklearn.kernel_approximation import Nystroem, RBFSampler

from skhpo.hypergradients.kernel import CONTINUOUS, base_of, by_parameter, of_base

_LEAST = 1e-12


@dataclass(frozen=True)
class Tangent:
    """Derivative of features by a hyperparameter, as a sum of products.

    Parameters
    ----------
    products : tuple of tuple of (ndarray, ndarray)
        Of shape (n, q) and (q, m).
    """

    products: tuple

    def __matmul__(self, V):
        return sum(A @ (B @ V) for A, B in self.products)


def multiplied_out(tangent):
    """Give the derivative of features as an array of shape (n, m)."""
    if isinstance(tangent, Tangent):
        return sum(A @ B for A, B in tangent.products)
    return tangent


class FeatureMap(ABC):
    """Features of both parts of a split, at any values of the hyperparameters.

    Parameters
    ----------
    transformer : estimator
        Fitted to X.
    X, X_new : {ndarray, sparse matrix} of shape (n, p) and (n_new, p)
        What it transforms.
    """

    @staticmethod
    @abstractmethod
    def names(transformer):
        """Tell which parameters it knows, as the transformer is set.

        Returns
        -------
        set of str
            Empty if it does not give the features of this transformer.
        """

    @abstractmethod
    def __init__(self, transformer, X, X_new):
        pass

    @abstractmethod
    def at(self, values):
        """Compute features, and how they change.

        Parameters
        ----------
        values : dict of str to float
            Of all that it knows, or of some; the others are as they were fitted.

        Returns
        -------
        features : tuple of ndarray of shape (n, m) and (n_new, m)
            Of X and X_new.
        tangents : dict of str to tuple of {ndarray, Tangent}
            Their derivatives with respect to each of the values.
        """

    @property
    @abstractmethod
    def n_bytes(self):
        """int : What it keeps."""


class NystroemMap(FeatureMap):
    """Nystroem features of a kernel that scikit-learn names."""

    @staticmethod
    def names(transformer):
        if not isinstance(transformer.kernel, str) or transformer.kernel_params:
            return set()
        if _is_single(transformer, "components_"):
            return set()
        return CONTINUOUS.get(transformer.kernel, set())

    def __init__(self, transformer, X, X_new):
        self._kernel = transformer.kernel
        Z = transformer.components_
        self._bases = [base_of(self._kernel, X, Z) for X in (X, X_new)]
        self._base = base_of(self._kernel, Z, Z)
        # As scikit-learn's kernels have them.
        self._params = {"gamma": 1 / X.shape[1], "coef0": 1, "degree": 3}
        for name in self._params:
            value = getattr(transformer, name)
            if value is not None:
                self._params[name] = value

    @property
    def n_bytes(self):
        return sum(base.nbytes for base in (*self._bases, self._base))

    def at(self, values):
        params = {**self._params, **values}
        Ks = [of_base(self._kernel, base, **params) for base in self._bases]
        A = of_base(self._kernel, self._base, **params)
        a, Q = np.linalg.eigh(A)
        g = np.where(a < 0, -1, 1) / np.sqrt(np.maximum(np.abs(a), _LEAST))
        N = (Q * g) @ Q.T
        D = _divided_differences(a, g)
        tangents = {}
        for name in values:
            dA = by_parameter(self._kernel, self._base, A, name, **params)
            dN = Q @ (D * (Q.T @ dA @ Q)) @ Q.T
            dKs = (
                by_parameter(self._kernel, base, K, name, **params)
                for base, K in zip(self._bases, Ks, strict=True)
            )
            tangents[name] = tuple(
                Tangent(((dK, N), (K, dN))) for dK, K in zip(dKs, Ks, strict=True)
            )
        return tuple(K @ N for K in Ks), tangents


def _is_single(transformer, name):
    """Tell whether it was fitted in single precision, with features as rough."""
    return getattr(getattr(transformer, name, None), "dtype", float) == np.float32


def _divided_differences(a, g):
    """Divide differences of g by those of a, also where these are small.

    Parameters
    ----------
    a, g : ndarray of shape (m,)
        Eigenvalues, and g of them.

    Returns
    -------
    D : ndarray of shape (m, m)
        Symmetric.
    """
    inside = np.abs(a) <= _LEAST
    mixed = (a[:, None] < 0) != (a < 0)
    apart = mixed | (inside[:, None] != inside)
    gap = np.where(apart, a[:, None] - a, 1.0)
    D = (g[:, None] - g) / gap
    # Of the same sign the difference of roots is taken out of the fraction.
    root = np.sqrt(np.maximum(np.abs(a), _LEAST))
    close = -1 / (root[:, None] * root * (root[:, None] + root))
    close[inside[:, None] & inside] = 0
    return np.where(apart, D, close)


class RBFSamplerMap(FeatureMap):
    """Random Fourier features of the Gaussian kernel."""

    @staticmethod
    def names(transformer):
        return set() if _is_single(transformer, "random_weights_") else {"gamma"}

    def __init__(self, transformer, X, X_new):
        W = transformer.random_weights_ / np.sqrt(2 * transformer.gamma)
        self._projections = [X @ W for X in (X, X_new)]
        self._offset = transformer.random_offset_
        self._gamma = transformer.gamma

    @property
    def n_bytes(self):
        return sum(each.nbytes for each in self._projections)

    def at(self, values):
        root = np.sqrt(2 * values.get("gamma", self._gamma))
        size = np.sqrt(2 / len(self._offset))
        angles = [root * XW + self._offset for XW in self._projections]
        tangents = {}
        if "gamma" in values:
            tangents["gamma"] = tuple(
                -size / root * XW * np.sin(angle)
                for XW, angle in zip(self._projections, angles, strict=True)
            )
        return tuple(size * np.cos(angle) for angle in angles), tangents


MAPS = {Nystroem: NystroemMap, RBFSampler: RBFSamplerMap}
