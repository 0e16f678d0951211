"""Boosting: the stages of a longer run begin with those of a shorter one."""

import numpy as np

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data

# Above this number of samples, HistGradientBoosting bins a random part of them.
_MAX_BINNED = 200_000


class GradientBoosting(Family):
    """Stages of gradient boosting; also of runs that stop early."""

    shared = ("n_estimators",)

    def key(self, estimator):
        if estimator.init not in (None, "zero"):
            # It would be fitted in place, as a parameter.
            raise NotShared
        return super().key(estimator)

    def may_grow(self, estimator):
        return estimator.n_iter_no_change is None

    def view(self, leader, estimator):
        n_stages = min(estimator.n_estimators, leader.n_estimators_)
        attributes = {
            "estimators_": leader.estimators_[:n_stages],
            "train_score_": leader.train_score_[:n_stages],
            "n_estimators_": n_stages,
        }
        if hasattr(leader, "oob_improvement_"):
            oob_scores = leader.oob_scores_[:n_stages]
            attributes.update(
                oob_improvement_=leader.oob_improvement_[:n_stages],
                oob_scores_=oob_scores,
                oob_score_=oob_scores[-1],
            )
        return copy_of(leader, estimator, **attributes)

    def examples(self, cls):
        X, y = tiny_data(cls)
        for params in ({}, {"subsample": 0.6, "max_features": 2}):
            common = dict(params, max_depth=2, random_state=3)
            yield X, y, [cls(n_estimators=n, **common) for n in (4, 1, 3)]
        common = dict(n_iter_no_change=1, tol=0.05, random_state=3)
        yield X, y, [cls(n_estimators=n, **common) for n in (1, 2, 9)]


class HistGradientBoosting(Family):
    """Stages of histogram boosting, without early stopping or with that by loss."""

    shared = ("max_iter",)

    def key(self, estimator):
        if estimator.early_stopping and estimator.scoring != "loss":
            # Equality was not found where a score decides.
            raise NotShared
        stops = estimator.early_stopping and estimator.early_stopping != "auto"
        if draws(estimator) and (stops or estimator.max_features != 1.0):
            raise NotShared
        return ()

    def may_grow(self, estimator):
        return not estimator.do_early_stopping_ and not _bins_a_draw(estimator)

    def view(self, leader, estimator):
        if draws(leader) and (leader.do_early_stopping_ or _bins_a_draw(leader)):
            return None
        n_stages = estimator.max_iter
        # Scores start with that of the baseline; they are empty without early stopping.
        return copy_of(
            leader,
            estimator,
            _predictors=leader._predictors[:n_stages],
            train_score_=leader.train_score_[: n_stages + 1],
            validation_score_=leader.validation_score_[: n_stages + 1],
        )

    def alone(self, estimator, X):
        # A fit in vain would be a long one.
        n_samples = np.shape(X)[0] if hasattr(X, "shape") else len(X)
        stops = estimator.early_stopping == "auto" and n_samples > 10_000
        return draws(estimator) and (stops or n_samples > _MAX_BINNED)

    def examples(self, cls):
        X, y = tiny_data(cls)
        for params in (
            {"early_stopping": False},
            {"max_features": 0.5, "random_state": 3},
            {"early_stopping": True, "n_iter_no_change": 1, "random_state": 3},
        ):
            common = dict(params, max_leaf_nodes=3, min_samples_leaf=3)
            yield X, y, [cls(max_iter=n, **common) for n in (4, 1, 3)]


def _bins_a_draw(estimator):
    """Tell whether a fit has binned a random part of its samples."""
    return estimator._predictors[0][0].nodes["count"][0] > _MAX_BINNED
