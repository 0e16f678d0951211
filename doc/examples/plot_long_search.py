"""
A search that is killed, and goes on
====================================

A search runs in a process of its own, which is killed half-way, as by a power cut or
the scheduler of a cluster. The same search then goes on from its checkpoint. One of the
candidates hangs, and ``fit_timeout`` ends it.
"""

# %%
# The search
# ----------
# A script, as it might be submitted to a cluster. The log of its fits is there to show
# which were made when; a search needs none.

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from skhpo import GridSearch, read_checkpoint

SCRIPT = """
import os, sys, time
from scipy.stats import loguniform
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skhpo import RandomSearch


class Classifier(SGDClassifier):
    def fit(self, X, y):
        with open("fits.log", "a") as log:
            log.write(f"{os.getpid()} {self.alpha:.3g}\\n")
        time.sleep(1000 if self.alpha < 2e-6 else 0.1)  # very small ones hang
        return super().fit(X, y)


X, y = load_breast_cancer(return_X_y=True)
search = RandomSearch(
    make_pipeline(StandardScaler(), Classifier(random_state=0)),
    {"classifier__alpha": loguniform(1e-6, 1)},
    n_iter=16,
    random_state=3,
    cv=3,
    fit_timeout=2,
    checkpoint="search.jsonl",
    verbose=1,
)
search.fit(X, y)
print("best:", search.best_params_, round(search.best_score_, 4))
print("fits in these results:", search.n_fits_)
print("failed or out of time:", [t.params for t in search.trials_ if t.errors])
"""

folder = Path(tempfile.mkdtemp())
(folder / "script.py").write_text(SCRIPT)


def start():
    command = [sys.executable, "-W", "ignore", "script.py"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def n_fits():
    log = folder / "fits.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


# %%
# The first run
# -------------
# It is killed when some twenty of its fits have been made.

process = start()
while n_fits() < 20 and process.poll() is None:
    time.sleep(0.05)
os.kill(process.pid, signal.SIGKILL)
process.communicate()
n_before = n_fits()
print(f"killed after {n_before} fits")

# %%
# What is recorded can be looked at without the data, and without the search.

rows = read_checkpoint(folder / "search.jsonl")
for params, status, n_done in list(
    zip(rows["params"], rows["status"], rows["n_splits_done"], strict=True)
)[:5]:
    print(params, status, n_done)

# %%
# The second run
# --------------
# The same script. It makes the fits that are missing, and at most the one again that
# was under way.

process = start()
output, _ = process.communicate()
print(output)
print(f"fits of the second run: {n_fits() - n_before}")

# %%
# An interrupted search in a notebook
# -----------------------------------
# Ctrl-C, or the button of the notebook, keeps what is complete. Here the estimator
# presses it.


class Impatient(DecisionTreeClassifier):
    def fit(self, X, y):
        if self.max_depth == 4:
            raise KeyboardInterrupt
        return super().fit(X, y)


X, y = load_iris(return_X_y=True)
search = GridSearch(Impatient(random_state=0), {"max_depth": [1, 2, 3, 4, 5]})
try:
    search.fit(X, y)
except KeyboardInterrupt:
    print(search.stop_reason_, search.best_params_, search.n_candidates_)
