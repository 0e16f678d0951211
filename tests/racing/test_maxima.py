"""The largest scores of scikit-learn's metrics, tried out."""

import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import check_scoring, get_scorer, get_scorer_names, make_scorer
from sklearn.metrics import roc_auc_score as roc_auc
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from skhpo._search.maxima import _AT_LEAST_ZERO, _AT_MOST_ONE, maximum_of

UNBOUNDED = {"mutual_info_score", "positive_likelihood_ratio"}
# Known, and not worth a line of the table: its metric is a function of the scorer's.
LEFT_OUT = {"neg_negative_likelihood_ratio"}
LABELS = [[0, 1], [1, 1], [1, 0]]

X, y = load_iris(return_X_y=True)
X, y = X[:100] + 3, y[:100]


@pytest.mark.parametrize("name", get_scorer_names())
def test_the_maximum_of_each_scorer_is_known_and_reached_or_there_is_none(name):
    scorer = get_scorer(name)
    maximum = maximum_of(scorer, LogisticRegression())
    if name in UNBOUNDED | LEFT_OUT:
        assert maximum is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = []
        if name.endswith("_samples"):
            perfect = KNeighborsClassifier(1).fit(LABELS, np.array(LABELS))
            scores.append(scorer(perfect, LABELS, np.array(LABELS)))
        for perfect in (KNeighborsClassifier(1), KNeighborsRegressor(1)):
            # Some losses are of positive numbers only.
            target = y if "Classifier" in type(perfect).__name__ else X[:, 0]
            data = np.c_[X, 100 * target]
            try:
                scores.append(scorer(perfect.fit(data, target), data, target))
            except (ValueError, AttributeError, TypeError):
                continue
    assert max(scores) == pytest.approx(maximum, abs=1e-9)


@pytest.mark.parametrize("name", get_scorer_names())
def test_no_model_scores_more_than_the_maximum(name):
    scorer = get_scorer(name)
    maximum = maximum_of(scorer, LogisticRegression())
    rng = np.random.default_rng(0)
    for model in (
        LogisticRegression(),
        DummyClassifier(strategy="stratified", random_state=0),
        RandomForestClassifier(5, random_state=0),
        Ridge(),
    ):
        noisy = rng.permutation(y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                score = scorer(model.fit(X, noisy), X, noisy)
            except (ValueError, AttributeError, TypeError):
                continue
        assert maximum is None or not score > maximum + 1e-9


def test_the_table_has_nothing_but_metrics():
    from sklearn import metrics

    newer = {"d2_brier_score"}
    for name in {*_AT_MOST_ONE, *_AT_LEAST_ZERO} - newer:
        assert callable(getattr(metrics, name))
    assert not {*_AT_MOST_ONE} & {*_AT_LEAST_ZERO}


def test_the_name_alone_is_not_enough():
    def roc_auc_score(y_true, y_pred):
        return 7.0

    assert maximum_of(make_scorer(roc_auc_score), Ridge()) is None
    assert maximum_of(make_scorer(roc_auc), Ridge()) == 1.0
    assert maximum_of(make_scorer(roc_auc, greater_is_better=False), Ridge()) is None


class OwnScore(Ridge):
    def score(self, X, y):
        return 7.0


@pytest.mark.parametrize(
    ("estimator", "names", "maximum"),
    [
        (LogisticRegression(), set(), 1.0),
        (Ridge(), {"alpha"}, 1.0),
        (OwnScore(), set(), None),
        (KMeans(), set(), None),
        (make_pipeline(Ridge()), {"ridge__alpha"}, 1.0),
        (make_pipeline(Ridge()), {"ridge"}, None),
        (make_pipeline(Ridge()), {"steps"}, None),
        (make_pipeline(OwnScore()), set(), None),
        (make_pipeline(make_pipeline(Ridge())), {"pipeline__ridge__alpha"}, 1.0),
        (make_pipeline(make_pipeline(Ridge())), {"pipeline__ridge"}, None),
    ],
)
def test_the_estimators_own_score_is_known_by_its_method(estimator, names, maximum):
    assert maximum_of(check_scoring(estimator), estimator, names) == maximum
