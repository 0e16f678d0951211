"""Tuning problems for comparing searches: real data, deterministic, cheap.

A problem is a row of ``PROBLEMS``. Whoever changes one gives it a new name: results on
file are known by it. The data are scikit-learn's own and a folder of public sets
(``SKHPO_BENCHMARK_DATA``, or ``shared/data`` beside the repository).
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, SelectPercentile, f_classif
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import KFold, PredefinedSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from skhpo import Categorical, Integer, Real

N_SPLITS = 3
KINDS = ("continuous", "mixed", "conditional", "plateau")
HALVES = ("development", "held-out")


@dataclass(frozen=True)
class Problem:
    """What to tune on what.

    Parameters
    ----------
    name : str
        Results on file are known by it.
    kind : {"continuous", "mixed", "conditional", "plateau"}
        What makes it hard: nothing but its dimensions, values of several sorts,
        branches, or scores that tie.
    half : {"development", "held-out"}
        Whether choices may be made on it, or only checked.
    estimator : estimator
        What is tuned; deterministic, but for the order of liblinear.
    space : dict or list of dict
        As for ``RandomSearch``.
    scoring : str or None
        Larger is better; None is the estimator's own score.
    cv : splitter
        Gives the same splits at every call.
    X, y : array-like
        At most 600 rows.
    """

    name: str
    kind: str
    half: str
    estimator: object
    space: object
    scoring: str
    cv: object
    X: object
    y: object


class ColumnWeights(TransformerMixin, BaseEstimator):
    """Multiply each of eight columns by its own weight."""

    def __init__(self, w0=1.0, w1=1.0, w2=1.0, w3=1.0, w4=1.0, w5=1.0, w6=1.0, w7=1.0):
        self.w0 = w0
        self.w1 = w1
        self.w2 = w2
        self.w3 = w3
        self.w4 = w4
        self.w5 = w5
        self.w6 = w6
        self.w7 = w7

    def fit(self, X, y=None):
        self.weights_ = np.array([getattr(self, f"w{i}") for i in range(8)])
        return self

    def transform(self, X):
        return X * self.weights_


def log(low, high):
    """Give the range of a scale parameter."""
    return (Integer if isinstance(low, int) else Real)(low, high, log=True)


# Continuous


def svc_phoneme():
    """Two parameters over wide ranges."""
    X, y = read("phoneme", "cls", 450)
    space = {"svc__C": log(1e-5, 1e5), "svc__gamma": log(1e-6, 1e4)}
    return scaled("svc", SVC()), space, "average_precision", X, y


def kernel_ridge_concrete():
    """A kernel with a weight for each column."""
    X, y = read("concrete", "compressive_strength", 400)
    X = StandardScaler().fit_transform(X)
    estimator = Pipeline(
        [("weights", ColumnWeights()), ("ridge", KernelRidge(kernel="rbf"))]
    )
    space = {f"weights__w{i}": log(0.01, 10.0) for i in range(8)}
    space["ridge__alpha"] = log(1e-6, 10.0)
    return estimator, space, "neg_root_mean_squared_error", X, standardised(y)


def elastic_net_oil():
    """Elastic-net logistic regression by stochastic gradients, with its step rule."""
    X, y = read("oil_spill", "spill", 600)
    model = SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        learning_rate="invscaling",
        max_iter=15,
        tol=None,
        random_state=0,
    )
    space = {
        "sgd__alpha": log(1e-6, 1.0),
        "sgd__l1_ratio": Real(0.0, 1.0),
        "sgd__eta0": log(1e-4, 10.0),
        "sgd__power_t": Real(0.0, 1.0),
    }
    return scaled("sgd", model), space, "average_precision", X, y


def mlp_concrete():
    """A small network and its optimiser."""
    X, y = read("concrete", "compressive_strength", 400)
    model = MLPRegressor(
        hidden_layer_sizes=(16,), batch_size=32, max_iter=12, random_state=0
    )
    space = {
        "mlp__alpha": log(1e-4, 10.0),
        "mlp__learning_rate_init": log(1e-3, 0.3),
        "mlp__beta_1": Real(0.0, 0.99),
        "mlp__beta_2": Real(0.5, 0.9999),
        "mlp__epsilon": log(1e-8, 0.1),
    }
    y = standardised(y)
    return scaled("mlp", model), space, "neg_root_mean_squared_error", X, y


# Mixed


def boosting_credit():
    """Histogram gradient boosting, sizes on several scales."""
    X, y = read("credit_data", "Status", 400)
    X = X.select_dtypes("number")
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0)
    space = {
        "learning_rate": log(0.01, 1.0),
        "max_iter": log(2, 25),
        "max_leaf_nodes": log(2, 15),
        "min_samples_leaf": log(1, 60),
        "l2_regularization": log(1e-3, 1e3),
        "max_features": Real(0.1, 1.0),
        "max_bins": log(4, 255),
        "class_weight": [None, "balanced"],
    }
    return model, space, "neg_log_loss", X.to_numpy(float), y


def forest_german():
    """A random forest of few trees."""
    X, y = read("german_credit", "bad", 500)
    model = RandomForestClassifier(n_estimators=8, random_state=0)
    space = {
        "criterion": ["gini", "entropy"],
        "max_depth": Integer(1, 20),
        "max_features": Real(0.05, 1.0),
        "min_samples_leaf": log(1, 60),
        "min_samples_split": log(2, 100),
        "ccp_alpha": log(1e-5, 0.1),
        "class_weight": Categorical([None, "balanced", "balanced_subsample"]),
        "max_samples": Real(0.1, 1.0),
    }
    return model, space, "neg_log_loss", ordinals(X), y


def columns_german():
    """A pipeline with a part for numbers and a part for categories."""
    X, y = read("german_credit", "bad", 300)
    numeric = np.array([pd.api.types.is_numeric_dtype(kind) for kind in X.dtypes])
    columns = make_column_transformer(
        (
            Pipeline([("scale", StandardScaler()), ("select", SelectPercentile())]),
            numeric,
        ),
        (OneHotEncoder(handle_unknown="infrequent_if_exist"), ~numeric),
    )
    model = LogisticRegression(solver="liblinear", max_iter=30)
    estimator = Pipeline([("columns", columns), ("model", model)])
    space = {
        "columns__pipeline__scale": Categorical(
            [
                StandardScaler(),
                RobustScaler(),
                MinMaxScaler(),
                QuantileTransformer(n_quantiles=50),
                "passthrough",
            ]
        ),
        "columns__pipeline__select__percentile": Integer(10, 100),
        "columns__onehotencoder__min_frequency": log(1, 80),
        "columns__onehotencoder__drop": Categorical([None, "first", "if_binary"]),
        "columns__onehotencoder__max_categories": Integer(2, 10),
        "model__C": log(1e-4, 1e2),
        "model__l1_ratio": Categorical([0.0, 1.0]),
        "model__class_weight": [None, "balanced"],
        "model__intercept_scaling": log(0.03, 3.0),
    }
    return estimator, space, "average_precision", ordinals(X), y


def text_sms():
    """Text features and a linear model."""
    X, y = read("sms_spam", "label", 450)
    estimator = Pipeline(
        [
            ("text", TfidfVectorizer()),
            ("model", LogisticRegression(solver="liblinear", max_iter=50)),
        ]
    )
    space = {
        "text__ngram_range": Categorical([(1, 1), (1, 2), (1, 3)]),
        "text__min_df": log(1, 15),
        "text__max_df": Real(0.1, 1.0),
        "text__sublinear_tf": [False, True],
        "text__norm": Categorical(["l1", "l2", None]),
        "text__use_idf": [False, True],
        "text__binary": [False, True],
        "text__stop_words": Categorical([None, "english"]),
        "model__C": log(1e-3, 1e4),
        "model__class_weight": [None, "balanced"],
    }
    return estimator, space, "neg_log_loss", X.iloc[:, 0].to_numpy(str), y


# Conditional


def kernels_ionosphere():
    """A support vector machine whose kernel decides what else there is."""
    X, y = read("ionosphere", "cls")
    C, gamma = log(1e-4, 1e4), log(1e-5, 10.0)
    space = [
        {"svc__kernel": ["linear"], "svc__C": C},
        {"svc__kernel": ["rbf"], "svc__C": C, "svc__gamma": gamma},
        {
            "svc__kernel": ["poly"],
            "svc__C": C,
            "svc__gamma": gamma,
            "svc__degree": Integer(2, 5),
            "svc__coef0": Real(0.0, 5.0),
        },
        {
            "svc__kernel": ["sigmoid"],
            "svc__C": C,
            "svc__gamma": gamma,
            "svc__coef0": Real(-5.0, 1.0),
        },
    ]
    return scaled("svc", SVC(max_iter=3000)), space, "roc_auc", X, y


def classifiers_horse():
    """One of three classifiers after the imputation of missing values."""
    X, y = read("horse_colic", "died_or_put_down")
    X = ordinals(X, missing=True)
    estimator = Pipeline(
        [("impute", SimpleImputer()), ("scale", StandardScaler()), ("model", SVC())]
    )
    shared = {
        "impute__strategy": Categorical(["mean", "median", "most_frequent"]),
        "impute__add_indicator": [False, True],
    }
    space = [
        {
            **shared,
            "model": [SVC()],
            "model__C": log(1e-3, 1e4),
            "model__gamma": log(1e-5, 10.0),
            "model__class_weight": [None, "balanced"],
        },
        {
            **shared,
            "model": [ExtraTreesClassifier(n_estimators=10, random_state=0)],
            "model__max_features": Real(0.05, 1.0),
            "model__max_depth": Integer(1, 15),
            "model__min_samples_leaf": log(1, 40),
            "model__criterion": ["gini", "entropy"],
        },
        {
            **shared,
            "model": [LogisticRegression(solver="liblinear")],
            "model__C": log(1e-4, 1e4),
            "model__l1_ratio": Categorical([0.0, 1.0]),
            "model__class_weight": [None, "balanced"],
        },
    ]
    return estimator, space, "roc_auc", X, y


def regressors_concrete():
    """One of three regressors, each with its own parameters."""
    X, y = read("concrete", "compressive_strength", 300)
    estimator = Pipeline([("scale", StandardScaler()), ("model", SVR())])
    scale = Categorical([StandardScaler(), MinMaxScaler(), PowerTransformer()])
    space = [
        {
            "scale": scale,
            "model": [SVR(max_iter=3000)],
            "model__C": log(1e-3, 1e3),
            "model__gamma": log(1e-4, 10.0),
            "model__epsilon": log(1e-3, 1.0),
        },
        {
            "scale": scale,
            "model": [GradientBoostingRegressor(random_state=0)],
            "model__learning_rate": log(0.01, 1.0),
            "model__n_estimators": log(5, 30),
            "model__max_depth": Integer(1, 5),
            "model__subsample": Real(0.3, 1.0),
            "model__max_features": Real(0.1, 1.0),
            "model__min_samples_leaf": log(1, 50),
        },
        {
            "scale": scale,
            "model": [KNeighborsRegressor()],
            "model__n_neighbors": log(1, 50),
            "model__weights": ["uniform", "distance"],
            "model__p": Real(1.0, 4.0),
        },
    ]
    return estimator, space, "neg_root_mean_squared_error", X, standardised(y)


def reductions_oil():
    """A reduction of the columns and a classifier that goes with it."""
    X, y = read("oil_spill", "spill", 600)
    estimator = Pipeline(
        [("scale", StandardScaler()), ("reduce", PCA()), ("model", SVC())]
    )
    space = [
        {
            "reduce": [PCA(random_state=0)],
            "reduce__n_components": log(2, 40),
            "reduce__whiten": [False, True],
            "model": [SVC(max_iter=3000)],
            "model__C": log(1e-3, 1e4),
            "model__gamma": log(1e-5, 10.0),
        },
        {
            "reduce": [SelectKBest(f_classif)],
            "reduce__k": log(2, 40),
            "model": [KNeighborsClassifier()],
            "model__n_neighbors": log(1, 50),
            "model__weights": ["uniform", "distance"],
            "model__p": Real(1.0, 4.0),
        },
        {
            "reduce": [Nystroem(random_state=0)],
            "reduce__n_components": log(5, 80),
            "reduce__gamma": log(1e-4, 10.0),
            "model": [LogisticRegression(solver="liblinear")],
            "model__C": log(1e-4, 1e4),
        },
    ]
    return estimator, space, "average_precision", X, y


# Plateau: accuracy on few rows, of models that change in steps


def tree_wine():
    """A decision tree on 178 wines."""
    X, y = load_wine(return_X_y=True)
    model = DecisionTreeClassifier(random_state=0)
    space = {
        "criterion": ["gini", "entropy"],
        "splitter": ["best", "random"],
        "max_depth": Integer(1, 15),
        "min_samples_leaf": log(1, 40),
        "min_samples_split": log(2, 40),
        "max_features": Real(0.05, 1.0),
        "ccp_alpha": log(1e-4, 0.3),
    }
    return model, space, "accuracy", X, y


def neighbours_cancer():
    """Nearest neighbours in selected columns, 200 rows."""
    X, y = load_breast_cancer(return_X_y=True)
    X, y = sample(X, y, 200)
    estimator = Pipeline(
        [
            ("scale", StandardScaler()),
            ("select", SelectKBest(f_classif)),
            ("model", KNeighborsClassifier()),
        ]
    )
    space = {
        "scale": Categorical(
            [StandardScaler(), MinMaxScaler(), RobustScaler(), "passthrough"]
        ),
        "select__k": Integer(1, 30),
        "model__n_neighbors": Integer(1, 60),
        "model__weights": ["uniform", "distance"],
        "model__p": Real(1.0, 5.0),
    }
    return estimator, space, "accuracy", X, y


# name: (kind, half, what makes it)
PROBLEMS = {
    "svc-phoneme": ("continuous", "development", svc_phoneme),
    "kernel-ridge-concrete": ("continuous", "development", kernel_ridge_concrete),
    "elastic-net-oil": ("continuous", "held-out", elastic_net_oil),
    "mlp-concrete": ("continuous", "held-out", mlp_concrete),
    "boosting-credit": ("mixed", "development", boosting_credit),
    "columns-german": ("mixed", "development", columns_german),
    "forest-german": ("mixed", "held-out", forest_german),
    "text-sms": ("mixed", "held-out", text_sms),
    "kernels-ionosphere": ("conditional", "development", kernels_ionosphere),
    "regressors-concrete": ("conditional", "development", regressors_concrete),
    "classifiers-horse": ("conditional", "held-out", classifiers_horse),
    "reductions-oil": ("conditional", "held-out", reductions_oil),
    "tree-wine": ("plateau", "development", tree_wine),
    "neighbours-cancer": ("plateau", "held-out", neighbours_cancer),
}


class Landscape(BaseEstimator):
    """A smooth function of up to fourteen parameters that costs nothing."""

    def __init__(
        self,
        x0=0.5, x1=0.5, x2=0.5, x3=0.5, x4=0.5, x5=0.5, x6=0.5,
        x7=0.5, x8=0.5, x9=0.5, x10=0.5, x11=0.5, x12=0.5, x13=0.5,
    ):  # fmt: skip
        given = locals()
        for i in range(14):
            setattr(self, f"x{i}", given[f"x{i}"])

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score(self, X, y=None):
        x = np.array([in_unit(getattr(self, f"x{i}")) for i in range(14)])
        weights = 1 / (1 + np.arange(14))
        bowl = weights @ (x - np.linspace(0.2, 0.8, 14)) ** 2
        return float(0.2 * np.cos(4 * np.pi * x[1:] * x[:-1]) @ weights[1:] - bowl)


def in_unit(value):
    """Put a real number, an integer up to 30 or a letter into [0, 1]."""
    if isinstance(value, str):
        return (7 * "abcd".index(value) % 4) / 3
    return value / 30 if isinstance(value, int) else value


SORTS = {
    "continuous": [Real(0.0, 1.0)],
    "integer": [Integer(0, 30)],
    "mixed": [Real(0.0, 1.0), Integer(0, 30), Categorical(["a", "b", "c", "d"])],
}

# name: (sort of parameters, how many)
SYNTHETIC = {
    f"{sort}, d={d}": (sort, d)
    for sort, d in [
        ("continuous", 2),
        ("continuous", 5),
        ("continuous", 14),
        ("integer", 5),
        ("integer", 14),
        ("mixed", 5),
        ("mixed", 14),
    ]
}


@cache
def load_problem(name):
    """Make the problem called `name`.

    Parameters
    ----------
    name : str
        One of ``PROBLEMS`` or ``SYNTHETIC``.

    Returns
    -------
    problem : Problem
        The same object at every call.
    """
    if name in SYNTHETIC:
        sort, d = SYNTHETIC[name]
        space = {f"x{i}": SORTS[sort][i % len(SORTS[sort])] for i in range(d)}
        cv = PredefinedSplit([-1, -1, 0, 0])
        X, y = np.zeros((4, 1)), np.zeros(4)
        return Problem(name, sort, "", Landscape(), space, None, cv, X, y)
    kind, half, make = PROBLEMS[name]
    estimator, space, scoring, X, y = make()
    splitter = KFold if scoring.startswith("neg_root") else StratifiedKFold
    cv = splitter(N_SPLITS, shuffle=True, random_state=0)
    return Problem(name, kind, half, estimator, space, scoring, cv, X, y)


def scaled(step, model):
    """Put `model` behind a StandardScaler."""
    return Pipeline([("scale", StandardScaler()), (step, model)])


def data_folder():
    """Find the public data sets."""
    folder = os.environ.get("SKHPO_BENCHMARK_DATA")
    if folder:
        return Path(folder)
    return Path(__file__).resolve().parents[2] / "shared" / "data"


def read(name, target, n_rows=None):
    """Read a data set, or `n_rows` of it drawn at random.

    Returns
    -------
    X : DataFrame
        All columns but the target.
    y : ndarray
        The target; classes are integers from 0.
    """
    frame = pd.read_csv(data_folder() / f"{name}.csv.gz")
    y = frame.pop(target)
    if pd.api.types.is_numeric_dtype(y):
        y = y.to_numpy()
    else:
        y, _ = pd.factorize(y, sort=True)
    return (frame, y) if n_rows is None else sample(frame, y, n_rows)


def sample(X, y, n_rows):
    """Draw rows at random, always the same."""
    rows = np.random.default_rng(0).permutation(len(y))[:n_rows]
    return (X.iloc[rows] if hasattr(X, "iloc") else X[rows]), y[rows]


def ordinals(frame, *, missing=False):
    """Give numbers for the categories of `frame`."""
    text = frame.select_dtypes(exclude="number").columns
    frame = frame.copy()
    if len(text):
        frame[text] = OrdinalEncoder(encoded_missing_value=np.nan).fit_transform(
            frame[text]
        )
    X = frame.to_numpy(float)
    if not missing and np.isnan(X).any():
        raise ValueError("values are missing")
    return X


def standardised(y):
    return (y - y.mean()) / y.std()
