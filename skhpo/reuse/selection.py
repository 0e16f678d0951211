"""Selected features: scores are computed once, each candidate chooses among them."""

from functools import partial
from numbers import Integral
from operator import attrgetter

import numpy as np

from skhpo.reuse.base import Family, NotShared, copy_of, draws
from skhpo.reuse.combined import Around

_EXACT = ("chi2", "f_classif", "f_regression")
_SEEDED = ("mutual_info_classif", "mutual_info_regression")


class _Scores(Family):
    """Features with the best univariate scores."""

    def key(self, estimator):
        function = estimator.score_func
        if type(function) is partial:
            state = function.keywords.get("random_state")
            if function.args or not isinstance(state, Integral):
                raise NotShared
            if getattr(function.func, "__name__", None) not in _SEEDED:
                raise NotShared
        elif getattr(function, "__name__", None) not in _EXACT:
            raise NotShared
        return ()

    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class SelectKBest(_Scores):
    """The k best."""

    shared = ("k",)

    def size(self, estimator):
        return np.inf if estimator.k == "all" else estimator.k

    def alone(self, estimator, X):
        # It warns, and as the leader would do so once more.
        n_features = X.shape[1] if hasattr(X, "shape") else len(X[0])
        return estimator.k != "all" and estimator.k > n_features

    def view(self, leader, estimator):
        if estimator.k != "all" and estimator.k > leader.n_features_in_:
            return None
        return super().view(leader, estimator)

    def examples(self, cls):
        yield *_data(), [cls(k=k) for k in (2, "all", 1)]


class SelectPercentile(_Scores):
    """The best percents."""

    shared = ("percentile",)

    def examples(self, cls):
        yield *_data(), [cls(percentile=p) for p in (20, 70, 100)]


class VarianceThreshold(Family):
    """Features that vary enough."""

    shared = ("threshold",)

    def key(self, estimator):
        # Zero is decided by the range instead.
        return estimator.threshold == 0

    def size(self, estimator):
        return -estimator.threshold

    def view(self, leader, estimator):
        variances = leader.variances_
        if not np.any(variances[np.isfinite(variances)] > estimator.threshold):
            return None  # a fit of its own raises
        return copy_of(leader, estimator)

    def examples(self, cls):
        X, y = _data()
        yield X * [0.1, 1, 2, 3, 4], y, [cls(t) for t in (0.5, 3.0, 0.1)]


class SelectFromModel(Around):
    """Features that are important enough to a model."""

    shared = ("threshold",)

    def key(self, estimator):
        if estimator.prefit or callable(estimator.max_features):
            raise NotShared
        return super().key(estimator)

    def examples(self, cls):
        from sklearn.linear_model import LogisticRegression

        thresholds = (0.1, "median", "0.5*mean", None)
        yield *_data(), [cls(LogisticRegression(), threshold=t) for t in thresholds]


class RFE(Family):
    """Features that survive elimination one by one.

    The run to the fewest features passes through all the others, and the estimator
    that ranks the features that are left is the one that a shorter run ends with.
    """

    shared = ("n_features_to_select",)

    def key(self, estimator):
        n = estimator.n_features_to_select
        if not isinstance(n, Integral) or isinstance(n, bool):
            raise NotShared
        if not isinstance(estimator.step, Integral) or estimator.step != 1:
            raise NotShared
        if not isinstance(estimator.importance_getter, str) or draws(estimator):
            raise NotShared
        return ()

    def size(self, estimator):
        return -estimator.n_features_to_select

    def leader(self, estimators):
        leader = super().leader(estimators)
        sizes = {estimator.n_features_to_select for estimator in estimators}
        recorder = Recorder(leader.importance_getter, sizes)
        return leader.set_params(importance_getter=recorder)

    def view(self, leader, estimator):
        n, n_least = estimator.n_features_to_select, leader.n_features_to_select
        if n > leader.n_features_in_:
            return None  # a fit of its own warns
        n_steps = n - n_least
        # Before its last steps, what they took away was still there.
        ranking = np.maximum(leader.ranking_ - n_steps, 1)
        support = ranking == 1
        last = leader.estimator_
        if n_steps:
            last = leader.importance_getter.estimators.get(n)
        if last is None or support.sum() != n:
            return None
        return copy_of(
            leader,
            estimator,
            estimator_=last,
            n_features_=support.sum(),
            ranking_=ranking,
            support_=support,
        )

    def examples(self, cls):
        from sklearn.linear_model import LogisticRegression

        yield (
            *_data(),
            [cls(LogisticRegression(), n_features_to_select=n) for n in (3, 1, 2)],
        )


class Recorder:
    """Give the importances of an estimator, and keep it.

    Parameters
    ----------
    getter : str
        As in RFE.
    sizes : set of int
        Numbers of features of the estimators that are kept.

    Attributes
    ----------
    estimators : dict of int to estimator
        Fitted, by number of features.
    """

    def __init__(self, getter, sizes):
        self.getter = getter
        self.sizes = sizes
        self.estimators = {}

    def __call__(self, estimator):
        if estimator.n_features_in_ in self.sizes:
            self.estimators[estimator.n_features_in_] = estimator
        getter = self.getter
        if getter == "auto":
            getter = "coef_" if hasattr(estimator, "coef_") else "feature_importances_"
        return attrgetter(getter)(estimator)


def _data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5))
    return X, (X[:, 0] + 0.5 * X[:, 1] + rng.normal(size=30) > 0).astype(int)
