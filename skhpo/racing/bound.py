r"""Give up what a perfect score on all remaining splits could not make the best.

The branch-and-bound argument: a mean cannot exceed the one with the largest possible
score in each place that is still open.

======  =========  ==============================================================
symbol  shape      meaning
======  =========  ==============================================================
k, n    int        number of splits done, and of all splits
x       (k,)       scores of the candidate on the splits done
b       (n,)       scores of the incumbent, the highest mean among the finished
u       float      the largest score there is
======  =========  ==============================================================

The candidate is given up if

.. math:: \tfrac{1}{n} \Bigl(\sum_{j \le k} x_j + (n - k)\, u\Bigr) \le \tfrac{1}{n}
   \sum_{j \le n} b_j .

Equality is enough, as of equal means the first is the best, and finished candidates are
earlier ones. The left side is computed as the mean of a row filled up with u: rounded
sums in one order grow with each of their terms, so what holds of real numbers holds of
the computed means as well.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from skhpo.racing.base import check_min_splits, incumbent


@dataclass(frozen=True)
class Bound:
    """Give up a candidate that cannot become the best any more.

    The only rule with a guarantee: the best candidate, its scores and its rank are
    those of a search without racing, whatever the scores are.

    Parameters
    ----------
    maximum : float
        The largest score that the metric can give on one split.
    min_splits : int, default=1
        Splits before a candidate is judged.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from skhpo.racing import Bound
    >>> finished = np.array([[0.9, 0.9, 0.8]])
    >>> Bound(maximum=1.0)(np.array([0.7]), finished)
    False
    >>> Bound(maximum=1.0)(np.array([0.7, 0.8]), finished)
    True
    """

    maximum: float
    min_splits: int = 1

    def __post_init__(self):
        check_min_splits(self.min_splits)
        real = isinstance(self.maximum, Real) and not isinstance(self.maximum, bool)
        if not real or not np.isfinite(self.maximum):
            raise ValueError(f"maximum = {self.maximum!r} must be a finite number.")

    def __call__(self, running, finished):
        """Tell whether to give up a candidate; see :class:`~skhpo.racing.base`."""
        best = incumbent(finished)
        filled = np.full(len(best), float(self.maximum))
        filled[: len(running)] = running
        return bool(filled.mean() <= best.mean())
