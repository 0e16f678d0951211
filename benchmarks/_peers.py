"""The optimisers that are compared, each behind one small function.

There are two sorts. A *search* is a class that evaluates by itself, called as its users
call it. An *asker* proposes settings and is told their scores; it stands for a loop
that a user writes around ``cross_val_score``.
"""

import logging
import shutil
import tempfile
import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import RandomizedSearchCV

from skhpo.space import Integer, Real, Space

# Spaces


@dataclass(frozen=True)
class Words:
    """A space in the words that the peers have for one.

    Parameters
    ----------
    dimensions : dict of str to dimension
        What is varied, by a label that is unique in the whole space.
    branches : list of dict of str to (str or None, object)
        For each branch its parameters: the label, or None and the only value.
    """

    dimensions: dict
    branches: list

    def params(self, number, value_of):
        """Put a setting together.

        Parameters
        ----------
        number : int
            Which branch.
        value_of : callable
            Gives the value of a label; called for those of the branch only.
        """
        return {
            name: value if label is None else value_of(label)
            for name, (label, value) in self.branches[number].items()
        }


def in_words(spec):
    """Read a space as a careful user of a peer would write it.

    A parameter that means the same in several branches has one label, as in
    ``skhpo.space.Space``; one of a step that is another estimator in each branch has
    a label for each.
    """
    space = Space(spec)
    fixed = [
        {name: d.values()[0] for name, d in branch.items() if d.n_values == 1}
        for branch in space.branches
    ]
    dimensions, branches = {}, []
    for number, branch in enumerate(space.branches):
        words = {}
        for name, dimension in branch.items():
            if name in fixed[number]:
                words[name] = None, fixed[number][name]
                continue
            own = name.rpartition("__")[0] in fixed[number] or any(
                other.get(name, dimension) != dimension for other in space.branches
            )
            label = f"{number}:{name}" if own else name
            dimensions[label] = dimension
            words[name] = label, None
        branches.append(words)
    return Words(dimensions, branches)


BRANCH = "branch"


# Searches: function(problem, estimator, scoring, n, seed) -> fitted search


def randomized_search_cv(problem, estimator, scoring, n, seed):
    """Random search, scikit-learn's."""
    return RandomizedSearchCV(
        estimator,
        problem.space,
        n_iter=n,
        scoring=scoring,
        cv=problem.cv,
        random_state=seed,
        refit=False,
        error_score="raise",
    ).fit(problem.X, problem.y)


def skhpo_search(**options):
    """BayesSearch with `options`."""

    def run(problem, estimator, scoring, n, seed):
        from skhpo import BayesSearch

        return BayesSearch(
            estimator,
            problem.space,
            n_iter=n,
            scoring=scoring,
            cv=problem.cv,
            random_state=seed,
            refit=False,
            error_score="raise",
            **options,
        ).fit(problem.X, problem.y)

    return run


def bayes_search_cv(**optimizer_kwargs):
    """scikit-optimize's class; see :func:`bayes_search_cv_can`."""

    def run(problem, estimator, scoring, n, seed):
        from skopt import BayesSearchCV

        (branch,) = Space(problem.space).branches
        return BayesSearchCV(
            estimator,
            {name: skopt_dimension(d, list) for name, d in branch.items()},
            n_iter=n,
            optimizer_kwargs=optimizer_kwargs or None,
            scoring=scoring,
            cv=problem.cv,
            random_state=seed,
            refit=False,
            error_score="raise",
        ).fit(problem.X, problem.y)

    return run


def bayes_search_cv_can(problem):
    """Tell whether scikit-optimize's class can run it as one search.

    It divides the budget among branches, and takes no choices that are sequences.
    """
    branches = Space(problem.space).branches
    return len(branches) == 1 and not any(
        np.ndim(value)
        for dimension in branches[0].values()
        if not isinstance(dimension, (Real, Integer))
        for value in dimension.values()
        if isinstance(value, (list, tuple))
    )


def skopt_dimension(dimension, choices):
    """Translate; `choices` turns the values of a list into categories."""
    import skopt.space

    if isinstance(dimension, (Real, Integer)):
        kind = getattr(skopt.space, type(dimension).__name__)
        prior = "log-uniform" if dimension.log else "uniform"
        return kind(dimension.low, dimension.high, prior=prior)
    return skopt.space.Categorical(choices(dimension.values()))


# Askers: Class(words, n, seed) with ask() -> (handle, params) and tell(handle, score).
# What has been asked and not told is pending.


class RandomAsker:
    """Random search for the protocol with a lag: it ignores all anyway."""

    def __init__(self, words, n, seed):
        self._words = words
        self._rng = np.random.default_rng(seed)

    def ask(self):
        number = self._rng.integers(len(self._words.branches))
        dimensions = self._words.dimensions
        params = self._words.params(
            number, lambda label: dimensions[label].from_unit(self._rng.uniform())
        )
        return None, params

    def tell(self, handle, score):
        pass


