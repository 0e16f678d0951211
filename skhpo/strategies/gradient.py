"""Candidates along the gradient of a smooth held-out loss."""

import itertools
import math
import warnings

import numpy as np

from skhpo.strategies._descent import CONVERGED, End, descend, descend_many
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

# Rows that a descent should have for itself; where combinations of the other
# hyperparameters are so many that it would have fewer, a model chooses among them.
MIN_ROWS = 6
# Rows of a descent from a setting that the model has chosen, that one included.
_N_LOCAL = 4
# Losses of a fit and of a look at the same place differ by no more, relatively.
_CLOSE = 1e-3
# What is nearer to an end than this tells nothing new.
_APART = 0.02
_NO_SOLUTION = (
    "HypergradSearch looks between candidates by solves of its own, and at {} it has "
    "found no solution. The search goes on by fits, which take longer."
)
_NOT_CONFIRMED = (
    "HypergradSearch looks between candidates by solves of its own. At {} they give a "
    "loss of {:.6g}, the fits one of {:.6g}. The search goes on by fits, which take "
    "longer."
)
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
    look_from = None  # ``look_from(params, derivatives)``, as the evaluator has it
    keeps_ends = True  # whether rows to either side of an end may be better than it

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
        self.shrinkage = shrinkage
        self._strengths = {}  # key -> how strongly its descent shrinks
        arms = self._arms(n_planned or n_iter)
        self._standings = self._begin_shrinking(arms or [])
        if arms is None:
            if shrinkage is not None:
                self._cannot_shrink(
                    "Scales are shrunk only where all combinations of the other "
                    "hyperparameters are tried: where all of these are discrete, and "
                    f"n_iter = {n_iter} leaves {MIN_ROWS} candidates for each. Raise "
                    "n_iter, search fewer of them, or set shrinkage=0."
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

    def _arms(self, n_iter):
        """List the fixed parts, each with its smooth names; None if they are many."""
        arms = []
        for branch in self.space.branches:
            free = [name for name, d in branch.items() if d.continuous]
            rest = {name: d for name, d in branch.items() if name not in free}
            n_fixed = math.prod(d.n_values for d in rest.values())
            if (len(arms) + n_fixed) * MIN_ROWS > max(n_iter, MIN_ROWS):
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
            share = -(-left // (len(arms) - number))
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
        """Yield a descent from the current values, another if it ends at a bound.

        Each is added to those that have begun, if there is a list of them.

        Returns
        -------
        Descent
            The better one.
        """
        first = {name: self._start(name, d) for name, d in axes.dimensions.items()}
        begun = [] if begun is None else begun
        start, first = axes.start(first)
        descent = Descent(self, fixed, axes, start, n_rows, {**fixed, **first})
        begun.append(descent)
        yield descent
        self._reason = descent.reason or self._reason
        if descent.reason not in (CONVERGED, None):
            # Another valley may lie on the other side.
            other = np.where(descent.best > 0.5, 0.25, 0.75)
            again = Descent(self, fixed, axes, other, n_rows - descent.n_rows)
            begun.append(again)
            yield again
            if again.loss < descent.loss:
                self._reason = again.reason or self._reason
                return again
        return descent

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
            branch = next(b for b in self.space.branches if _holds(b, params))
            free = [name for name in params if branch[name].continuous]
            fixed = {name: v for name, v in params.items() if name not in free}
            smooth = self._smooth_names(params, free)
            axes = Free({name: branch[name] for name in smooth})
            fixed = {name: v for name, v in params.items() if name not in smooth}
            start, _ = axes.start(params)
            yield Descent(self, fixed, axes, start, _N_LOCAL, first=params)

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


class Descent:
    """One descent: generator of points, in terms of candidates.

    Parameters
    ----------
    strategy : GradientStrategy
        Knows what was evaluated.
    fixed : dict of str to object
        Values of the hyperparameters that stay.
    axes : Free or Tied
        Those that move, and the coordinates in which they do.
    start : ndarray of shape (d,)
        In the unit cube.
    n_rows : int
        Number of candidates at most.
    first : dict of str to object, default=None
        The setting at `start`, to the last bit.
    left_out : int, default=None
        A split that does not count.
    spread : Spread, default=None
        A term that is added to the loss.
    learnt : list of ndarray, default=None
        Curvature that was learnt before, if there is such a term; it is added to.
    given : list of tuple (u, f, g), default=()
        Other points of a lone coordinate that are known.

    Attributes
    ----------
    best : ndarray of shape (d,)
        The best point so far, `start` before there is one.
    loss : float
        Its loss, with the term that is added.
    candidate : Candidate or None
        The candidate there.
    visited : list of tuple (ndarray of shape (d,), Candidate)
        Where it was.
    strength : float
        How strongly it shrinks scales; infinite where they are tied, 0 for not at all.
    reason : str or None
        Why it ended; None while it has not, or where it had no candidates left.
    """

    def __init__(
        self,
        strategy,
        fixed,
        axes,
        start,
        n_rows,
        first=None,
        *,
        left_out=None,
        spread=None,
        learnt=None,
        given=(),
    ):
        self.reason = None
        self.n_rows = 0
        self.best = start
        self.loss = np.inf
        self.candidate = None
        self.visited = []
        self.strength = np.inf if isinstance(axes, Tied) else 0.0
        if spread is not None:
            self.strength = spread.strength
        self._ended = False
        self._strategy = strategy
        self._fixed = fixed
        self._axes = axes
        self._max_rows = n_rows
        self._left_out, self._spread, self._given = left_out, spread, given
        self._look = None  # gives derivatives at other places, where that takes no fits
        self._lowest = np.inf, None, None  # loss, place, and setting, rows or not
        self._reason = None  # why the search ended, while its end is no row yet
        self._places = []  # where it has looked, with settings
        self._ends = None  # of these, what is to be a row once the end is one
        if not len(start):
            self._search = _once(start)
        elif spread is None:
            self._search = descend(start, lambda: self._look is None)
        else:
            self._search = descend_many(start, spread.hessian(start), learnt)
        self._u = next(self._search)
        self._next = strategy.space.setting(first or self._params())

    def next(self):
        """Give the next candidate; None at the end."""
        self.learn()
        if self._ended:
            return None
        self.n_rows += 1
        return self._next

    def learn(self):
        """Go on as far as losses and slopes are known."""
        while not self._ended:
            row = self._strategy.known(self._next)
            known = row or self._looked()
            if known is None:
                if self.n_rows >= self._max_rows:
                    self._ended = True
                return
            f, g = self._value(self._u, known)
            if row is not None:
                f, g = self._take(row, f, g)
            if f < self._lowest[0]:
                self._lowest = f, self._u, self._next
            if self._reason is not None:
                # Of a fit that is no solution there may be a loss, and no slope.
                self._confirm(f if np.isfinite(f) else self._mean_loss(known))
            else:
                self._go_on(f, g)

    def _take(self, row, f, g):
        """Take a row in, and look about from the first one that can be looked from."""
        self.visited.append((self._u, self._next))
        if f < self.loss:
            self.best, self.loss, self.candidate = self._u, f, self._next
        look_from = self._strategy.look_from
        if len(self.visited) > 1 or look_from is None or not np.isfinite(f):
            return f, g
        if self._spread is not None or not len(self._u):
            return f, g
        if self.n_rows >= self._max_rows:
            return f, g
        self._look = look_from(self._next.params, row)
        here = self._looked()
        return (f, g) if here is None else self._value(self._u, here)

    def _looked(self):
        """Give the derivatives at the next place, if that takes no fits."""
        if self._look is None or self._reason is not None:
            return None
        names = self._axes.dimensions
        found = self._look({name: self._next.params[name] for name in names})
        if not found:
            self._look = self._strategy.look_from = None
            if found is None:  # otherwise it is too late for more
                warnings.warn(
                    _NO_SOLUTION.format(self._next.params), RuntimeWarning, stacklevel=2
                )
            return None
        self._places.append((self._u, self._next))
        return found

    def _go_on(self, f, g):
        """Ask the search where it wants to look next."""
        try:
            self._u = self._search.send((f, g, self._given))
        except StopIteration as stop:
            self._reason = stop.value
            _, self._u, self._next = self._lowest
            if isinstance(stop.value, End):
                self._reason, self._u = stop.value
                self._next = self._strategy.space.setting(self._params())
            if self._next is None or self._strategy.known(self._next) is not None:
                self._end()
            return
        self._next = self._strategy.space.setting(self._params())

    def _confirm(self, f):
        """See whether the fits are where the looks have been."""
        looked = self._lowest[0]
        if self._ends is not None or abs(f - looked) <= _CLOSE * abs(looked):
            if self._ends is None:
                self._ends = self._bracket_ends()
            if self._ends and self.n_rows < self._max_rows:
                self._u, self._next = self._ends.pop()
            else:
                self._end()
            return
        if np.isfinite(f):  # of fits that fail the search says so itself
            text = _NOT_CONFIRMED.format(self._next.params, looked, f)
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self._look = self._strategy.look_from = self._reason = None
        self._search = descend(self.best)
        self._u = next(self._search)
        self._next = self.candidate

    def _mean_loss(self, derivatives):
        if any(map(_failed, derivatives)):
            return np.inf
        return float(np.mean([derivative.loss for derivative in derivatives]))

    def _end(self):
        """Be at an end, and let go of the data that looks need."""
        self.reason = self._reason
        self._ended = True
        self._look = None

    def _bracket_ends(self):
        """List places next to the end of a lone coordinate, if they are no rows."""
        if not self._strategy.keeps_ends or len(self._u) != 1:
            return []
        places = sorted(self._places, key=lambda place: place[0][0])
        below = [place for place in places if place[0][0] <= self._u[0] - _APART]
        above = [place for place in places if place[0][0] >= self._u[0] + _APART]
        ends = below[-1:] + above[:1]
        return [(u, s) for u, s in ends if self._strategy.known(s) is None]

    @property
    def split_losses(self):
        """ndarray of shape (n_splits,): Losses of the best candidate."""
        if self.candidate is None:
            return np.empty(0)
        known = self._strategy.known(self.candidate)
        return np.array([np.inf if _failed(d) else d.loss for d in known])

    def onward(self, axes, n_rows, **options):
        """Give a descent from the best candidate of this one, in other coordinates."""
        params = (self.candidate or self._next).params
        start, _ = axes.start(params)
        return Descent(
            self._strategy, self._fixed, axes, start, n_rows, params, **options
        )

    def without(self, split, n_rows):
        """Give a descent with a split left out, from the best point visited for it."""
        points = [
            (u, *self._value(u, self._strategy.known(candidate), split), candidate)
            for u, candidate in self.visited
        ]
        best = min(points, key=lambda point: point[1])
        others = [(u[0], f, g[0]) for u, f, g, _ in points if u[0] != best[0][0]]
        return Descent(
            self._strategy,
            self._fixed,
            self._axes,
            best[0],
            n_rows,
            best[3].params,
            left_out=split,
            given=[p for p in others if np.isfinite(p[1])] if len(best[0]) == 1 else (),
        )

    def _params(self):
        return {**self._fixed, **self._axes.params(self._u)}

    def _value(self, u, derivatives, left_out=None):
        """Give the loss, and the slopes by coordinates of the cube."""
        left_out = self._left_out if left_out is None else left_out
        counted = [d for k, d in enumerate(derivatives) if k != left_out]
        nothing = np.inf, np.zeros(len(u))
        if any(_failed(d) for d in counted):
            return nothing
        loss = float(np.mean([d.loss for d in counted]))
        gradient = self._axes.gradient(u, _mean_slopes(counted))
        if self._spread is not None:
            value, slope = self._spread(u)
            loss, gradient = loss + value, gradient + slope
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            return nothing
        return loss, gradient


def _middle(branch, names):
    return {name: branch[name].from_unit(0.5) for name in names}


def _once(start):
    yield start


def _holds(branch, params):
    """Tell whether a setting lies in a branch."""
    if branch.keys() != params.keys():
        return False
    try:
        for name, dimension in branch.items():
            dimension.to_unit(params[name])
    except ValueError:
        return False
    return True


def _failed(derivative):
    return derivative is None or not math.isfinite(derivative.loss)


def _mean_slopes(derivatives):
    """Average the slopes over splits."""
    names = derivatives[0].slopes
    rows = [[derivative.slopes[name] for name in names] for derivative in derivatives]
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
