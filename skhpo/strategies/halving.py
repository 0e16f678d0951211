"""More of a resource for the best candidates of another strategy."""

import warnings
from collections import defaultdict
from dataclasses import replace
from itertools import islice, pairwise
from math import inf, isnan, log

import numpy as np

from skhpo.strategies.base import mean_score
from skhpo.strategies.bayes import BayesStrategy
from skhpo.trial import Rung

# Candidates of the next bracket that follow on each rung.
_N_BETWEEN = 1


class HalvingStrategy:
    """Ask another strategy for candidates, and again for the best of them.

    The rungs of a schedule are asked for bracket by bracket. In the first rung of a
    bracket the other strategy proposes; in the others those come again that were best
    in the rung before, with more of the resource, or of which its model expects most.
    Only candidates of one rung are compared.

    Parameters
    ----------
    strategy : Strategy
        Proposes the candidates; not asked yet. If it learns from trials, it is a
        :class:`~skhpo.strategies.bayes.BayesStrategy`.
    brackets : list of list of (int, int)
        For each bracket its rungs: number of candidates, and resources of each.
    n_samples : int, default=None
        Number of samples, if these are the resource.
    parameter : str, default=None
        Name of the parameter, if that is the resource.
    metric : str, default=None
        Which of several metrics decides; None for the first.
    rng : Generator, default=None
        Shuffles the candidates before they are dealt out to brackets; None where their
        order does not matter.
    """

    def __init__(
        self,
        strategy,
        brackets,
        *,
        n_samples=None,
        parameter=None,
        metric=None,
        rng=None,
    ):
        amounts = [n_resources for rungs in brackets for _, n_resources in rungs]
        self._most, self._least = max(amounts), min(amounts)
        learns = isinstance(strategy, BayesStrategy)
        self._corrects = learns and self._least < self._most
        if self._corrects:
            strategy.expect_lack()
        self.needs_gradient = strategy.needs_gradient
        self.max_pending = strategy.max_pending
        self.space = strategy.space
        self.n_candidates = sum(n for rungs in brackets for n, _ in rungs)
        self._strategy = strategy
        self._brackets = brackets
        self._n_samples = n_samples
        self._parameter = parameter
        self._metric = metric
        self._shuffled = None
        if rng is not None:
            candidates = strategy.ask(strategy.n_candidates)
            order = rng.permutation(len(candidates))
            self._shuffled = iter([candidates[i] for i in order])
        self._n_asked = self._n_told = 0
        self._sources = {}  # id of a candidate -> itself, and what it was made of
        # Rung -> (source, mean score, number) of its trials.
        self._told = defaultdict(list)
        self._ends = {}  # rung -> number of candidates asked by its end so far
        self._parts = iter(self._in_order())
        self._go_on()

    @property
    def exhausted_reason(self):
        """str : That of the strategy which proposes."""
        return self._strategy.exhausted_reason

    def n_needed(self, n_asked):
        """Count the trials that the next candidate is proposed from."""
        if self._rung is None:
            return 0
        bracket, iteration = self._rung
        if iteration == 0:
            return self._strategy.n_needed(n_asked)
        return self._ends[bracket, iteration - 1]

    def ask(self, n):
        """Propose up to `n` candidates, all of one rung."""
        while self._rung is not None and self.n_needed(self._n_asked) <= self._n_told:
            candidates = [self._make(*each) for each in self._next_sources(n)]
            self._n_asked += len(candidates)
            self._ends[self._rung] = self._n_asked
            if not candidates or self._n_left == 0:
                self._go_on()
            if candidates:
                return candidates
        return []

    def tell(self, trials):
        """Learn what is best in its rung, and let the other strategy learn."""
        self._n_told += len(trials)
        for trial in trials:
            _, source = self._sources[id(trial.candidate)]
            rung = trial.candidate.rung
            score = mean_score(trial, self._metric)
            self._told[rung.bracket, rung.iteration].append(
                (source, score, trial.number)
            )
            if rung.iteration == 0:
                self._strategy.tell([replace(trial, candidate=source)])
        if self._corrects:
            self._strategy.learn_again(self._corrected())

    def predictor(self):
        """Give what the other strategy has learnt; see there."""
        predictor = self._strategy.predictor()
        if predictor is not None:
            predictor.resource = self._parameter
        return predictor

    def _in_order(self):
        """Divide the rungs into parts, in the order of their evaluation.

        Where nothing is learnt, the next bracket begins behind each rung, so that
        workers need not wait for the last of it; with few candidates, as the best of
        the rung should soon be known.

        Returns
        -------
        parts : list of ((int, int), int)
            Bracket and iteration, and up to how many candidates.
        """
        parts = []
        n_begun = 0  # candidates of the first rung that are there already
        for bracket, rungs in enumerate(self._brackets):
            n_left = n_following = 0  # in the first rung of the next bracket
            if self.max_pending is None and bracket + 1 < len(self._brackets):
                n_left = n_following = self._brackets[bracket + 1][0][0]
            for iteration, (size, _) in enumerate(rungs):
                parts.append(((bracket, iteration), size - n_begun))
                n_begun = 0
                n_between = min(_N_BETWEEN, n_left)
                parts.append(((bracket + 1, 0), n_between))
                n_left -= n_between
            n_begun = n_following - n_left
        return [part for part in parts if part[1]]

    def _go_on(self):
        """Go on to the next part."""
        self._rung, self._n_left = next(self._parts, (None, 0))
        self._best = None  # those of the rung before that it consists of

    def _next_sources(self, n):
        """Give up to `n` candidates for the rung under way, and count them off.

        With the number of the trial in the rung before, if there is one.
        """
        bracket, iteration = self._rung
        if iteration == 0:
            sources = [(each, None) for each in self._new(min(n, self._n_left))]
        else:
            if self._best is None:
                best = self._ranked(bracket, iteration - 1)[: self._n_left]
                self._n_left = len(best)
                self._best = ((source, number) for source, _, number in best)
            sources = list(islice(self._best, n))
        self._n_left -= len(sources)
        return sources

    def _ranked(self, bracket, iteration):
        """Sort what was told of a rung, best first.

        By what the other strategy expects with everything, if it knows that.
        """
        told = self._told[bracket, iteration]
        _warn_unless_decided(told, bracket, iteration)
        ranks = scores = [score for _, score, _ in told]
        if self._corrects:
            expected = self._strategy.expected([source.key for source, *_ in told])
            if expected is not None:
                ranks = np.where(np.isfinite(scores), expected, scores)
        order = sorted(range(len(told)), key=lambda i: _loss(ranks[i]))
        return [told[i] for i in order]

    def _new(self, n):
        """Give up to `n` candidates that the other strategy proposes."""
        if self._corrects:
            bracket, iteration = self._rung
            _, n_resources = self._brackets[bracket][iteration]
            self._strategy.lack = self._lack(n_resources)
        if self._shuffled is None:
            return self._strategy.ask(n)
        return list(islice(self._shuffled, n))

    def _make(self, source, number):
        """Make the candidate of the rung under way.

        `number` is that of its trial in the rung before, if there was one.
        """
        bracket, iteration = self._rung
        rungs = self._brackets[bracket]
        _, n_resources = rungs[iteration]
        rung, params = Rung(n_resources, iteration, bracket), source.params
        if self._parameter is None:
            rung = rung._replace(fraction=n_resources / self._n_samples)
        else:
            params = {**params, self._parameter: n_resources}
            may_follow = iteration + 1 < len(rungs)
            rung = rung._replace(follows=number, may_follow=may_follow)
        candidate = replace(
            source,
            params=params,
            rung=rung,
            key=None if source.key is None else (source.key, n_resources),
        )
        self._sources[id(candidate)] = candidate, source
        return candidate

    def _corrected(self):
        """Estimate what each trial would have scored with all resources.

        What more of the resource adds to a score is the median of the differences over
        candidates that had both amounts.

        Returns
        -------
        observations : list of (object, float, float)
            Key of the candidate, what the trial lacked of the resource, and the score.
            Those of one candidate come with more and more of the resource.
        """
        scores = defaultdict(dict)  # key -> resources -> score
        for (bracket, iteration), told in self._told.items():
            _, n_resources = self._brackets[bracket][iteration]
            for source, score, _ in told:
                scores[source.key][n_resources] = score
        levels = sorted({level for each in scores.values() for level in each})
        added = dict.fromkeys(levels[-1:], 0.0)
        for low, high in reversed([*pairwise(levels)]):
            pairs = [
                (each[low], each[high])
                for each in scores.values()
                if low in each and high in each
            ]
            gains = [b - a for a, b in pairs if np.isfinite([a, b]).all()]
            added[low] = added[high] + (np.median(gains) if gains else 0.0)
        return [
            (key, self._lack(level), each[level] + added[level])
            for key, each in scores.items()
            for level in sorted(each)
        ]

    def _lack(self, n_resources):
        """Tell how much less than everything this is, on a logarithmic scale."""
        return log(self._most / n_resources) / log(self._most / self._least)


def _warn_unless_decided(told, bracket, iteration):
    """Say so where no score of a rung tells which of its candidates go on."""
    if len(told) > 1 and all(isnan(score) for _, score, _ in told):
        warnings.warn(
            f"None of the {len(told)} candidates of iteration {iteration}, bracket "
            f"{bracket}, has a score, so the first of them go on. If a fit fails for "
            "want of samples, or of another resource, raise min_resources of the "
            "fidelity.",
            UserWarning,
            stacklevel=2,
        )


def _loss(score):
    return inf if isnan(score) else -score
