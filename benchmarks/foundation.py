"""What the engine costs: GridSearch beside GridSearchCV, and beside its goals.

    python benchmarks/foundation.py [--quick] [part ...]

README.md in this folder says what each part measures and how to read it.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count, islice

# Before NumPy is imported: several BLAS threads would measure the other core's load.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ.update(MKL_NUM_THREADS="1")

import numpy as np
from _estimators import Burner, ColumnMeans, Sleeper, StackRecorder
from _measure import (
    NO_GOAL,
    Goal,
    interleave,
    judged,
    load,
    peak_memory,
    print_machine,
    print_table,
    quartiles,
    timed,
)
from joblib import parallel_config
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV, KFold, check_cv
from sklearn.naive_bayes import GaussianNB

from skhpo import GridSearch
from skhpo._engine import run
from skhpo._evaluation.fit import Evaluator
from skhpo._evaluation.splits import Splits
from skhpo.trial import Candidate

SEARCHES = {"GridSearchCV": GridSearchCV, "GridSearch": GridSearch}
N_SPLITS = 5


def overhead(*, quick, n_repeats=9):
    """Time of a search with one worker, over GridSearchCV's."""
    goal = Goal(0.90)
    n_candidates = 100 if quick else 1000
    n_fits = n_candidates * N_SPLITS
    X, y = load_iris(return_X_y=True)
    values = np.logspace(-9, 0, n_candidates)
    rows = []
    for estimator, grid in [
        (GaussianNB(), {"var_smoothing": values}),
        (Ridge(), {"alpha": values}),
    ]:
        runs = {
            name: timed(
                partial(
                    search(estimator, grid, cv=N_SPLITS, n_jobs=1, refit=False).fit,
                    X,
                    y,
                )
            )
            for name, search in SEARCHES.items()
        }
        runs["bare loop"] = timed_floor(estimator, grid, X, y)
        figures = interleave(runs, n_repeats)
        for name, seconds in figures.items():
            ratio, cpu_ratio = (seconds / figures["GridSearchCV"]).T
            rows.append(
                (
                    type(estimator).__name__,
                    name,
                    f"{1e6 * np.median(seconds[:, 0]) / n_fits:.0f}",
                    quartiles(ratio),
                    quartiles(cpu_ratio),
                    *(
                        judged(np.median(ratio), goal)
                        if name == "GridSearch"
                        else NO_GOAL
                    ),
                )
            )
    print_table(
        f"overhead: {n_candidates} candidates x {N_SPLITS} folds of iris, n_jobs=1, "
        f"{n_repeats} repeats",
        ("estimator", "what", "us per fit", "time ratio", "CPU ratio", "goal", ""),
        rows,
    )


def timed_floor(estimator, grid, X, y):
    """Time the fits and scores alone: data sliced and estimators made beforehand."""
    scorer = check_scoring(estimator)
    splits = [
        (X[train], y[train], X[test], y[test])
        for train, test in check_cv(
            N_SPLITS, y, classifier=is_classifier(estimator)
        ).split(X, y)
    ]
    ((name, values),) = grid.items()

    def loop(estimators):
        for estimator in estimators:
            for X_train, y_train, X_test, y_test in splits:
                estimator.fit(X_train, y_train)
                scorer(estimator, X_test, y_test)

    def run():
        estimators = [clone(estimator).set_params(**{name: value}) for value in values]
        return timed(partial(loop, estimators))()

    return run


