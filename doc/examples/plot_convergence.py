"""
How many candidates does it take?
=================================

:class:`~skhpo.BayesSearch` and :class:`~skhpo.RandomSearch` tune the same linear
classifier, fitted by stochastic gradient descent, on the same splits of real
measurements of cell nuclei. Five seeds each, since one run of either proves nothing.
"""

# %%
# Strength and kind of the penalty, and how the step size starts and shrinks, go
# together: none can be tuned alone.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from skhpo import BayesSearch, RandomSearch, Real

X, y = load_breast_cancer(return_X_y=True)
classifier = SGDClassifier(
    loss="log_loss",
    penalty="elasticnet",
    learning_rate="invscaling",
    max_iter=10,
    tol=None,
    random_state=0,
)
pipeline = Pipeline([("scale", StandardScaler()), ("model", classifier)])
space = {
    "scale": [StandardScaler(), RobustScaler(), MinMaxScaler()],
    "model__alpha": Real(1e-7, 1.0, log=True),
    "model__l1_ratio": Real(0, 1),
    "model__eta0": Real(1e-4, 100.0, log=True),
    "model__power_t": Real(0, 1),
}
same = {
    "n_iter": 40,
    "scoring": "neg_log_loss",
    "cv": StratifiedKFold(3, shuffle=True, random_state=0),
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
    ylabel="best score (negative log loss)",
    xlim=(1, 40),
    ylim=(-0.2, None),
)
ax.legend(loc="lower right", frameon=False)

# %%
# What has the last BayesSearch learnt of the step size? Its surrogate predicts the
# score of any candidate: here along two hyperparameters, through the best candidate.
# Dots are the candidates that it tried.

surrogate, params = search.surrogate_, search.best_params_
eta0, power_t = np.geomspace(1e-4, 100, 50), np.linspace(0, 1, 50)
settings = [
    {**params, "model__eta0": eta, "model__power_t": power}
    for power in power_t
    for eta in eta0
]
predicted = surrogate.predict(settings).reshape(50, 50)

figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
image = ax.pcolormesh(eta0, power_t, predicted, shading="gouraud", vmin=-0.5)
figure.colorbar(image, label="predicted score")
tried = search.cv_results_
ax.plot(tried["param_model__eta0"], tried["param_model__power_t"], "w.", markersize=4)
ax.set(xscale="log", xlabel="eta0", ylabel="power_t")
plt.show()
