"""Ensembles whose members are drawn one after the other: fewer are the first of more.

Forests may be pruned as well: their trees are grown in full once, and each candidate
prunes copies of them.
"""

from functools import partial

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import is_classifier

from skhpo.reuse.base import (
    Family,
    LastAnswers,
    NotShared,
    OwnMethod,
    copy_of,
    tiny_data,
)
from skhpo.reuse.pruning import Prunable, pruned


class Forest(Prunable):
    """Trees of a random forest, pruned or not."""

    shared = ("n_estimators", "ccp_alpha")

    def may_grow(self, estimator):
        # It would warn of weights by name.
        return not isinstance(estimator.class_weight, str)

    def view(self, leader, estimator):
        trees = leader.estimators_[: estimator.n_estimators]
        if estimator.ccp_alpha != leader.ccp_alpha:
            trees = [pruned(tree, estimator.ccp_alpha) for tree in trees]
        return copy_of(leader, estimator, estimators_=trees)

    def examples(self, cls):
        X, y = tiny_data(cls)
        for bootstrap in (False, True):
            yield (
                X,
                y,
                [
                    cls(n, ccp_alpha=alpha, bootstrap=bootstrap, random_state=3)
                    for n, alpha in [(2, 0.0), (4, 0.02), (3, 0.05)]
                ],
            )


class _FirstMembers(Family):
    """An ensemble that is its first members.

    Attributes
    ----------
    of_members : tuple of str
        Fitted attributes that have an item for each member.
    """

    shared = ("n_estimators",)
    of_members = ()

    def view(self, leader, estimator):
        n = estimator.n_estimators
        first = {name: getattr(leader, name)[:n] for name in self.of_members}
        return copy_of(leader, estimator, **first)


class _Bags(_FirstMembers):
    """An ensemble whose members see samples and features of their own."""

    of_members = ("estimators_", "estimators_features_", "_seeds")

    def may_grow(self, estimator):
        return True

    def examples(self, cls):
        X, y = tiny_data(cls)
        for params in ({}, {"max_samples": 0.7, "max_features": 0.5}):
            yield X, y, [cls(n_estimators=n, random_state=3, **params) for n in (2, 3)]


class Bagging(_Bags):
    """Members of a bagging ensemble, which predict once for all candidates."""

    def leader(self, estimators):
        leader = super().leader(estimators)
        leader._first_sums = FirstSums({each.n_estimators for each in estimators})
        return leader

    def view(self, leader, estimator):
        plain = super().view(leader, estimator)
        sums = vars(plain).pop("_first_sums")
        method = "predict"
        if is_classifier(plain):
            method = "predict_proba"
            if not all(hasattr(each, method) for each in leader.estimators_):
                return plain
        mean = MeanOfFirst(plain, method, partial(sums, leader, method))
        return copy_of(plain, plain, **{method: mean})


class IsolationForest(_Bags):
    """Trees of an isolation forest whose threshold is fixed."""

    of_members = (
        *_Bags.of_members,
        "_average_path_length_per_tree",
        "_decision_path_lengths",
    )

    def key(self, estimator):
        if estimator.contamination != "auto":
            # The threshold is a quantile of what all trees say.
            raise NotShared
        return super().key(estimator)


class AdaBoost(_FirstMembers):
    """Stages of AdaBoost, which may end early."""

    of_members = ("estimators_", "estimator_weights_", "estimator_errors_")

    def examples(self, cls):
        X, y = tiny_data(cls)
        for rate in (0.5, 1.0):
            yield (
                X,
                y,
                [
                    cls(n_estimators=n, learning_rate=rate, random_state=3)
                    for n in (5, 1, 3)
                ],
            )


class FirstSums:
    """What the first members of an ensemble answer in sum, for several numbers of them.

    Parameters
    ----------
    sizes : set of int
        How many members candidates have.
    """

    def __init__(self, sizes):
        self._sizes = sizes
        self._answers = LastAnswers()

    def __call__(self, leader, method, X, n):
        """Add up what the first `n` members of the leader answer to X."""
        return self._answers(X, partial(self._add_up, leader, method))[n]

    def _add_up(self, leader, method, X):
        total, sums = 0.0, {}
        if method == "predict_proba":
            total = np.zeros((len(X), leader.n_classes_))
        members = zip(leader.estimators_, leader.estimators_features_, strict=True)
        for number, (estimator, features) in enumerate(members, 1):
            answer = getattr(estimator, method)(X[:, features])
            if method == "predict_proba":
                total[:, estimator.classes_] += answer
            else:
                total = total + answer
            if number in self._sizes:
                sums[number] = total.copy()
        return sums


class MeanOfFirst(OwnMethod):
    """The method of a view that is a mean over its members.

    Parameters
    ----------
    plain : estimator
        Fitted; asked what is out of the ordinary.
    method : str
        Its name.
    first_sum : callable
        ``first_sum(X, n)`` adds up what the first `n` members answer.
    """

    def __init__(self, plain, method, first_sum):
        self.plain = plain
        self.method = method
        self.first_sum = first_sum

    def __call__(self, X, **params):
        """Predict; see the class of the view."""
        plain = self.plain
        if (
            type(X) is not np.ndarray
            or X.dtype.kind not in "fiu"
            or X.ndim != 2
            or X.shape[1] != plain.n_features_in_
            or len(X) == 0
            or params
            or hasattr(plain, "feature_names_in_")
            # Several jobs would add up parts.
            or effective_n_jobs(plain.n_jobs) != 1
        ):
            return getattr(plain, self.method)(X, **params)
        return self.first_sum(X, plain.n_estimators) / plain.n_estimators
