"""Data without their means, as scikit-learn's linear models take them away."""

import numpy as np


def centered(X, y, fit_intercept, weights=None):
    """Subtract means, to the bits of scikit-learn.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Dense, of floats.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Of the same type.
    fit_intercept : bool
        Whether anything is subtracted.
    weights : ndarray of shape (n_samples,), default=None
        Of the same type.

    Returns
    -------
    X, y : ndarray
        Without their means.
    offsets : tuple of (ndarray, ndarray, ndarray)
        Means of X and y, and scales, as ``_set_intercept`` takes them.
    """
    if fit_intercept:
        X_mean = np.average(X, axis=0, weights=weights).astype(X.dtype, copy=False)
        y_mean = np.average(y, axis=0, weights=weights)
        X, y = X - X_mean, y - y_mean
    else:
        X_mean = np.zeros(X.shape[1], dtype=X.dtype)
        y_mean = np.zeros(y.shape[1:], dtype=X.dtype)
    return X, y, (X_mean, y_mean, np.ones(X.shape[1], dtype=X.dtype))
