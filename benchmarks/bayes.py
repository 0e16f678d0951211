"""Bayesian search beside its peers, on real tuning problems.

    python benchmarks/bayes.py [--seeds 0-9] [--problems ...] [--optimisers ...]
    python benchmarks/bayes.py --report     # tables of what has been run
    python benchmarks/bayes.py --lag 8      # the same with eight candidates at a time
    python benchmarks/bayes.py --cost       # CPU time for each suggestion
    python benchmarks/bayes.py --short      # time of searches over one parameter

README.md in this folder says what is measured and how to read it.
"""

import argparse
import gzip
import json
import os
import time
import traceback
import warnings
from collections import defaultdict
from functools import partial, wraps
from itertools import product
from pathlib import Path
from typing import NamedTuple

# Before NumPy is imported: one thread for everybody.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
os.environ.update(MKL_NUM_THREADS="1")

import numpy as np
from _measure import (
    Goal,
    interleave,
    judged,
    print_machine,
    print_table,
    quartiles,
    timed,
)
from _peers import ASKERS, SEARCHES, SURROGATES, find_runner, in_words
from _problems import (
    HALVES,
    KINDS,
    PROBLEMS,
    SYNTHETIC,
    load_problem,
)
from scipy.stats import loguniform, rankdata, wilcoxon
from sklearn.base import clone
from sklearn.datasets import load_digits, make_regression
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    ParameterSampler,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhpo import BayesSearch
from skhpo.space import Space

FOLDER = Path(__file__).resolve().parent
RESULTS = (
    Path(os.environ.get("SKHPO_BENCHMARK_RESULTS", FOLDER / "results")) / "bayes.jsonl"
)
# Runs of the others, in the repository: whoever changes skhpo need not repeat them.
PEERS = FOLDER / "bayes_peers.jsonl.gz"
REFERENCE = FOLDER / "bayes_reference.json"
CHECKPOINTS = (16, 32, 64, 100)
TESTED = (32, 64)
SEQUENTIAL = list(dict.fromkeys((*ASKERS, *SEARCHES)))
PARALLEL = [*ASKERS, *SURROGATES]
OF_COST = ("skhpo-1", "optuna-gp", "skopt")
N_OF_COST = 5


# Running


class Meter:
    """CPU time of the evaluations, and of what happens between them.

    Parameters
    ----------
    n_splits : int
        Fits of an evaluation that a search class makes itself.
    """

    def __init__(self, n_splits):
        self.n_splits = n_splits
        self.starts, self.ends = [], []
        self._n_fits = self._n_scores = 0
        self._begin = time.process_time()

    def start(self):
        self.starts.append(time.process_time())

    def end(self):
        self.ends.append(time.process_time())

    def gaps(self):
        """Give the seconds before each evaluation."""
        return np.subtract(self.starts, [self._begin, *self.ends[:-1]])

    def watch(self, estimator):
        """Give a clone whose fits are seen."""
        cls = type(estimator)

        @wraps(cls.fit)
        def fit(model, *args, **kwargs):
            if self._n_fits % self.n_splits == 0:
                self.start()
            self._n_fits += 1
            return cls.fit(model, *args, **kwargs)

        watched = clone(estimator)
        body = {"fit": fit, "__module__": cls.__module__, "__doc__": cls.__doc__}
        watched.__class__ = type(cls.__name__, (cls,), body)
        return watched

    def scorer(self, scoring):
        """Give a scorer whose calls are seen."""
        score = get_scorer(scoring) if scoring else None

        def scorer(model, X, y):
            value = score(model, X, y) if score else model.score(X, y)
            self._n_scores += 1
            if self._n_scores % self.n_splits == 0:
                self.end()
            return value

        return scorer


def run(problem, name, n, seed, lag=1):
    """Let an optimiser run on a problem.

    Returns
    -------
    scores : list of float
        Mean scores over the splits, in the order of the proposals.
    gaps : ndarray
        CPU seconds before each evaluation, the last row that after all of them.
    """
    meter = Meter(problem.cv.get_n_splits(problem.X, problem.y))
    search, asker = find_runner(name, problem, lag)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if search is not None:
            fitted = search(
                problem,
                meter.watch(problem.estimator),
                meter.scorer(problem.scoring),
                n,
                seed,
            )
            scores = fitted.cv_results_["mean_test_score"].tolist()
        else:
            scores = loop(asker, problem, meter, n, seed, lag)
    return scores, np.append(meter.gaps(), time.process_time() - meter.ends[-1])


