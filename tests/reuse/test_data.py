"""Unusual data: missing values, several outputs, frames, one class."""

import warnings

import numpy as np
import pandas as pd
import pytest
from comparison import check_group, groups, names_of
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

PRUNED = [{"ccp_alpha": alpha} for alpha in (0.0, 0.01, 0.05)]
MEMBERS = [
    {"n_estimators": n, "ccp_alpha": alpha}
    for n, alpha in [(5, 0.0), (2, 0.02), (3, 0.0)]
]
COUNTS = [
    {"n_neighbors": k, "weights": w} for k in (1, 4) for w in ("uniform", "distance")
]
SEED = {"random_state": 0}


def check(base, grid, X, y, X_new):
    (group,), n_alone = groups(base, grid)
    assert not n_alone
    check_group(group, names_of(grid), X, y, X_new, {})


@pytest.mark.parametrize(
    ("base", "grid"),
    [
        (DecisionTreeClassifier(**SEED), PRUNED),
        (RandomForestClassifier(**SEED), MEMBERS),
        (ExtraTreesClassifier(**SEED), MEMBERS),
        (HistGradientBoostingClassifier(), [{"max_iter": n} for n in (4, 2)]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_missing_values(base, grid, rng):
    X, X_new = rng.normal(size=(2, 60, 4))
    y = (X[:, 0] > 0).astype(int)
    X[rng.random(X.shape) < 0.2] = np.nan
    X_new[rng.random(X.shape) < 0.2] = np.nan
    check(base, grid, X, y, X_new)


@pytest.mark.parametrize(
    ("base", "grid"),
    [
        (DecisionTreeRegressor(**SEED), PRUNED),
        (DecisionTreeClassifier(**SEED), PRUNED),
        (RandomForestRegressor(**SEED), MEMBERS),
        (RandomForestClassifier(**SEED), MEMBERS),
        (KNeighborsRegressor(), COUNTS),
        (KNeighborsClassifier(), COUNTS),
    ],
    ids=lambda x: type(x).__name__,
)
def test_several_outputs(base, grid, rng):
    X, X_new = rng.normal(size=(2, 60, 4))
    y = X[:, :2] + 0.3 * rng.normal(size=(60, 2))
    if "Classifier" in type(base).__name__:
        y = np.digitize(y, [-0.5, 0.5])
    check(base, grid, X, y, X_new)


@pytest.mark.parametrize("values", [1, 3])
def test_frames_and_few_classes(values, rng):
    X, X_new = (
        pd.DataFrame(part, columns=list("abcd")) for part in rng.normal(size=(2, 60, 4))
    )
    y = pd.Series(rng.integers(0, values, size=60).astype(str))
    check(RandomForestClassifier(**SEED), MEMBERS, X, y, X_new)
    check(KNeighborsClassifier(), COUNTS, X, y, X_new)
    if values > 1:
        pipeline = make_pipeline(
            StandardScaler(), SelectKBest(k=2), DecisionTreeClassifier(**SEED)
        )
        grid = [
            {"selectkbest__k": k, "decisiontreeclassifier__ccp_alpha": alpha}
            for k in (1, 3)
            for alpha in (0.0, 0.03)
        ]
        check(pipeline, grid, X, y, X_new)


def test_a_fit_leaves_no_warning_of_its_own(rng):
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(RandomForestClassifier(**SEED), MEMBERS, X, y, X)
