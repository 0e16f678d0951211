"""Parts of a split that a smaller part of its samples stands for.

The samples of each side of a split are put in an order once; the first ones are taken.
So smaller parts lie in larger ones, and all candidates of a rung see the same samples.
"""

import numpy as np

# Of each class so many samples come first, if it has them: most metrics need two
# classes, and calibration inside an estimator has folds of its own.
MIN_OF_CLASS = 5

# A test part keeps so many samples, if it has them: predictions cost less than fits,
# and with fewer the best candidates could not be told apart.
MIN_TEST = 1000


class Subsamples:
    """What a smaller part of each split consists of.

    Parameters
    ----------
    indices : list of (ndarray of shape (n_train,), ndarray of shape (n_test,))
        Row numbers of the two parts of each split.
    seed : int
        Of the order.
    classes : array-like of shape (n_samples,), default=None
        Labels whose shares are kept.
    groups : array-like of shape (n_samples,), default=None
        Labels of which one comes after another, after the first samples of each class.
    """

    def __init__(self, indices, *, seed, classes=None, groups=None):
        self._min_test = MIN_TEST
        rng = np.random.default_rng(seed)
        in_time = _are_in_time(indices)
        self._orders = []
        for train, test in indices:
            # In time those nearest to what lies between the two parts.
            bases = np.arange(len(train))[::-1], np.arange(len(test))
            if not in_time:
                bases = tuple(map(rng.permutation, bases))
            self._orders.append(
                tuple(
                    _order(
                        base,
                        _at(classes, rows),
                        _at(groups, rows),
                        None if in_time else rng,
                    )
                    for base, rows in zip(bases, (train, test), strict=True)
                )
            )

    def train(self, number, fraction):
        """Choose training samples.

        Parameters
        ----------
        number : int
            Which split.
        fraction : float
            Of the samples of the split, in (0, 1].

        Returns
        -------
        positions : ndarray of shape (n_chosen,)
            In the training part, ascending.
        """
        order, _ = self._orders[number]
        return np.sort(order[: max(1, int(fraction * len(order)))])

    def test(self, number, fraction):
        """Choose samples to score, by their positions in the test part."""
        _, order = self._orders[number]
        return np.sort(order[: max(self._min_test, int(fraction * len(order)))])


def _at(labels, rows):
    return None if labels is None else np.asarray(labels)[rows]


def _are_in_time(indices):
    """Tell whether each training part lies before its test part, in order."""
    return all(
        len(train) and len(test) and np.max(train) < np.min(test)
        for train, test in indices
    ) and all(np.all(np.diff(rows) > 0) for split in indices for rows in split)


def _order(base, classes, groups, rng):
    """Put samples in order, so that the first ones stand for all.

    Parameters
    ----------
    base : ndarray of shape (n_samples,)
        Their positions, in the order that counts where nothing else does.
    classes, groups : array-like of shape (n_samples,) or None
        As in :class:`Subsamples`.
    rng : Generator or None
        Shuffles groups, and mixes classes; None leaves the order as it is, but for the
        first samples of each class.
    """
    n = len(base)
    first = np.zeros(n)  # what comes before all others, and in which turn
    turns = np.empty(n)
    turns[base] = np.arange(n)
    if classes is not None:
        labels = np.unique(classes, return_inverse=True)[1].reshape(n)
        for label in range(labels.max(initial=-1) + 1):
            members = base[labels[base] == label]
            places = np.arange(len(members))
            first[members[:MIN_OF_CLASS]] = places[:MIN_OF_CLASS] - MIN_OF_CLASS
            if rng is not None:
                turns[members] = (places + rng.random()) / len(members)
    if groups is not None and rng is not None:
        _, labels = np.unique(groups, return_inverse=True)
        turns = rng.permutation(labels.max(initial=-1) + 1)[labels.reshape(n)]
    # The last key is the first to count.
    return base[np.lexsort((turns[base], first[base]))]