def loop(asker, problem, meter, n, seed, lag):
    """Ask, evaluate, tell: candidate i knows the scores up to i - `lag`."""
    asker = asker(in_words(problem.space), n, seed)
    handles, scores = [], []
    for number in range(n):
        if number >= lag:
            asker.tell(handles[number - lag], scores[number - lag])
        handle, params = asker.ask()
        meter.start()
        handles.append(handle)
        scores.append(evaluate(problem, params))
        meter.end()
    if hasattr(asker, "close"):
        asker.close()
    return scores


def evaluate(problem, params):
    """Give the mean score over the splits."""
    estimator = clone(problem.estimator).set_params(**clone(params, safe=False))
    return float(
        cross_val_score(
            estimator,
            problem.X,
            problem.y,
            scoring=problem.scoring,
            cv=problem.cv,
            error_score="raise",
        ).mean()
    )


def run_all(options):
    """Run what is missing, seed by seed, and put it on file."""
    done = {}
    for record in read_results():
        key = key_of(record)
        done[key] = max(done.get(key, 0), record["n"])
    RESULTS.parent.mkdir(exist_ok=True)
    for seed in options.seeds:
        for place, problem_name in enumerate(options.problems):
            # None always runs when the machine is warm or loaded from another.
            turn = (seed + place) % len(options.optimisers)
            for name in options.optimisers[turn:] + options.optimisers[:turn]:
                if name.startswith("skhpo") and not options.tag:
                    continue
                record = {
                    "problem": problem_name,
                    "optimiser": name,
                    "seed": seed,
                    "lag": options.lag,
                    "tag": options.tag[0] if name.startswith("skhpo") else "",
                    "n": options.n,
                }
                if done.get(key_of(record), 0) >= options.n:
                    continue
                problem = load_problem(problem_name)
                wall = time.perf_counter()
                try:
                    scores, gaps = run(problem, name, options.n, seed, options.lag)
                except Exception:
                    print(f"{problem_name} {name} {seed} failed", flush=True)
                    traceback.print_exc()
                    continue
                record["scores"] = scores
                record["cpu_per_suggestion"] = gaps.sum() / len(scores)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(
                    f"{time.strftime('%H:%M:%S')} seed {seed} {problem_name} {name}: "
                    f"best {max(scores):.5f}, "
                    f"{1000 * record['cpu_per_suggestion']:.0f} ms per suggestion, "
                    f"{time.perf_counter() - wall:.0f} s",
                    flush=True,
                )


