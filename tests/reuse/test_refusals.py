"""What shares no fit, and what takes a family out."""

import warnings
from functools import partial

import numpy as np
import pytest
import sklearn
from comparison import candidates, check_group, groups
from joblib import effective_n_jobs, parallel_config
from oracle import without_address
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    VarianceThreshold,
    f_classif,
    mutual_info_classif,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skhpo.reuse import TABLE, fitted, group_key, selftest
from skhpo.reuse.base import copy_of
from skhpo.reuse.components import LinearDiscriminant
from skhpo.reuse.kernels import SupportVectors
from skhpo.reuse.members import AdaBoost, Forest
from skhpo.reuse.neighbors import LongQuery, Neighbors, ShortQuery
from skhpo.reuse.pruning import Tree
from skhpo.reuse.selection import RFE as RFEFamily
from skhpo.reuse.stages import GradientBoosting, HistGradientBoosting

FOREST = RandomForestClassifier(random_state=0)
FROZEN = FrozenEstimator(GaussianNB().fit([[0.0], [1.0]], [0, 1]))


def key_of(estimator, **params):
    estimator = clone(estimator).set_params(**params)
    return group_key(estimator, params, set(params))


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (RandomForestClassifier(), {"n_estimators": 3}),
        (
            RandomForestClassifier(random_state=np.random.RandomState(0)),
            {"n_estimators": 3},
        ),
        (FOREST, {"n_estimators": 3, "warm_start": True}),
        (FOREST, {"n_estimators": 3, "oob_score": True}),
        (FOREST, {"n_estimators": 3, "verbose": 1}),
        (FOREST, {"n_estimators": 0}),
        (FOREST, {"n_estimators": "three"}),
        (FOREST, {"n_estimators": 3.0}),
        (FOREST, {"max_features": -1.0}),
        (FOREST, {"random_state": None}),
        (DecisionTreeClassifier(), {"ccp_alpha": 0.1}),
        (DecisionTreeClassifier(random_state=0), {"ccp_alpha": -0.1}),
        (ExtraTreesClassifier(), {"n_estimators": 3}),
        (BaggingClassifier(), {"n_estimators": 3}),
        (
            BaggingClassifier(
                GridSearchCV(FOREST, {}, cv=KFold(shuffle=True)), random_state=0
            ),
            {"n_estimators": 3},
        ),
        (AdaBoostClassifier(), {"n_estimators": 3}),
        (GradientBoostingClassifier(), {"n_estimators": 3}),
        (
            GradientBoostingClassifier(random_state=0, init=LogisticRegression()),
            {"n_estimators": 3},
        ),
        (
            HistGradientBoostingClassifier(
                random_state=0, early_stopping=True, scoring="accuracy"
            ),
            {"max_iter": 3},
        ),
        (HistGradientBoostingClassifier(early_stopping=True), {"max_iter": 3}),
        (HistGradientBoostingClassifier(max_features=0.5), {"max_iter": 3}),
        (IsolationForest(random_state=0, contamination=0.1), {"n_estimators": 3}),
        (KNeighborsClassifier(metric=lambda a, b: 0.0), {"n_neighbors": 3}),
        (KNeighborsClassifier(), {"weights": lambda d: d}),
        (PCA(svd_solver="randomized", random_state=0), {"n_components": 2}),
        (PCA(svd_solver="arpack", random_state=0), {"n_components": 2}),
        (PCA(), {"n_components": 0.5}),
        (PCA(copy=False), {"n_components": 2}),
        (SelectKBest(lambda X, y: X.sum(axis=0)), {"k": 2}),
        (SelectKBest(mutual_info_classif), {"k": 2}),
        (SelectKBest(partial(mutual_info_classif, n_neighbors=2)), {"k": 2}),
        (SelectFromModel(LogisticRegression(), prefit=True), {"threshold": 0.1}),
        (SelectFromModel(LogisticRegression(solver="saga")), {"threshold": 0.1}),
        (RFE(LogisticRegression(), step=2), {"n_features_to_select": 2}),
        (RFE(LogisticRegression(), step=0.5), {"n_features_to_select": 2}),
        (RFE(LogisticRegression(solver="saga")), {"n_features_to_select": 2}),
        (RFE(LogisticRegression()), {"n_features_to_select": 0.5}),
        (SVC(kernel="poly"), {"degree": 2}),
        (SVC(kernel="linear", probability=True), {"gamma": 2.0}),
        (LogisticRegression(), {"C": 2.0}),
        (BaggingClassifier(FROZEN, random_state=0), {"n_estimators": 3}),
    ],
    ids=without_address,
)
def test_these_share_nothing(estimator, params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert key_of(estimator, **params) is None


def test_callbacks_turn_it_off():
    estimator = clone(FOREST)
    estimator._skl_callbacks = [object()]
    assert group_key(estimator, {}, {"n_estimators"}) is None


def test_candidates_that_differ_in_nothing_that_can_be_shared_have_no_key():
    assert key_of(FOREST, max_features=1) is None
    assert group_key(FOREST, {}, {"max_features"}) is None
    assert group_key(FOREST, {}, {"max_features", "n_estimators"}) is not None


def test_a_global_output_container_turns_it_off():
    with sklearn.config_context(transform_output="pandas"):
        assert key_of(FOREST, n_estimators=2) is None
    assert key_of(FOREST, n_estimators=2) is not None


def test_metadata_requests_turn_it_off():
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = LogisticRegression().set_fit_request(sample_weight=True)
        bagging = BaggingClassifier(weighted, random_state=0)
        assert key_of(bagging, n_estimators=2) is None


def test_keys_tell_values_apart_by_type():
    keys = {
        key_of(FOREST, n_estimators=2, max_features=value)
        for value in (1, 1.0, "sqrt", None)
    }
    assert len(keys) == 4 and None not in keys


def test_used_parameters_of_a_kernel_are_told_apart():
    rbf = SVC(kernel="rbf")
    assert key_of(rbf, gamma=1.0) != key_of(rbf, gamma=2.0) is not None
    assert key_of(rbf, degree=1) == key_of(rbf, degree=2)
    linear = SVC(kernel="linear")
    assert key_of(linear, gamma=1.0) == key_of(linear, gamma=2.0)


def test_searched_estimators_are_compared_with_their_parameters():
    bagging = BaggingClassifier(random_state=0)
    grid = [{"estimator": SVC(C=C), "n_estimators": 2} for C in (1, 1, 2)]
    keys = [
        group_key(clone(bagging).set_params(**params), params, set(params))
        for params in grid
    ]
    assert keys[0] == keys[1] != keys[2]


def test_scores_with_a_seed_are_shared(classification):
    score = partial(mutual_info_classif, random_state=0)
    grid = [{"k": k} for k in (1, 3, 2)]
    (group,), _ = groups(SelectKBest(score), grid)
    X, y = classification
    check_group(group, {"k"}, X, y, X, {})


def test_a_threshold_that_keeps_nothing_fails_by_itself(classification):
    X, y = classification
    grid = [{"threshold": t} for t in (0.1, 1e6, 0.5)]
    (group,), _ = groups(VarianceThreshold(), grid)
    answered = []
    with pytest.raises(ValueError, match="variance threshold"):
        for number, _ in fitted(group, X, y, names={"threshold"}):
            answered.append(number)
    assert answered == [0, 2]


def test_more_features_than_there_are_warn_by_themselves(classification):
    X, y = classification
    (group,), _ = groups(SelectKBest(f_classif), [{"k": k} for k in (2, 99)])
    with pytest.warns(UserWarning, match="k=99"):
        check_group(group, {"k"}, X, y, X, {})


def test_members_fitted_by_threads_are_the_same(regression):
    X, y = regression
    base = RandomForestRegressor(random_state=0, n_jobs=2)
    grid = [{"n_estimators": n, "ccp_alpha": a} for n, a in [(9, 0.0), (4, 100.0)]]
    (group,), _ = groups(base, grid)
    for number, ours in fitted(group, X, y, names={"n_estimators", "ccp_alpha"}):
        separate = clone(group[number]).fit(X, y)
        # Threads add up predictions in any order.
        ours.set_params(n_jobs=1), separate.set_params(n_jobs=1)
        assert ours.predict(X).tobytes() == separate.predict(X).tobytes()


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_on_a_grid_are_mostly_tied_and_still_equal(algorithm, weights):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 4, size=(80, 3)).astype(float)
    X_new = rng.integers(0, 4, size=(40, 3)).astype(float)
    y = rng.integers(0, 3, size=80)
    grid = [{"n_neighbors": k} for k in (1, 2, 5, 11, 80, 79)]
    base = KNeighborsClassifier(algorithm=algorithm, weights=weights)
    (group,), _ = groups(base, grid)
    check_group(group, {"n_neighbors"}, X, y, X_new, {})


