"""
Downhill in two hyperparameters
===============================

:class:`~skhpo.HypergradSearch` tunes ``C`` and ``gamma`` of a support vector machine
that tells malignant tumours from benign ones. A path from each of two starts, over the
loss that it follows and beside the scores that decide. Most places on it are looks,
which the search solves by itself; few are fitted and scored.
"""

# %%
# The loss that stands for accuracy is the log-loss of the calibrated decision values. A
# search of a single candidate computes both at the estimator's own parameters: so the
# surface is drawn on a coarse grid.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhpo import HypergradSearch, Real

X, y = load_breast_cancer(return_X_y=True)
pipeline = make_pipeline(StandardScaler(), SVC())
space = {"svc__C": Real(1e-2, 1e3, log=True), "svc__gamma": Real(1e-5, 1, log=True)}


def search_from(C, gamma, n_iter=50):
    """Follow the gradient from this setting."""
    start = pipeline.set_params(svc__C=C, svc__gamma=gamma)
    return HypergradSearch(start, space, n_iter=n_iter, refit=False).fit(X, y)


def losses(search):
    """Average the smooth loss of each candidate over the splits."""
    return [
        np.mean([split.derivative.loss for split in trial.splits])
        for trial in search.trials_
    ]


C_grid, gamma_grid = np.geomspace(1e-2, 1e3, 9), np.geomspace(1e-5, 1, 9)
grid = [[search_from(C, gamma, n_iter=1) for C in C_grid] for gamma in gamma_grid]
loss = np.array([[losses(search)[0] for search in row] for row in grid])
score = np.array([[search.best_score_ for search in row] for row in grid])
n_fits = sum(search.n_fits_ for row in grid for search in row)
print(f"grid: {n_fits} fits, least loss {loss.min():.4f}, best {score.max():.4f}")

# %%
# One start is near good settings, the other far from them.

STARTS = {"near": (1.0, 0.1), "far": (300.0, 0.3)}
searches = {name: search_from(*start) for name, start in STARTS.items()}
for name, search in searches.items():
    print(
        f"{name}: {len(search.looks_)} looks, {search.n_fits_} fits, "
        f"least loss {min(losses(search)):.4f}, "
        f"best {search.best_score_:.4f}"
    )
    print(f"    {search.stop_reason_}")

# %%
# Contours are the loss, colours the accuracy. Dots are looks, rings the candidates, and
# crosses mark those with the best accuracy. The loss has kinks where samples become
# support vectors or cease to be, most of all where ``C`` is large. There the first
# descent from afar ends in a dent. The second one, on the other side, ends lower. The
# lowest looks around that end become candidates, as one of them may score higher.

figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
image = ax.pcolormesh(
    C_grid, gamma_grid, score, shading="gouraud", cmap="Greys_r", vmin=0.9
)
figure.colorbar(image, label="accuracy")
levels = np.geomspace(loss.min(), loss.max(), 14)
ax.contour(C_grid, gamma_grid, loss, levels, cmap="viridis", linewidths=1)
for number, (name, search) in enumerate(searches.items()):
    style = {"color": f"C{number + 1}"}
    looks = [[params[key] for key in space] for params, _ in search.looks_]
    ax.plot(*np.transpose(looks), ".-", linewidth=1, markersize=4, **style)
    fitted = [[trial.params[key] for key in space] for trial in search.trials_]
    label = f"{name}: {len(looks)} looks, {search.n_fits_} fits"
    ax.plot(*np.transpose(fitted), "o", fillstyle="none", label=label, **style)
    best = fitted[search.best_index_]
    ax.plot(*best, "x", markersize=12, markeredgewidth=3, **style)
ax.set(xscale="log", yscale="log", xlabel="C", ylabel="gamma")
ax.legend(loc="lower left")

# %%
# The loss of each look, in the order of the search.

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for number, (name, search) in enumerate(searches.items()):
    looked = [loss for _, loss in search.looks_]
    ax.plot(looked, ".-", color=f"C{number + 1}", label=name)
ax.axhline(loss.min(), color="0.6", linestyle="--", label="least of the grid")
ax.set(xlabel="look", ylabel="loss", yscale="log")
ax.legend(frameon=False)
plt.show()
