"""A forest, as in SMAC: categories and hierarchies come naturally to it."""

import numpy as np

from skhpo.gp.acquisition import log_expected_improvement
from skhpo.gp.maximize import change, spread_points
from skhpo.gp.transforms import fit_output_transform, with_failures

N_TREES = 50
N_SPREAD = 1024
N_CHANGED = 512
_N_ROUNDS = 2
_MIN_STD = 1e-3


class ForestSurrogate:
    """Extremely randomised trees [1]_; their disagreement is the uncertainty [2]_.

    References
    ----------
    .. [1] P. Geurts, D. Ernst and L. Wehenkel, "Extremely randomized trees", 2006.
    .. [2] F. Hutter, H. H. Hoos and K. Leyton-Brown, "Sequential model-based
       optimization for general algorithm configuration", 2011.
    """

    predicts = True

    def propose(self, domain, x, losses, pending, number, rng):
        """Rank points by expected improvement."""
        if not np.isfinite(losses).any():
            return np.empty((0, domain.n_columns))
        _, v = fit_output_transform(losses)
        predict = fit_forest(domain, x, v, int(rng.integers(2**31 - 1)))
        if len(pending):
            # What is under way is believed to turn out as predicted.
            mean, _ = predict(pending)
            x, v = np.vstack([x, pending]), np.append(v, mean)
            predict = fit_forest(domain, x, v, int(rng.integers(2**31 - 1)))

        # Trials may have had less of a resource than new points will have.
        whole, least = domain.canonical(x), v.min()
        if not np.array_equal(whole, x):
            v, _ = predict(whole)
            least = v.min()

        def acquisition(points):
            return log_expected_improvement(*predict(points), least)[0]

        best = whole[np.argsort(v, kind="stable")[:10]]
        spread = spread_points(domain.n_columns, N_SPREAD, rng)
        pool = np.vstack(
            [domain.from_uniform(spread), change(domain, best, rng, N_CHANGED)]
        )
        values = acquisition(pool)
        for _ in range(_N_ROUNDS):
            top = pool[np.argsort(-values, kind="stable")[:10]]
            changed = change(domain, top, rng, N_CHANGED // 2)
            pool = np.vstack([pool, changed])
            values = np.append(values, acquisition(changed))
        return pool[np.argsort(-values, kind="stable")]

    def predictor(self, domain, x, losses):
        """Predict losses by the mean and standard deviation over the trees.

        The variance within leaves is added. A failure is a little worse than the worst
        loss.
        """
        return fit_forest(domain, x, with_failures(losses), 0, with_leaves=True)


def fit_forest(domain, x, v, seed, *, with_leaves=False):
    """Fit a forest.

    Parameters
    ----------
    domain : Domain
        Where the points live.
    x : ndarray of shape (n, d)
        Model points.
    v : ndarray of shape (n,)
        Losses.
    seed : int
        Decides the trees.
    with_leaves : bool, default=False
        Whether to add the mean variance of the losses that share a leaf. Otherwise the
        standard deviation is at least 1e-3, where all trees agree.

    Returns
    -------
    predict : callable
        ``predict(x)`` gives mean and standard deviation at model points.
    """
    from sklearn.ensemble import ExtraTreesRegressor  # takes long to import

    forest = ExtraTreesRegressor(
        N_TREES, min_samples_split=3, max_features=5 / 6, random_state=seed
    ).fit(domain.features(x), v)

    def predict(points):
        Z = domain.features(points).astype(np.float32)
        each = np.array([tree.predict(Z) for tree in forest.estimators_])
        mean, variance = each.mean(axis=0), each.var(axis=0)
        if not with_leaves:
            return mean, np.maximum(np.sqrt(variance), _MIN_STD)
        trees = [tree.tree_ for tree in forest.estimators_]
        within = np.mean([tree.impurity[tree.apply(Z)] for tree in trees], axis=0)
        return mean, np.sqrt(
            variance + np.maximum(within, 0)
        )  # rounding may make it < 0

    return predict
