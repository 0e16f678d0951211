"""Transformers side by side, of which each distinct one is fitted once."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from comparison import check_group, groups, names_of
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from skhpo.reuse import fitted, group_key

FULL = PCA(svd_solver="full")
IS_NUMBER = make_column_selector(dtype_include=np.number)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    words = np.array(["one", "two", "three", "four", "five", "six"])
    data = {
        "text": [" ".join(rng.choice(words, size=5)) for _ in range(90)],
        "kind": pd.Categorical(rng.choice(list("xyz"), p=[0.7, 0.2, 0.1], size=90)),
        "a": rng.normal(size=90),
        "b": rng.normal(size=90),
        "c": np.where(rng.random(90) < 0.2, np.nan, rng.normal(size=90)),
    }
    X = pd.DataFrame(data)
    y = (X["a"] + (X["kind"] == "x") + rng.normal(size=90) > 0.5).to_numpy()
    return X[:60], y[:60], X[60:]


def columns():
    return ColumnTransformer(
        [
            ("words", make_pipeline(TfidfVectorizer(), SelectKBest(chi2)), "text"),
            ("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ("numbers", make_pipeline(SimpleImputer(), FULL), IS_NUMBER),
        ]
    )


GRID = {
    "columntransformer__words__tfidfvectorizer__norm": ["l1", "l2"],
    "columntransformer__words__selectkbest__k": [2, 4],
    "columntransformer__kind__min_frequency": [None, 0.15],
    "columntransformer__numbers__pca__n_components": [1, 3],
    "logisticregression__C": [0.1, 1.0],
}


def counted(monkeypatch, *classes):
    calls = Counter()
    for cls in classes:
        for name in ("fit", "fit_transform"):
            original = getattr(cls, name, None)
            if original is None:
                continue

            def count(self, *args, _original=original, _cls=cls, **kwargs):
                depth = vars(self).setdefault("_depth", 0)
                calls[_cls.__name__] += depth == 0  # one may call the other
                self._depth += 1
                answer = _original(self, *args, **kwargs)
                self._depth -= 1
                return answer

            monkeypatch.setattr(cls, name, count)
    return calls


def test_every_transformer_is_fitted_once(frame, monkeypatch):
    X, y, X_new = frame
    base = make_pipeline(columns(), LogisticRegression())
    grid = list(ParameterGrid(GRID))
    (group,), n_alone = groups(base, grid)
    assert len(group) == 32 and not n_alone
    check_group(group[::5], names_of(grid), X, y, X_new, {})
    calls = counted(
        monkeypatch,
        TfidfVectorizer,
        SelectKBest,
        OneHotEncoder,
        SimpleImputer,
        PCA,
        LogisticRegression,
    )
    assert len(list(fitted(group, X, y, names=names_of(grid)))) == 32
    assert calls == {
        "TfidfVectorizer": 1,
        "SelectKBest": 2,
        "OneHotEncoder": 2,
        "SimpleImputer": 1,
        "PCA": 1,
        "LogisticRegression": 32,
    }


def test_transformers_may_be_exchanged(frame):
    X, y, X_new = frame
    base = make_pipeline(
        make_column_transformer(
            (StandardScaler(), ["a", "b"]),
            (SimpleImputer(), ["c"]),
            (OneHotEncoder(handle_unknown="ignore"), []),
            remainder="drop",
        ),
        LogisticRegression(),
    )
    grid = list(
        ParameterGrid(
            {
                "columntransformer__standardscaler": [
                    StandardScaler(),
                    MinMaxScaler(),
                    FULL,
                    "passthrough",
                    "drop",
                ],
                "columntransformer__simpleimputer__strategy": ["mean", "median"],
            }
        )
    )
    found, n_alone = groups(base, grid)
    assert not n_alone and sorted(map(len, found)) == [2, 2, 6]
    for group in found:
        check_group(group, names_of(grid), X, y, X_new, {})


@pytest.mark.parametrize("dense", [False, True])
def test_unions_side_by_side_and_inside_one_another(frame, dense):
    X, y, X_new = frame
    words = make_union(
        TfidfVectorizer(),
        make_union(CountVectorizer(ngram_range=(2, 2)), CountVectorizer(binary=True)),
    )
    selected = SelectKBest(chi2)
    steps = [words, selected, LogisticRegression()]
    if dense:
        steps = [SimpleImputer(), FeatureUnion([("a", FULL), ("b", SelectKBest())])]
        steps += [LogisticRegression()]
        X, X_new = X[["a", "b", "c"]], X_new[["a", "b", "c"]]
        space = {
            "featureunion__a__n_components": [1, 2],
            "featureunion__b__k": [1, 2],
            "featureunion__transformer_weights": [None, {"a": 0.3}],
        }
    else:
        X, X_new = X["text"], X_new["text"]
        space = {
            "featureunion__tfidfvectorizer__norm": ["l1", "l2"],
            "featureunion__featureunion__countvectorizer-2__max_features": [2, 4],
            "selectkbest__k": [2, 5],
        }
    grid = list(ParameterGrid(space))
    found, n_alone = groups(make_pipeline(*steps), grid)
    assert not n_alone and len(found) == (2 if dense else 1)
    for group in found:
        check_group(group, names_of(grid), X, y, X_new, {})


def test_the_rest_of_the_columns_is_transformed_as_well(frame):
    X, y, X_new = frame
    X, X_new = X.iloc[:, 2:].fillna(0), X_new.iloc[:, 2:].fillna(0)
    for remainder in ("passthrough", StandardScaler(), FULL):
        base = ColumnTransformer([("a", SelectKBest(), [0, 1])], remainder=remainder)
        grid = [{"a__k": k} for k in (1, 2, "all")]
        (group,), _ = groups(base, grid)
        check_group(group, {"a__k"}, X, y, X_new, {})


def test_weights_of_samples_fail_as_by_themselves(frame):
    X, y, _ = frame
    base = make_pipeline(
        make_column_transformer((StandardScaler(), ["a"])), LogisticRegression()
    )
    grid = [
        {"columntransformer__standardscaler__with_mean": each} for each in (True, False)
    ]
    (group,), _ = groups(base, grid)
    params = {"logisticregression__sample_weight": np.arange(1.0, len(y) + 1)}
    check_group(group, names_of(grid), X, y, X, params)
    params = {"columntransformer__sample_weight": np.ones(len(y))}
    with pytest.raises((TypeError, ValueError)):
        group[0].fit(X, y, **params)
    with pytest.raises((TypeError, ValueError)):
        list(fitted(group, X, y, names=names_of(grid), params=params))


@pytest.mark.parametrize(
    "base",
    [
        make_column_transformer((PCA(), [0, 1])),
        make_column_transformer((StandardScaler(), [0]), (PCA(), [0, 1])),
        make_column_transformer((FULL, [0, 1]), n_jobs=2),
        make_column_transformer((FULL, lambda X: [0])),
        make_union(PCA(svd_solver="randomized")),
        make_union(FULL, n_jobs=2),
    ],
    ids=["draws", "beside", "workers", "function", "union", "union, workers"],
)
def test_blocks_that_draw_or_run_elsewhere_share_nothing(base):
    names = ("pca__n_components",)
    assert group_key(base, {"pca__n_components": 1}, names) is None


@pytest.mark.parametrize("blocks", [[("a",)], [None], [3], [("a", FULL)]])
def test_blocks_that_make_no_sense_are_left_to_fits_of_their_own(blocks):
    base = ColumnTransformer(blocks)
    params = {"sparse_threshold": 0.5}
    key = group_key(base, params, {"sparse_threshold"})
    assert (key is None) == (blocks != [("a", FULL)])


def test_different_columns_are_told_apart():
    keys = {
        group_key(
            make_column_transformer((FULL, columns)),
            {"pca__n_components": 1},
            {"pca__n_components"},
        )
        for columns in (
            [0, 1],
            [0, 2],
            slice(0, 2),
            slice(0, 2, 2),
            make_column_selector("a"),
            make_column_selector("b"),
            make_column_selector(dtype_include=float),
        )
    }
    assert len(keys) == 7 and None not in keys


def test_a_transformer_that_fails_fails_by_itself(frame):
    X, y, _ = frame
    base = make_column_transformer((FULL, ["a", "b"]))
    (group,), _ = groups(base, [{"pca__n_components": n} for n in (1, 5)])
    with pytest.raises(ValueError, match="n_components=5"):
        list(fitted(group, X, y, names={"pca__n_components"}))


def test_warnings_of_one_transformer_come_once(frame):
    X, y, _ = frame
    base = make_column_transformer((SelectKBest(), ["a", "b"]), (FULL, ["a", "b"]))
    grid = list(ParameterGrid({"selectkbest__k": [1, 9], "pca__n_components": [1, 2]}))
    (group,), _ = groups(base, grid)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(list(fitted(group, X, y, names=names_of(grid)))) == 4
    assert [str(each.message)[:3] for each in caught] == ["k=9"]
