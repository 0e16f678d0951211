"""Fits that go on with more trees or stages in the next rung, to the last bit."""

import threading
import warnings

import numpy as np
import pytest
from joblib import parallel_config
from oracle import without_address
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.ensemble._forest import BaseForest
from sklearn.feature_selection import SelectFromModel
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skhpo import BayesSearch, GridSearch, RandomSearch, Real
from skhpo._evaluation import unfinished
from skhpo.fidelity import Halving, Hyperband
from skhpo.reuse import selftest

X, y = make_classification(300, 8, n_informative=4, flip_y=0.1, random_state=0)
Xr, yr = make_regression(200, 6, noise=9.0, random_state=0)
FIDELITY = Halving("n_estimators", max_resources=18)
# Trees before and after each fit, for 12, 4 and 2 candidates on two splits.
EXPECTED = [(0, 2)] * 24 + [(2, 6)] * 8 + [(6, 18)] * 4
GRID = {"max_features": [1, 2, 4, 8], "min_samples_leaf": [1, 3, 9]}


def scores_of(search):
    results = search.cv_results_
    names = [name for name in results if "score" in name or name == "n_resources"]
    columns = [results[name].tolist() for name in names if "time" not in name]
    return [results["params"], *columns]


@pytest.fixture
def begun(monkeypatch):
    """Note how many trees each forest has at the start of a fit, and how many after."""
    found = []
    original = BaseForest.fit

    def fit(self, X, y, sample_weight=None):
        n_before = len(getattr(self, "estimators_", []))
        original(self, X, y, sample_weight)
        if X.shape[1] == 8:  # else it tries whether that works
            found.append((n_before, len(self.estimators_)))
        return self

    monkeypatch.setattr(BaseForest, "fit", fit)
    return found


CASES = [
    (GradientBoostingClassifier(random_state=0), {"max_depth": [1, 2, 3]}),
    (
        GradientBoostingRegressor(subsample=0.6, max_features=2, random_state=0),
        {"learning_rate": [0.03, 0.1, 0.3]},
    ),
    (HistGradientBoostingClassifier(max_features=0.5, random_state=0), {}),
    (HistGradientBoostingClassifier(early_stopping=True, random_state=0), {}),
    (RandomForestClassifier(random_state=0), GRID),
    (
        RandomForestClassifier(max_samples=0.5, random_state=3),
        {"ccp_alpha": [0.0, 0.003, 0.01]},
    ),
    (RandomForestClassifier(class_weight="balanced", random_state=0), GRID),
    (RandomForestClassifier(random_state=np.random.RandomState(0)), GRID),
    (ExtraTreesRegressor(random_state=0), GRID),
    (BaggingRegressor(random_state=0), {"estimator__max_depth": [1, 2, 4]}),
    (AdaBoostClassifier(random_state=0), {"learning_rate": [0.1, 0.3, 1.0]}),
]


@pytest.mark.parametrize(("base", "grid"), CASES, ids=without_address)
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_scores_are_those_of_fits_that_start_anew(base, grid, in_pipeline):
    base = clone(base)
    size = "max_iter" if "Hist" in type(base).__name__ else "n_estimators"
    if size == "max_iter":
        grid = {"max_leaf_nodes": [3, 7, 15], "learning_rate": [0.05, 0.3]}
    if isinstance(base, BaggingRegressor):
        base.set_params(estimator=DecisionTreeRegressor())
    if in_pipeline:
        name = type(base).__name__.lower()
        base = make_pipeline(StandardScaler(), base)
        size, grid = f"{name}__{size}", {f"{name}__{k}": v for k, v in grid.items()}
    data = (X, y) if is_classifier(base) else (Xr, yr)
    weight = {} if in_pipeline else {"sample_weight": np.arange(1.0, len(data[0]) + 1)}
    search = GridSearch(base, grid, cv=3, return_train_score=True, refit=False)
    search.set_params(fidelity=Halving(size, max_resources=9))
    anew = clone(search).set_params(reuse=False).fit(*data, **weight)
    assert len(set(anew.cv_results_["n_resources"])) > 1
    assert scores_of(search.fit(*data, **weight)) == scores_of(anew)


def searching(**options):
    forest = RandomForestClassifier(random_state=0)
    return GridSearch(forest, GRID, cv=2, fidelity=FIDELITY, refit=False, **options)


def test_a_fit_begins_with_the_trees_that_it_had(begun):
    searching().fit(X, y)
    assert begun == EXPECTED


def test_a_fit_in_a_pipeline_begins_with_the_trees_that_it_had(begun):
    forest = RandomForestClassifier(random_state=0)
    grid = {f"randomforestclassifier__{key}": value for key, value in GRID.items()}
    fidelity = Halving("randomforestclassifier__n_estimators", max_resources=18)
    pipeline = make_pipeline(StandardScaler(), forest)
    GridSearch(pipeline, grid, cv=2, fidelity=fidelity, refit=False).fit(X, y)
    assert begun == EXPECTED


@pytest.mark.parametrize(
    "options",
    [
        {"reuse": False},
        {"scoring": lambda estimator, X, y: estimator.score(X, y)},
    ],
    ids=["without reuse", "a scorer that may change the estimator"],
)
def test_fits_start_anew_where_something_speaks_against(options, begun):
    searching(**options).fit(X, y)
    assert {before for before, _ in begun} == {0}


