r"""Give up what is worse than the incumbent by a paired test.

The incumbent was scored on the same splits, so what makes a split hard or easy cancels
in the differences [1]_. Candidates that are dropped when a test on the splits so far
tells them from the best are what a race is since [2]_; [3]_ does so within
cross-validation.

========  =========  ============================================================
symbol    shape      meaning
========  =========  ============================================================
k, n      int        number of splits done, and of all splits
x         (k,)       scores of the candidate on the splits done
b         (n,)       scores of the incumbent, the highest mean among the finished
d         (k,)       differences, d = x - b on the splits done
s         float      standard deviation of d, with k - 1 in the denominator
v         (m,)       variances of the differences between each other finished
                     candidate and b, with n - 1 in the denominator; those that
                     are zero are left out
s0, d0    float      a usual standard deviation of differences, and of how many
                     degrees of freedom it is worth
F         function   distribution of Student's t
========  =========  ============================================================

A search compares means over all n splits. Of n numbers that are drawn alike, the mean
of all differs from that of the first k with a variance of :math:`1/k - 1/n` times that
of one (the finite population correction, [4]_, chapter 2). So the candidate is given up
if

.. math:: F_\nu\Bigl(\bar d \Big/ \tilde s \sqrt{1/k - 1/n}\Bigr) < \alpha .

Three splits say little about a variance, and finished candidates know more. As in [5]_,
variances are taken for draws from one inverse chi-squared distribution, whose two
parameters follow from the mean and the variance of log v (section 6.2 there):

.. math:: \tilde s^2 = \frac{d_0 s_0^2 + (k - 1) s^2}{d_0 + k - 1}, \qquad
   \nu = d_0 + k - 1 .

With less than three of v, d0 is zero. Where :math:`\tilde s = 0`, the limit is taken:
given up if :math:`\bar d < 0`.

References
----------
.. [1] Student, "The probable error of a mean", Biometrika 6, 1908.
.. [2] O. Maron and A. W. Moore, "Hoeffding races: accelerating model selection search
   for classification and function approximation", NIPS 6, 1994.
.. [3] M. Kuhn, "Futility analysis in the cross-validation of machine learning models",
   arXiv:1405.6974, 2014.
.. [4] W. G. Cochran, "Sampling techniques", 3rd edition, Wiley, 1977.
.. [5] G. K. Smyth, "Linear models and empirical Bayes methods for assessing
   differential expression in microarray experiments", Statistical Applications in
   Genetics and Molecular Biology 3, 2004.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtr

from skhpo.racing.base import check_min_splits, incumbent

# Differences that are equal but for their rounding, relative to the largest score, have
# no spread.
_ROUNDING = 1e-12

# A distribution of variances is not told from fewer of them.
_MIN_VARIANCES = 3


@dataclass(frozen=True)
class Paired:
    """Give up a candidate that is worse than the best so far by a paired test.

    The test is one-sided: it asks whether the candidate's mean over all splits may
    still reach that of the best. Where the differences vary about as much as those of
    finished candidates do, it takes that into account. A knob, not a guarantee:
    `alpha` is no error rate. The training parts of splits overlap, so that differences
    are not independent [1]_, and each candidate is tested after each split.

    Parameters
    ----------
    alpha : float, default=0.01
        Level of the test, in (0, 0.5): less keeps more candidates.
    min_splits : int, default=3
        Splits before a candidate is judged, at least 2.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the generalization error", Machine
       Learning 52, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from skhpo.racing import Paired
    >>> finished = np.array([[0.9, 0.8, 0.7, 0.9, 0.8]])
    >>> Paired()(np.array([0.8, 0.75, 0.66]), finished)
    False
    >>> Paired(alpha=0.05)(np.array([0.8, 0.75, 0.66]), finished)
    True
    """

    alpha: float = 0.01
    min_splits: int = 3

    def __post_init__(self):
        check_min_splits(self.min_splits, least=2)
        if not isinstance(self.alpha, Real) or not 0 < self.alpha < 0.5:
            raise ValueError(f"alpha = {self.alpha!r} must be a float in (0, 0.5).")

    def __call__(self, running, finished):
        """Tell whether to give up a candidate; see :class:`~skhpo.racing.base`."""
        best = incumbent(finished)
        k, n = len(running), len(best)
        unit = max(np.abs(running).max(), np.abs(best).max())
        d = (running - best[:k]) / (unit or 1.0)
        if d.mean() >= 0:
            return False
        s2, degrees = d.var(ddof=1), k - 1
        with np.errstate(over="ignore"):
            variances = ((finished - best) / unit).var(axis=1, ddof=1)
        variances = variances[(variances > _ROUNDING**2) & np.isfinite(variances)]
        if len(variances) >= _MIN_VARIANCES:
            usual, worth = _distribution_of(variances, n - 1)
            if np.isinf(worth):
                s2, degrees = usual, worth
            else:
                s2 = (worth * usual + degrees * s2) / (worth + degrees)
                degrees += worth
        if s2 <= _ROUNDING**2:
            return True
        t = d.mean() / np.sqrt(s2 * (1 / k - 1 / n))
        return bool(stdtr(degrees, t) < self.alpha)


def _distribution_of(variances, degrees):
    """Fit a scaled inverse chi-squared distribution to what variances are drawn around.

    Parameters
    ----------
    variances : ndarray of shape (m,)
        Estimates, positive.
    degrees : int
        Degrees of freedom of each.

    Returns
    -------
    usual, worth : float
        Its scale, s0 squared, and its degrees of freedom, d0: infinite if the estimates
        differ by no more than estimates of one variance would.
    """
    logs = np.log(variances) - digamma(degrees / 2) + np.log(degrees / 2)
    spread = logs.var(ddof=1) - polygamma(1, degrees / 2)
    if spread <= 0:
        return np.exp(logs.mean()), np.inf
    # Bounds from 1 / z < trigamma(z) < 1 / z + 1 / z^2.
    bounds = 1 / spread, (1 + np.sqrt(1 + 4 * spread)) / (2 * spread)
    half = brentq(lambda z: polygamma(1, z) - spread, *bounds)
    return np.exp(logs.mean() + digamma(half) - np.log(half)), 2 * half
