"""Random data and random groups of candidates for every class in the table.

A case is a function of a NumPy generator: it gives the parameters that candidates have
in common, and a list of those in which they differ.
"""

from functools import partial

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


def choose(rng, *values):
    return values[rng.integers(len(values))]


def sizes(rng, name, largest=8):
    values = rng.choice(np.arange(1, largest + 1), size=4, replace=False)
    return [{name: int(value)} for value in values]


def gradient_boosting(rng, cls):
    common = {
        "random_state": int(rng.integers(100)),
        "max_depth": choose(rng, 1, 3),
        "subsample": choose(rng, 0.5, 1.0),
        "max_features": choose(rng, None, 2),
        "learning_rate": choose(rng, 0.1, 1.0),
        "n_iter_no_change": choose(rng, None, 1),
        "init": choose(rng, None, "zero"),
        "validation_fraction": 0.3,
    }
    if "Regressor" in cls.__name__:
        common["loss"] = choose(rng, "squared_error", "huber", "quantile")
    return common, sizes(rng, "n_estimators")


def hist_gradient_boosting(rng, cls):
    stops = choose(rng, False, "auto", True)
    common = {
        "random_state": 3 if stops is True else choose(rng, None, 5),
        "early_stopping": stops,
        "n_iter_no_change": choose(rng, 1, 3),
        "validation_fraction": 0.3,
        "max_leaf_nodes": choose(rng, 3, 7),
        "min_samples_leaf": 3,
        "learning_rate": choose(rng, 0.1, 1.0),
    }
    if common["random_state"] is not None:
        common["max_features"] = choose(rng, 0.5, 1.0)
    return common, sizes(rng, "max_iter")


def forest(rng, cls):
    bootstrap = choose(rng, False, True)
    common = {
        "random_state": int(rng.integers(100)),
        "bootstrap": bootstrap,
        "max_samples": choose(rng, None, 0.6) if bootstrap else None,
        "max_features": choose(rng, "sqrt", 1.0),
        "min_samples_leaf": choose(rng, 1, 3),
    }
    if "Classifier" in cls.__name__:
        common["class_weight"] = choose(rng, None, "balanced", "balanced_subsample")
    alphas = choose(rng, [0.0], [0.0, 0.01, 0.05], [0.02, 0.3])
    return common, [
        {**size, "ccp_alpha": choose(rng, *alphas)}
        for size in sizes(rng, "n_estimators")
    ]


def tree(rng, cls):
    common = {
        "random_state": int(rng.integers(100)),
        "max_features": choose(rng, None, 2),
        "min_samples_leaf": choose(rng, 1, 3),
        "max_leaf_nodes": choose(rng, None, 12),
    }
    alphas = [0.0, *rng.exponential(0.03, size=4)]
    return common, [{"ccp_alpha": float(alpha)} for alpha in alphas]


def bagging(rng, cls):
    common = {
        "random_state": int(rng.integers(100)),
        "max_samples": choose(rng, 0.6, 1.0),
        "max_features": choose(rng, 0.6, 1.0),
        "bootstrap": choose(rng, False, True),
        "bootstrap_features": choose(rng, False, True),
    }
    if "Classifier" in cls.__name__:
        inner = choose(rng, None, DecisionTreeClassifier(max_features=1), "knn")
        common["estimator"] = KNeighborsClassifier(3) if inner == "knn" else inner
    else:
        common["estimator"] = choose(rng, None, Ridge())
    return common, sizes(rng, "n_estimators")


def isolation_forest(rng, cls):
    common = {
        "random_state": int(rng.integers(100)),
        "max_samples": choose(rng, "auto", 0.5),
        "max_features": choose(rng, 0.6, 1.0),
        "bootstrap": choose(rng, False, True),
    }
    return common, sizes(rng, "n_estimators")


def ada_boost(rng, cls):
    common = {
        "random_state": int(rng.integers(100)),
        "learning_rate": choose(rng, 0.3, 1.0, 2.0),
    }
    tree = (
        DecisionTreeClassifier
        if "Classifier" in cls.__name__
        else DecisionTreeRegressor
    )
    # A deep tree makes no errors, and boosting ends.
    common["estimator"] = choose(rng, None, tree(max_depth=2), tree(max_features=1))
    return common, sizes(rng, "n_estimators")


def neighbors(rng, cls):
    common = {
        "algorithm": choose(rng, "kd_tree", "ball_tree", "auto", "brute"),
        "leaf_size": choose(rng, 2, 30),
        "p": choose(rng, 1, 2, 3),
    }
    return common, [
        {**size, "weights": choose(rng, "uniform", "distance")}
        for size in sizes(rng, "n_neighbors", largest=12)
    ]


