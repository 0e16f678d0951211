"""GridSearch is GridSearchCV, and RandomSearch is RandomizedSearchCV.

Nearly every test fits both on the same input and compares all that is left behind,
scores bit for bit (`oracle.py`).
"""

import copy
import os
import pickle
import re
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import parallel_config
from oracle import (
    GRID,
    RANDOM,
    assert_same,
    assert_same_predictions,
    assert_same_results,
    assert_same_search,
    error_of,
    fit_both,
    fit_one,
    outcome_of,
    with_our_names,
    without_address,
)
from scipy import sparse
from scipy.stats import expon, loguniform, randint, uniform
from sklearn import config_context
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    clone,
    is_classifier,
    is_clusterer,
    is_outlier_detector,
    is_regressor,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, make_scorer, r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    ParameterSampler,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from skhpo import GridSearch, RandomSearch

BOTH = pytest.mark.parametrize("classes", [GRID, RANDOM], ids=["grid", "random"])


def options_for(classes, **options):
    """Options of a search that tries all of a small grid, whichever class it is."""
    return options if classes is GRID else {"n_iter": 3, "random_state": 0, **options}


class Fingerprint(BaseEstimator):
    """Score by checksum: any difference in what it is given shows in the score."""

    def __init__(self, a=None, b=None, random_state=0):
        self.a = a
        self.b = b
        self.random_state = random_state

    def fit(self, X, y=None, **params):
        own = self.get_params()
        self.seen_ = b"|".join(map(fingerprint, (X, y, params, own)))
        return self

    def score(self, X, y=None, **params):
        seen = self.seen_ + b"|".join(map(fingerprint, (X, y, params)))
        return zlib.crc32(seen) / 2**32


def fingerprint(value):
    """Describe a value by type, layout and content."""
    kind = f"{type(value).__module__}.{type(value).__name__}".encode()
    if isinstance(value, np.ndarray):
        flags = value.flags
        layout = value.dtype, value.shape, flags.c_contiguous, flags.f_contiguous
        content = repr(value.tolist()).encode()
        return kind + repr((*layout, flags.writeable)).encode() + content
    if sparse.issparse(value):
        return kind + fingerprint(value.data) + fingerprint(value.toarray())
    if hasattr(value, "columns"):
        frame = value.to_dict(as_series=False) if is_polars(value) else value.to_dict()
        return kind + repr((list(value.columns), frame, value.dtypes)).encode()
    if isinstance(value, list | tuple):
        return kind + b"".join(map(fingerprint, value))
    if isinstance(value, dict):
        return kind + b"".join(
            repr(key).encode() + fingerprint(item) for key, item in value.items()
        )
    return kind + re.sub(" at 0x[0-9a-f]+", "", repr(value)).encode()


def is_polars(value):
    return type(value).__module__.startswith("polars")


# ---------------------------------------------------------------------------
# The comparison itself


def change(key, function):
    """Make a damage that replaces one array of the results."""

    def damage(search):
        search.cv_results_[key] = function(search.cv_results_[key].copy())

    return damage


def move_to_the_end(key):
    def damage(search):
        search.cv_results_[key] = search.cv_results_.pop(key)

    return damage


def set_mask(values):
    values[0] = np.ma.masked
    return values


DAMAGES = {
    # Not towards 1, which a score may be.
    "last bit of a score": change("split1_test_score", lambda a: np.nextafter(a, 2)),
    "order of the keys": move_to_the_end("params"),
    "missing key": lambda s: s.cv_results_.pop("split1_test_score"),
    "mask": change("param_C", set_mask),
    "dtype of the ranks": change("rank_test_score", lambda a: a.astype(np.int64)),
    "dtype of a parameter": change("param_C", lambda a: a.astype(object)),
    "type of a value": lambda s: s.cv_results_["params"][0].update(C=np.float64(1)),
    "order of the candidates": lambda s: s.cv_results_["params"].reverse(),
    "time": change("mean_fit_time", lambda a: a * np.nan),
    "missing attribute": lambda s: delattr(s, "refit_time_"),
    "additional attribute": lambda s: setattr(s, "best_candidate_", 1),
    "type of best_index_": lambda s: setattr(s, "best_index_", int(s.best_index_)),
    "best_estimator_": lambda s: s.best_estimator_.set_params(tol=1e-3),
    "scorer_": lambda s: setattr(s, "scorer_", one_score),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_comparison_notices(damage, classification):
    X, y = classification
    ours, theirs = fit_both(LogisticRegression(), {"C": [1.0, 2.0]}, X, y)
    DAMAGES[damage](ours)
    with pytest.raises(AssertionError):
        assert_same_search(ours, theirs)


# ---------------------------------------------------------------------------
# Estimators


CLASSIFIERS = {
    "logistic": (LogisticRegression(), {"C": [0.1, 1.0, 10.0]}),
    "svc": (SVC(), {"C": [1, 10], "kernel": ["linear", "rbf"]}),
    "forest, int seed": (
        RandomForestClassifier(5, random_state=0),
        {"max_depth": [1, 2, None]},
    ),
    "forest, RandomState": (
        RandomForestClassifier(5, random_state=np.random.RandomState(0)),
        {"max_depth": [1, 2, None]},
    ),
    "tree, global generator": (
        DecisionTreeClassifier(max_features=1),
        {"max_depth": [1, 2, 3]},
    ),
    "knn": (KNeighborsClassifier(), {"n_neighbors": [1, 3, 5]}),
    "naive Bayes": (GaussianNB(), {"var_smoothing": [1e-9, 1e-2, 1]}),
    "pipeline": (
        make_pipeline(StandardScaler(), PCA(random_state=0), LogisticRegression()),
        {"pca__n_components": [1, 2], "logisticregression__C": [0.1, 1]},
    ),
    "pipeline that scales in place": (
        make_pipeline(StandardScaler(copy=False), LinearSVC(random_state=0)),
        {"linearsvc__C": [0.1, 1, 10]},
    ),
    "pipeline that may scale in place": (
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"standardscaler__copy": [True, False, True]},
    ),
    "cached pipeline step": (
        make_pipeline(MinMaxScaler(clip=True), SelectKBest(), LogisticRegression()),
        {"selectkbest__k": [1, 2, "all"]},
    ),
    "ensemble of estimators": (
        VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]),
        {"voting": ["hard", "soft"], "a__C": [0.1, 1.0], "b": ["drop", GaussianNB()]},
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("return_train_score", [False, True])
def test_classifiers_get_the_same_search(name, return_train_score, classification):
    X, y = classification
    ours, theirs = fit_both(
        *CLASSIFIERS[name], X, y, cv=3, return_train_score=return_train_score
    )
    assert_same_predictions(ours, theirs, X, y)


REGRESSORS = {
    "ridge": (Ridge(), {"alpha": [0.1, 1.0, 10.0], "fit_intercept": [True, False]}),
    "ridge that overwrites": (Ridge(copy_X=False), {"alpha": [0.1, 1.0, 10.0]}),
    "lasso": (Lasso(), {"alpha": [0.1, 1.0], "selection": ["cyclic"]}),
    "lasso that overwrites": (Lasso(copy_X=False), {"alpha": [0.1, 1.0, 10.0]}),
    "linear, copying or not": (LinearRegression(), {"copy_X": [True, False]}),
    "forest": (RandomForestRegressor(5, random_state=0), {"max_depth": [1, None]}),
    "boosting": (
        HistGradientBoostingRegressor(max_iter=3, early_stopping=True, random_state=1),
        {"min_samples_leaf": [2, 5]},
    ),
    "knn": (KNeighborsRegressor(), {"weights": ["uniform", "distance"]}),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors_get_the_same_search(name, regression):
    X, y = regression
    ours, theirs = fit_both(*REGRESSORS[name], X, y, return_train_score=True)
    assert_same_predictions(ours, theirs, X, y)


@pytest.mark.parametrize(
    "estimator, grid",
    [
        (Ridge(), {"alpha": [0.1, 10.0]}),
        (KNeighborsRegressor(), {"n_neighbors": [1, 5]}),
        (RandomForestRegressor(3, random_state=0), {"max_depth": [1, 2]}),
    ],
)
def test_several_outputs(estimator, grid, regression, rng):
    X, y = regression
    Y = np.column_stack([y, rng.normal(size=len(y))])
    ours, theirs = fit_both(estimator, grid, X, Y, cv=3)
    assert_same_predictions(ours, theirs, X, Y)


def test_several_outputs_of_a_classifier(classification):
    X, y = classification
    Y = np.column_stack([y, X[:, 0] > 0])
    estimator = MultiOutputClassifier(LogisticRegression())
    fit_both(estimator, {"estimator__C": [0.1, 1.0]}, X, Y, cv=KFold(3))


@pytest.mark.parametrize(
    "estimator, grid",
    [
        (KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4]}),
        (KernelDensity(), {"bandwidth": [0.1, 1.0]}),
        (PCA(random_state=0), {"n_components": [1, 2, 3]}),
    ],
)
@pytest.mark.parametrize("with_y", [False, True])
def test_unsupervised_estimators_search_without_y(
    estimator, grid, with_y, classification
):
    X, y = classification
    ours, theirs = fit_both(estimator, grid, X, y if with_y else None, cv=3)
    assert_same_predictions(ours, theirs, X)