def test_what_is_likely_to_go_on_is_kept(begun, monkeypatch):
    monkeypatch.setattr(unfinished, "_n_bytes_of", lambda estimator: 1)
    monkeypatch.setattr(unfinished, "MAX_KEPT_BYTES", 2 * 4)
    searching().fit(X, y)
    assert begun.count((2, 6)) >= 5  # by chance it would be 2 or 3
    begun.clear()
    monkeypatch.setattr(unfinished, "MAX_KEPT_BYTES", 3)
    limited = searching().fit(X, y)
    assert 0 < begun.count((2, 6)) <= 3
    assert scores_of(limited) == scores_of(searching(reuse=False).fit(X, y))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("cls", [RandomSearch, BayesSearch])
def test_workers_change_nothing(cls, backend, n_jobs):
    search = cls(
        RandomForestClassifier(random_state=0),
        {"max_features": Real(0.1, 1.0), "ccp_alpha": Real(1e-5, 1e-1, log=True)},
        n_iter=9,
        cv=2,
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        random_state=0,
        fidelity=Hyperband("n_estimators", max_resources=12, min_resources=1),
    )
    anew = clone(search).set_params(reuse=False).fit(X, y)
    with parallel_config(backend, n_jobs=n_jobs):
        assert scores_of(search.fit(X, y)) == scores_of(anew)


def test_a_search_goes_on_from_a_checkpoint(tmp_path, begun):
    whole = searching().fit(X, y)
    path = tmp_path / "search"

    class Interrupt:
        n_left = 30

    original = BaseForest.fit

    def fit(self, *args, **kwargs):
        Interrupt.n_left -= 1
        if Interrupt.n_left == 0:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseForest, "fit", fit)
        with pytest.raises(KeyboardInterrupt):
            searching(checkpoint=path).fit(X, y)
    resumed = searching(checkpoint=path).fit(X, y)
    assert scores_of(resumed) == scores_of(whole)


def both(search, X, y, **params):
    """Search with and without, from the same state of NumPy's generator."""
    found = []
    for reuse in ("exact", False):
        np.random.seed(0)
        each = clone(search).set_params(reuse=reuse).fit(X, y, **params)
        found.append((scores_of(each), np.random.random()))
    return found


@pytest.mark.parametrize(
    ("base", "resource", "grid"),
    [
        (RandomForestClassifier(4, random_state=0), "max_depth", GRID),
        (RandomForestClassifier(4, random_state=0), "max_leaf_nodes", GRID),
        (
            HistGradientBoostingClassifier(max_iter=4, random_state=0),
            "max_leaf_nodes",
            {"learning_rate": [0.03, 0.1, 0.3]},
        ),
        (
            BaggingClassifier(RandomForestClassifier(), 2, random_state=0),
            "estimator__n_estimators",
            {"max_samples": [0.3, 0.5, 1.0]},
        ),
        (
            make_pipeline(
                SelectFromModel(ExtraTreesClassifier(random_state=0)),
                GradientBoostingClassifier(n_estimators=4, random_state=0),
            ),
            "selectfrommodel__estimator__n_estimators",
            {"gradientboostingclassifier__max_depth": [1, 2, 3]},
        ),
        (
            HistGradientBoostingClassifier(max_leaf_nodes=4),
            "max_iter",
            {"max_features": [1.0, 0.5, 0.3]},
        ),
    ],
)
def test_what_is_no_size_or_draws_without_a_seed_starts_anew(base, resource, grid):
    fidelity = Halving(resource, min_resources=2, max_resources=9, factor=1.7)
    search = GridSearch(base, grid, cv=2, fidelity=fidelity, refit=False)
    ours, anew = both(search, X, y)
    assert ours == anew


def test_a_function_given_to_fit_is_called_for_every_stage():
    search = GridSearch(
        GradientBoostingClassifier(random_state=0),
        {"learning_rate": [0.1, 0.3, 0.5]},
        cv=2,
        fidelity=Halving("n_estimators", max_resources=27),
    )
    ours, anew = both(search, X, y, monitor=lambda i, *args: i >= 3)
    assert ours == anew


def test_rungs_of_one_size_give_no_warnings():
    search = GridSearch(
        BaggingClassifier(DecisionTreeClassifier(max_depth=2), random_state=0),
        {"max_features": [0.3, 0.5, 0.7, 0.8, 0.9, 1.0]},
        cv=2,
        fidelity=Halving("n_estimators", max_resources=4, factor=1.5),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search.fit(X, y)


def test_nothing_is_tried_in_threads_beside_others(monkeypatch):
    tried = []
    original = selftest._problem

    def problem(*args):
        tried.append(threading.current_thread())
        return original(*args)

    monkeypatch.setattr(selftest, "_problem", problem)
    monkeypatch.setattr(selftest, "_KNOWN", {})
    forest = RandomForestClassifier(random_state=0)
    models = [forest, ExtraTreesClassifier(random_state=0)]
    search = GridSearch(
        Pipeline([("model", forest)]),
        {"model": models, "model__max_features": [2, 4, 8]},
        cv=2,
        fidelity=Halving("model__n_estimators", max_resources=9),
    )
    with parallel_config("threading", n_jobs=2):
        search.fit(X, y)
    assert {*tried} == {threading.main_thread()}
