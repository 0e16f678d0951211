"""Nearest neighbours: one query for the most neighbours contains those for fewer.

Which of several points at equal distance are found, and in which order, depends on how
many are asked for. So a query with ties is asked again: by itself where a tree is
searched, together with all others where distances come from matrix products, whose
rounding depends on what is multiplied together.
"""

import numpy as np

from skhpo.reuse.base import Family, LastAnswers, OwnMethod, copy_of


class Neighbors(Family):
    """Neighbours of dense data, wherever predictions ask for neighbours.

    A classifier with uniform weights that uses no tree does not; it counts classes.
    """

    shared = ("n_neighbors", "weights")

    def key(self, estimator):
        return ()

    def alone(self, estimator, X):
        n_samples = np.shape(X)[0] if hasattr(X, "shape") else len(X)
        return _asks_for_many(estimator, n_samples)

    def view(self, leader, estimator):
        n_samples = leader.n_samples_fit_
        if _asks_for_many(leader, n_samples) != _asks_for_many(estimator, n_samples):
            return None
        plain = copy_of(leader, estimator)
        plain.__dict__.pop("_long_query", None)
        if leader._fit_method == "brute" and not _seldom_ties(leader._fit_X):
            return plain
        if not hasattr(leader, "_long_query"):
            leader._long_query = LongQuery(copy_of(leader, leader))
        return copy_of(plain, plain, kneighbors=ShortQuery(plain, leader._long_query))

    def examples(self, cls):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(30, 3))
        # On a grid, ties are the rule.
        X[:15] = X[:15].round()
        y = X[:, 0] + rng.normal(size=30)
        if "Classifier" in cls.__name__:
            y = y > 0
        for algorithm in ("kd_tree", "ball_tree"):
            yield (
                X,
                y,
                [
                    cls(n_neighbors=k, weights=weights, algorithm=algorithm)
                    for k, weights in [(1, "uniform"), (4, "distance"), (9, "uniform")]
                ],
            )


def _asks_for_many(estimator, n_samples):
    """Tell whether ``algorithm="auto"`` uses no tree for so many neighbours."""
    return estimator.algorithm == "auto" and estimator.n_neighbors >= n_samples // 2


def _seldom_ties(X):
    """Tell whether X is dense, and not whole numbers."""
    return isinstance(X, np.ndarray) and bool(np.any(np.floor(X) != X))


class LongQuery:
    """The most neighbours, and one more to see whether the last is tied.

    Parameters
    ----------
    leader : estimator
        Fitted.

    Attributes
    ----------
    by_rows : bool
        Whether the answer to a row is the same whatever other rows are asked for.
    futile : bool
        Whether there were ties that all rows have to be asked again for.
    """

    def __init__(self, leader):
        self.leader = leader
        self.by_rows = leader._fit_method != "brute"
        self.futile = False
        self._answers = LastAnswers()

    def __call__(self, X):
        """Give distances and indices, each of shape (n_queries, n_neighbors + 1)."""
        return self._answers(X, self._ask)

    def _ask(self, X):
        n = min(self.leader.n_neighbors + 1, self.leader.n_samples_fit_)
        return self.leader.kneighbors(X, n)


class ShortQuery(OwnMethod):
    """The method ``kneighbors`` of a view.

    Parameters
    ----------
    plain : estimator
        Fitted; asked where the long query has no answer.
    long_query : LongQuery
        Shared by all views.
    """

    def __init__(self, plain, long_query):
        self.plain = plain
        self.long_query = long_query

    def __call__(self, X=None, n_neighbors=None, return_distance=True):
        """Find neighbours; see ``KNeighborsMixin.kneighbors``."""
        plain = self.plain
        n = plain.n_neighbors
        if (
            type(X) is not np.ndarray
            or n_neighbors is not None
            or hasattr(plain, "feature_names_in_")
            or n > plain.n_samples_fit_
            or self.long_query.futile
        ):
            return plain.kneighbors(X, n_neighbors, return_distance)
        distances, indices = self.long_query(X)
        tied = distances[:, 1 : n + 1] == distances[:, :n][:, : distances.shape[1] - 1]
        # No distance at all, where no feature is known of both, is a tie with others.
        tied = tied.any(axis=1) | np.isnan(distances).any(axis=1)
        # Contiguous, as the memory layout decides how sums are rounded.
        distances, indices = distances[:, :n].copy(), indices[:, :n].copy()
        if tied.any():
            if not self.long_query.by_rows:
                self.long_query.futile = True
                return plain.kneighbors(X, n_neighbors, return_distance)
            distances[tied], indices[tied] = plain.kneighbors(X[tied])
        return (distances, indices) if return_distance else indices
