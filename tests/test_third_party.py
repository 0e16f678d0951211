"""Estimators of other packages inside, against scikit-learn's searches."""

import numpy as np
import pytest
from oracle import GRID, RANDOM, assert_same_predictions, fit_both, fit_one
from scipy.stats import loguniform
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

pytestmark = [
    pytest.mark.optional,
    # What these packages and torch warn about is not for us to mend.
    pytest.mark.filterwarnings("default"),
]

N_JOBS = pytest.mark.parametrize("n_jobs", [1, 2])


@pytest.fixture
def weight(classification, rng):
    return rng.uniform(0.1, 1.0, size=len(classification[1]))


@pytest.fixture
def lightgbm():
    return pytest.importorskip("lightgbm")


@pytest.fixture
def xgboost():
    return pytest.importorskip("xgboost")


@N_JOBS
@pytest.mark.parametrize("weighted", [False, True])
def test_lightgbm(lightgbm, n_jobs, weighted, classification, weight):
    X, y = classification
    model = lightgbm.LGBMClassifier(
        n_estimators=5, min_child_samples=3, n_jobs=1, random_state=0, verbose=-1
    )
    ours, theirs = fit_both(
        model,
        {"num_leaves": [2, 4], "learning_rate": [0.1, 0.5]},
        X,
        y,
        scoring="roc_auc",
        n_jobs=n_jobs,
        return_train_score=True,
        params={"sample_weight": weight} if weighted else None,
    )
    assert_same_predictions(ours, theirs, X, y)


def test_lightgbm_takes_frames_with_categories(lightgbm, classification):
    pd = pytest.importorskip("pandas")
    X, y = classification
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["kind"] = pd.Categorical(["a", "b", "c"] * 20)
    model = lightgbm.LGBMClassifier(
        n_estimators=5, min_child_samples=3, n_jobs=1, verbose=-1
    )
    ours, theirs = fit_both(model, {"num_leaves": [2, 4]}, frame, y, cv=3)
    assert_same_predictions(ours, theirs, frame, y)


def test_parameters_of_fit_that_have_no_row_for_each_sample(lightgbm, regression):
    X, y = regression
    model = lightgbm.LGBMRegressor(
        n_estimators=5, min_child_samples=3, n_jobs=1, verbose=-1
    )
    fit_both(
        model,
        {"num_leaves": [2, 4]},
        X,
        y,
        params={"feature_name": [f"f{i}" for i in range(5)]},
    )


@N_JOBS
@pytest.mark.parametrize("weighted", [False, True])
def test_xgboost(xgboost, n_jobs, weighted, regression, weight):
    X, y = regression
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1, random_state=0)
    ours, theirs = fit_both(
        model,
        {"max_depth": [1, 3], "learning_rate": loguniform(0.1, 1.0)},
        X,
        y,
        classes=RANDOM,
        n_iter=4,
        random_state=0,
        n_jobs=n_jobs,
        return_train_score=True,
        params={"sample_weight": weight} if weighted else None,
    )
    assert_same_predictions(ours, theirs, X, y)


def test_xgboost_with_missing_values(xgboost, classification):
    X, y = classification
    X = np.where(X > 1.5, np.nan, X)
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1)
    ours, theirs = fit_both(model, {"max_depth": [1, 3]}, X, y, cv=3, scoring="f1")
    assert_same_predictions(ours, theirs, X, y)


@N_JOBS
def test_imbalanced_learn_resamples_only_what_is_fitted(n_jobs, classification):
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = classification
    model = pipeline.Pipeline(
        [
            ("scale", StandardScaler()),
            ("sample", over_sampling.SMOTE(random_state=0)),
            ("model", LogisticRegression()),
        ]
    )
    grid = {
        "sample": [
            over_sampling.SMOTE(k_neighbors=2, random_state=0),
            over_sampling.RandomOverSampler(random_state=0),
            "passthrough",
        ],
        "model__C": [0.1, 1.0],
    }
    ours, theirs = fit_both(
        model, grid, X, y, cv=3, n_jobs=n_jobs, scoring="balanced_accuracy"
    )
    assert_same_predictions(ours, theirs, X, y)


@pytest.fixture
def net():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    from torch_net import TwoLayers

    torch.set_num_threads(1)
    return skorch.NeuralNetClassifier(
        TwoLayers,
        max_epochs=3,
        verbose=0,
        train_split=None,
        iterator_train__shuffle=False,
    )


@N_JOBS
@pytest.mark.parametrize("classes", [GRID, RANDOM], ids=["grid", "random"])
def test_a_skorch_net(net, n_jobs, classes, classification):
    X, y = classification
    X = X.astype(np.float32)
    space = {"lr": [0.01, 0.1], "module__n_hidden": [2, 4]}
    options = {} if classes is GRID else {"n_iter": 3, "random_state": 0}
    options.update(cv=3, n_jobs=n_jobs, scoring=["accuracy", "neg_log_loss"])
    options.update(refit="neg_log_loss")
    # Workers that grow as much as importing torch makes them are replaced by joblib,
    # with a warning, whoever comes first.
    fit_one(classes[1], net, space, X, y, **options)
    ours, theirs = fit_both(net, space, X, y, classes=classes, **options)
    assert_same_predictions(ours, theirs, X, y)