def read_results():
    """Read the runs of the others that are in the repository, and all new ones."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    if PEERS.exists():
        lines = gzip.decompress(PEERS.read_bytes()).decode().splitlines() + lines
    longest = {}
    for record in map(json.loads, filter(None, lines)):
        key = key_of(record)
        if record["n"] >= longest.get(key, {"n": 0})["n"]:
            longest[key] = record
    return [*longest.values()]


def keep_peers():
    """Put the longest runs of the others into the repository."""
    lines = []
    for record in sorted(read_results(), key=key_of):
        if not record["tag"]:
            record["scores"] = [float(f"{score:.9g}") for score in record["scores"]]
            cpu = record["cpu_per_suggestion"]
            record["cpu_per_suggestion"] = None if cpu is None else round(cpu, 5)
            lines.append(json.dumps(record) + "\n")
    PEERS.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def key_of(record):
    names = ("problem", "optimiser", "seed", "lag", "tag")
    return tuple(record[name] for name in names)


# The scale: 0 for one random draw, 100 for the best known


def make_reference(options, n_random=1000, n_local=600):
    """Draw at random for the scale, then climb from the best for its upper end."""
    for name in options.problems:
        problem = load_problem(name)
        space = Space(problem.space)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            draws = list(
                ParameterSampler(space.distributions, n_random, random_state=2**31)
            )
            seen = [(evaluate(problem, params), params) for params in draws]
            median = float(np.median([score for score, _ in seen]))
            best_drawn = max(score for score, _ in seen)
            rng = np.random.default_rng(0)
            for step in range(n_local):
                seen.sort(key=lambda pair: -pair[0])
                _, params = seen[rng.integers(1 + 9 * (step < n_local // 2))]
                point = space.point(params)
                axes = np.flatnonzero(~np.isnan(point))
                axes = axes[axes >= (len(space.branches) > 1)]
                axes = rng.choice(axes, min(len(axes), rng.integers(1, 4)), False)
                width = 10 ** rng.uniform(-2.5, 0)
                point[axes] = np.clip(
                    point[axes] + width * rng.normal(size=len(axes)), 0, 1
                )
                params = space.params(point)
                seen.append((evaluate(problem, params), params))
        best = max(score for score, _ in seen)
        raise_reference({name: best}, {name: median})
        print(
            f"{name}: median {median:.5f}, drawn {best_drawn:.5f}, best {best:.5f}",
            flush=True,
        )
    raise_reference(best_on_file())


def read_reference():
    return json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}


def raise_reference(best, median=None):
    """Put the ends of scales on file; an upper one never falls."""
    reference = read_reference()
    for name, value in (median or {}).items():
        reference.setdefault(name, {"best": -np.inf})["median"] = value
    for name, ends in reference.items():
        ends["best"] = max(ends["best"], best.get(name, -np.inf))
    REFERENCE.write_text(json.dumps(reference, indent=2, sort_keys=True) + "\n")


def best_on_file():
    """Give the best score of each problem among all results."""
    best = {}
    for record in read_results():
        name = record["problem"]
        best[name] = max(best.get(name, -np.inf), *record["scores"])
    return best


# Reporting


class Board(NamedTuple):
    """What is compared: the runs that all optimisers shown have in common.

    Parameters
    ----------
    labels : list of str
        Optimisers, with the tag where there are several.
    names : ndarray of shape (n_runs,)
        Problem of each run.
    best : dict of int to ndarray of shape (n_labels, n_runs)
        Normalised score of the best of the first n evaluations.
    seconds : list of float
        CPU time for each suggestion.
    """

    labels: list
    names: np.ndarray
    best: dict
    seconds: list

    @property
    def parts(self):
        """dict of str to mask : All runs, and those of each kind and half."""
        parts = {"all": np.ones(len(self.names), dtype=bool)}
        for place, values in enumerate((KINDS, HALVES)):
            own = np.array([PROBLEMS[name][place] for name in self.names])
            parts.update({value: own == value for value in values})
        return {part: mask for part, mask in parts.items() if mask.any()}

    @property
    def problems(self):
        """dict of str to mask : The runs of each problem."""
        return {name: self.names == name for name in dict.fromkeys(self.names)}

    @property
    def tested(self):
        """list of int : Numbers of evaluations at which there are tests."""
        return [n for n in TESTED if n in self.best]


def read_board(options):
    """Read what is on file; None if that is nothing."""
    records = [
        record
        for record in read_results()
        if record["lag"] == options.lag
        and record["problem"] in options.problems
        and record["optimiser"] in options.optimisers
        and record["seed"] in options.seeds
        and (not record["tag"] or not options.tag or record["tag"] in options.tag)
    ]
    reference = read_reference()
    for name, best in best_on_file().items():  # since the reference was written
        reference[name]["best"] = max(reference[name]["best"], best)
    several = len({record["tag"] for record in records} - {""}) > 1
    curves, seconds = defaultdict(dict), defaultdict(list)
    for record in records:
        label = record["optimiser"]
        if several and record["tag"]:
            label += f" {record['tag']}"
        ends = reference[record["problem"]]
        curve = np.maximum.accumulate(record["scores"])
        curve = 100 * (curve - ends["median"]) / (ends["best"] - ends["median"])
        run = record["problem"], record["seed"]
        if len(curve) > len(curves[label].get(run, ())):
            curves[label][run] = curve
        if record["cpu_per_suggestion"] is not None:
            seconds[label].append(record["cpu_per_suggestion"])
    if not curves:
        return None
    # An optimiser that has hardly begun would leave nothing to compare the others on.
    n_most = max(map(len, curves.values()))
    for label in [label for label in curves if 2 * len(curves[label]) < n_most]:
        print(f"left out: {label}, {len(curves.pop(label))} of {n_most} runs")
    labels = sorted(curves, key=lambda x: options.optimisers.index(x.split()[0]))
    runs = set.intersection(*(set(curves[label]) for label in labels))
    runs = [run for name in PROBLEMS for run in sorted(runs) if run[0] == name]
    if not runs:
        return None
    n_max = min(len(curves[label][run]) for label in labels for run in runs)
    best = {
        n: np.array([[curves[label][run][n - 1] for run in runs] for label in labels])
        for n in CHECKPOINTS
        if n <= n_max
    }
    names = np.array([name for name, _ in runs])
    return Board(labels, names, best, [np.mean(seconds[label]) for label in labels])


def report(options):
    """Print the tables of what is on file."""
    board = read_board(options)
    if board is None:
        print("nothing on file that could be compared")
        return
    print_scores(board, f", lag {options.lag}" if options.lag > 1 else "")
    for n in board.tested:
        print_parts(board, n)
    ours = [row for row, name in enumerate(board.labels) if name.startswith("skhpo")]
    for row, n in product(ours, board.tested):
        print_tests(board, n, row)
    if "random" in board.labels:
        for row in ours:
            print_against_random(board, row)
    for n in board.tested:
        print_problems(board, n)


def print_scores(board, note):
    ranks = {
        n: rankdata(-best.round(8), axis=0).mean(axis=1)
        for n, best in board.best.items()
    }
    print_table(
        "Scores (0: median random draw, 100: best known) and ranks: "
        f"{len(board.problems)} problems, {len(board.names)} runs of each{note}",
        (
            "optimiser",
            *(f"n={n}" for n in board.best),
            *(f"rank at {n}" for n in board.best),
            "CPU ms per suggestion",
        ),
        [
            (
                label,
                *(f"{best[row].mean():.1f}" for best in board.best.values()),
                *(f"{rank[row]:.2f}" for rank in ranks.values()),
                f"{1000 * board.seconds[row]:.0f}",
            )
            for row, label in enumerate(board.labels)
        ],
    )


def print_parts(board, n):
    best, parts = board.best[n], board.parts
    print_table(
        f"Scores at n={n} by kind and half",
        ("optimiser", *(f"{part} ({mask.sum()})" for part, mask in parts.items())),
        [
            (label, *(f"{best[row, mask].mean():.1f}" for mask in parts.values()))
            for row, label in enumerate(board.labels)
        ],
    )


def print_tests(board, n, ours):
    rows = []
    for row, label in enumerate(board.labels):
        if row != ours:
            difference = (board.best[n][ours] - board.best[n][row]).round(8)
            won_tied_lost = [np.sum(np.sign(difference) == sign) for sign in (1, 0, -1)]
            rows.append(
                (
                    label,
                    "-".join(map(str, won_tied_lost)),
                    *(tested(difference[mask]) for mask in board.parts.values()),
                )
            )
    print_table(
        f"{board.labels[ours]} minus each other at n={n}: mean difference, and p of "
        "the Wilcoxon test over problems and seeds",
        ("other", "won-tied-lost", *board.parts),
        rows,
    )


def tested(differences):
    """Write a mean difference and the p value of a paired Wilcoxon test."""
    p = wilcoxon(differences).pvalue if differences.any() else 1.0
    return f"{differences.mean():+.1f} (p={p:.2g})"


def print_against_random(board, ours):
    random = board.labels.index("random")
    shown = {n: best for n, best in board.best.items() if n >= 32}
    rows = []
    for name, mask in board.problems.items():
        means = {n: best[:, mask].mean(axis=1) for n, best in shown.items()}
        worse = [n for n, mean in means.items() if mean[ours] < mean[random] - 1e-8]
        rows.append(
            (
                name,
                *PROBLEMS[name][:2],
                *(f"{m[row]:.1f}" for m in means.values() for row in (random, ours)),
                " ".join(map(str, worse)),
            )
        )
    label = board.labels[ours]
    print_table(
        f"{label} and random by problem",
        (
            "problem",
            "kind",
            "half",
            *(f"{who}, n={n}" for n in shown for who in ("random", label)),
            "worse at",
        ),
        rows,
    )


def print_problems(board, n):
    print_table(
        f"Scores at n={n} by problem",
        ("problem", *board.labels),
        [
            (name, *(f"{mean:.1f}" for mean in board.best[n][:, mask].mean(axis=1)))
            for name, mask in board.problems.items()
        ],
    )


# What a suggestion costs


def cost(options):
    """CPU per suggestion on objectives that cost nothing."""
    compared = options.optimisers
    header = [f"{name}, n=100" for name in compared]
    header += [f"ratio to {name}" for name in compared[1:]]
    goes_on = compared[0] == "skhpo-1"
    if goes_on:
        header += ["skhpo-1, n=500", "skhpo-1, n=1000"]
    rows = []
    for name in SYNTHETIC:
        # Seed by seed, and each ratio within a seed, as no machine is idle.
        times = np.array(
            [
                [milliseconds(name, other, 100, seed, [95])[0] for other in compared]
                for seed in options.seeds[:N_OF_COST]
            ]
        )
        cells = [f"{value:.1f}" for value in np.median(times, axis=0)]
        ratios = np.median(times[:, :1] / times[:, 1:], axis=0)
        cells += [f"{value:.3f}" for value in ratios]
        if goes_on:
            ends = milliseconds(name, "skhpo-1", 1010, options.seeds[0], [500, 1000])
            cells += [f"{value:.1f}" for value in ends]
        rows.append((name, *cells))
        print(*rows[-1], flush=True)
    print_table("CPU ms per suggestion, one thread", ("objective", *header), rows)


def milliseconds(problem, optimiser, n, seed, places):
    """Average the CPU time of the suggestions around each of `places`; NaN: failed."""
    try:
        gaps = run(load_problem(problem), optimiser, n, seed)[1][:n]
    except Exception:
        traceback.print_exc()
        return [np.nan] * len(places)
    half = 5 if n == 100 else 10
    return [1000 * gaps[place - half : place + half].mean() for place in places]


# Short searches


def short(n_repeats=5):
    """Time of 60 candidates over one parameter, and RandomizedSearchCV's."""
    goal = Goal(1.5)
    rows = []
    for name, (estimator, parameter, X, y) in of_one_parameter().items():
        space = {parameter: loguniform(1e-4, 1e2)}
        searches = {
            search.__name__: search(
                estimator, space, n_iter=60, random_state=0, n_jobs=1, **options
            )
            for search, options in [
                (BayesSearch, {"max_pending": 1}),
                (RandomizedSearchCV, {}),
            ]
        }
        runs = {own: timed(partial(each.fit, X, y)) for own, each in searches.items()}
        figures = interleave(runs, n_repeats)
        ratio, cpu_ratio = (figures["BayesSearch"] / figures["RandomizedSearchCV"]).T
        fits = searches["RandomizedSearchCV"].cv_results_["mean_fit_time"]
        rows.append(
            (
                name,
                f"{1000 * np.median(fits):.0f}",
                quartiles(ratio),
                quartiles(cpu_ratio),
                *judged(np.median(ratio), goal),
            )
        )
    header = ("search", "ms for a fit", "time", "CPU time", "goal", "")
    print_table("BayesSearch over RandomizedSearchCV, 60 x 5 fits", header, rows)


