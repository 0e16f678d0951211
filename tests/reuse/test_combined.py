"""Estimators around others, words, and components, where data or values are unusual."""

import warnings

import numpy as np
import pytest
from comparison import candidates, check_group, groups, names_of
from scipy.linalg import LinAlgError, LinAlgWarning
from sklearn.cross_decomposition import PLSRegression
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, KFold, ParameterGrid
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from skhpo.reuse import fitted, group_key
from skhpo.reuse.base import NotShared

TREE = DecisionTreeClassifier(max_depth=2, random_state=0)
MEMBERS = [("tree", TREE), ("logistic", LogisticRegression())]


def check(base, grid, X, y, X_new, params=None):
    (group,), n_alone = groups(base, grid)
    assert not n_alone
    check_group(group, names_of(grid), X, y, X_new, params or {})


def counted(monkeypatch, cls):
    calls = []
    original = cls.fit

    def fit(self, *args, **kwargs):
        calls.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cls, "fit", fit)
    return calls


def test_members_of_a_stack_are_fitted_once(classification, monkeypatch):
    X, y = classification
    base = StackingClassifier(MEMBERS, RandomForestClassifier(random_state=0), cv=2)
    grid = list(
        ParameterGrid(
            {
                "final_estimator__n_estimators": [2, 3],
                "final_estimator__max_depth": [1, 2],
            }
        )
    )
    check(base, grid, X, y, X[::-1])
    (group,), _ = groups(base, grid)
    trees, forests = (
        counted(monkeypatch, cls)
        for cls in (DecisionTreeClassifier, RandomForestClassifier)
    )
    assert len(list(fitted(group, X, y, names=names_of(grid)))) == 4
    assert (len(trees), len(forests)) == (3, 4)  # once on all data, and on two splits


def test_members_that_differ_are_no_group(classification):
    base = StackingClassifier(MEMBERS, LogisticRegression())
    grid = ParameterGrid({"final_estimator__C": [1, 2], "tree__max_depth": [1, 2]})
    found, _ = groups(base, list(grid))
    assert sorted(map(len, found)) == [2, 2]


@pytest.mark.parametrize(
    ("base", "grid"),
    [
        (
            StackingClassifier(MEMBERS, LogisticRegression()),
            [{"final_estimator__C": C} for C in (0.1, 1.0)],
        ),
        (
            VotingClassifier(MEMBERS, voting="soft"),
            [{"weights": weights} for weights in ([1, 2], [3, 1])],
        ),
    ],
    ids=["stack", "vote"],
)
def test_weights_reach_all_members(base, grid, classification):
    X, y = classification
    weights = np.random.default_rng(0).uniform(0.1, 1.0, size=len(y))
    check(base, grid, X, y, X, {"sample_weight": weights})


def test_a_last_estimator_of_the_wrong_kind_fails_as_by_itself(classification):
    X, y = classification
    base = StackingClassifier(MEMBERS)
    grid = [{"final_estimator": each} for each in (None, Ridge())]
    (group,), _ = groups(base, grid)
    with pytest.raises(ValueError, match="should be a classifier"):
        list(fitted(group, X, y, names=names_of(grid)))


def test_too_many_weights_fail_alone(classification):
    X, y = classification
    grid = [{"weights": weights} for weights in ([1, 2], [1, 2, 3], [2, 1])]
    (group,), _ = groups(VotingClassifier(MEMBERS), grid)
    answered = []
    with pytest.raises(ValueError, match="weights must be equal"):
        for number, _ in fitted(group, X, y, names={"weights"}):
            answered.append(number)
    assert answered == [0, 2]


@pytest.mark.parametrize(
    "base",
    [
        StackingClassifier([("a", DecisionTreeClassifier())], LogisticRegression()),
        StackingClassifier(MEMBERS, RandomForestClassifier()),
        StackingClassifier(MEMBERS, cv=KFold(2, shuffle=True)),
    ],
    ids=["member", "last", "splits"],
)
def test_stacks_that_draw_share_nothing(base):
    params = {"passthrough": True}
    assert group_key(base, params, {"final_estimator", "passthrough"}) is None


def test_thresholds_of_a_classifier_that_draws_share_nothing():
    base = FixedThresholdClassifier(DecisionTreeClassifier())
    assert group_key(base, {"threshold": 0.2}, {"threshold"}) is None


