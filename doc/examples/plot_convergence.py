"""
How many candidates does it take?
=================================

:class:`~skhpo.BayesSearch` and :class:`~skhpo.RandomSearch` tune the same pipeline on
the same splits of real data: how diabetes progresses within a year. Five seeds each,
since one run of either proves nothing.
"""

# %%
# A kernel measures distances, so it matters how the columns are scaled and which of
# them are kept. Everything is tuned together, six hyperparameters. BayesSearch begins
# with the pipeline's own, which are no good here.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PowerTransformer, RobustScaler, StandardScaler

from skhpo import BayesSearch, Integer, RandomSearch, Real

X, y = load_diabetes(return_X_y=True, scaled=False)
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("select", SelectKBest(f_regression)),
        ("kernel", Nystroem(gamma=1.0, random_state=0)),
        ("model", Ridge()),
    ]
)
space = {
    "scale": [StandardScaler(), RobustScaler(), PowerTransformer()],
    "select__k": Integer(1, 10),
    "kernel__kernel": ["rbf", "laplacian", "sigmoid"],
    "kernel__gamma": Real(1e-5, 10, log=True),
    "kernel__n_components": Integer(5, 200, log=True),
    "model__alpha": Real(1e-5, 1e3, log=True),
}
same = {
    "n_iter": 40,
    "scoring": "r2",
    "cv": KFold(3, shuffle=True, random_state=0),
}

# %%
# ``max_pending=1``: there is one worker, so each candidate may know all before it.

SEARCHES = {
    "RandomSearch": RandomSearch(pipeline, space, **same),
    "BayesSearch": BayesSearch(pipeline, space, max_pending=1, **same),
}
best = {name: [] for name in SEARCHES}
for seed in range(5):
    for name, search in SEARCHES.items():
        search.set_params(random_state=seed).fit(X, y)
        scores = search.cv_results_["mean_test_score"]
        best[name].append(np.maximum.accumulate(scores))

for name, runs in best.items():
    after = ", ".join(
        f"{np.median(runs, axis=0)[n - 1]:.4f} after {n}" for n in (10, 20, 40)
    )
    print(f"{name:<14}{after}")

# %%
# The best score so far: the median over the seeds, and the range between the best and
# the worst seed.

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
n_candidates = np.arange(1, same["n_iter"] + 1)
for name, runs in best.items():
    (line,) = ax.step(n_candidates, np.median(runs, axis=0), where="post", label=name)
    ax.fill_between(
        n_candidates,
        np.min(runs, axis=0),
        np.max(runs, axis=0),
        step="post",
        color=line.get_color(),
        alpha=0.15,
    )
ax.set(
    xlabel="candidates tried",
    ylabel="best score (R2)",
    xlim=(1, 40),
    ylim=(0.3, None),
)
ax.legend(loc="lower right", frameon=False)

# %%
# What has the last BayesSearch learnt of the width of the kernel and the penalty? Its
# surrogate predicts the score of any candidate: here along these two, through the best
# candidate. Dots are the candidates that it tried.

surrogate, params = search.surrogate_, search.best_params_
gamma, alpha = np.geomspace(1e-5, 10, 50), np.geomspace(1e-5, 1e3, 50)
settings = [
    {**params, "kernel__gamma": g, "model__alpha": a} for a in alpha for g in gamma
]
predicted = surrogate.predict(settings).reshape(50, 50)

figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
image = ax.pcolormesh(gamma, alpha, predicted, shading="gouraud", vmin=0)
figure.colorbar(image, label="predicted score")
tried = search.cv_results_
ax.plot(tried["param_kernel__gamma"], tried["param_model__alpha"], "w.", markersize=4)
ax.set(xscale="log", yscale="log", xlabel="gamma", ylabel="alpha")
plt.show()