def of_one_parameter():
    """Make searches whose fits take 10 ms and more; the first whatever is tried."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    regression = make_regression(700, 20, noise=10, random_state=0)
    return {
        "KernelRidge, alpha": (KernelRidge(kernel="rbf"), "alpha", *regression),
        "LogisticRegression, C, digits": (
            model,
            "logisticregression__C",
            *load_digits(return_X_y=True),
        ),
    }


# The command


def numbers(text):
    """Read ``0-2,5``."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=numbers, default=numbers("0-9"))
    parser.add_argument("--problems", nargs="+", default=None, choices=PROBLEMS)
    parser.add_argument("--optimisers", nargs="+", default=None)
    parser.add_argument("--half", choices=HALVES, help="only these problems")
    parser.add_argument("--n", type=int, default=None, help="evaluations of each run")
    parser.add_argument(
        "--tag",
        nargs="+",
        default=[],
        help="version of skhpo's code: without one skhpo is not run. Runs are kept for "
        "each; a report shows several, or all",
    )
    parser.add_argument("--lag", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument(
        "--keep-peers",
        action="store_true",
        help=f"put the runs of the others into {PEERS.name}",
    )
    parser.add_argument(
        "--reference", action="store_true", help="make the ends of the scale"
    )
    options = parser.parse_args()
    known = PARALLEL if options.lag > 1 else SEQUENTIAL
    if options.optimisers is None:
        options.optimisers = list(OF_COST) if options.cost else known
    unknown = set(options.optimisers) - set(known)
    if unknown:
        parser.error(f"no optimiser {', '.join(unknown)}; there are {', '.join(known)}")
    options.problems = [
        name
        for name in options.problems or PROBLEMS
        if options.half in (None, PROBLEMS[name][1])
    ]
    if options.n is None:
        options.n = 64 if options.lag > 1 else 100
    if options.keep_peers:
        keep_peers()
    elif options.reference:
        make_reference(options)
    elif options.cost:
        print_machine(("scikit-learn", "numpy", "scipy"))
        cost(options)
    elif options.short:
        print_machine(("scikit-learn", "numpy", "scipy"))
        short()
    else:
        if not options.report:
            run_all(options)
        report(options)


if __name__ == "__main__":
    main()