@pytest.mark.parametrize(
    "estimator, grid",
    [
        (SVC(kernel="precomputed"), {"C": [0.1, 1, 10]}),
        (
            KNeighborsClassifier(metric="precomputed"),
            {"n_neighbors": [1, 3], "weights": ["uniform", "distance"]},
        ),
        (SVC(), {"kernel": ["precomputed"], "C": [1, 10]}),
    ],
)
def test_kernels_are_sliced_both_ways(estimator, grid, classification):
    X, y = classification
    K = rbf_kernel(X)
    if isinstance(estimator, KNeighborsClassifier):
        K = 1 - K
    ours, theirs = fit_both(estimator, grid, K, y, return_train_score=True)
    assert_same_predictions(ours, theirs, K, y)


def test_a_kernel_that_is_not_square_is_refused_as_there(classification):
    X, y = classification
    ours, theirs = (
        error_of(cls(SVC(kernel="precomputed"), {"C": [1]}).fit, X, y) for cls in GRID
    )
    assert ours == theirs


def test_candidates_that_change_whether_x_is_a_kernel(classification):
    X, y = classification
    fit_both(
        SVC(), {"kernel": ["precomputed", "rbf"]}, rbf_kernel(X), y, error_score=-1
    )


# ---------------------------------------------------------------------------
# Kinds of X and y


class PixelSum(ClassifierMixin, BaseEstimator):
    """A classifier of stacks of images, which scikit-learn's own refuse."""

    def __init__(self, threshold=0.0):
        self.threshold = threshold

    def fit(self, X, y):
        assert X.ndim == 3
        self.classes_ = np.unique(y)
        self.mean_ = X.mean()
        return self

    def predict(self, X):
        above = X.sum(axis=(1, 2)) > self.threshold + self.mean_
        return self.classes_[above.astype(int)]


def read_only(X):
    X.flags.writeable = False
    return X


