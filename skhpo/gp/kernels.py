"""The Matern-5/2 kernel of one weighted distance, and its derivatives.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
Z, Z2                 (n, p)       features: numbers, and categories as scaled one-hots
groups                (p,)         dimension that each feature belongs to, in [0, d)
t                     (d,)         weight of each dimension: 1 / length-scale^2
s                     (n, n2)      weighted squared distance, sum_j t[groups_j] (z_j -
                                   z2_j)^2
a                     (n, n2)      sqrt(5 s)
k(s)                  (n, n2)      (1 + a + a^2 / 3) exp(-a)
k'(s)                 (n, n2)      -5/6 (1 + a) exp(-a), finite at s = 0
====================  ===========  ====================================================

The kernel is equation (4.17) of Rasmussen and Williams [1]_ with nu = 5/2. Everything
is a squared Euclidean distance, so sums over features are matrix products and no array
of shape (n, n, d) is made.

References
----------
.. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine
   Learning", MIT Press, 2006.
"""

import numpy as np


def squared_distances(Z, Z2, t):
    """Compute the weighted squared distances.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        Features.
    Z2 : ndarray of shape (n2, p)
        Features.
    t : ndarray of shape (p,)
        Weight of each feature.

    Returns
    -------
    s : ndarray of shape (n, n2)
        Not negative.
    """
    tZ2 = t * Z2
    s = Z @ (-2 * tZ2).T
    s += np.einsum("ij,ij,j->i", Z, Z, t)[:, None]
    s += np.einsum("ij,ij->i", Z2, tZ2)
    # Where points meet, rounding leaves a little on either side of zero.
    return np.maximum(s, 0, out=s)


def matern52(s, slope=False):
    """Compute the kernel, and its derivative with respect to the squared distance.

    Parameters
    ----------
    s : ndarray
        Squared distances.
    slope : bool, default=False
        Whether the derivative is wanted as well.

    Returns
    -------
    k : ndarray of the shape of s
        Kernel, in (0, 1].
    dk : ndarray of the shape of s
        Only if `slope`: ``dk / ds``.
    """
    a = np.sqrt(5 * s)
    e = np.exp(-a)
    a += 1  # 1 + a
    k = e * (a + (5 / 3) * s)
    if not slope:
        return k
    e *= a
    e *= -5 / 6
    return k, e


def weight_gradient(C, Z, groups, n_groups):
    """Sum ``C_jk (z_ji - z_ki)^2`` over pairs and over the features of a dimension.

    Parameters
    ----------
    C : ndarray of shape (n, n)
        Symmetric.
    Z : ndarray of shape (n, p)
        Features.
    groups : ndarray of shape (p,)
        Dimension of each feature.
    n_groups : int
        Number of dimensions.

    Returns
    -------
    gradient : ndarray of shape (n_groups,)
        The derivative with respect to ``t`` of a function whose derivative with
        respect to the squared distances is `C`.
    """
    # Centred features keep the difference of the two sums accurate.
    Z = Z - Z.mean(axis=0)
    per_feature = 2 * (C.sum(axis=0) @ Z**2 - np.einsum("ij,ij->j", Z, C @ Z))
    return np.bincount(groups, per_feature, minlength=n_groups)


def point_gradient(C, Z, Z2, t):
    """Sum ``C_jk d s_jk / d z_j`` over k.

    Parameters
    ----------
    C : ndarray of shape (n, n2)
        Any factors.
    Z : ndarray of shape (n, p)
        Features that move.
    Z2 : ndarray of shape (n2, p)
        Features that stay.
    t : ndarray of shape (p,)
        Weight of each feature.

    Returns
    -------
    gradient : ndarray of shape (n, p)
        Derivative with respect to `Z`.
    """
    return 2 * t * (C.sum(axis=1)[:, None] * Z - C @ Z2)