def loky(*, quick, n_repeats=9):
    """Time of a search with two worker processes, over GridSearchCV's."""
    X, y = load_iris(return_X_y=True)
    rows = []
    for milliseconds, n_candidates, goal in [
        (0, 1000, Goal(0.8)),
        (1, 500, Goal(0.8)),
        (5, 120, Goal(1.0)),
        (20, 40, Goal(1.0)),
        # Over before tasks are cut to measure: what starting and ending a search costs.
        (0, 10, None),
        (5, 10, None),
    ]:
        if quick:
            n_candidates = min(n_candidates, 10 + n_candidates // 8)
        estimator = Burner(milliseconds / 1000)
        grid = {"number": range(n_candidates)}
        runs = {
            name: timed(
                partial(
                    search(estimator, grid, cv=N_SPLITS, n_jobs=2, refit=False).fit,
                    X,
                    y,
                )
            )
            for name, search in SEARCHES.items()
        }
        # The first round starts the workers, which the others find warm.
        seconds = {
            name: figures[:, 0] for name, figures in interleave(runs, n_repeats).items()
        }
        ratio = seconds["GridSearch"] / seconds["GridSearchCV"]
        rows.append(
            (
                milliseconds,
                f"{n_candidates} x {N_SPLITS}",
                f"{n_candidates * N_SPLITS * milliseconds / 2000:.2f}",
                *(f"{np.median(seconds[name]):.3f}" for name in SEARCHES),
                quartiles(ratio),
                *(judged(np.median(ratio), goal) if goal else NO_GOAL),
            )
        )
    print_table(
        f"loky: n_jobs=2, warm workers, {n_repeats} repeats",
        (
            "CPU ms per fit",
            "fits",
            "fits alone, s",
            "GridSearchCV, s",
            "GridSearch, s",
            "ratio",
            "goal",
            "",
        ),
        rows,
    )


def utilisation(*, quick, n_repeats=5):
    """Share of the workers' time in which they fit, and the same proposals for all."""
    n_workers, goal = 4, Goal(0.9, at_least=True)
    rng = np.random.default_rng(0)
    # Mean of a lognormal with sigma 1 and median m: m exp(1/2).
    median = 0.06 * np.exp(-0.5)
    table = median * rng.lognormal(sigma=1.0, size=(10 if quick else 50, N_SPLITS))
    lags = (1, 2, 3, 4)

    def grid_share(search):
        with parallel_config("threading"):
            grid = {"seconds": [tuple(row) for row in table]}
            search = search(
                Sleeper(), grid, cv=KFold(N_SPLITS), n_jobs=n_workers, refit=False
            )
            wall, _ = timed(partial(search.fit, *sleepers_data()))()
        return table.sum() / (wall * n_workers)

    def toy_share(lag):
        wall, _ = timed(partial(run_toy, table, lag, n_workers))()
        return table.sum() / (wall * n_workers)

    runs = {name: partial(grid_share, search) for name, search in SEARCHES.items()}
    runs.update({f"max_pending={lag}": partial(toy_share, lag) for lag in lags})
    shares = interleave(runs, n_repeats, n_warm_ups=0)

    # Proposals do not depend on how long the fits take, so shorter ones will do.
    hashes = {}
    for lag in lags:
        several = {n: run_toy(table / 10, lag, n_workers=n) for n in (1, 2, 4)}
        assert len(set(several.values())) == 1, f"proposals differ: {several}"
        hashes[f"max_pending={lag}"] = several[1]

    ideals = dict.fromkeys(SEARCHES, ideal_utilisation(table, n_workers, None))
    for lag in lags:
        ideals[f"max_pending={lag}"] = ideal_utilisation(table, n_workers, lag)
    print_table(
        f"utilisation: {n_workers} threads, {table.size} sleeps, mean "
        f"{1000 * table.mean():.0f} ms, {n_repeats} repeats",
        (
            "what",
            "utilisation",
            "without any overhead",
            "proposals at 1, 2, 4 workers",
            "goal",
            "",
        ),
        [
            (
                name,
                quartiles(share),
                f"{ideals[name]:.2f}",
                hashes.get(name, ""),
                *(judged(np.median(share), goal) if name == "GridSearch" else NO_GOAL),
            )
            for name, share in shares.items()
        ],
    )


class ToyStrategy:
    """Step away from the best trial told so far: as much as feedback needs."""

    needs_gradient = False
    exhausted_reason = "all candidates evaluated"

    def __init__(self, table, max_pending):
        self.max_pending = max_pending
        self.n_candidates = len(table)
        self.proposals = []
        self._seconds = iter(table)
        self._best = -np.inf, 0.9
        self._rng = np.random.default_rng(0)

    def ask(self, n):
        candidates = []
        for seconds in islice(self._seconds, n):
            x = self._best[1] + 0.1 * self._rng.normal()
            self.proposals.append(x)
            candidates.append(Candidate({"seconds": tuple(seconds), "x": x}))
        return candidates

    def tell(self, trials):
        for trial in trials:
            mean = np.mean([split.test_scores for split in trial.splits])
            self._best = max(self._best, (mean, trial.params["x"]))


def run_toy(table, max_pending, n_workers):
    """Run the toy strategy on sleeping estimators; give a hash of its proposals."""
    X, y = sleepers_data()
    splits = Splits(
        X, y, list(KFold(N_SPLITS).split(X)), fit_params={}, score_params={}
    )
    evaluator = Evaluator(
        Sleeper(),
        splits,
        scorer=check_scoring(Sleeper()),
        return_train_score=False,
        error_score="raise",
        verbose=0,
    )
    strategy = ToyStrategy(table, max_pending)
    with parallel_config("threading"):
        trials, *_ = run(strategy, evaluator, n_splits=N_SPLITS, n_jobs=n_workers)
    assert len(trials) == len(table)
    return hashlib.sha256(np.array(strategy.proposals).tobytes()).hexdigest()[:8]


def sleepers_data():
    """Give X and y as `Sleeper` wants them: one row for each split."""
    return np.arange(float(N_SPLITS)).reshape(-1, 1), np.zeros(N_SPLITS)


def ideal_utilisation(table, n_workers, max_pending):
    """Compute the utilisation under the same lag rule if nothing else took time.

    Parameters
    ----------
    table : ndarray of shape (n_candidates, n_splits)
        Seconds of each fit; fits start in the order of the rows.
    n_workers : int
        Number of fits at a time.
    max_pending : int or None
        Candidate i starts when all up to ``i - max_pending`` are complete.

    Returns
    -------
    utilisation : float
        Sum of the times over wall time and workers, in (0, 1].
    """
    free = [0.0] * n_workers  # when each worker ends what it does
    heapify(free)
    complete = []  # when all candidates up to this one are complete
    for number, row in enumerate(table):
        known = -1 if max_pending is None else number - max_pending
        ready = complete[known] if known >= 0 else 0.0
        ends = [complete[-1] if complete else 0.0]
        for seconds in row:
            ends.append(max(heappop(free), ready) + seconds)
            heappush(free, ends[-1])
        complete.append(max(ends))
    return table.sum() / (complete[-1] * n_workers)


def memory(*, quick, n_repeats=5):
    """Peak memory of a search on large data with two worker processes."""
    goal = Goal(1.02)
    megabytes = 50 if quick else 400
    rows = []
    command = [sys.executable, __file__, "--large-data"]
    for case in LARGE_DATA_CASES:
        runs = {
            name: partial(
                peak_memory,
                [*command, name, case, str(megabytes)],
            )
            for name in SEARCHES
        }
        peaks = interleave(runs, n_repeats, n_warm_ups=0)
        for name, peak in peaks.items():
            ratio = peak[:, 0] / peaks["GridSearchCV"][:, 0]
            rows.append(
                (
                    case,
                    name,
                    *(f"{value:.0f}" for value in np.median(peak, axis=0)),
                    quartiles(ratio, digits=3),
                    *(
                        judged(np.median(ratio), goal)
                        if name == "GridSearch"
                        else NO_GOAL
                    ),
                )
            )
    print_table(
        f"memory: X of {megabytes} MB, n_jobs=2, peaks in MB, {n_repeats} repeats",
        (
            "case",
            "what",
            "all processes (PSS)",
            "parent (RSS)",
            "largest worker (RSS)",
            "ratio of PSS",
            "goal",
            "",
        ),
        rows,
    )


LARGE_DATA_CASES = {
    "ColumnMeans, 3 folds": (ColumnMeans(), {"number": range(4)}, 3),
    # scikit-learn's own may be given the same slice for several fits. It is small
    # enough for that (64 MB) only in the last case, the test part.
    "SGDRegressor, 3 folds": (
        SGDRegressor(max_iter=5, tol=None, random_state=0),
        {"alpha": [1e-4, 1e-3, 1e-2, 1e-1]},
        3,
    ),
    "SGDRegressor, 10 folds": (
        SGDRegressor(max_iter=5, tol=None, random_state=0),
        {"alpha": [1e-4, 1e-3]},
        10,
    ),
}


def search_large_data(name, case, megabytes):
    """Run the search that :func:`memory` watches, in a process of its own."""
    n_columns = 1000
    X = np.random.default_rng(0).random((int(megabytes) * 10**6 // 8000, n_columns))
    y = X[:, 0].copy()
    estimator, grid, cv = LARGE_DATA_CASES[case]
    SEARCHES[name](estimator, grid, cv=cv, n_jobs=2, refit=False).fit(X, y)


def checkpoint(*, quick, n_repeats=9):
    """Time of a search that records its fits, over the same search without."""
    goal = Goal(1.03)
    n_candidates = 8 if quick else 40
    X, y = load_iris(return_X_y=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = (os.path.join(folder, f"{i}.jsonl") for i in count())
        for milliseconds, n_jobs in [(20, 1), (20, 2), (1, 1)]:
            search = GridSearch(
                Burner(milliseconds / 1000),
                {"number": range(n_candidates)},
                cv=N_SPLITS,
                n_jobs=n_jobs,
                refit=False,
            )
            figures = interleave(
                {
                    "without": timed(partial(search.fit, X, y)),
                    "with": timed(partial(record, search, paths, X, y)),
                },
                n_repeats,
            )
            ratio, cpu_ratio = (figures["with"] / figures["without"]).T
            judgement = (
                judged(np.median(ratio), goal) if milliseconds == 20 else NO_GOAL
            )
            cells = quartiles(ratio, 3), quartiles(cpu_ratio, 3), *judgement
            rows.append((milliseconds, n_jobs, *cells))
    print_table(
        f"checkpoint: {n_candidates} candidates x {N_SPLITS} folds of iris, a new file "
        f"each time, {n_repeats} repeats",
        ("ms per fit", "n_jobs", "time ratio", "CPU ratio", "goal", ""),
        rows,
    )


def record(search, paths, X, y):
    """Search with a new checkpoint."""
    clone(search).set_params(checkpoint=next(paths)).fit(X, y)


def limits(*, quick, n_repeats=7):
    """Time of a search with a fit_timeout that is never reached, over one without."""
    goal = Goal(1.15)
    n_candidates = 8 if quick else 40
    X = np.random.default_rng(0).random((62_500, 100))  # 50 MB
    y = X[:, 0].copy()
    search = GridSearch(
        Burner(0.05),
        {"number": range(n_candidates)},
        cv=N_SPLITS,
        n_jobs=2,
        refit=False,
    )
    limited = clone(search).set_params(fit_timeout=1000)
    start = clone(limited).set_params(param_grid={"number": [0]}, cv=2)
    start.set_params(estimator__seconds=0.0)
    figures = interleave(
        {
            "without": timed(partial(search.fit, X, y)),
            "with": timed(partial(limited.fit, X, y)),
            "start": timed(partial(start.fit, X, y)),
        },
        n_repeats,
    )
    without, whole, start = (figures[name][:, 0] for name in figures)
    ratio = (whole - start) / without
    print_table(
        f"limits: {n_candidates * N_SPLITS} fits of 50 ms, X of 50 MB, two workers, "
        f"{n_repeats} repeats",
        ("time ratio", "goal", "", "with start-up", "seconds to start"),
        [
            (
                quartiles(ratio),
                *judged(np.median(ratio), goal),
                quartiles(whole / without),
                quartiles(start),
            )
        ],
    )


def many(*, quick, n_repeats=3):
    """Time and memory for each of many candidates of a cheap estimator."""
    sizes = (500, 1000, 2000) if quick else (12_500, 25_000, 50_000, 100_000)
    rows = []
    for kind in ("plain", "checkpoint"):
        command = [sys.executable, __file__, "--many", kind]
        figures = interleave(
            {n: partial(printed, [*command, str(n)]) for n in sizes},
            n_repeats,
            n_warm_ups=0,
        )
        first = figures[sizes[0]][:, 0] / sizes[0]
        for n in sizes:
            seconds, kilobytes = figures[n].T
            cells = (
                f"{1e6 * np.median(seconds) / n:.0f}",
                quartiles(seconds / n / first),
            )
            rows.append((kind, n, *cells, f"{np.median(kilobytes) / n:.2f}"))
    print_table(
        f"many: candidates x 2 folds of iris, n_jobs=1, {n_repeats} repeats",
        ("search", "candidates", "us each", "over the first row", "kB each"),
        rows,
    )


def printed(command):
    """Run a command, and read the figures that it prints."""
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(map(float, output.split()))


def search_many(kind, n_candidates):
    """Print the seconds of a search, and by how many kB the process has grown."""
    X, y = load_iris(return_X_y=True)
    grid = {"number": range(n_candidates)}
    search = GridSearch(Burner(), grid, cv=2, refit=False)
    clone(search).set_params(param_grid={"number": range(100)}).fit(X, y)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        if kind == "checkpoint":
            search.set_params(checkpoint=os.path.join(folder, "a.jsonl"))
        seconds, _ = timed(partial(search.fit, X, y))()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(seconds, grown)


def imports(*, quick, n_repeats=21):
    """Time to import the package, over that of the module it replaces."""
    goal = Goal(1.15)
    modules = ("sklearn.model_selection", "skhpo")
    seconds = interleave(
        {module: partial(seconds_to_import, module) for module in modules},
        5 if quick else n_repeats,
    )
    rows = []
    for module in modules:
        ratio, cpu_ratio = (seconds[module] / seconds[modules[0]]).T
        rows.append(
            (
                module,
                f"{np.median(seconds[module][:, 0]):.3f}",
                quartiles(ratio),
                quartiles(cpu_ratio),
                *(judged(np.median(ratio), goal) if module == "skhpo" else NO_GOAL),
            )
        )
    print_table(
        f"imports: fresh interpreters, {len(seconds['skhpo'])} repeats",
        ("module", "seconds", "time ratio", "CPU ratio", "goal", ""),
        rows,
    )


def seconds_to_import(module):
    """Import `module` in a fresh interpreter; give wall and CPU seconds."""
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"import {module}; "
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True
    )
    return tuple(map(float, out.stdout.split()))


def frames(*, quick, n_repeats=1):
    """Python frames from the search's ``fit`` to the estimator's, both counted."""
    stacks = {}
    for name, search in SEARCHES.items():
        search(StackRecorder(), {}, cv=2, n_jobs=1, refit=False).fit([[0]] * 4, [0] * 4)
        stack = StackRecorder.stack
        start = [frame.endswith(("_search.fit", "base.fit")) for frame in stack]
        stacks[name] = [*stack[start.index(True) :], "StackRecorder.fit"]
    goal = Goal(len(stacks["GridSearchCV"]))
    print_table(
        "frames: from search.fit to the estimator's fit, n_jobs=1",
        ("what", "frames", "which", "goal", ""),
        [
            (
                name,
                len(stack),
                " > ".join(".".join(frame.split(".")[-2:]) for frame in stack),
                *(judged(len(stack), goal) if name == "GridSearch" else NO_GOAL),
            )
            for name, stack in stacks.items()
        ],
    )


PARTS = {
    part.__name__: part
    for part in (
        overhead,
        loky,
        utilisation,
        memory,
        imports,
        frames,
        checkpoint,
        limits,
        many,
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Parts: "
        + " ".join(f"{name}: {part.__doc__}" for name, part in PARTS.items()),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short run that proves nothing"
    )
    parser.add_argument(
        "--repeats", type=int, metavar="N", help="instead of each part's own number"
    )
    parser.add_argument("--large-data", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--many", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.many:
        search_many(options.many[0], int(options.many[1]))
        return
    if options.large_data:
        search_large_data(*options.large_data)
        return
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")

    print_machine(("scikit-learn", "joblib", "numpy"))
    n_repeats = options.repeats or (2 if options.quick else None)
    for name in options.parts or PARTS:
        before = load()
        keywords = {} if n_repeats is None else {"n_repeats": n_repeats}
        PARTS[name](quick=options.quick, **keywords)
        print(f"\nload {before} before, {load()} after", flush=True)


if __name__ == "__main__":
    main()