def test_a_stack_of_regressors_with_the_default_last_estimator(regression):
    X, y = regression
    base = StackingRegressor([("a", Ridge()), ("b", Ridge(100.0))])
    finals = [None, Ridge(0.1), LogisticRegression()][:2]
    check(base, [{"final_estimator": each} for each in finals], X, y, X)


def documents(rng, n=60):
    words = np.array(["one", "two", "three", "four", "five", "six", "seven"])
    return [" ".join(rng.choice(words, size=rng.integers(1, 9))) for _ in range(n)]


def test_words_are_counted_once_for_all_weights(rng, monkeypatch):
    texts, y = documents(rng), rng.integers(0, 2, size=60)
    base = make_pipeline(TfidfVectorizer(), SelectKBest(chi2, k=3), MultinomialNB())
    grid = list(
        ParameterGrid(
            {
                "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
                "tfidfvectorizer__use_idf": [True, False],
                "tfidfvectorizer__norm": ["l1", "l2", None],
                "selectkbest__k": [2, 4],
            }
        )
    )
    found, n_alone = groups(base, grid)
    assert not n_alone and sorted(map(len, found)) == [12, 12]
    n_counts = []
    original = TfidfVectorizer.fit_transform

    def fit_transform(self, *args):
        n_counts.append(1)
        return original(self, *args)

    for group in found:
        check_group(group, names_of(grid), texts, y, documents(rng), {})
        monkeypatch.setattr(TfidfVectorizer, "fit_transform", fit_transform)
        list(fitted(group, texts, y, names=names_of(grid)))
        monkeypatch.undo()
    assert len(n_counts) == 2


def test_whole_numbers_as_counts_are_weighted_apart():
    base = TfidfVectorizer(dtype=int)
    assert group_key(base, {"norm": None}, {"norm"}) is None


def test_components_for_which_nothing_is_left(rng):
    X = rng.normal(size=(30, 4))
    y = X[:, 0] * 0 + np.arange(30) % 2
    X[:, 1] = y  # explains it in full, and the others nothing
    X[:, [0, 2, 3]] = 0.0
    (group,), _ = groups(PLSRegression(), [{"n_components": n} for n in (1, 4, 2, 3)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ours = dict(fitted(group, X, y, names={"n_components"}))
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        separate = [
            estimator.fit(X, y)
            for estimator in candidates(
                PLSRegression(), [{"n_components": n} for n in (1, 4, 2, 3)]
            )
        ]
    assert [str(w.message) for w in caught] == [str(w.message) for w in expected] != []
    for i, estimator in enumerate(separate):
        assert ours[i].predict(X).tobytes() == estimator.predict(X).tobytes()


def test_components_in_the_middle_of_a_pipeline_fail_as_by_themselves(rng):
    X, y = rng.normal(size=(2, 30, 4))
    base = make_pipeline(PLSRegression(), Ridge())
    grid = [{"plsregression__n_components": n} for n in (1, 2)]
    for estimator in candidates(base, grid):
        with pytest.raises(ValueError):
            estimator.fit(X, y)
    (group,), _ = groups(base, grid)
    with pytest.raises(Exception, match=r"^$"):  # none of theirs: all are fitted apart
        list(fitted(group, X, y, names=names_of(grid)))


@pytest.mark.parametrize("kind", ["constant", "few", "collinear"])
def test_variances_without_full_rank_are_left_to_fits_of_their_own(kind, rng):
    X = rng.normal(size=(40, 5))
    y = (np.arange(40) < (3 if kind == "few" else 20)).astype(int)
    if kind == "constant":
        X[:, 2] = 0.0
    if kind == "collinear":
        X[:, 2] = X[:, 1]
    grid = [{"reg_param": reg} for reg in (0.0, 0.5, 0.1)]
    (group,), _ = groups(QuadraticDiscriminantAnalysis(), grid)
    answered = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # By what a fit of its own says, or without a word so that there is one.
        with pytest.raises((NotShared, LinAlgError, LinAlgWarning)):
            answered.update(fitted(group, X, y, names={"reg_param"}))
    assert set(answered) == ({1, 2} if kind == "collinear" else set())


def test_stored_covariances_share_nothing():
    base = QuadraticDiscriminantAnalysis(store_covariance=True)
    assert group_key(base, {"reg_param": 0.5}, {"reg_param"}) is None


def test_probabilities_that_are_missing_are_missing_in_views_too(classification):
    X, y = classification
    base = VotingClassifier([("a", KNeighborsClassifier()), ("b", TREE)])
    grid = [{"voting": voting, "weights": [1, 2]} for voting in ("hard", "soft")]
    check(base, grid, X, y, X)
