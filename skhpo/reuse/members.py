"""Ensembles whose members are drawn one after the other: fewer are the first of more.

Forests may be pruned as well: their trees are grown in full once, and each candidate
prunes copies of them.
"""

import numpy as np

from skhpo.reuse.base import Family, NotShared, copy_of
from skhpo.reuse.pruning import pruned


class Forest(Family):
    """Trees of a random forest, pruned or not."""

    shared = ("n_estimators", "ccp_alpha")

    def leader(self, estimators):
        leader = super().leader(estimators)
        if len({estimator.ccp_alpha for estimator in estimators}) > 1:
            leader.set_params(ccp_alpha=0.0)
        return leader

    def view(self, leader, estimator):
        trees = leader.estimators_[: estimator.n_estimators]
        if estimator.ccp_alpha != leader.ccp_alpha:
            trees = [pruned(tree, estimator.ccp_alpha) for tree in trees]
        return copy_of(leader, estimator, estimators_=trees)

    def examples(self, cls):
        X, y = _data(cls)
        for bootstrap in (False, True):
            yield (
                X,
                y,
                [
                    cls(n, ccp_alpha=alpha, bootstrap=bootstrap, random_state=3)
                    for n, alpha in [(2, 0.0), (4, 0.02), (3, 0.05)]
                ],
            )


class Bagging(Family):
    """Members of a bagging ensemble."""

    shared = ("n_estimators",)

    def view(self, leader, estimator):
        n = estimator.n_estimators
        return copy_of(
            leader,
            estimator,
            estimators_=leader.estimators_[:n],
            estimators_features_=leader.estimators_features_[:n],
            _seeds=leader._seeds[:n],
        )

    def examples(self, cls):
        X, y = _data(cls)
        for params in ({}, {"max_samples": 0.7, "max_features": 0.5}):
            yield X, y, [cls(n_estimators=n, random_state=3, **params) for n in (2, 3)]


class IsolationForest(Bagging):
    """Trees of an isolation forest whose threshold is fixed."""

    def key(self, estimator):
        if estimator.contamination != "auto":
            # The threshold is a quantile of what all trees say.
            raise NotShared
        return super().key(estimator)

    def view(self, leader, estimator):
        view = super().view(leader, estimator)
        n = estimator.n_estimators
        for name in ("_average_path_length_per_tree", "_decision_path_lengths"):
            setattr(view, name, getattr(leader, name)[:n])
        return view


class AdaBoost(Family):
    """Stages of AdaBoost, which may end early."""

    shared = ("n_estimators",)

    def view(self, leader, estimator):
        n = estimator.n_estimators
        return copy_of(
            leader,
            estimator,
            estimators_=leader.estimators_[:n],
            estimator_weights_=leader.estimator_weights_[:n],
            estimator_errors_=leader.estimator_errors_[:n],
        )

    def examples(self, cls):
        X, y = _data(cls)
        for rate in (0.5, 1.0):
            yield (
                X,
                y,
                [
                    cls(n_estimators=n, learning_rate=rate, random_state=3)
                    for n in (5, 1, 3)
                ],
            )


def _data(cls):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.normal(size=40)
    return X, (np.digitize(y, [-0.5, 0.5]) if "Classifier" in cls.__name__ else y)
