"""A search that writes a checkpoint, run again and again and killed; a script.

The process imports everything once, and a fork of it makes each run, so that a run
costs what the search costs.
"""

import json
import os
import signal
import sys
import time

import numpy as np
from misbehaving import Misbehaving
from scipy.stats import uniform
from sklearn.linear_model import Ridge

from skhpo import BayesSearch, GridSearch, HypergradSearch, RandomSearch, Real

N_SPLITS = 3
N_FITS = {"grid": 30, "random": 30, "bayes": 30, "hypergrad": 15}

X = np.random.default_rng(0).normal(size=(90, 3))
y = X @ [1.0, 2.0, 3.0] + np.random.default_rng(1).normal(size=90)


class SlowRidge(Ridge):
    """A ridge whose fits take a while, and are logged at their end."""

    def __init__(self, alpha=1.0, log=None, seconds=0.0):
        super().__init__(alpha)
        self.log = log
        self.seconds = seconds

    def __hypergradient__(self):
        from skhpo.hypergradients.least_squares import RidgeEquations

        return RidgeEquations

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        note(self, self.alpha, y)
        return self


class Slow(Misbehaving):
    """A fit takes a while, and is logged at its end."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        note(self, self.level, y)
        return self


def note(estimator, value, y):
    time.sleep(estimator.seconds)
    if estimator.log is not None and len(y) < 90:  # not the last fit
        line = f"{os.getpid()} {float(value)!r} {float(np.mean(y))!r}\n"
        file = os.open(estimator.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)


def make(kind, *, log=None, seconds=0.0, **options):
    """Make a search of one kind."""
    options = dict(cv=N_SPLITS, **options)
    base = Slow(log=log, seconds=seconds)
    if kind == "grid":
        return GridSearch(base, {"level": list(np.linspace(0, 6, 10))}, **options)
    options["random_state"] = 0
    space = {"level": uniform(0, 6)}
    if kind == "random":
        return RandomSearch(base, space, n_iter=10, **options)
    if kind == "bayes":
        return BayesSearch(base, space, n_iter=10, **options)
    ridge = SlowRidge(1e-3, log=log, seconds=seconds)
    space = {"alpha": Real(1e-5, 1e5, log=True)}
    # A start at one end, so that there are some candidates.
    return HypergradSearch(ridge, space, scoring="neg_mean_squared_error", **options)


def result_of(search):
    """What must not depend on whether the search was killed."""
    results = {
        name: np.asarray(column).tolist()
        for name, column in search.cv_results_.items()
        if "time" not in name and name != "params"
    }
    best = int(search.best_index_), search.best_score_, repr(search.best_params_)
    predictions = search.best_estimator_.predict(X).tolist()
    return [results, best, search.stop_reason_, predictions]


def main(kind, n_jobs, n_kills, seconds, folder):
    log, path = os.path.join(folder, "log"), os.path.join(folder, "checkpoint")
    rng = np.random.default_rng(n_jobs)
    whole = N_FITS[kind] * seconds / n_jobs + (0.5 if n_jobs > 1 else 0.1)
    kills = 0
    while kills < n_kills:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(1, 2)
            make(kind, log=log, seconds=seconds, n_jobs=n_jobs, checkpoint=path).fit(
                X, y
            )
            os._exit(0)
        time.sleep(rng.uniform(0, whole * min(1.0, 4 / n_kills + kills / n_kills)))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        kills += 1
        if os.WIFEXITED(status):
            break
    search = make(kind, log=log, seconds=seconds, n_jobs=n_jobs, checkpoint=path)
    search.fit(X, y)
    print(json.dumps({"result": result_of(search), "kills": kills}))


if __name__ == "__main__":
    kind, n_jobs, n_kills, seconds, folder = sys.argv[1:]
    main(kind, int(n_jobs), int(n_kills), float(seconds), folder)
