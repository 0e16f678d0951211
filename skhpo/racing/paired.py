r"""Give up what is worse than the incumbent by a paired test.

The incumbent was scored on the same splits, so what makes a split hard or easy cancels
in the differences [1]_. Candidates that are dropped when a test on the splits so far
tells them from the best are what a race is since [2]_; [3]_ does so within
cross-validation.

======  =========  ==============================================================
symbol  shape      meaning
======  =========  ==============================================================
k       int        number of splits done
x       (k,)       scores of the candidate on them
b       (k,)       scores of the incumbent on them: the highest mean over all
                   splits among the finished
d       (k,)       differences, d = x - b
s       float      standard deviation of d, with k - 1 in the denominator
F       function   distribution of Student's t with k - 1 degrees of freedom
======  =========  ==============================================================

The candidate is given up if

.. math:: F\bigl(\bar d \sqrt{k} / s\bigr) < \alpha .

Where s = 0, the limit is taken: given up if :math:`\bar d < 0`.

References
----------
.. [1] Student, "The probable error of a mean", Biometrika 6, 1908.
.. [2] O. Maron and A. W. Moore, "Hoeffding races: accelerating model selection search
   for classification and function approximation", NIPS 6, 1994.
.. [3] M. Kuhn, "Futility analysis in the cross-validation of machine learning models",
   arXiv:1405.6974, 2014.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import stdtr

from skhpo.racing.base import check_min_splits, incumbent

# Differences that are equal but for their rounding have no spread.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Paired:
    """Give up a candidate that is worse than the best so far by a paired test.

    The test is one-sided. A knob, not a guarantee: `alpha` is no error rate. The
    training parts of splits overlap, so that differences are not independent [1]_, and
    each candidate is tested after each split.

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
    >>> Paired()(np.array([0.8, 0.75, 0.62]), finished)
    False
    >>> Paired(alpha=0.05)(np.array([0.8, 0.75, 0.62]), finished)
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
        k = len(running)
        b = incumbent(finished)[:k]
        d = running - b
        mean, s = d.mean(), d.std(ddof=1)
        if mean >= 0:
            return False
        if s <= _ROUNDING * max(np.abs(running).max(), np.abs(b).max()):
            return True
        return bool(stdtr(k - 1, mean * np.sqrt(k) / s) < self.alpha)