class OptunaAsker:
    """A study defined by run: branches are choices, and decide what is suggested."""

    def __init__(self, words, n, seed):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings(
            "ignore", category=optuna.exceptions.ExperimentalWarning
        )
        self._words = words
        self._study = optuna.create_study(
            direction="maximize", sampler=self.sampler(optuna.samplers, seed)
        )

    def ask(self):
        trial, words = self._study.ask(), self._words
        n_branches = len(words.branches)
        number = 0
        if n_branches > 1:
            number = trial.suggest_categorical(BRANCH, range(n_branches))

        def suggest(label):
            dimension = words.dimensions[label]
            if isinstance(dimension, Real):
                low, high = float(dimension.low), float(dimension.high)
                return trial.suggest_float(label, low, high, log=dimension.log)
            if isinstance(dimension, Integer):
                low, high = dimension.low, dimension.high
                return trial.suggest_int(label, low, high, log=dimension.log)
            choice = trial.suggest_categorical(label, range(dimension.n_values))
            return dimension.values()[choice]

        return trial, words.params(number, suggest)

    def tell(self, trial, score):
        self._study.tell(trial, score)


class OptunaTPE(OptunaAsker):
    """What ``create_study()`` takes by default."""

    @staticmethod
    def sampler(samplers, seed):
        return samplers.TPESampler(seed=seed)


class OptunaGP(OptunaAsker):
    """Optuna's Gaussian process."""

    @staticmethod
    def sampler(samplers, seed):
        import torch

        torch.set_num_threads(1)
        return samplers.GPSampler(seed=seed)


class SkoptAsker:
    """scikit-optimize's optimiser on the flat space: all parameters always exist.

    What is pending is imputed with the best score so far, as its own ``ask(n_points)``
    does.
    """

    options = {}

    def __init__(self, words, n, seed):
        import skopt
        import skopt.space

        self._words = words
        dimensions = [
            skopt_dimension(dimension, as_numbers)
            for dimension in words.dimensions.values()
        ]
        if len(words.branches) > 1:
            dimensions.append(skopt.space.Categorical(as_numbers(words.branches)))
        self._optimizer = skopt.Optimizer(dimensions, random_state=seed, **self.options)
        self._pending = []
        self._rng = np.random.RandomState(seed)

    def ask(self):
        optimizer = self._optimizer
        if self._pending:
            optimizer = optimizer.copy(random_state=self._rng.randint(2**31 - 1))
            lie = min(optimizer.yi, default=0.0)
            optimizer.tell(self._pending, [lie] * len(self._pending))
        x = optimizer.ask()
        self._pending.append(x)
        values = dict(zip(self._words.dimensions, x, strict=False))
        number = int(x[-1]) if len(self._words.branches) > 1 else 0
        return x, self._words.params(number, lambda label: self._value(label, values))

    def _value(self, label, values):
        dimension, value = self._words.dimensions[label], values[label]
        if isinstance(dimension, (Real, Integer)):
            return type(dimension.low)(value)
        return dimension.values()[int(value)]

    def tell(self, x, score):
        self._pending.remove(x)
        self._optimizer.tell(x, -score)


class SkoptLCB(SkoptAsker):
    """The same with another acquisition function."""

    options = {"acq_func": "LCB"}


def as_numbers(values):
    """Give a category for each value."""
    return [str(number) for number in range(len(values))]


class HyperoptTPE:
    """What ``fmin`` does with ``tpe.suggest``, one trial at a time."""

    def __init__(self, words, n, seed):
        import hyperopt

        logging.getLogger("hyperopt").setLevel(logging.ERROR)
        self._hyperopt = hyperopt
        self._words = words
        nodes = {
            label: hyperopt_node(hyperopt.hp, label, dimension)
            for label, dimension in words.dimensions.items()
        }
        branches = [
            {
                "number": number,
                **{label: nodes[label] for label, _ in branch.values() if label},
            }
            for number, branch in enumerate(words.branches)
        ]
        space = branches[0]
        if len(branches) > 1:
            space = hyperopt.hp.choice(BRANCH, branches)
        self._domain = hyperopt.Domain(lambda values: values, space)
        self._trials = hyperopt.Trials()
        self._rng = np.random.default_rng(seed)

    def ask(self):
        hyperopt, trials = self._hyperopt, self._trials
        trials.refresh()
        (document,) = hyperopt.tpe.suggest(
            trials.new_trial_ids(1),
            self._domain,
            trials,
            int(self._rng.integers(2**31 - 1)),
        )
        document["state"] = hyperopt.JOB_STATE_RUNNING
        (number,) = trials.insert_trial_docs([document])
        trials.refresh()
        document = next(d for d in trials._dynamic_trials if d["tid"] == number)
        values = hyperopt.space_eval(
            self._domain.expr,
            {k: v[0] for k, v in document["misc"]["vals"].items() if v},
        )

        def value_of(label):
            dimension, value = self._words.dimensions[label], values[label]
            if isinstance(dimension, Real):
                return float(value)
            if isinstance(dimension, Integer):
                return min(max(int(value), dimension.low), dimension.high)
            return dimension.values()[int(value)]

        return document, self._words.params(int(values["number"]), value_of)

    def tell(self, document, score):
        document["state"] = self._hyperopt.JOB_STATE_DONE
        document["result"] = {"loss": -score, "status": self._hyperopt.STATUS_OK}
        self._trials.refresh()


