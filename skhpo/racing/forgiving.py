r"""Give up what is worse on average than the incumbent at its worst.

The rule that was consistent in [1]_, where one that compares mean with mean was not.

======  =========  ==============================================================
symbol  shape      meaning
======  =========  ==============================================================
k, n    int        number of splits done, and of all splits
x       (k,)       scores of the candidate on the splits done
b       (n,)       scores of the incumbent, the highest mean among the finished
======  =========  ==============================================================

The candidate is given up if

.. math:: \tfrac{1}{k} \sum_{j \le k} x_j < \min_{j \le n} b_j .

In [1]_ equality is enough. Here it is not: where the incumbent is perfect on all
splits, others that are perfect go on.

References
----------
.. [1] E. Bergman, L. Purucker and F. Hutter, "Don't waste your time: early stopping
   cross-validation", AutoML 2024.
"""

from dataclasses import dataclass

from skhpo.racing.base import check_min_splits, incumbent


@dataclass(frozen=True)
class Forgiving:
    """Give up a candidate whose mean so far is below the worst split of the best.

    A knob, not a guarantee. The more splits differ, the fewer candidates it drops.

    Parameters
    ----------
    min_splits : int, default=1
        Splits before a candidate is judged.

    Raises
    ------
    ValueError
        If `min_splits` is no int of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skhpo.racing import Forgiving
    >>> finished = np.array([[0.9, 0.8, 0.7]])
    >>> Forgiving()(np.array([0.65]), finished)
    True
    >>> Forgiving()(np.array([0.65, 0.76]), finished)
    False
    """

    min_splits: int = 1

    def __post_init__(self):
        check_min_splits(self.min_splits)

    def __call__(self, running, finished):
        """Tell whether to give up a candidate; see :class:`~skhpo.racing.base`."""
        worst = incumbent(finished).min()
        # The mean of equal numbers may be rounded, that of zeros is not.
        return bool((running - worst).mean() < 0)