def pca(rng, cls):
    common = {
        "svd_solver": choose(rng, "full", "covariance_eigh", "auto"),
        "whiten": choose(rng, False, True),
        "random_state": choose(rng, None, 0),
    }
    return common, [*sizes(rng, "n_components", largest=6), {"n_components": None}]


def discriminant(rng, cls):
    common = {"solver": choose(rng, "svd", "eigen", "lsqr")}
    if common["solver"] != "svd":
        common["shrinkage"] = choose(rng, None, 0.3)
    return common, [{"n_components": n} for n in (1, None, 1)]


def best(rng, cls):
    common = {"score_func": choose(rng, f_classif, f_classif)}
    return common, [*sizes(rng, "k", largest=6), {"k": "all"}]


def percentile(rng, cls):
    return {"score_func": f_classif}, [
        {"percentile": float(p)} for p in rng.uniform(0, 100, size=4)
    ]


def variance(rng, cls):
    return {}, [{"threshold": float(t)} for t in rng.uniform(0.01, 1.5, size=4)]


def elimination(rng, cls):
    inner = choose(
        rng,
        LogisticRegression(),
        DecisionTreeClassifier(random_state=1, max_features=2),
    )
    return {"estimator": inner}, sizes(rng, "n_features_to_select", largest=6)


def from_model(rng, cls):
    inner = choose(
        rng,
        LogisticRegression(),
        LogisticRegression(C=0.5, solver="liblinear", random_state=0),
        DecisionTreeClassifier(random_state=1),
    )
    common = {"estimator": inner, "max_features": choose(rng, None, 4)}
    thresholds = ["median", "0.7*mean", None, float(rng.uniform(0, 0.5)), -np.inf]
    return common, [{"threshold": threshold} for threshold in thresholds]


def support_vectors(rng, cls):
    kernel = choose(rng, "linear", "rbf", "sigmoid")
    common = {"kernel": kernel}
    if kernel == "linear":
        return common, [
            {"gamma": gamma, "degree": degree}
            for gamma, degree in [("scale", 2), (0.1, 3), ("auto", 3), (5.0, 1)]
        ]
    common["gamma"] = choose(rng, "scale", 0.5)
    return common, [{"degree": degree} for degree in (1, 4, 2)]


def kernel_matrix(rng, cls):
    common = {
        "gamma": choose(rng, "scale", "auto", 0.3),
        "shrinking": choose(rng, True, False),
    }
    grid = [{"degree": int(rng.integers(1, 4))} for _ in range(5)]
    for params in grid:
        if "C" in cls().get_params():
            params["C"] = float(10.0 ** rng.uniform(-2, 1))
        if "epsilon" in cls().get_params():
            params["epsilon"] = choose(rng, 0.1, 0.5)
        if "nu" in cls().get_params():
            params["nu"] = float(rng.uniform(0.05, 0.3))
    return common, grid


def ridge(rng, cls, n=5):
    common = {
        "solver": choose(rng, "auto", "cholesky", "svd"),
        "fit_intercept": choose(rng, True, False),
    }
    if "Classifier" in cls.__name__:
        common["class_weight"] = choose(rng, None, "balanced")
    alphas = [0.0, *10.0 ** rng.uniform(-6, 4, size=n)]
    return common, [{"alpha": float(alpha)} for alpha in alphas]


def kernel_ridge(rng, cls, n=5):
    common = {
        "kernel": choose(rng, "linear", "rbf", "poly", "cosine"),
        "gamma": choose(rng, None, 0.3),
    }
    return common, [
        {"alpha": float(alpha)} for alpha in 10.0 ** rng.uniform(-6, 4, size=n)
    ]


def partial_least_squares(rng, cls):
    common = {"scale": choose(rng, True, False)}
    return common, sizes(rng, "n_components", largest=6)


def quadratic(rng, cls):
    common = {"priors": choose(rng, None, None)}
    return common, [{"reg_param": reg} for reg in (0.0, *rng.uniform(size=3), 1.0)]


def of_kind(cls, classifier, regressor):
    return classifier if "Classifier" in cls.__name__ else regressor


def members(rng, cls):
    linear = of_kind(cls, LogisticRegression, Ridge)()
    neighbors = of_kind(cls, KNeighborsClassifier, KNeighborsRegressor)
    tree = of_kind(cls, DecisionTreeClassifier, DecisionTreeRegressor)
    several = [("a", tree(max_depth=2, random_state=0)), ("b", linear)]
    return choose(rng, several, [*several, ("c", "drop"), ("d", neighbors(3))])