@pytest.mark.parametrize("n_copies", [0, 1, 40])
@pytest.mark.parametrize("cls", [KNeighborsClassifier, KNeighborsRegressor])
def test_neighbours_without_a_tree_are_shared_unless_tied(cls, n_copies, monkeypatch):
    n_queries = []
    original = cls.kneighbors

    def counted(self, X=None, n_neighbors=None, return_distance=True):
        n_queries.append(len(X))
        return original(self, X, n_neighbors, return_distance)

    rng = np.random.default_rng(0)
    X, X_new = rng.normal(size=(2, 90, 20))
    X[:n_copies] = X[40 : 40 + n_copies]
    y = rng.integers(0, 3, size=90)
    grid = [{"n_neighbors": k} for k in (1, 4, 9, 20)]
    (group,), _ = groups(cls(weights="distance"), grid)
    check_group(group, {"n_neighbors"}, X, y, X_new, {})
    monkeypatch.setattr(cls, "kneighbors", counted)
    for _, view in fitted(group, X, y, names={"n_neighbors"}):
        view.predict(X_new)
    assert len(n_queries) == (1 if n_copies == 0 else 5)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_at_no_known_distance_are_tied(weights, rng):
    X = rng.normal(size=(30, 5))
    X[rng.random(X.shape) < 0.7] = np.nan
    y = rng.normal(size=30)
    base = KNeighborsRegressor(metric="nan_euclidean", weights=weights)
    grid = [{"n_neighbors": n} for n in (1, 2, 5, 13, 14)]
    (group,), _ = groups(base, grid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_group(group, {"n_neighbors"}, X, y, X[::-1].copy(), {})


def test_an_array_that_changes_between_two_predictions_is_asked_for_again(rng):
    X, X_new = rng.normal(size=(2, 40, 3))
    y = rng.integers(0, 2, size=40)
    group = candidates(KNeighborsClassifier(), [{"n_neighbors": k} for k in (3, 7)])
    for number, ours in fitted(group, X, y, names={"n_neighbors"}):
        separate = clone(group[number]).fit(X, y)
        for _ in range(3):
            np.testing.assert_array_equal(
                ours.predict_proba(X_new), separate.predict_proba(X_new)
            )
            X_new[:, 0] = rng.permutation(X_new[:, 0])


# Families that are wrong: each must fail the self-test and the comparison.


class TreeMissing(Forest):
    def view(self, leader, estimator):
        view = super().view(leader, estimator)
        view.estimators_ = view.estimators_[: max(1, estimator.n_estimators - 1)]
        return view


class NeverPruned(Tree):
    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class StageMissing(GradientBoosting):
    def view(self, leader, estimator):
        view = super().view(leader, estimator)
        view.estimators_ = view.estimators_[: max(1, estimator.n_estimators - 1)]
        return view


class NeverShortened(HistGradientBoosting):
    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class NeverCut(AdaBoost):
    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class TiesIgnored(Neighbors):
    def view(self, leader, estimator):
        plain = copy_of(leader, estimator)

        def kneighbors(X, return_distance=True):
            found = LongQuery(leader)(X)
            found = tuple(part[:, : plain.n_neighbors].copy() for part in found)
            return found if return_distance else found[1]

        return copy_of(plain, plain, kneighbors=kneighbors)


class WrongNumberOfDirections(LinearDiscriminant):
    def view(self, leader, estimator):
        return copy_of(leader, estimator)


class UsedParameterShared(SupportVectors):
    def examples(self, cls):
        for X, y, _ in super().examples(cls):
            yield X, y, [cls(gamma=gamma) for gamma in (0.1, 3.0)]


class OtherParameters(Forest):
    def view(self, leader, estimator):
        return copy_of(super().view(leader, estimator), leader)


class Raises(Forest):
    def view(self, leader, estimator):
        return leader.an_attribute_that_is_gone


class NoViews(RFEFamily):
    def view(self, leader, estimator):
        return None


WRONG = [
    (RandomForestClassifier, TreeMissing()),
    (DecisionTreeClassifier, NeverPruned()),
    (GradientBoostingClassifier, StageMissing()),
    (HistGradientBoostingClassifier, NeverShortened()),
    (AdaBoostClassifier, NeverCut()),
    (KNeighborsClassifier, TiesIgnored()),
    (
        sklearn.discriminant_analysis.LinearDiscriminantAnalysis,
        WrongNumberOfDirections(),
    ),
    (SVC, UsedParameterShared()),
    (RandomForestClassifier, OtherParameters()),
    (RandomForestClassifier, Raises()),
    (RFE, NoViews()),
]


@pytest.mark.parametrize(("cls", "family"), WRONG, ids=lambda x: type(x).__name__)
def test_a_wrong_family_fails_the_self_test_and_says_so_once(cls, family):
    with pytest.warns(UserWarning, match=type(family).__name__) as record:
        assert not selftest.holds(cls, family)
    assert len(record) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not selftest.holds(cls, family)


def test_the_self_test_uses_no_threads_of_the_user(monkeypatch):
    """Sums of what trees say would depend on which thread comes first."""
    seen = []

    def see(cls, family):
        seen.append(effective_n_jobs(None))
        return iter(())

    monkeypatch.setattr(selftest, "_problems", see)
    monkeypatch.setattr(selftest, "_KNOWN", {})
    with parallel_config("threading", n_jobs=2):
        assert selftest.holds(RandomForestClassifier, Forest())
    assert seen == [1]


def test_a_family_that_fails_the_self_test_shares_nothing(monkeypatch):
    name = "sklearn.ensemble", "RandomForestClassifier"
    monkeypatch.setitem(TABLE, name, TreeMissing())
    with pytest.warns(UserWarning, match="RandomForestClassifier separately"):
        assert key_of(FOREST, n_estimators=3) is None


def test_a_wrong_family_fails_the_comparison(monkeypatch, classification):
    X, y = classification
    (group,), _ = groups(FOREST, [{"n_estimators": n} for n in (3, 5)])
    monkeypatch.setitem(
        TABLE, ("sklearn.ensemble", "RandomForestClassifier"), TreeMissing()
    )
    with pytest.raises(AssertionError):
        check_group(group, {"n_estimators"}, X, y, X, {})


def test_a_short_query_travels(rng):
    import pickle

    X = rng.normal(size=(30, 3))
    (_, view), *_ = fitted(
        candidates(KNeighborsClassifier(), [{"n_neighbors": k} for k in (2, 4)]),
        X,
        (X[:, 0] > 0).astype(int),
        names={"n_neighbors"},
    )
    assert isinstance(view.kneighbors, ShortQuery)
    copy = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(copy.predict(X), view.predict(X))
