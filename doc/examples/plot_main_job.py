"""
Every search on the same loans
==============================

Which loans will not be paid back? Each search is given a bank's 4,454 loans, with
numeric and categorical columns and missing values in both, under the same folds.
Beside each of ours stands the search of scikit-learn that it replaces.

This is the main job of the README. It takes about two minutes on two cores.
"""

# %%
# The loans
# ---------
# The file, and where it comes from, are in ``data/`` beside this script.

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from skhpo import BayesSearch, GridSearch, HypergradSearch, RandomSearch, Real

HERE = Path(sys.argv[0]).resolve().parent  # the gallery has no __file__
parser = argparse.ArgumentParser(description="Run every search on the same loans.")
parser.add_argument("--out", type=Path, default=HERE / "figures", help="for figures")
out = parser.parse_args().out

X = pd.read_csv(HERE / "data" / "credit_data.csv.gz")
y = (X.pop("Status") == "bad").to_numpy()
print(f"{len(X)} loans, {X.shape[1]} columns, {y.mean():.0%} bad")
print(f"{X.isna().any(axis=1).mean():.0%} of the loans lack a value")

# %%
# Two pipelines
# -------------
# A linear model needs its columns imputed, scaled and one-hot encoded; boosted trees
# take them nearly as they are.

is_number = make_column_selector(dtype_include="number")
is_category = make_column_selector(dtype_exclude="number")

scaled = Pipeline(
    [("impute", SimpleImputer(add_indicator=True)), ("scale", StandardScaler())]
)
one_hot = OneHotEncoder(handle_unknown="ignore")
columns = ColumnTransformer(
    [("numeric", scaled, is_number), ("categorical", one_hot, is_category)]
)
linear = Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))])

ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
columns = ColumnTransformer(
    [("categorical", ordinal, is_category)], remainder="passthrough"
)
boosting = HistGradientBoostingClassifier(max_iter=30, random_state=0)
trees = Pipeline([("columns", columns), ("model", boosting)])

grid = {
    "columns__numeric__impute__strategy": ["mean", "median"],
    "model__C": np.logspace(-3, 2, 8),
}
stages = {
    "model__max_iter": [8, 16, 24, 32],
    "model__learning_rate": [0.05, 0.1, 0.2, 0.4],
}
smooth = {**grid, "model__C": Real(1e-3, 1e2, log=True)}
space = {
    "model__learning_rate": loguniform(0.01, 1.0),
    "model__max_leaf_nodes": randint(2, 32),
    "model__min_samples_leaf": randint(1, 100),
    "model__l2_regularization": loguniform(1e-3, 100),
}

# %%
# The searches
# ------------
# A line names a search and the search of scikit-learn it stands beside. All have the
# same metric, folds and number of processes, and 16 candidates; HypergradSearch has 16
# at most, and a range of ``C`` in place of the values of the grid. Halving gives most
# of its candidates few loans only. In a grid of boosting stages one fit answers for
# several candidates, with the same scores.

folds = StratifiedKFold(3, shuffle=True, random_state=0)
outer_folds = StratifiedKFold(3, shuffle=True, random_state=1)
same = {"scoring": "roc_auc", "cv": folds, "n_jobs": 2}
draws = {"n_iter": 16, "random_state": 3, **same}

SEARCHES = {
    "linear: GridSearchCV": GridSearchCV(linear, grid, **same),
    "linear: GridSearch": GridSearch(linear, grid, **same),
    "linear: HypergradSearch": HypergradSearch(linear, smooth, n_iter=16, **same),
    "trees: RandomizedSearchCV": RandomizedSearchCV(trees, space, **draws),
    "trees: RandomSearch": RandomSearch(trees, space, **draws),
    "trees: RandomSearch, sobol": RandomSearch(trees, space, design="sobol", **draws),
    "trees: BayesSearch": BayesSearch(trees, space, **draws),
    "trees: RandomSearch, halving": RandomSearch(
        trees, space, fidelity="halving", **draws
    ),
    "stages: GridSearchCV": GridSearchCV(trees, stages, **same),
    "stages: GridSearch": GridSearch(trees, stages, **same),
}
BESIDE = {
    "linear": "linear: GridSearchCV",
    "trees": "trees: RandomizedSearchCV",
    "stages": "stages: GridSearchCV",
}

# %%
# Run them
# --------
# Each search is fitted four times, in turns, and every second round backwards, so
# that whatever else the machine does falls on all alike. What is paid only once
# (starting processes, importing in them) is paid before the clock starts.

N_ROUNDS = 4
threadpool_limits(1)  # one thread in each process, in the refit as well


