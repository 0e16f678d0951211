"""Candidates along the gradient of a smooth held-out loss."""

import itertools
import math
import warnings

import numpy as np

from skhpo.strategies._course import Descent, Rows
from skhpo.strategies._descent import CONVERGED, KINK
from skhpo.strategies._shrinkage import (
    LADDER,
    Choice,
    Free,
    Spread,
    Standing,
    Tied,
    choose,
)
from skhpo.strategies.bayes import BayesStrategy
from skhpo.trial import TIMED_OUT

# Rows that a descent along no, one or more hyperparameters should have for itself.
# Where combinations of the others are so many that there would be fewer, a model
# chooses among them.
MIN_ROWS = 1, 3, 6
# Rows of a descent from a setting that the model has chosen, that one included.
_N_LOCAL = 4
SHRUNK = "converged at every strength of shrinkage"


class GradientStrategy:
    """Descend in the hyperparameters that can be differentiated.

    The others are searched around it: all combinations one after another if they are
    few, else settings that a model proposes, each followed by a short descent.

    Parameters
    ----------
    space : Space
        Where candidates come from.
    n_iter : int
        Number of distinct candidates at most.
    smooth_names : callable
        ``smooth_names(params, names)`` tells which of the `names` can be differentiated
        at a setting.
    current : dict of str to object
        Values for any names; descents start at those that lie in the space, and in the
        middle of the dimension for the others.
    random_state : int, RandomState instance or None, default=None
        Decides what the model proposes, where there is one.
    metric : str, default=None
        Name of the metric that the model maximises.
    n_planned : int, default=None
        The `n_iter` by which rows are shared out; None for this one.
    shrinkage : Shrinkage, default=None
        Which scales are shrunk towards a common one; None for none.
    """

    needs_gradient = True
    max_pending = 1
    # ``look_from(params, derivatives, is_short=...)`` and ``complete(params,
    # derivatives)``, as the evaluator has them; without the latter, all candidates need
    # slopes.
    look_from = None
    complete = None
    rows_around = True  # whether places around an end may have a better score

    def __init__(
        self,
        space,
        n_iter,
        smooth_names,
        current,
        *,
        random_state=None,
        metric=None,
        n_planned=None,
        shrinkage=None,
    ):
        self.space = space
        self.n_candidates = min(n_iter, space.n_values)
        self._reason = None
        self._smooth_names = smooth_names
        self._current = current
        self._seen = {}  # key -> derivatives of the splits, once it is told
        self._rows = {}  # key -> row
        self._descent = None
        self.looks = []  # between rows: parameters, and the mean loss of all splits
        self.shrinkage = shrinkage
        self._strengths = {}  # key -> how strongly its descent shrinks
        arms = self._arms(n_planned or n_iter)
        self._standings = self._begin_shrinking(arms or [])
        if arms is None:
            if shrinkage is not None:
                self._cannot_shrink(
                    "Scales are shrunk only where all combinations of the other "
                    "hyperparameters are tried: where all of these are discrete, and "
                    f"n_iter = {n_iter} leaves {MIN_ROWS[-1]} candidates for each. "
                    "Raise n_iter, search fewer of them, or set shrinkage=0."
                )
            self._model = BayesStrategy(
                space,
                n_iter,
                random_state,
                metric=metric,
                max_pending=1,
                current=current,
                n_planned=n_planned,
            )
            self.shrinkage = None
            self._descents = self._modelled()
        else:
            self._model = None
            self._descents = self._enumerated(arms)
            if not self._standings:
                self.shrinkage = None

    def _begin_shrinking(self, arms):
        """Give those of the combinations that have scales to shrink a standing."""
        return {
            number: Standing(self.shrinkage.strength)
            for number, (_, dimensions) in enumerate(arms)
            if self._groups(dimensions)
        }

    def _cannot_shrink(self, why):
        if self.shrinkage.required:
            raise ValueError(why)
        warnings.warn(why, UserWarning, stacklevel=2)

    @property
    def exhausted_reason(self):
        """Why there is no further candidate."""
        reason = self._reason
        if len(self._seen) >= self.n_candidates:
            reason = "n_iter candidates evaluated"
        elif reason == SHRUNK and self.untried:
            reason = "n_iter candidates shared out"
        return reason and reason + self.untried

    @property
    def untried(self):
        """str: What to add to a reason where strengths were not tried to the end."""
        untried = {tau for s in self._standings.values() for tau in s.untried}
        if not untried:
            return ""
        names = ", ".join(f"{tau:g}" for tau in sorted(untried, reverse=True))
        return f"; not tried to the end: shrinkage = {names}"

    @property
    def choices(self):
        """dict of int to Choice: Rows that searches over shrunk scales have chosen.

        That of the least loss comes first.
        """
        found = [(s.best, s.optimism) for s in self._standings.values() if s.best]
        choices = {}
        for descent, optimism in sorted(found, key=lambda pair: pair[0].loss):
            key = descent.candidate.key
            ended = descent.reason is not None
            strength = descent.strength if ended else self._strengths[key]
            choices[self._rows[key]] = Choice(strength, optimism)
        return choices

    def choice(self, row=None):
        """Tell how strongly the scales of a row were shrunk.

        Parameters
        ----------
        row : int or None
            None for the chosen one of the least loss.

        Returns
        -------
        Choice
            That of the search which chose the row, else of that which came by it.
        """
        choices = self.choices
        if row is None:
            return next(iter(choices.values()), Choice(np.nan))
        key = next(key for key, number in self._rows.items() if number == row)
        return choices.get(row, Choice(self._strengths[key]))

    @property
    def contenders(self):
        """list of int: Rows that are there for their own sake.

        The others helped to choose how much is shrunk.
        """
        chosen = self.choices
        return [
            row
            for key, row in self._rows.items()
            if row in chosen or not self._strengths[key]
        ]

    def mean_loss(self, row):
        """Give the mean smooth loss of a row's splits; infinite where there is none."""
        key = next((key for key, number in self._rows.items() if number == row), None)
        derivatives = self._seen.get(key) or (None,)
        if any(d is None or not math.isfinite(d.loss) for d in derivatives):
            return math.inf
        return float(np.mean([derivative.loss for derivative in derivatives]))

    def _arms(self, n_iter):
        """List the fixed parts, each with its smooth names; None if they are many."""
        arms, n_rows = [], 0
        for branch in self.space.branches:
            free = [name for name, d in branch.items() if d.continuous]
            rest = {name: d for name, d in branch.items() if name not in free}
            n_fixed = math.prod(d.n_values for d in rest.values())
            n_rows += n_fixed * _min_rows(free)
            if n_rows > n_iter and len(arms) + n_fixed > 1:
                return None
            for values in itertools.product(*(d.values() for d in rest.values())):
                fixed = dict(zip(rest, values, strict=True))
                smooth = self._smooth_names({**fixed, **_middle(branch, free)}, free)
                if len(smooth) < len(free):
                    return None
                arms.append((fixed, {name: branch[name] for name in smooth}))
        return arms

    def _enumerated(self, arms):
        """Yield the descents, each for its share of the rows."""
        for number, (fixed, dimensions) in enumerate(arms):
            left = self.n_candidates - len(self._seen)
            needs = [_min_rows(dimensions) for _, dimensions in arms[number:]]
            share = -(-left * needs[0] // sum(needs))
            groups = self._groups(dimensions)
            if groups:
                standing = self._standings[number]
                yield from self._shrunk(fixed, dimensions, groups, share, standing)
            else:
                yield from self._from(fixed, Free(dimensions), share)
        self._reason = self._reason or "search space exhausted"

    def _groups(self, dimensions):
        """List those scales that are shrunk."""
        groups = self.shrinkage.groups if self.shrinkage else []
        groups = [tuple(n for n in names if n in dimensions) for names in groups]
        return [names for names in groups if len(names) > 1]

    def _from(self, fixed, axes, n_rows, begun=None):
        """Yield descents as :meth:`_descended` does, then rows around the end.

        Returns
        -------
        Descent
            The better one.
        """
        n_before = len(self._seen)
        better = yield from self._descended(fixed, axes, n_rows, begun)
        n_left = n_rows - (len(self._seen) - n_before)
        yield Rows(better.around()[:n_left], better.strength)
        return better

    def _descended(self, fixed, axes, n_rows, begun):
        """Yield a descent from the current values, another unless it converges.

        Of two descents only the one that ends lower looks around its end, if that is a
        kink. Each is added to those that have begun, if there is a list of them.

        Returns
        -------
        Descent
            The better one.
        """
        first = {name: self._start(name, d) for name, d in axes.dimensions.items()}
        begun = [] if begun is None else begun
        start, first = axes.start(first)
        first = {**fixed, **first}
        descent = Descent(
            self, fixed, axes, start, n_rows, first, may_poll=lambda f: False
        )
        begun.append(descent)
        yield descent
        self._reason = descent.reason or self._reason
        if descent.reason in (CONVERGED, None):
            return descent
        # Another valley may lie on the other side.
        other = np.where(descent.best > 0.5, 0.25, 0.75)
        n_rows -= descent.n_rows
        again = Descent(
            self, fixed, axes, other, n_rows, may_poll=lambda f: f < descent.loss
        )
        begun.append(again)
        yield again
        if again.loss < descent.loss:
            better = again
        elif descent.reason == KINK and n_rows > again.n_rows:
            better = descent.onward(axes, n_rows - again.n_rows, at_kink=True)
            begun.append(better)
            yield better
            if better.candidate is None:
                return descent
        else:
            return descent
        self._reason = better.reason or self._reason
        return better

    def _shrunk(self, fixed, dimensions, groups, n_rows, standing):
        """Yield descents over scales that are shrunk, ever less.

        For each strength there is one for all splits, and one for each split left out,
        on which the choice among strengths rests. Each goes on from where the stronger
        one ended. There is a choice as far as they have come.
        """
        n_before = len(self._seen)

        def left():
            return n_rows - (len(self._seen) - n_before)

        free = Free(dimensions)
        tied = Tied(dimensions, groups)
        whole = yield from self._from(fixed, tied, n_rows, standing.descents)
        if whole.reason is not None:
            standing.tried(np.inf)
        strength = self.shrinkage.strength
        if strength == np.inf or not np.isfinite(whole.loss):
            return
        unit = abs(whole.loss)
        if strength is not None:
            spread = Spread(dimensions, groups, strength, unit)
            whole = whole.onward(free, left(), spread=spread)
            standing.descents.insert(0, whole)
            yield whole
            self._reason = whole.reason
            if whole.reason is not None:
                standing.tried(strength)
            return

        n_splits = len(whole.split_losses)
        if n_splits < 2:
            self._cannot_shrink(
                "How much to shrink is chosen on splits that are left out, and there "
                "is a single one, so one common scale is used. Set cv to several, or "
                "shrinkage to a number."
            )
            return
        parts = []
        for split in range(n_splits):
            parts.append(whole.without(split, left()))
            yield parts[-1]
        wholes, left_out, learnt = [whole], [], []
        for strength in (np.inf, *LADDER):
            if strength < np.inf:
                spread = Spread(dimensions, groups, strength, unit)
                whole = whole.onward(free, left(), spread=spread, learnt=learnt)
                wholes.append(whole)
                yield whole
                for split, part in enumerate(parts):
                    options = dict(spread=spread, learnt=learnt[-1:], left_out=split)
                    parts[split] = part.onward(free, left(), **options)
                    yield parts[split]
            if any(descent.reason is None for descent in (whole, *parts)):
                return
            left_out.append([part.split_losses[k] for k, part in enumerate(parts)])
            tuned = np.array([descent.split_losses for descent in wholes])
            best = choose(np.array(left_out), tuned)
            standing.descents = [wholes[best]]
            standing.optimism = float(np.mean(left_out[best]) - np.mean(tuned[best]))
            standing.tried(strength)
        self._reason = SHRUNK

    def _start(self, name, dimension):
        """Give the current value; the middle if it is none of the dimension."""
        value = self._current.get(name)
        try:
            dimension.to_unit(value)
        except ValueError:
            return dimension.from_unit(0.5)
        return value

    def _modelled(self):
        """Yield short descents from the settings that the model proposes."""
        while True:
            candidates = self._model.ask(1)
            if not candidates:
                self._reason = self._model.exhausted_reason
                return
            params = candidates[0].params
            branch = self.space.branch_at(candidates[0].point)
            free = [name for name in params if branch[name].continuous]
            fixed = {name: v for name, v in params.items() if name not in free}
            smooth = self._smooth_names(params, free)
            axes = Free({name: branch[name] for name in smooth})
            fixed = {name: v for name, v in params.items() if name not in smooth}
            start, _ = axes.start(params)
            yield Descent(
                self, fixed, axes, start, _N_LOCAL, first=params, is_short=True
            )

    def n_needed(self, n_asked):
        """All of them: each candidate is proposed from those before."""
        return n_asked

    def ask(self, n):
        """Propose the next point of the descent; nothing while it is not told."""
        # Where scales are shrunk, what is known may decide among strengths.
        while self.shrinkage or len(self._seen) < self.n_candidates:
            if self._descent is None:
                self._descent = next(self._descents, None)
                if self._descent is None:
                    return []
            candidate = self._descent.next()
            if candidate is None:
                self._descent = None
            elif len(self._seen) >= self.n_candidates:
                break
            elif candidate.key not in self._seen:
                self._seen[candidate.key] = None
                self._strengths[candidate.key] = self._descent.strength
                return [candidate]
        return []

    def tell(self, trials):
        """Learn losses and slopes."""
        for trial in trials:
            derivatives = tuple(split.derivative for split in trial.splits)
            self._seen[trial.candidate.key] = derivatives
            self._rows[trial.candidate.key] = trial.number
        if self._descent is not None:
            self._descent.learn()
        if self._model is not None:
            self._model.tell(trials)

    def known(self, candidate):
        """Give the derivatives of a candidate's splits; None before it is told."""
        return self._seen.get(candidate.key)

    def learn(self, candidate, derivatives):
        """Take other derivatives for those of a candidate that is told."""
        self._seen[candidate.key] = tuple(derivatives)

    def with_slopes(self, candidate):
        """Give the derivatives of a candidate that is told, completed by slopes.

        None if it is too late for that.
        """
        known = self.known(candidate)
        if self.complete is not None:
            known = self.complete(candidate.params, known)
            if known is None:
                self._reason = TIMED_OUT
            else:
                self.learn(candidate, known)
        return known


def _min_rows(names):
    return MIN_ROWS[min(len(names), 2)]


def _middle(branch, names):
    return {name: branch[name].from_unit(0.5) for name in names}