def voting(rng, cls):
    common = {"estimators": members(rng, cls)}
    grid = [{"weights": None}]
    for _ in range(3):
        weights = rng.uniform(size=len(common["estimators"]))
        grid.append({"weights": choose(rng, list(weights), weights)})
    if "Classifier" in cls.__name__:
        grid = [{**each, "voting": choose(rng, "hard", "soft")} for each in grid]
    return common, grid


def stacking(rng, cls):
    tree = of_kind(cls, DecisionTreeClassifier, DecisionTreeRegressor)
    common = {
        "estimators": members(rng, cls),
        "passthrough": choose(rng, False, True),
        "cv": choose(rng, 2, 3),
    }
    finals = [
        of_kind(cls, LogisticRegression(C=0.5), Ridge(0.5)),
        tree(random_state=0),
        tree(random_state=0, max_depth=1),
    ]
    final = choose(rng, *finals[1:])
    return common, [{"final_estimator": each} for each in (finals[0], final, None)]


def fixed_threshold(rng, cls):
    common = {
        "estimator": choose(
            rng, LogisticRegression(), SVC(), DecisionTreeClassifier(random_state=0)
        )
    }
    thresholds = ("auto", 0.0, *rng.normal(size=2))
    return common, [{"threshold": threshold} for threshold in thresholds]


def tfidf(rng, cls):
    common = {
        "ngram_range": choose(rng, (1, 1), (1, 2)),
        "binary": choose(rng, False, True),
        "dtype": choose(rng, np.float64, np.float32),
        "max_df": choose(rng, 1.0, 0.7),
    }
    return common, [
        {
            "use_idf": choose(rng, True, False),
            "norm": choose(rng, "l1", "l2", None),
            "sublinear_tf": choose(rng, True, False),
            "smooth_idf": choose(rng, True, False),
        }
        for _ in range(5)
    ]


def lars(rng, cls):
    common = {
        "precompute": choose(rng, "auto", False, True),
        "fit_intercept": choose(rng, True, False),
    }
    return common, sizes(rng, "n_nonzero_coefs", largest=9)


def lasso_lars(rng, cls):
    common, _ = lars(rng, cls)
    common["positive"] = choose(rng, False, False, True)
    alphas = [*10.0 ** rng.uniform(-4, 0.5, size=6), 3e-5]
    return common, [{"alpha": float(alpha)} for alpha in alphas]


def pursuit(rng, cls):
    common, _ = lars(rng, cls)
    return common, sizes(rng, "n_nonzero_coefs", largest=6)


def block(rng, number):
    """Give transformers that may stand in a place."""
    return [
        [PCA(n, svd_solver="full") for n in (1, 2)],
        [StandardScaler(), MinMaxScaler(), "passthrough", "drop"],
        [make_pipeline(StandardScaler(), SelectKBest(k=k)) for k in (1, 2)],
    ][number]


def blocks(rng, cls):
    names = "abc"[: choose(rng, 2, 3)]
    places = [block(rng, int(number)) for number in rng.permutation(3)[: len(names)]]
    rest = [[[0, 1]], [[2, 3, 4]], [slice(3, 6)]]
    place = "transformers"
    if cls.__name__ == "FeatureUnion":
        place, rest = "transformer_list", [[], [], []]
    common = {
        place: [
            (name, choose(rng, *steps), *columns)
            for name, steps, columns in zip(names, places, rest, strict=False)
        ],
        "transformer_weights": choose(rng, None, {"a": 0.3}),
    }
    if place == "transformers":
        common["remainder"] = choose(rng, "drop", "passthrough", MinMaxScaler())
    # Strings stay where they are, as they decide what is stacked.
    free = [i for i, step in enumerate(common[place]) if not isinstance(step[1], str)]
    return common, [
        {
            names[i]: choose(rng, *[s for s in places[i] if not isinstance(s, str)])
            for i in free
        }
        for _ in range(6)
    ]