def peer(name):
    """Return the name of the search of scikit-learn that ``name`` stands beside."""
    return BESIDE[name.split(":")[0]]


for search in (SEARCHES["linear: GridSearchCV"], SEARCHES["trees: RandomSearch"]):
    clone(search).fit(X, y)

fitted = {}
seconds = {name: [] for name in SEARCHES}
for n_round in range(N_ROUNDS):
    for name in list(SEARCHES)[:: 1 if n_round % 2 == 0 else -1]:
        fitted[name] = clone(SEARCHES[name])
        start = time.perf_counter()
        fitted[name].fit(X, y)
        seconds[name].append(time.perf_counter() - start)

# %%
# What they found
# ---------------
# * *best score*: the area under the ROC curve that the search reports for its winner.
# * *outer score*: the same area on data the search never saw; every search is run
#   again inside :func:`~sklearn.model_selection.cross_val_score` with three folds.
# * *fits*: candidates times folds; the refit of the winner comes on top. Those on few
#   loans, and those that one fit answers for, count like others.
# * *seconds*: the median of the rounds, with the refit.
# * *ratio*: these seconds over those of scikit-learn's search, the median of the
#   ratios within each round. Below 1 is faster. A Sobol design and BayesSearch have
#   candidates of their own, some dearer to fit, so their ratios say little about the
#   search. HypergradSearch makes fewer fits.


def n_fits(search):
    """Count the fits of a finished search, ours or scikit-learn's."""
    return getattr(
        search, "n_fits_", len(search.cv_results_["params"]) * search.n_splits_
    )


print(f"{'search':<28}best score  outer score  fits  seconds  ratio")
for name, search in fitted.items():
    outer = cross_val_score(
        SEARCHES[name], X, y, cv=outer_folds, scoring="roc_auc"
    ).mean()
    ratios = np.divide(seconds[name], seconds[peer(name)])
    print(
        f"{name:<28}{search.best_score_:10.4f}{outer:13.4f}{n_fits(search):6}"
        f"{np.median(seconds[name]):9.2f}{np.median(ratios):7.2f}"
    )

print("seconds: median of the rounds; ratio: median of the ratios within each round")

# %%
# Equal to the bit
# ----------------
# The grid, and the random sequence as long as nothing repeats, are scikit-learn's: so
# are the scores, to the last bit.

for name in ("linear: GridSearch", "trees: RandomSearch", "stages: GridSearch"):
    ours, its = fitted[name].cv_results_, fitted[peer(name)].cv_results_
    same_scores = all(
        np.array_equal(ours[column], its[column])
        for column in its
        if column.endswith("_test_score")
    )
    print(f"{name} has the scores of {peer(name)}: {'yes' if same_scores else 'NO'}")

# %%
# Figures
# -------
# The best score so far, candidate by candidate.

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
    print("No figures: matplotlib is missing. It comes with the extra skhpo[plot].")
else:
    out.mkdir(parents=True, exist_ok=True)

STYLE = {
    name: {
        "label": name.split(": ")[1],
        "color": "0.7" if name == peer(name) else f"C{number}",
        "linewidth": 5 if name == peer(name) else 1.5,
    }
    for number, name in enumerate(SEARCHES)
}


def plot_scores():
    """Draw the best score so far of each search, one panel for each pipeline."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    for ax, pipeline in zip(axes, BESIDE, strict=True):
        for name in SEARCHES:
            # Scores of halving on few and on all loans do not compare.
            if name.startswith(pipeline) and "halving" not in name:
                scores = fitted[name].cv_results_["mean_test_score"]
                best = np.maximum.accumulate(scores)
                n_candidates = np.arange(1, len(best) + 1)
                ax.step(n_candidates, best, where="post", **STYLE[name])
        ax.set(title=pipeline, xlabel="candidates tried", xticks=[1, 4, 8, 12, 16])
        ax.legend(loc="lower right", frameon=False)
    axes[0].set_ylabel("best area under the ROC curve")
    return figure


if plt is not None:
    plot_scores().savefig(out / "main_job_scores.png", dpi=150)

# %%
# The seconds of every round.


def plot_seconds():
    """Draw the seconds of each search in each round."""
    figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
    for name in SEARCHES:
        ax.plot(seconds[name], [name] * N_ROUNDS, "o", color=STYLE[name]["color"])
    ax.set(xlabel="seconds", xlim=(0, None))
    ax.invert_yaxis()
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="0.9")
    ax.set_axisbelow(True)
    return figure


if plt is not None:
    plot_seconds().savefig(out / "main_job_seconds.png", dpi=150)
    print(f"The figures are in {os.path.relpath(out)}")
