"""Projections whose first components do not depend on how many are kept."""

from numbers import Integral

import numpy as np
from scipy.linalg import pinv
from sklearn.base import clone

from skhpo.reuse.base import Family, NotShared, copy_of, draws, tiny_data

_COMPLETE = ("full", "covariance_eigh")


class PCA(Family):
    """Principal components by a complete decomposition.

    The others depend on the number of components. ``svd_solver="auto"`` may choose
    differently for each, so a group is divided once the data are known.
    """

    shared = ("n_components",)

    def key(self, estimator):
        n = estimator.n_components
        if n is not None and (not isinstance(n, Integral) or n < 1):
            raise NotShared
        if estimator.svd_solver not in (*_COMPLETE, "auto") or not estimator.copy:
            raise NotShared
        return ()

    def leader(self, estimators):
        # All of them, as the noise is what the others leave.
        leader = super().leader(estimators)
        return leader.set_params(n_components=None)

    def size(self, estimator):
        n = estimator.n_components
        return np.inf if n is None else n

    def alone(self, estimator, X):
        shape = getattr(X, "shape", ())
        if len(shape) != 2 or hasattr(X, "toarray"):
            return True
        n = min(shape) if estimator.n_components is None else estimator.n_components
        return n > min(shape) or _solver(estimator, n, shape) not in _COMPLETE

    def view(self, leader, estimator):
        shape = leader.n_samples_, leader.n_features_in_
        n_all = len(leader.components_)
        n = n_all if estimator.n_components is None else estimator.n_components
        solver = leader._fit_svd_solver
        if (
            n > n_all
            or n_all < min(shape)
            or solver not in _COMPLETE
            or _solver(estimator, n, shape) != solver
        ):
            return None
        variance = leader.explained_variance_
        return copy_of(
            leader,
            estimator,
            n_components_=n,
            noise_variance_=np.mean(variance[n:]) if n < n_all else 0.0,
            # Copies, as the memory layout decides how products are summed.
            components_=np.array(leader.components_[:n], order="K"),
            explained_variance_=variance[:n].copy(),
            explained_variance_ratio_=leader.explained_variance_ratio_[:n].copy(),
            singular_values_=leader.singular_values_[:n].copy(),
        )

    def features(self, view, X, leader_features):
        if view._fit_svd_solver == "full":
            # Not a projection of X, but left singular vectors, scaled.
            return leader_features[:, : view.n_components_]
        return view.transform(X)

    def examples(self, cls):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(30, 5)) * [3, 2, 1, 1, 0.5]
        for solver in (*_COMPLETE, "auto"):
            for whiten in (False, True):
                common = dict(svd_solver=solver, whiten=whiten)
                yield X, None, [cls(n, **common) for n in (2, 4, 1)]


class LinearDiscriminant(Family):
    """Discriminant directions; predictions do not depend on how many are kept."""

    shared = ("n_components",)

    def key(self, estimator):
        if draws(estimator):
            raise NotShared  # by its estimator of the covariance
        return ()

    def size(self, estimator):
        n = estimator.n_components
        return np.inf if n is None else n

    def view(self, leader, estimator):
        n_all = min(len(leader.classes_) - 1, leader.n_features_in_)
        n = n_all if estimator.n_components is None else estimator.n_components
        if n > n_all:
            return None
        attributes = {"_max_components": n, "_n_features_out": n}
        if hasattr(leader, "explained_variance_ratio_"):
            ratio = leader.explained_variance_ratio_
            attributes["explained_variance_ratio_"] = ratio[:n]
        return copy_of(leader, estimator, **attributes)

    def examples(self, cls):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 4))
        y = np.digitize(X[:, 0] + rng.normal(size=40), [-1, 0, 1])
        for solver in ("svd", "eigen"):
            yield X, y, [cls(solver=solver, n_components=n) for n in (2, 1, None)]


class PartialLeastSquares(Family):
    """Components that are found one after the other."""

    shared = ("n_components",)

    def view(self, leader, estimator):
        n = estimator.n_components
        if estimator.algorithm == "nipals" and len(leader.n_iter_) < n:
            # Nothing was left to explain. A fit of its own says so.
            return copy_of(leader, estimator) if n == leader.n_components else None
        first = {
            name: np.array(getattr(leader, name)[:, :n], order="C")
            for part in ("weights", "loadings", "scores")
            for name in (f"x_{part}_", f"y_{part}_")
        }
        rotations = {
            side: np.dot(
                first[f"{side}_weights_"],
                pinv(
                    np.dot(first[f"{side}_loadings_"].T, first[f"{side}_weights_"]),
                    check_finite=False,
                ),
            )
            for side in "xy"
        }
        coef = np.dot(rotations["x"], first["y_loadings_"].T)
        return copy_of(
            leader,
            estimator,
            **first,
            _x_scores=first["x_scores_"],
            _y_scores=first["y_scores_"],
            x_rotations_=rotations["x"],
            y_rotations_=rotations["y"],
            coef_=(coef * leader._y_std).T / leader._x_std,
            n_iter_=leader.n_iter_[:n],
            _n_features_out=n,
        )

    def features(self, view, X, leader_features):
        raise NotShared  # features of X and of y, which no step understands

    def examples(self, cls):
        X, y = tiny_data(cls)
        for target in (y, np.c_[y, X[:, 0] ** 2]):
            yield X, target, [cls(n) for n in (1, 4, 2, 3)]


class QuadraticDiscriminant(Family):
    """How much the variances of the classes are drawn towards one."""

    shared = ("reg_param",)

    def key(self, estimator):
        if estimator.store_covariance or getattr(estimator, "solver", "svd") != "svd":
            raise NotShared
        return ()

    def leader(self, estimators):
        return VarianceLeader(clone(estimators[0]))

    def view(self, leader, estimator):
        fitted, reg = leader.estimator, estimator.reg_param
        scalings = [((1 - reg) * variance) + reg for variance in fitted.scalings_]
        if any(np.any(scaling <= estimator.tol) for scaling in scalings):
            return None  # a fit of its own warns or raises
        return copy_of(fitted, estimator, scalings_=scalings)

    def examples(self, cls):
        X, y = tiny_data(cls)
        y = np.digitize(X[:, 0] * X[:, 1], [0.0])
        yield X, y, [cls(reg_param=reg) for reg in (0.1, 0.0, 0.7)]


class VarianceLeader:
    """Variances of the classes in their principal directions.

    Parameters
    ----------
    estimator : QuadraticDiscriminantAnalysis
        Gives the other parameters; it is changed.

    Attributes
    ----------
    estimator : QuadraticDiscriminantAnalysis
        Fitted, with the variances as they are.
    """

    def __init__(self, estimator):
        self.estimator = estimator.set_params(reg_param=0.0, tol=0.0)

    def fit(self, X, y):
        """Decompose each class."""
        values, labels = np.asarray(X), np.asarray(y)
        for label in np.unique(labels):
            part = values[labels == label]
            if len(part) < part.shape[1] or np.any(np.ptp(part, axis=0) == 0):
                raise NotShared  # it would warn, which candidates need not do
        self.estimator.fit(X, y)
        return self


def _solver(estimator, n_components, shape):
    """Choose like PCA, from 1.6 to 1.9, for dense data."""
    if estimator.svd_solver != "auto":
        return estimator.svd_solver
    if shape[1] <= 1_000 and shape[0] >= 10 * shape[1]:
        return "covariance_eigh"
    if max(shape) > 500 and 1 <= n_components < 0.8 * min(shape):
        return "randomized"
    return "full"