def hyperopt_node(hp, label, dimension):
    """Translate a dimension."""
    if isinstance(dimension, Real):
        if dimension.log:
            return hp.loguniform(label, np.log(dimension.low), np.log(dimension.high))
        return hp.uniform(label, dimension.low, dimension.high)
    if isinstance(dimension, Integer):
        low, high = dimension.low, dimension.high
        if dimension.log:
            return hp.qloguniform(label, np.log(low - 0.49), np.log(high + 0.49), 1)
        return hp.uniformint(label, low, high)
    return hp.choice(label, list(range(dimension.n_values)))


class Smac:
    """SMAC's facade for hyperparameters, its space with conditions."""

    def __init__(self, words, n, seed):
        import ConfigSpace
        import smac

        self._words = words
        self._smac = smac
        space = ConfigSpace.ConfigurationSpace(seed=seed)
        nodes = {
            label: configspace_node(ConfigSpace, label, dimension)
            for label, dimension in words.dimensions.items()
        }
        space.add(*nodes.values())
        n_branches = len(words.branches)
        if n_branches > 1:
            branch = ConfigSpace.Categorical(BRANCH, as_numbers(words.branches))
            space.add(branch)
            for label, node in nodes.items():
                active = [
                    str(number)
                    for number, words_ in enumerate(words.branches)
                    if any(label == other for other, _ in words_.values())
                ]
                if len(active) < n_branches:
                    space.add(ConfigSpace.InCondition(node, branch, active))
        self._folder = tempfile.mkdtemp()
        scenario = smac.Scenario(
            space,
            deterministic=True,
            n_trials=n,
            seed=seed,
            output_directory=self._folder,
        )
        self._facade = smac.HyperparameterOptimizationFacade(
            scenario,
            lambda config, seed=0: 0.0,
            overwrite=True,
            logging_level=logging.ERROR,
        )

    def ask(self):
        info = self._facade.ask()
        values = dict(info.config)

        def value_of(label):
            dimension, value = self._words.dimensions[label], values[label]
            if isinstance(dimension, (Real, Integer)):
                return type(dimension.low)(value)
            return dimension.values()[int(value)]

        number = int(values.get(BRANCH, 0))
        return info, self._words.params(number, value_of)

    def tell(self, info, score):
        from smac.runhistory import TrialValue

        self._facade.tell(info, TrialValue(cost=-score), save=False)

    def close(self):
        shutil.rmtree(self._folder, ignore_errors=True)


def configspace_node(ConfigSpace, label, dimension):
    """Translate a dimension."""
    if isinstance(dimension, Real):
        bounds = float(dimension.low), float(dimension.high)
        return ConfigSpace.Float(label, bounds, log=dimension.log)
    if isinstance(dimension, Integer):
        bounds = dimension.low, dimension.high
        return ConfigSpace.Integer(label, bounds, log=dimension.log)
    return ConfigSpace.Categorical(label, as_numbers(dimension.values()))


ASKERS = {
    "random": RandomAsker,
    "optuna-tpe": OptunaTPE,
    "optuna-gp": OptunaGP,
    "skopt": SkoptAsker,
    "skopt-lcb": SkoptLCB,
    "hyperopt-tpe": HyperoptTPE,
    "smac": Smac,
}

# Those that are run as classes where they can.
SEARCHES = {
    "random": randomized_search_cv,
    "skopt": bayes_search_cv(),
    "skopt-lcb": bayes_search_cv(acq_func="LCB"),
    "skhpo-1": skhpo_search(max_pending=1),
    "skhpo-2": skhpo_search(max_pending=2),
    "skhpo-4": skhpo_search(max_pending=4),
    "skhpo-tpe": skhpo_search(max_pending=1, surrogate="tpe"),
    "skhpo-forest": skhpo_search(max_pending=1, surrogate="forest"),
}


def find_runner(name, problem, lag):
    """Choose how the optimiser `name` runs `problem`.

    Parameters
    ----------
    name : str
        One of ``ASKERS`` or ``SEARCHES``; skhpo's take their lag from the name, or, if
        `lag` is above 1, from there.
    problem : Problem
        What is tuned.
    lag : int
        Candidate i is proposed knowing the scores of those up to i - `lag`.

    Returns
    -------
    search, asker : callable or None
        One of them is None.
    """
    if name.startswith("skhpo"):
        if lag > 1:
            return skhpo_search(max_pending=lag, **SURROGATES[name]), None
        return SEARCHES[name], None
    if lag > 1 or name not in SEARCHES:
        return None, ASKERS[name]
    if name.startswith("skopt") and not bayes_search_cv_can(problem):
        return None, ASKERS[name]
    return SEARCHES[name], None


SURROGATES = {
    "skhpo": {},
    "skhpo-tpe": {"surrogate": "tpe"},
    "skhpo-forest": {"surrogate": "forest"},
}