CASES = {
    "AdaBoostClassifier": ada_boost,
    "AdaBoostRegressor": ada_boost,
    "BaggingClassifier": bagging,
    "BaggingRegressor": bagging,
    "ColumnTransformer": blocks,
    "DecisionTreeClassifier": tree,
    "DecisionTreeRegressor": tree,
    "ExtraTreeClassifier": tree,
    "ExtraTreeRegressor": tree,
    "ExtraTreesClassifier": forest,
    "ExtraTreesRegressor": forest,
    "FeatureUnion": blocks,
    "FixedThresholdClassifier": fixed_threshold,
    "GradientBoostingClassifier": gradient_boosting,
    "GradientBoostingRegressor": gradient_boosting,
    "HistGradientBoostingClassifier": hist_gradient_boosting,
    "HistGradientBoostingRegressor": hist_gradient_boosting,
    "IsolationForest": isolation_forest,
    "KNeighborsClassifier": neighbors,
    "KNeighborsRegressor": neighbors,
    "KernelRidge": kernel_ridge,
    "Lars": lars,
    "LassoLars": lasso_lars,
    "LinearDiscriminantAnalysis": discriminant,
    "NuSVC": support_vectors,
    "NuSVR": support_vectors,
    "OneClassSVM": support_vectors,
    "OrthogonalMatchingPursuit": pursuit,
    "PCA": pca,
    "PLSRegression": partial_least_squares,
    "QuadraticDiscriminantAnalysis": quadratic,
    "RFE": elimination,
    "RandomForestClassifier": forest,
    "RandomForestRegressor": forest,
    "Ridge": ridge,
    "RidgeClassifier": ridge,
    "SVC": support_vectors,
    "SVR": support_vectors,
    "SelectFromModel": from_model,
    "SelectKBest": best,
    "SelectPercentile": percentile,
    "StackingClassifier": stacking,
    "StackingRegressor": stacking,
    "TfidfVectorizer": tfidf,
    "VarianceThreshold": variance,
    "VotingClassifier": voting,
    "VotingRegressor": voting,
}
# Candidates enough for a decomposition to pay.
CLOSE_CASES = {
    "KernelRidge": partial(kernel_ridge, n=20),
    "LassoLars": lasso_lars,
    "Ridge": partial(ridge, n=20),
    "RidgeClassifier": partial(ridge, n=20),
    "NuSVC": kernel_matrix,
    "NuSVR": kernel_matrix,
    "OneClassSVM": kernel_matrix,
    "SVC": kernel_matrix,
    "SVR": kernel_matrix,
}
_DENSE = {
    "ColumnTransformer",
    "FeatureUnion",
    "Lars",
    "LassoLars",
    "OrthogonalMatchingPursuit",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "LinearDiscriminantAnalysis",
    "PCA",
    "PLSRegression",
    "QuadraticDiscriminantAnalysis",
    "Ridge",
    "RidgeClassifier",
}
_WEIGHTED = {
    name
    for name in CASES
    if not name.startswith(
        (
            "KNeighbors",
            "La",
            "Orthogonal",
            "Select",
            "Linear",
            "PCA",
            "Variance",
            "RFE",
            "PLS",
            "Quadratic",
        )
    )
    # Some members, and some last estimators, take none.
    and not name.startswith(
        ("Column", "FeatureUnion", "FixedThreshold", "Stacking", "Tfidf", "Voting")
    )
}
_SEVERAL = {
    "KernelRidge",
    "Lars",
    "LassoLars",
    "OrthogonalMatchingPursuit",
    "PLSRegression",
    "Ridge",
}
_CLASSES = {
    "ColumnTransformer",
    "FeatureUnion",
    "SelectFromModel",
    "SelectKBest",
    "SelectPercentile",
    "RFE",
    "LinearDiscriminantAnalysis",
    "QuadraticDiscriminantAnalysis",
}


def documents(rng):
    words = np.array(["one", "two", "three", "four", "five", "six"])
    return [" ".join(rng.choice(words, size=rng.integers(1, 7))) for _ in range(40)]


def data(rng, cls, *, dense=False):
    """Give training data, its target, new data and the parameters of ``fit``."""
    name = cls.__name__
    if name == "TfidfVectorizer":
        return documents(rng), None, documents(rng), {}
    n = int(rng.integers(30, 70))
    X = rng.normal(size=(n + 25, 6)) * [0.3, 0.6, 1, 1, 1.2, 1.5]
    if rng.random() < 0.4:
        X = X.round()  # equal values, and equal distances
    y = X[:, 2] + X[:, 3] * X[:, 4] + 0.5 * rng.normal(size=n + 25)
    if "Classifier" in name or "SVC" in name or name in _CLASSES:
        several = [0.0] if name.startswith("Fixed") else [-0.7, 0.7]
        y = np.digitize(y, choose(rng, [0.0], several))
        if rng.random() < 0.3:
            y = np.array(["few", "many", "more"])[y]
    params = {}
    if name in _WEIGHTED and rng.random() < 0.5:
        params["sample_weight"] = rng.integers(1, 4, size=n).astype(float)
    if not dense and name not in _DENSE and rng.random() < 0.3:
        X = np.where(rng.random(X.shape) < 0.3, 0.0, X)
        return csr_matrix(X[:n]), y[:n], csr_matrix(X[n:]), params
    if name in _SEVERAL and rng.random() < 0.3:
        y = np.c_[y, y[::-1]]
    if rng.random() < 0.2:
        X = X.astype(np.float32)
    if rng.random() < 0.2:
        X = np.asfortranarray(X)
    return X[:n], y[:n], X[n:], params