def pandas_frame(X):
    pd = pytest.importorskip("pandas")
    columns = [f"column {i}" for i in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=columns, index=range(100, 100 + len(X)))
    return frame.assign(kind=pd.Categorical(["a", "b", "c"] * (len(X) // 3)))


def polars_frame(X):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(X, schema=[f"column {i}" for i in range(X.shape[1])])
    return frame.with_columns(pl.Series("kind", ["a", "b", "c"] * (len(X) // 3)))


KINDS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "not contiguous": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "float32": lambda X: X.astype(np.float32),
    "integer": lambda X: (10 * X).astype(np.int64),
    "big-endian": lambda X: X.astype(">f8"),
    "objects": lambda X: X.astype(object),
    "read-only": read_only,
    "3-D": lambda X: X.reshape(len(X), -1, 1) * np.ones(3),
    "csr": lambda X: sparse.csr_matrix(X * (X > 0)),
    "csc": lambda X: sparse.csc_matrix(X * (X > 0)),
    "csr array": lambda X: sparse.csr_array(X * (X > 0)),
    "pandas": pandas_frame,
    "polars": polars_frame,
    "list of lists": lambda X: X.tolist(),
    "list of str": lambda X: [" ".join(map(str, row)) for row in X],
    "array of str": lambda X: np.array([" ".join(map(str, row)) for row in X]),
    "matrix of strings": lambda X: X.round(1).astype(str).astype(object),
}


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_x_reaches_the_estimator_as_from_scikit_learn(kind, classes, classification):
    X, y = classification
    fit_both(
        Fingerprint(),
        {"a": [1, 2, 3]},
        lambda: KINDS[kind](X.copy()),
        y,
        classes=classes,
        return_train_score=True,
        **options_for(classes),
    )


def test_a_memory_map_stays_one(tmp_path, classification):
    X, y = classification
    path = tmp_path / "X"
    written = np.memmap(path, X.dtype, "w+", shape=X.shape)
    written[:] = X
    written.flush()
    for mode in ("r", "c"):
        fit_both(
            Fingerprint(),
            {"a": [1, 2]},
            lambda mode=mode: np.memmap(path, X.dtype, mode, shape=X.shape),
            y,
            return_train_score=True,
        )


Y_KINDS = {
    "str": lambda y: np.where(y, "yes", "no"),
    "object": lambda y: np.where(y, "yes", "no").astype(object),
    "bool": lambda y: y.astype(bool),
    "int8": lambda y: y.astype(np.int8),
    "float": lambda y: y.astype(float),
    "read-only": lambda y: read_only(y.copy()),
    "list": lambda y: y.tolist(),
    "list of str": lambda y: np.where(y, "yes", "no").tolist(),
    "pandas": lambda y: pytest.importorskip("pandas").Series(y, name="target"),
    "categories": lambda y: pytest.importorskip("pandas").Series(
        np.where(y, "yes", "no"), dtype="category"
    ),
    "polars": lambda y: pytest.importorskip("polars").Series("target", y),
}


@pytest.mark.parametrize("kind", Y_KINDS)
def test_y_reaches_the_estimator_as_from_scikit_learn(kind, classification):
    X, y = classification
    fit_both(Fingerprint(), {"a": [1, 2]}, X, Y_KINDS[kind](y))
    ours, theirs = fit_both(
        LogisticRegression(), {"C": [0.1, 1]}, X, Y_KINDS[kind](y), cv=3
    )
    assert_same_predictions(ours, theirs, X, Y_KINDS[kind](y))


def test_stacks_of_images(rng):
    X = rng.normal(size=(30, 4, 4))
    y = (X.sum(axis=(1, 2)) > 0).astype(int)
    ours, theirs = fit_both(PixelSum(), {"threshold": [-1.0, 0.0, 1.0]}, X, y)
    assert_same_predictions(ours, theirs, X, y)


def test_mixed_columns_of_a_frame(classification):
    X, y = classification
    frame = pandas_frame(X)
    frame.iloc[::7, 0] = np.nan
    columns = ColumnTransformer(
        [
            ("kinds", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ("numbers", SimpleImputer(), ["column 0", "column 1"]),
        ],
        remainder="passthrough",
    )
    grid = [
        {
            "columns__numbers": [SimpleImputer(strategy="median"), "drop"],
            "model__C": [0.1, 1.0],
        },
        {
            "columns__numbers__strategy": ["mean", "most_frequent"],
            "model": [
                RandomForestClassifier(3, random_state=0),
                make_pipeline(StandardScaler(with_mean=False), LogisticRegression()),
            ],
        },
    ]
    pipeline = Pipeline([("columns", columns), ("model", LogisticRegression())])
    ours, theirs = fit_both(pipeline, grid, frame, y, cv=3, scoring="roc_auc")
    assert_same_predictions(ours, theirs, frame, y)
    assert list(ours.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix])
def test_sparse_data_in_real_estimators(make, classification):
    X, y = classification
    X = make(X * (X > 0))
    for estimator, grid in [
        (LogisticRegression(), {"C": [0.1, 1.0]}),
        (
            make_pipeline(TfidfTransformer(), MultinomialNB()),
            {
                "multinomialnb__alpha": [0.1, 1.0],
            },
        ),
    ]:
        ours, theirs = fit_both(estimator, grid, X, y, return_train_score=True)
        assert_same_predictions(ours, theirs, X, y)


def test_text(classification):
    _, y = classification
    X = [f"{'good' if label else 'bad'} {i} {i % 7}" for i, label in enumerate(y)]
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB())
    grid = {
        "countvectorizer__ngram_range": [(1, 1), (1, 2)],
        "countvectorizer__binary": [True, False],
        "multinomialnb__alpha": [0.1, 1],
    }
    ours, theirs = fit_both(pipeline, grid, X, y)
    assert_same_predictions(ours, theirs, X, y)


ARRAY_API_SCRIPT = """
import sys
from importlib import import_module

from oracle import GRID, RANDOM, assert_same_results
from sklearn import config_context
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from test_drop_in import Fingerprint, options_for

xp = import_module(sys.argv[1])
# Not the device where new arrays are put.
device = xp.Device("device1") if sys.argv[1] == "array_api_strict" else "cpu"
data = make_classification(60, 5, random_state=0)
X, y = (xp.asarray(array, device=device) for array in data)
target, weights = X[:, 0] + X[:, 1], {"sample_weight": X[:, 2] ** 2}
reduced = make_pipeline(PCA(svd_solver="full"), Ridge(solver="svd"))
for estimator, space, y, params in [
    (Fingerprint(), {"a": [1, 2, 3]}, y, weights),
    (Ridge(solver="svd"), {"alpha": [0.1, 1.0, 10.0]}, target, weights),
    (LinearDiscriminantAnalysis(), {"tol": [1e-1, 1e-2, 1e-3]}, y, {}),
    (reduced, {"pca__n_components": [1, 2, 3]}, target, {}),
    (PCA(svd_solver="full"), {"n_components": [1, 2, 3]}, None, {}),
]:
    for classes, n_jobs in [(GRID, 1), (GRID, 2), (RANDOM, 1)]:
        options = options_for(
            classes,
            cv=KFold(3),
            n_jobs=n_jobs,
            return_train_score=True,
            error_score="raise",
        )
        with config_context(array_api_dispatch=True):
            ours, theirs = (
                cls(estimator, space, **options).fit(X, y, **params) for cls in classes
            )
            assert_same_results(ours.cv_results_, theirs.cv_results_)
            if hasattr(theirs, "predict"):
                our, their = ours.predict(X), theirs.predict(X)
                assert type(our) is type(their) is type(X)
                assert our.device == their.device == X.device
                assert xp.all(our == their)
"""


@pytest.mark.parametrize(
    "namespace",
    ["array_api_strict", pytest.param("torch", marks=pytest.mark.optional)],
)
def test_arrays_of_the_array_api_are_kept(namespace):
    reason = "scikit-learn carries array-api-compat from 1.7 on"
    pytest.importorskip("sklearn.externals.array_api_compat", reason=reason)
    pytest.importorskip(namespace)
    # SciPy reads the variable when it is imported, hence the new process.
    path = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API_SCRIPT, namespace],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------
# Nobody else's data are changed, and nobody sees another fit's damage


class Doubler(RegressorMixin, BaseEstimator):
    """An estimator that writes into the data it is given."""

    def __init__(self, alpha=1.0, in_fit=True, in_predict=False):
        self.alpha = alpha
        self.in_fit = in_fit
        self.in_predict = in_predict

    def fit(self, X, y):
        if self.in_fit:
            X *= 2
            y += 1
        self.model_ = Ridge(self.alpha).fit(X, y)
        return self

    def predict(self, X):
        predicted = self.model_.predict(X)
        if self.in_predict:
            X += 1
        return predicted


@pytest.mark.parametrize("in_fit", [True, False])
@pytest.mark.parametrize("in_predict", [True, False])
@pytest.mark.parametrize("scoring", [None, "r2", ["r2", "neg_mean_squared_error"]])
def test_estimators_that_write_into_x_and_y_get_their_own(
    in_fit, in_predict, scoring, regression
):
    X, y = regression
    fit_both(
        Doubler(in_fit=in_fit, in_predict=in_predict),
        {"alpha": [0.1, 1.0, 10.0]},
        X,
        y,
        scoring=scoring,
        refit=False,
        return_train_score=True,
    )


def test_a_function_in_a_pipeline_may_write_into_x(regression):
    X, y = regression

    def double(X):
        X *= 2
        return X

    pipeline = make_pipeline(FunctionTransformer(double), Ridge())
    fit_both(
        pipeline,
        {"ridge__alpha": [0.1, 1.0]},
        X,
        y,
        refit=False,
        return_train_score=True,
    )


def spoil(estimator, X, y):
    """Score, and leave nothing as it was."""
    score = r2_score(y, estimator.predict(X))
    X[:] = 0
    y[:] = 0
    return score


def test_a_scorer_may_write_into_x_and_y(regression):
    X, y = regression
    for scoring in (spoil, {"first": spoil, "second": "r2"}):
        fit_both(
            Ridge(),
            {"alpha": [0.1, 1.0]},
            X,
            y,
            scoring=scoring,
            refit=False,
            return_train_score=True,
        )


def test_a_metric_may_write_into_predictions_and_y(regression):
    X, y = regression

    def metric(y_true, y_pred):
        y_true -= y_pred
        return -float(np.abs(y_true).mean())

    fit_both(
        Ridge(),
        {"alpha": [0.1, 1.0]},
        X,
        y,
        scoring=make_scorer(metric),
        return_train_score=True,
    )


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_callers_things_are_not_changed(classes, n_jobs, regression):
    X, y = regression
    weight = np.ones(len(y))
    estimator = Doubler(in_predict=True)
    space = {"alpha": [0.1, 1.0, 10.0], "in_fit": [True]}
    before = copy.deepcopy((X, y, space, estimator.get_params()))
    search = classes[0](
        estimator, space, refit=False, n_jobs=n_jobs, **options_for(classes)
    ).fit(X, y)
    assert_same((X, y, space, estimator.get_params()), before, "the caller's")
    assert search.estimator is estimator
    assert vars(estimator).keys() == estimator.get_params().keys()

    estimator = Ridge()
    before = copy.deepcopy((X, y, weight))
    search = classes[0](
        estimator, {"alpha": [0.1, 1.0, 10.0]}, n_jobs=n_jobs, **options_for(classes)
    ).fit(X, y, sample_weight=weight)
    assert_same((X, y, weight), before, "the caller's")
    assert X.flags.writeable and y.flags.writeable and weight.flags.writeable
    assert not hasattr(estimator, "coef_")


@BOTH
def test_estimators_among_the_values_are_not_fitted(classes, classification):
    X, y = classification
    models = [LogisticRegression(), GaussianNB(), SVC()]
    pipeline = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    search = classes[0](pipeline, {"model": models}, **options_for(classes))
    search.fit(X, y)
    assert not any(hasattr(model, "classes_") for model in models)
    assert not hasattr(search.best_params_["model"], "classes_")
    assert hasattr(search.best_estimator_["model"], "classes_")


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_global_generator_is_left_alone_where_seeds_are_given(
    classes, n_jobs, classification
):
    X, y = classification
    before = np.random.get_state()
    classes[0](
        RandomForestClassifier(2, random_state=0),
        {"max_depth": [1, 2, 3]},
        cv=KFold(3, shuffle=True, random_state=0),
        n_jobs=n_jobs,
        **options_for(classes),
    ).fit(X, y)
    assert str(np.random.get_state()) == str(before)


@BOTH
def test_without_seeds_all_draw_from_the_global_generator_in_the_same_order(
    classes, regression
):
    X, y = regression
    space, options = {"max_depth": [1, 2, 3]}, {}
    if classes is RANDOM:
        space = {"max_features": uniform(0.1, 0.9), "max_depth": randint(1, 10**6)}
        options = {"n_iter": 3}
    cv = ShuffleSplit(3)
    fit_both(ExtraTreesRegressor(2), space, X, y, classes=classes, cv=cv, **options)


def test_a_random_state_instance_is_advanced_as_by_scikit_learn(classification):
    X, y = classification
    after = []
    for cls in RANDOM:
        state = np.random.RandomState(0)
        space = {"C": loguniform(0.01, 10)}
        cls(LogisticRegression(), space, n_iter=3, random_state=state).fit(X, y)
        after.append(state.get_state())
    assert str(after[0]) == str(after[1])


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("scoring", [None, "f1", ["accuracy", "roc_auc"]])
def test_a_clean_run_is_silent(classes, n_jobs, scoring, classification, capfd):
    X, y = classification
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classes[0](
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": [0.1, 1.0, 10.0]},
            scoring=scoring,
            refit=scoring[0] if isinstance(scoring, list) else True,
            n_jobs=n_jobs,
            **options_for(classes),
        ).fit(X, y)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------------------
# Scoring and refit


def one_score(estimator, X, y):
    return accuracy_score(y, estimator.predict(X))


def three_scores(estimator, X, y):
    right = estimator.predict(X) == y
    return {"mean": right.mean(), "n": int(right.sum()), "minus": -right.mean()}


class Only:
    """One of the three scores."""

    def __init__(self, name):
        self.name = name

    def __call__(self, estimator, X, y):
        return three_scores(estimator, X, y)[self.name]


SCORINGS = {
    "None": (None, True),
    "str": ("roc_auc", True),
    "needs decisions": (make_scorer(log_loss, response_method="predict_proba"), True),
    "callable": (one_score, True),
    "list": (["accuracy", "f1"], "f1"),
    "list of one": (["accuracy"], "accuracy"),
    "tuple": (("accuracy", "f1"), "accuracy"),
    "dict": ({"b": "accuracy", "a": make_scorer(accuracy_score), "c": one_score}, "a"),
    "callable, several": (three_scores, "minus"),
    "list, no refit": (["accuracy", "f1"], False),
    "dict, no refit": ({"one": one_score}, False),
    "callable, several, no refit": (three_scores, False),
    "no refit": (None, False),
    "callable, no refit": (one_score, False),
}


@BOTH
@pytest.mark.parametrize("return_train_score", [False, True])
@pytest.mark.parametrize("name", SCORINGS)
def test_scoring_of_every_kind(name, return_train_score, classes, classification):
    X, y = classification
    scoring, refit = SCORINGS[name]
    ours, theirs = fit_both(
        LogisticRegression(),
        {"C": [0.01, 1.0, 10.0]},
        X,
        y,
        classes=classes,
        scoring=scoring,
        refit=refit,
        cv=3,
        return_train_score=return_train_score,
        **options_for(classes),
    )
    if refit:
        assert_same_predictions(ours, theirs, X, y)
    else:
        for search in (ours, theirs):
            assert not hasattr(search, "best_estimator_")
            assert hasattr(search, "best_index_") != search.multimetric_


def most_regular(results):
    """Take the smallest C within a standard error of the best."""
    mean, std = results["mean_test_score"], results["std_test_score"]
    good = mean >= mean.max() - std[mean.argmax()]
    return int(np.flatnonzero(good)[results["param_C"][good].astype(float).argmin()])


@BOTH
def test_a_callable_refit_chooses_and_leaves_no_best_score(classes, classification):
    X, y = classification
    ours, theirs = fit_both(
        LogisticRegression(),
        {"C": [0.01, 1.0, 10.0]},
        X,
        y,
        classes=classes,
        refit=most_regular,
        **options_for(classes),
    )
    assert_same_predictions(ours, theirs, X, y)
    assert not hasattr(ours, "best_score_")


def test_a_callable_refit_chooses_among_several_metrics(classification):
    X, y = classification
    ours, theirs = fit_both(
        LogisticRegression(),
        {"C": [0.01, 1.0, 10.0]},
        X,
        y,
        scoring=["accuracy", "f1"],
        refit=lambda results: results["rank_test_f1"].argmax(),
    )
    assert_same_predictions(ours, theirs, X, y)


@pytest.mark.parametrize(
    "options",
    [
        {"refit": lambda results: 3},
        {"refit": lambda results: -1},
        {"refit": lambda results: 1.0},
        {"refit": lambda results: None},
        {"scoring": ["accuracy", "f1"]},
        {"scoring": ["accuracy", "f1"], "refit": "recall"},
        {"scoring": ["accuracy", "f1"], "refit": 1},
        {"scoring": three_scores},
        {"scoring": three_scores, "refit": "recall"},
        {"scoring": ["accuracy", "accuracy"], "refit": "accuracy"},
        {"scoring": []},
        {"scoring": {}},
        {"scoring": [one_score]},
        {"scoring": "no such metric"},
        {"scoring": lambda estimator, X, y: "high"},
        {"scoring": lambda estimator, X, y: {"a": "high"}, "refit": "a"},
        {"scoring": 3},
        {"refit": 3.5},
        {"n_jobs": "two"},
        {"cv": "five"},
        {"cv": 1},
        {"cv": 100},
        {"cv": []},
        {"error_score": "ignore"},
        {"verbose": "loud"},
        {"return_train_score": "yes"},
    ],
    ids=without_address,
)
@BOTH
def test_bad_options_are_refused_with_the_same_words(options, classes, classification):
    X, y = classification
    ours, theirs = (
        error_of(
            cls(
                LogisticRegression(),
                {"C": [0.1, 1.0, 10.0]},
                **options_for(classes, **options),
            ).fit,
            X,
            y,
        )
        for cls in classes
    )
    if callable(options.get("scoring")) and "number" in theirs[1]:
        # What scored no number is added.
        assert ours == (theirs[0], f"{theirs[1]} It scored {{'C': 0.1}}, split 0.")
    else:
        assert ours == theirs


def test_an_estimator_without_score_needs_scoring(classification):
    X, y = classification

    class NoScore(BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            return np.zeros(len(X), dtype=int)

    ours, theirs = (error_of(cls(NoScore(), {}).fit, X, y) for cls in GRID)
    assert ours == theirs
    fit_both(NoScore(), {}, X, y, scoring="accuracy", cv=KFold(3))


# ---------------------------------------------------------------------------
# Fits and scores that fail


class Failing(ClassifierMixin, BaseEstimator):
    """Fails in fit or in predict, everywhere or only on some splits."""

    def __init__(self, fail=None, where="fit", a=0):
        self.fail = fail
        self.where = where
        self.a = a

    def _maybe_fail(self, where, X):
        if where == self.where and (
            self.fail == "always" or (self.fail == "sometimes" and X[0, 0] != 0)
        ):
            raise ValueError(f"failing in {where}, {self.fail}")

    def fit(self, X, y):
        self._maybe_fail("fit", X)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self._maybe_fail("predict", X)
        return np.full(len(X), self.classes_[self.a % 2])


@pytest.fixture
def first_is_zero(classification):
    """Data whose first row, which one test part begins with, tells splits apart."""
    X, y = classification
    X = X.copy()
    X[0, 0] = 0
    return X, y


@BOTH
@pytest.mark.parametrize("where", ["fit", "predict"])
@pytest.mark.parametrize("fail", ["always", "sometimes"])
@pytest.mark.parametrize("error_score", [np.nan, 0, -1.5])
@pytest.mark.parametrize("scoring", ["one", "several", "callable, several"])
def test_failing_candidates_get_the_error_score(
    where, fail, error_score, scoring, classes, first_is_zero
):
    X, y = first_is_zero
    data = Failing(where=where), {"fail": [fail, None], "a": [0, 1]}, X, y
    options = options_for(
        classes,
        scoring={
            "one": None,
            "several": ["accuracy", "balanced_accuracy"],
            "callable, several": three_scores,
        }[scoring],
        refit=False,
        cv=3,
        error_score=error_score,
        return_train_score=True,
    )
    if (where, scoring) == ("predict", "callable, several"):
        # scikit-learn puts one number beside the dicts of other splits, and stumbles;
        # it does not where the same metrics are scorers of their own.
        assert error_of(fit_one, classes[1], *data, **options)[0] is TypeError
        ours = fit_one(classes[0], *data, **options).search
        options["scoring"] = {name: Only(name) for name in ("mean", "n", "minus")}
        theirs = fit_one(classes[1], *data, **options).search
        assert_same_results(ours.cv_results_, theirs.cv_results_)
    else:
        fit_both(*data, classes=classes, **options)


@BOTH
@pytest.mark.parametrize("where", ["fit", "predict"])
def test_a_failure_is_raised_when_asked_for(where, classes, first_is_zero):
    X, y = first_is_zero
    searches = [
        cls(
            Failing(where=where),
            {"fail": [None, "sometimes", "always"]},
            error_score="raise",
            **options_for(classes),
        )
        for cls in classes
    ]
    ours, theirs = (error_of(search.fit, X, y) for search in searches)
    assert ours == theirs
    assert ours[1].startswith("failing in")
    ours, theirs = (error_of(search.predict, X) for search in searches)
    # Before 1.9 scikit-learn says so, too; since then a failed search looks fitted.
    assert ours == theirs or ours[0] is NotFittedError


@BOTH
def test_a_search_all_of_whose_fits_fail_raises(classes, first_is_zero):
    X, y = first_is_zero
    ours, theirs = (
        error_of(
            cls(Failing("always"), {"a": [1, 2, 3]}, **options_for(classes)).fit,
            X,
            y,
        )
        for cls in classes
    )
    assert ours[0] is theirs[0]
    expected, _, _ = theirs[1].partition("Below are more details")
    assert ours[1].startswith(expected)
    assert "failing in fit, always" in ours[1]


def test_a_refit_that_fails_raises(first_is_zero):
    X, y = first_is_zero

    class FailsOnAll(Failing):
        def fit(self, X, y):
            if len(X) == 60:
                raise RuntimeError("too much data")
            return super().fit(X, y)

    ours, theirs = (error_of(cls(FailsOnAll(), {"a": [1]}).fit, X, y) for cls in GRID)
    assert ours == theirs == (RuntimeError, "too much data")


def test_a_failed_refit_after_a_good_one_leaves_what_scikit_learn_leaves(first_is_zero):
    X, y = first_is_zero
    left = []
    for cls in GRID:
        search = cls(Failing(), {"a": [1, 2]}, error_score="raise").fit(X, y)
        search.set_params(param_grid={"fail": ["always"]})
        error_of(search.fit, X, y)
        left.append(search.best_params_)
    assert left[0] == left[1]


@pytest.mark.parametrize("error_score", [np.nan, 0.0])
def test_scores_that_are_not_finite_rank_last_with_a_warning(
    error_score, classification
):
    X, y = classification

    def scorer(estimator, X, y):
        return {0.1: np.nan, 1.0: np.inf, 10.0: 0.5, 100.0: -np.inf}[estimator.C]

    fit_both(
        LogisticRegression(),
        {"C": [0.1, 1.0, 10.0, 100.0]},
        X,
        y,
        scoring=scorer,
        error_score=error_score,
        return_train_score=True,
        refit=False,
    )


# ---------------------------------------------------------------------------
# Splits


CVS = {
    "None": None,
    "int": 3,
    "KFold": KFold(4),
    "shuffled": KFold(3, shuffle=True, random_state=0),
    "RandomState": ShuffleSplit(3, random_state=np.random.RandomState(0)),
    "global generator": ShuffleSplit(3),
    "stratified": StratifiedKFold(3),
    "stratified, global generator": StratifiedShuffleSplit(2),
    "repeated": RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
    "leave one out": LeaveOneOut(),
    "time": TimeSeriesSplit(3),
    "predefined": PredefinedSplit([-1] * 20 + [0] * 20 + [1] * 20),
    "list": [(np.arange(40), np.arange(40, 60)), (np.arange(20, 60), np.arange(20))],
    "list of lists": [(list(range(40)), list(range(40, 60)))],
    "masks": [(np.arange(60) < 40, np.arange(60) >= 40)],
    "overlapping": [(np.arange(60), np.arange(60)), (np.arange(60), np.arange(5))],
}


@BOTH
@pytest.mark.parametrize("name", CVS)
def test_splits_of_every_kind(name, classes, classification):
    X, y = classification
    fit_both(
        Fingerprint(),
        {"a": [1, 2, 3]},
        X,
        y,
        classes=classes,
        cv=CVS[name],
        **options_for(classes),
    )
    fit_both(
        DummyClassifier(),
        {"strategy": ["prior", "uniform", "stratified"], "random_state": [0]},
        X,
        y,
        classes=classes,
        cv=CVS[name],
        **options_for(classes),
    )


def test_splits_from_a_generator(classification):
    X, y = classification
    ours, theirs = (
        cls(Fingerprint(), {"a": [1, 2]}, cv=KFold(3).split(X)).fit(X, y)
        for cls in GRID
    )
    assert_same_results(ours.cv_results_, theirs.cv_results_)


@pytest.mark.parametrize("cv", [GroupKFold(3), LeaveOneGroupOut()])
@BOTH
def test_splits_by_group(cv, classes, classification):
    X, y = classification
    groups = np.arange(60) // 12
    fit_both(
        Fingerprint(),
        {"a": [1, 2, 3]},
        X,
        y,
        classes=classes,
        cv=cv,
        params={"groups": groups},
        **options_for(classes),
    )
    ours, theirs = (
        error_of(
            cls(Fingerprint(), {"a": [1, 2, 3]}, cv=cv, **options_for(classes)).fit,
            X,
            y,
        )
        for cls in classes
    )
    assert ours == theirs


def test_a_splitter_that_contradicts_itself_is_refused(classification):
    X, y = classification

    class Liar(KFold):
        def get_n_splits(self, X=None, y=None, groups=None):
            return 4

    ours, theirs = (
        error_of(cls(Fingerprint(), {"a": [1]}, cv=Liar(3)).fit, X, y) for cls in GRID
    )
    assert ours[0] is theirs[0]
    for _, text in (ours, theirs):
        # Some versions say "return", some "returned".
        assert text.endswith("inconsistent results. Expected 4 splits, got 3")


@pytest.mark.parametrize(
    "X, y",
    [
        (np.ones((5, 2)), np.ones(4)),
        (np.ones((0, 2)), np.ones(0)),
        ("text", np.ones(4)),
        (None, None),
    ],
)
def test_data_that_do_not_fit_together_are_refused(X, y):
    ours, theirs = (error_of(cls(Ridge(), {"alpha": [1]}).fit, X, y) for cls in GRID)
    assert ours == theirs


def test_a_candidate_evaluated_twice_has_one_score(classification):
    X, y = classification
    cv = ShuffleSplit(random_state=np.random.RandomState(0))
    for search in (
        GridSearch(LogisticRegression(), {"C": [1.0, 0.1, 1.0]}, cv=cv),
        RandomSearch(
            LogisticRegression(), [{"C": [1.0, 0.1]}, {"C": [1]}], cv=cv, n_iter=3
        ),
    ):
        results = search.fit(X, y).cv_results_
        scores = {}
        for params, score in zip(
            results["params"], results["mean_test_score"], strict=True
        ):
            assert scores.setdefault(params["C"], score) == score


# ---------------------------------------------------------------------------
# Weights and other parameters of fit; metadata routing


class Weighted(Fingerprint):
    """Names its parameters, so that they can be requested."""

    def fit(self, X, y=None, sample_weight=None, note=None):
        return super().fit(X, y, sample_weight=sample_weight, note=note)

    def score(self, X, y=None, sample_weight=None):
        return super().score(X, y, sample_weight=sample_weight)


FIT_PARAMS = {
    "weights": {"sample_weight": np.arange(60.0)},
    "list of weights": {"sample_weight": list(range(60))},
    "no weights": {"sample_weight": None},
    "scalar": {"note": 3.5},
    "text": {"note": "sixty"},
    "list of another length": {"note": [1, 2, 3]},
    "strings": {"note": np.array(["a", "b", "c"] * 20)},
    "matrix": {"note": np.arange(120).reshape(60, 2)},
    "sparse": {"note": sparse.csr_matrix(np.arange(60.0).reshape(60, 1))},
    "dict": {"note": {"a": 1}},
    "read-only": {"sample_weight": read_only(np.arange(60.0))},
}


@BOTH
@pytest.mark.parametrize("name", FIT_PARAMS)
def test_parameters_of_fit_are_split_along_with_x(name, classes, classification):
    X, y = classification
    for estimator in (Fingerprint(), Weighted()):
        fit_both(
            estimator,
            {"a": [1, 2, 3]},
            X,
            y,
            classes=classes,
            params=FIT_PARAMS[name],
            return_train_score=True,
            **options_for(classes),
        )


@pytest.mark.parametrize(
    "scoring",
    [
        None,
        "accuracy",
        ["accuracy", "roc_auc"],
        one_score,
        {"one": make_scorer(accuracy_score), "log loss": "neg_log_loss"},
    ],
)
def test_weights_reach_the_scorers_as_in_this_version(scoring, classification, rng):
    X, y = classification
    fit_both(
        LogisticRegression(),
        {"C": [0.01, 1.0]},
        X,
        y,
        scoring=scoring,
        refit=False,
        params={"sample_weight": rng.uniform(size=60)},
        return_train_score=True,
    )


def test_weights_reach_a_step_of_a_pipeline(classification, rng):
    X, y = classification
    fit_both(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        X,
        y,
        params={"logisticregression__sample_weight": rng.uniform(size=60)},
    )


@BOTH
def test_routing_sends_metadata_where_they_are_requested(classes, classification, rng):
    X, y = classification
    weight = rng.uniform(size=60)
    groups = np.arange(60) // 12
    with config_context(enable_metadata_routing=True):
        for estimator, scoring, params in [
            (
                Weighted()
                .set_fit_request(sample_weight=True, note=True)
                .set_score_request(sample_weight=False),
                None,
                {"sample_weight": weight, "note": "a", "groups": groups},
            ),
            (
                Weighted()
                .set_fit_request(sample_weight=True)
                .set_score_request(sample_weight=True),
                None,
                {"sample_weight": weight, "groups": groups},
            ),
            (
                Weighted()
                .set_fit_request(sample_weight="for_fit")
                .set_score_request(sample_weight="for_score"),
                None,
                {"for_fit": weight, "for_score": 1 - weight, "groups": groups},
            ),
        ]:
            fit_both(
                estimator,
                {"a": [1, 2, 3]},
                X,
                y,
                classes=classes,
                scoring=scoring,
                cv=GroupKFold(3),
                params=params,
                return_train_score=True,
                **options_for(classes),
            )
        fit_both(
            LogisticRegression().set_fit_request(sample_weight=False),
            {"C": [0.01, 0.1, 1.0]},
            X,
            y,
            classes=classes,
            scoring={
                "plain": make_scorer(accuracy_score).set_score_request(
                    sample_weight=False
                ),
                "weighted": make_scorer(accuracy_score).set_score_request(
                    sample_weight=True
                ),
            },
            refit="weighted",
            params={"sample_weight": weight},
            **options_for(classes),
        )


@pytest.mark.parametrize(
    "params",
    [
        {"sample_weight": np.ones(60)},
        {"groups": np.ones(60)},
        {"unknown": 1},
    ],
    ids=repr,
)
def test_routing_refuses_what_nobody_requests(params, classification):
    X, y = classification
    with config_context(enable_metadata_routing=True):
        ours, theirs = (
            error_of(cls(LogisticRegression(), {"C": [1]}).fit, X, y, **params)
            for cls in GRID
        )
    assert ours == theirs


def test_the_router_is_that_of_scikit_learn(classification):
    with config_context(enable_metadata_routing=True):
        inner = LogisticRegression().set_fit_request(sample_weight=True)
        routers = [
            cls(
                inner, {"C": [1]}, scoring=["accuracy"], refit="accuracy", cv=3
            ).get_metadata_routing()
            for cls in GRID
        ]
    ours, theirs = map(with_our_names, map(str, routers))
    assert ours == theirs


def test_routing_through_two_searches_and_a_pipeline(classification, rng):
    X, y = classification
    metadata = {"sample_weight": rng.uniform(size=60), "groups": np.arange(60) % 6}

    def scores(cls):
        model = LogisticRegression()
        model.set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        inner = cls(model, {"C": [0.1, 1.0]}, cv=GroupKFold(2))
        scale = StandardScaler().set_fit_request(sample_weight=False)
        outer = cls(
            Pipeline([("scale", scale), ("search", inner)]),
            {"search__cv": [GroupKFold(2), GroupKFold(3)]},
            cv=GroupKFold(3),
        )
        return outer.fit(X, y, **metadata).cv_results_["mean_test_score"]

    with config_context(enable_metadata_routing=True):
        # scikit-learn 1.6 does not route through Pipeline.score.
        ours, theirs = (outcome_of(scores, cls) for cls in GRID)
    assert_same(ours, theirs, "scores")


# ---------------------------------------------------------------------------
# Spaces, and how their values look in the results


VALUES = {
    "int": [1, 2, 3],
    "float": [0.1, 1.0, 1e-30],
    "int and float": [1, 2.5, 3],
    "bool": [True, False],
    "bool and int": [True, 2],
    "str": ["a", "bc"],
    "None": [None],
    "None and int": [None, 1, 2],
    "None and str": [None, "auto"],
    "tuples": [(1, 2), (3, 4)],
    "tuples of several lengths": [(1,), (1, 2), ()],
    "lists": [[1, 2], [3]],
    "arrays": [np.array([1, 2]), np.array([3, 4])],
    "arrays of several lengths": [np.array([1]), np.array([1, 2])],
    "ranges": range(3),
    "array": np.array([0.1, 0.2]),
    "array of int": np.arange(3),
    "array of str": np.array(["x", "yz"]),
    "array of objects": np.array([1, "a", None], dtype=object),
    "2-D as list": [np.eye(2), np.ones((2, 2))],
    "NumPy scalars": [np.float32(0.5), np.float64(0.5), np.int8(3)],
    "int, Python's and NumPy's": [2, np.int64(2)],
    "float, Python's and NumPy's": [0.5, np.float64(0.5)],
    "bool, Python's and NumPy's": [True, np.True_],
    "nan": [float("nan"), 1.0],
    "infinities": [np.inf, -np.inf],
    "huge": [10**30, 1],
    "complex": [1j, 2.0],
    "bytes": [b"a", b"bc"],
    "classes": [int, float],
    "functions": [abs, max],
    "dicts": [{"a": 1}, {}],
    "sets": [{1, 2}, set()],
    "estimators": [Ridge(), LinearRegression(), None],
    "frozen distributions": [uniform(0, 1), expon()],
    "tuple": (1, 2),
    "one": ["only"],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_every_kind(name):
    X, y = np.zeros((6, 1)), np.zeros(6)
    fit_both(Fingerprint(), {"a": VALUES[name]}, X, y, cv=2)
    fit_both(Fingerprint(), [{"a": VALUES[name]}, {"b": [1]}], X, y, cv=2)


SPACES = {
    "two": {"a": [1, 2], "b": ["x", "y"]},
    "empty": {},
    "empty branch": [{}],
    "branches": [{"a": [1, 2]}, {"b": [0.5]}, {"a": [1], "b": [2.0, 3.0]}],
    "overlapping branches": [{"a": [1, 2]}, {"a": [2, 3]}],
    "repeats": {"a": [1, 1, 2, 1]},
    "unsorted names": {"b": [1, 2], "a": [3, 4]},
    "equal but not the same": {"a": [1, 1.0, True]},
    "branches of several types": [{"a": [1]}, {"a": ["x"]}, {"a": [None]}],
    "branch with an empty one": [{}, {"a": [1]}],
}


@pytest.mark.parametrize("name", SPACES)
def test_spaces_of_every_form(name):
    X, y = np.zeros((6, 1)), np.zeros(6)
    fit_both(Fingerprint(), SPACES[name], X, y, cv=2)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, width=16),
    st.sampled_from(["a", "bb", "", "1"]),
    st.tuples(st.integers(0, 2)),
    st.lists(st.integers(0, 2), max_size=2),
    st.sampled_from([Ridge(), LinearRegression(), np.float32(1), np.int64(2)]),
)
GRIDS = st.dictionaries(
    st.sampled_from(["a", "b"]), st.lists(LEAVES, min_size=1, max_size=4), max_size=2
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(GRIDS, st.lists(GRIDS, min_size=1, max_size=3)))
def test_grids_of_any_values(grid):
    fit_both(Fingerprint(), grid, np.zeros((4, 1)), np.zeros(4), cv=2)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(GRIDS, st.lists(GRIDS, min_size=1, max_size=3)),
    st.integers(1, 20),
    st.integers(0, 1000),
)
def test_random_candidates_are_those_of_scikit_learn_until_one_repeats(
    space, n_iter, seed
):
    options = {"cv": 2, "n_iter": n_iter, "random_state": seed}
    X, y = np.zeros((4, 1)), np.zeros(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (
            cls(Fingerprint(), space, **options).fit(X, y).cv_results_["params"]
            for cls in RANDOM
        )
    distinct = list({described(params): params for params in reversed(theirs)}.values())
    distinct = distinct[::-1]
    expected = [
        params
        for i, params in enumerate(theirs)
        if described(params) not in set(map(described, theirs[:i]))
    ]
    assert len(expected) == len(distinct)
    assert_same(ours[: len(expected)], expected, "candidates")
    assert len(set(map(described, ours))) == len(ours)


def described(params):
    return fingerprint(dict(sorted(params.items())))


def test_steps_are_replaced_passed_through_and_dropped(classification):
    X, y = classification
    # SVC draws a seed that it does not use, once for each fit; equal fits are shared.
    model = SVC(random_state=0)
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("reduce", PCA()), ("model", model)]
    )
    grid = [
        {"scale": ["passthrough", None, MinMaxScaler()], "model__C": [1, 10]},
        {"reduce": [SelectKBest(k=2), PCA(2)], "model": [LogisticRegression()]},
        {"reduce": [PCA(random_state=0)], "reduce__n_components": [1, 2]},
    ]
    ours, theirs = fit_both(pipeline, grid, X, y, cv=3)
    assert_same_predictions(ours, theirs, X, y)
    columns = make_column_transformer((StandardScaler(), [0, 1]), (PCA(), [2, 3]))
    fit_both(
        make_pipeline(columns, LogisticRegression()),
        {
            "columntransformer__pca": ["drop", "passthrough", PolynomialFeatures()],
            "columntransformer__remainder": ["drop", "passthrough"],
        },
        X,
        y,
        cv=3,
    )


def test_the_parameter_of_a_nested_estimator_that_is_itself_replaced(classification):
    X, y = classification
    fit_both(
        BaggingClassifier(n_estimators=2, random_state=0),
        {
            "estimator": [DecisionTreeClassifier(), LogisticRegression()],
            "max_samples": [0.5, 1.0],
        },
        X,
        y,
        cv=3,
    )
    fit_both(
        BaggingClassifier(DecisionTreeClassifier(), n_estimators=2, random_state=0),
        [
            {"estimator__max_depth": [1, 2]},
            {"estimator": [SVC(kernel="linear")], "estimator__C": [0.1, 1]},
        ],
        X,
        y,
        cv=3,
    )


@pytest.mark.parametrize(
    "grid",
    [
        {"model": [GaussianNB()], "model__C": [1.0]},
        {"scale": ["passthrough"], "scale__with_mean": [True]},
        [{"model__C": [1.0]}, {"model": [SVC(), GaussianNB()], "model__C": [1.0]}],
    ],
    ids=["replaced", "passed through", "replaced by one of two"],
)
def test_a_parameter_that_a_replaced_step_lacks_is_refused(grid, classification):
    X, y = classification
    pipeline = Pipeline([("scale", StandardScaler()), ("model", SVC())])
    ours, theirs = (error_of(cls(pipeline, grid, cv=2).fit, X, y) for cls in GRID)
    # scikit-learn lets the AttributeError of a str without set_params escape.
    assert ours[0] is ValueError
    assert ours[1].endswith(theirs[1])


@pytest.mark.parametrize(
    "space",
    [
        {"a": []},
        {"a": 1},
        {"a": "text"},
        {"a": None},
        {"a": np.ones((2, 2))},
        {"no_such_parameter": [1]},
        [{"a": [1]}, {"a": []}],
        [{"a": [1]}, 3],
        [],
        "a",
        None,
        3,
    ],
    ids=repr,
)
@BOTH
def test_bad_spaces_are_refused_with_the_same_error(space, classes, classification):
    X, y = classification
    ours, theirs = (error_of(cls(Fingerprint(), space).fit, X, y) for cls in classes)
    assert ours[0] is theirs[0], (ours, theirs)
    classes[0](Fingerprint(), space)  # only fit complains


# ---------------------------------------------------------------------------
# Candidates of RandomSearch


DISTRIBUTIONS = {
    "lists": {"a": [1, 2, 3, 4], "b": ["x", "y", "z"]},
    "continuous": {"a": uniform(0, 1), "b": loguniform(1e-3, 1e3)},
    "mixed": {"a": expon(scale=2), "b": ["x", "y"]},
    "branches": [{"a": uniform(0, 1)}, {"b": [1, 2, 3, 4, 5, 6, 7], "a": expon()}],
    "branches of lists": [{"a": [1, 2, 3]}, {"b": [0.5, 1.5, 2.5]}],
    "integers": {"a": randint(0, 10**6), "b": randint(0, 10**6)},
    "nothing but rvs": {"a": uniform(0, 1), "b": [None]},
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(
    "random_state",
    [0, 42, np.int64(3), np.random.RandomState(7), None],
    ids=without_address,
)
def test_random_candidates_are_those_of_scikit_learn(name, random_state):
    fit_both(
        Fingerprint(),
        DISTRIBUTIONS[name],
        np.zeros((6, 1)),
        np.zeros(6),
        classes=RANDOM,
        cv=2,
        n_iter=6,
        random_state=random_state,
    )


def test_repeats_are_skipped_and_drawn_on():
    space = {"a": randint(0, 5), "b": randint(0, 3)}
    search = RandomSearch(Fingerprint(), space, n_iter=12, random_state=0, cv=2)
    search.fit(np.zeros((6, 1)), np.zeros(6))
    drawn = ParameterSampler(space, 1000, random_state=0)
    distinct = list({tuple(params.items()): params for params in drawn}.values())
    assert search.cv_results_["params"] == distinct[:12]


def test_a_small_space_is_exhausted_with_one_warning():
    search = RandomSearch(
        Fingerprint(), {"a": [1, 2, 3], "b": [True, False]}, n_iter=20, cv=2
    )
    with pytest.warns(UserWarning) as caught:
        search.fit(np.zeros((6, 1)), np.zeros(6))
    assert len(caught) == 1
    assert search.n_candidates_ == len(search.cv_results_["params"]) == 6
    assert search.stop_reason_ == "search space exhausted"


def test_a_second_fit_draws_what_scikit_learn_draws(classification):
    X, y = classification
    for random_state in (0, np.random.RandomState(0)):
        ours, theirs = (
            cls(
                LogisticRegression(),
                {"C": loguniform(0.1, 10)},
                n_iter=2,
                random_state=copy.deepcopy(random_state),
            )
            for cls in RANDOM
        )
        for _ in range(2):
            assert_same_results(
                ours.fit(X, y).cv_results_, theirs.fit(X, y).cv_results_
            )


@pytest.mark.parametrize("seed", range(3))
def test_a_sobol_design_covers_every_dimension_evenly(seed):
    space = {
        "a": uniform(0, 1),
        "b": ["w", "x", "y", "z"],
        "random_state": randint(0, 8),
    }
    search = RandomSearch(
        Fingerprint(), space, n_iter=16, design="sobol", random_state=seed, cv=2
    ).fit(np.zeros((6, 1)), np.zeros(6))
    found = search.cv_results_["params"]
    # A net in base 2: one point in each of 16 equal intervals.
    assert sorted(int(16 * params["a"]) for params in found) == list(range(16))
    for name, values in [("b", "wxyz"), ("random_state", range(8))]:
        counts = [sum(params[name] == value for params in found) for value in values]
        assert set(counts) == {16 // len(values)}


def test_a_sobol_design_depends_on_the_seed_alone(classification):
    X, y = classification

    def candidates(**options):
        search = RandomSearch(
            LogisticRegression(), {"C": loguniform(0.1, 10)}, design="sobol", **options
        )
        return search.fit(X, y).cv_results_["params"]

    first = candidates(random_state=0, n_iter=8)
    assert first == candidates(random_state=0, n_iter=8, n_jobs=2)
    assert first != candidates(random_state=1, n_iter=8)
    assert len({params["C"] for params in first}) == 8


def test_a_sobol_design_takes_branches_and_repeats_nothing():
    space = [{"a": [1, 2, 3]}, {"a": uniform(0, 1), "b": [None, "x"]}]
    search = RandomSearch(
        Fingerprint(), space, n_iter=10, design="sobol", random_state=0, cv=2
    ).fit(np.zeros((6, 1)), np.zeros(6))
    found = search.cv_results_["params"]
    assert len({described(params) for params in found}) == len(found) == 10
    assert {len(params) for params in found} == {1, 2}


# ---------------------------------------------------------------------------
# Repeated rows of a grid


def test_repeated_rows_share_one_evaluation(classification):
    X, y = classification
    grid = {"C": [1.0, 1.0, 0.1, 1.0]}
    ours, _ = fit_both(LogisticRegression(random_state=0), grid, X, y)
    for key in ("mean_fit_time", "std_fit_time", "mean_score_time"):
        first, second, _, fourth = ours.cv_results_[key]
        assert first == second == fourth
    assert (ours.n_candidates_, ours.n_fits_) == (4, 10)


def test_repeated_rows_show_the_noise_of_an_estimator_without_seed(regression):
    X, y = regression
    grid = {"max_depth": [2, 2, 2]}
    ours, _ = fit_both(ExtraTreesRegressor(2, max_features=1), grid, X, y, cv=3)
    assert len(set(ours.cv_results_["mean_test_score"])) == 3
    assert ours.n_fits_ == 9


# ---------------------------------------------------------------------------
# The object itself


def ours_and_theirs():
    """Pairs of unfitted searches with the same arguments."""
    grid = LogisticRegression(), {"C": [0.1, 1.0]}
    random = SVC(), {"C": loguniform(0.1, 10), "kernel": ["rbf", "linear"]}
    pipeline = make_pipeline(StandardScaler(), PCA(2), Ridge()), {"ridge__alpha": [1.0]}
    return {
        "plain": [cls(*grid) for cls in GRID],
        "options": [
            cls(*grid, cv=3, scoring="f1", refit=False, n_jobs=1, verbose=0)
            for cls in GRID
        ],
        "random": [cls(*random, n_iter=3, random_state=0) for cls in RANDOM],
        "pipeline": [cls(*pipeline) for cls in GRID],
        "nested": [cls(cls(*grid), {"estimator__C": [1.0]}) for cls in GRID],
    }


@pytest.mark.parametrize("name", ours_and_theirs())
def test_an_unfitted_search_looks_like_scikit_learns(name):
    ours, theirs = ours_and_theirs()[name]
    assert with_our_names(repr(ours)) == with_our_names(repr(theirs))
    assert type(ours).__name__ in ours._repr_html_()
    expected = theirs.get_params(deep=False)
    assert expected.keys() <= ours.get_params(deep=False).keys()
    for key, value in expected.items():
        if key != "estimator":
            assert str(ours.get_params()[key]) == str(value)
    assert ours.get_params().keys() >= theirs.get_params().keys()
    assert_same(clone(ours).get_params(), ours.get_params(), "clone")
    assert_same(copy.deepcopy(ours).get_params(), ours.get_params(), "deepcopy")
    unpickled = pickle.loads(pickle.dumps(ours))
    assert_same(unpickled.get_params(), ours.get_params(), "pickle")
    assert dir(ours).__contains__("fit")


@pytest.mark.parametrize("name", ours_and_theirs())
def test_before_fit_methods_are_there_or_not_as_in_scikit_learn(name, classification):
    X, y = classification
    ours, theirs = ours_and_theirs()[name]
    for method in (
        "predict",
        "predict_proba",
        "predict_log_proba",
        "decision_function",
        "transform",
        "inverse_transform",
        "score_samples",
        "score",
        "classes_",
        "n_features_in_",
        "feature_names_in_",
    ):
        assert hasattr(ours, method) == hasattr(theirs, method), method
        if hasattr(theirs, method):
            arguments = (X, y) if method == "score" else (X,)
            our, their = (
                error_of(getattr(search, method), *arguments)
                for search in (ours, theirs)
            )
            assert our == their
    for check in (is_classifier, is_regressor, is_clusterer, is_outlier_detector):
        assert check(ours) == check(theirs)


@pytest.mark.parametrize("name", ours_and_theirs())
def test_after_fit_methods_are_there_or_not_as_in_scikit_learn(name, classification):
    X, y = classification
    ours, theirs = (search.fit(X, y) for search in ours_and_theirs()[name])
    if not theirs.refit:
        for method in ("predict", "score", "transform"):
            assert hasattr(ours, method) == hasattr(theirs, method)
        our, their = (error_of(search.score, X, y) for search in (ours, theirs))
        assert our == their
        return
    assert_same_predictions(ours, theirs, X, y)
    assert hasattr(ours, "inverse_transform") == hasattr(theirs, "inverse_transform")
    for travelled in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert_same_predictions(travelled, theirs, X, y)
        assert_same_results(travelled.cv_results_, theirs.cv_results_)
        # Times included: nothing is lost on the way.
        assert_same(travelled.cv_results_, ours.cv_results_, "cv_results_")
        assert travelled.stop_reason_ == ours.stop_reason_
    assert not hasattr(clone(ours), "cv_results_")
    assert "best_estimator_" in ours._repr_html_() or ours._repr_html_()


def test_a_transformer_inside_transforms_and_back(classification):
    X, _ = classification
    ours, theirs = fit_both(PCA(random_state=0), {"n_components": [1, 2]}, X)
    Z = ours.transform(X)
    assert_same(Z, theirs.transform(X), "transform")
    assert_same(ours.inverse_transform(Z), theirs.inverse_transform(Z), "back")


def test_arguments_are_kept_as_they_are():
    arguments = {
        "estimator": Ridge(),
        "param_grid": {"alpha": np.array([1.0])},
        "cv": KFold(3),
        "scoring": ["r2"],
    }
    search = GridSearch(**arguments)
    for name, value in arguments.items():
        assert getattr(search, name) is value
    search.set_params(estimator__alpha=3.0, cv=4)
    assert (search.estimator.alpha, search.cv) == (3.0, 4)
    with pytest.raises(TypeError):
        GridSearch(Ridge(), {"alpha": [1.0]}, "r2")


INNER = {
    "classifier": SVC(),
    "regressor": Ridge(),
    "clusterer": KMeans(),
    "outlier detector": IsolationForest(),
    "transformer": PCA(),
    "density": KernelDensity(),
    "kernel": SVC(kernel="precomputed"),
    "takes nan": HistGradientBoostingRegressor(),
    "pipeline": make_pipeline(SimpleImputer(), Ridge()),
    "text": make_pipeline(CountVectorizer(), MultinomialNB()),
    "custom": Fingerprint(),
    "multi-output": MultiOutputClassifier(SVC()),
}


@pytest.mark.parametrize("name", INNER)
@BOTH
def test_tags_are_scikit_learns_and_the_rest_follows_the_estimator(name, classes):
    inner = INNER[name]
    ours, theirs = (get_tags(cls(inner, {})) for cls in classes)
    expected = get_tags(inner)
    assert ours.transformer_tags == expected.transformer_tags
    assert ours.input_tags.allow_nan == expected.input_tags.allow_nan
    theirs.transformer_tags = ours.transformer_tags
    theirs.input_tags.allow_nan = ours.input_tags.allow_nan
    assert ours == theirs


def test_a_fitted_search_knows_why_it_ended(regression):
    search = GridSearch(Ridge(), {"alpha": [1.0, 2.0]}, cv=3).fit(*regression)
    assert (search.n_candidates_, search.n_fits_) == (2, 6)
    assert [trial.params for trial in search.trials_] == search.cv_results_["params"]
    assert search.stop_reason_ == "all candidates evaluated"
    assert 0 < search.search_time_ < 60


# ---------------------------------------------------------------------------
# What is printed


def printed(cls, capsys, verbose, estimator, space, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cls(estimator, space, verbose=verbose, **options).fit(*data)
    out, err = capsys.readouterr()
    assert err == ""
    if verbose and cls in (GridSearch, RandomSearch):
        # The last line tells how far the search has come; the others are the same.
        out, line = re.fullmatch(r"((?:.*\n)+)(.*)\n", out).groups()
        assert re.match(r"\d+/\d+ candidates, .* elapsed(, best .* with |$)", line)
    # The dots before a time that is written in more digits are fewer.
    return re.sub(r"\.*( .*)? total time=\s*[\d.]+(s|min)", r"\1 total time=", out)


@pytest.mark.parametrize("verbose", [0, 1, 2, 3, 4, 10, 11])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_train_score": True},
        {"scoring": ["r2", "neg_mean_absolute_error"], "refit": "r2"},
        {
            "scoring": ["r2", "neg_mean_absolute_error"],
            "refit": False,
            "return_train_score": True,
        },
    ],
    ids=["one", "train", "several", "several, train"],
)
def test_the_same_lines_are_printed(verbose, options, capsys, regression):
    grid = [{"alpha": [0.1, 1.0], "fit_intercept": [True, False]}, {"tol": [1e-3]}]
    ours, theirs = (
        printed(cls, capsys, verbose, Ridge(), grid, regression, cv=3, **options)
        for cls in GRID
    )
    assert ours == theirs
    assert bool(theirs) == bool(verbose)


@pytest.mark.parametrize("verbose", [1, 2, 3, 10])
def test_the_same_lines_are_printed_for_failures_repeats_and_no_parameters(
    verbose, capsys, first_is_zero
):
    for grid in ({"fail": [None, "always", None]}, {}):
        ours, theirs = (
            printed(cls, capsys, verbose, Failing(), grid, first_is_zero, cv=3)
            for cls in GRID
        )
        assert ours == theirs


def test_random_search_prints_the_same_lines(capsys, regression):
    space = {"alpha": loguniform(0.1, 10)}
    ours, theirs = (
        printed(cls, capsys, 3, Ridge(), space, regression, n_iter=3, random_state=0)
        for cls in RANDOM
    )
    assert ours == theirs


# ---------------------------------------------------------------------------
# Inside other estimators


@BOTH
def test_outer_folds_of_a_classifier_are_stratified(classes):
    X, y = load_iris(return_X_y=True)  # sorted by class: plain folds give zeros
    search = classes[0](SVC(), {"C": [0.1, 1, 10]}, **options_for(classes))
    found = cross_val_score(search, X, y, cv=3)
    explicit = cross_val_score(search, X, y, cv=StratifiedKFold(3))
    theirs = classes[1](SVC(), {"C": [0.1, 1, 10]}, **options_for(classes))
    expected = cross_val_score(theirs, X, y, cv=3)
    assert_same(found, expected, "scores")
    assert_same(found, explicit, "scores")
    assert found.min() > 0.9


@BOTH
def test_a_search_works_inside_other_estimators(classes, classification):
    X, y = classification

    def outer(cls):
        def search(estimator):
            return cls(estimator, {}, cv=3, **options_for(classes, **few))

        few = {"n_iter": 1} if classes is RANDOM else {}
        tree = DecisionTreeClassifier(max_depth=2, random_state=0)
        return {
            "voting": VotingClassifier(
                [("a", search(SVC())), ("b", search(GaussianNB()))]
            ),
            "stacking": StackingClassifier(
                [("a", search(tree)), ("b", search(GaussianNB()))],
                LogisticRegression(),
                cv=3,
            ),
            "last step": make_pipeline(StandardScaler(), search(LogisticRegression())),
            "bagging": BaggingClassifier(
                search(GaussianNB()), n_estimators=2, random_state=0
            ),
            "calibrated": CalibratedClassifierCV(
                search(LinearSVC(random_state=0)), cv=2
            ),
            "one of many": OneVsRestClassifier(search(LogisticRegression())),
            "search of a search": cls(
                search(SVC()),
                {"estimator__C": [0.1, 1.0, 10.0], "cv": [2]},
                **options_for(classes),
            ),
        }

    for name, ours in outer(classes[0]).items():
        theirs = outer(classes[1])[name]
        predicted = [
            cross_val_predict(estimator, X, y, cv=2) for estimator in (ours, theirs)
        ]
        assert_same(*predicted, name)


def test_a_search_is_a_step_that_transforms(classification):
    X, y = classification
    predicted = [
        make_pipeline(cls(PCA(random_state=0), {"n_components": [1, 2]}), GaussianNB())
        .fit(X, y)
        .predict_proba(X)
        for cls in GRID
    ]
    assert_same(*predicted, "predict_proba")


# ---------------------------------------------------------------------------
# Several workers


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
@BOTH
def test_two_workers_give_the_same(backend, classes, classification):
    X, y = classification
    with parallel_config(backend):
        for estimator, space in [
            (RandomForestClassifier(3, random_state=0), {"max_depth": [1, 2, 3]}),
            (Fingerprint(), {"a": [1, 2, (3, 4)]}),
        ]:
            fit_both(
                estimator,
                space,
                X,
                y,
                classes=classes,
                cv=3,
                n_jobs=2,
                return_train_score=True,
                **options_for(classes),
            )


def test_two_workers_give_the_same_for_estimators_that_write(regression):
    X, y = regression
    X = np.tile(X, (100, 5))  # above 1 MB, where joblib maps arrays into memory
    y = np.tile(y, 100)
    for pipeline in (
        make_pipeline(StandardScaler(), Ridge()),
        make_pipeline(StandardScaler(copy=False), Ridge(copy_X=False)),
    ):
        fit_both(pipeline, {"ridge__alpha": [0.1, 1.0, 10.0]}, X, y, cv=3, n_jobs=2)


def test_two_workers_and_failing_fits(first_is_zero):
    X, y = first_is_zero
    fit_both(
        Failing(),
        {"fail": [None, "sometimes", "always"], "a": [0, 1]},
        X,
        y,
        cv=3,
        n_jobs=2,
        error_score=-1,
    )


def test_a_search_inside_workers_gives_the_same(classification):
    X, y = classification
    scores = [
        cross_val_score(cls(SVC(), {"C": [0.1, 1, 10]}, n_jobs=2), X, y, cv=3, n_jobs=2)
        for cls in GRID
    ]
    assert_same(*scores, "scores")
