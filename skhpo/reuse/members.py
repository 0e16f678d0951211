"""Ensembles whose members are drawn one after the other: fewer are the first of more.

Forests may be pruned as well: their trees are grown in full once, and each candidate
prunes copies of them.
"""

from skhpo.reuse.base import Family, NotShared, copy_of, tiny_data
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


class Bagging(_FirstMembers):
    """Members of a bagging ensemble."""

    of_members = ("estimators_", "estimators_features_", "_seeds")

    def may_grow(self, estimator):
        return True

    def examples(self, cls):
        X, y = tiny_data(cls)
        for params in ({}, {"max_samples": 0.7, "max_features": 0.5}):
            yield X, y, [cls(n_estimators=n, random_state=3, **params) for n in (2, 3)]


class IsolationForest(Bagging):
    """Trees of an isolation forest whose threshold is fixed."""

    of_members = (
        *Bagging.of_members,
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
