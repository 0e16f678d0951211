"""What has been proposed, what waits to be evaluated, what is finished."""

import time
from collections import Counter, deque
from contextlib import suppress
from enum import Enum, auto
from itertools import chain, islice

from skhpo._engine.threads import on_its_own
from skhpo._evaluation.fit import Unit
from skhpo.reuse import is_whole
from skhpo.trial import Trial

STOPPED_BY_CALLBACK = "stopped by a callback"
INTERRUPTED = "interrupted"

# Where nothing is fed back, a task is cut to last about so long: below, sending it
# costs more than it does; above, workers wait for one another at the end.
TASK_SECONDS = 0.15

# The same where others wait for what a task decides.
RACED_TASK_SECONDS = 0.02

# Units of a task where each finished task is recorded.
MAX_RECORDED_SIZE = 2

# Units for each worker that are proposed ahead where nothing is fed back. Where results
# are read in order, one long fit may hold up many finished ones: they have to last.
LOOKAHEAD = 64

# Candidates that are looked at together for fits to share, and at most so many share
# one.
BLOCK = 1024
MAX_GROUP = 32

# What is evaluated together is lost together when a search is cut off. So where only
# what is in front of separate fits is shared, a part lasts about so many seconds, but
# for the first ones; and workers get some each, to end together.
PART_SECONDS = 2.0
MIN_PART = 4
PARTS_FOR_WORKER = 8


class Place(Enum):
    """Where fits run."""

    INLINE = auto()
    THREADS = auto()
    PROCESSES = auto()


class Schedule:
    """What has been proposed, what waits, what is finished.

    For the main thread only, but for :meth:`take`, which joblib may call from another.
    """

    def __init__(
        self,
        strategy,
        evaluator,
        *,
        place,
        n_splits,
        n_workers,
        new_context,
        on_trial,
        journal,
        fit_timeout,
        deadline,
        race=None,
    ):
        self.trials = []
        self.reason = None
        self.queue = deque()
        self.deadline = deadline
        self._strategy = strategy
        self._evaluator = evaluator
        self._n_splits = n_splits
        self._n_workers = n_workers
        self._new_context = new_context
        self._on_trial = on_trial
        self._journal = journal
        self._fit_timeout = fit_timeout
        self._sizes_tasks = place is not Place.INLINE
        self._race = race
        # Splits of a candidate that are evaluated whatever their scores.
        self._n_first = n_splits if race is None else race.min_splits
        self._task_seconds = TASK_SECONDS if race is None else RACED_TASK_SECONDS
        # Splits that may turn out to be for nothing: only where nobody hears of them.
        self._goes_ahead = (
            race is not None
            and place is not Place.INLINE
            and new_context is None
            and evaluator.error_score != "raise"
        )
        self._lookahead = 1 if place is Place.INLINE else LOOKAHEAD
        self._detached = place is Place.PROCESSES
        self._feeds_back = strategy.max_pending is not None
        self._shares = new_context is None and evaluator.shares
        # Of candidates that wait for trials those under way may share fits: proposed
        # together, when no unit waits. With several workers they would go in step.
        self._in_step = self._shares and self._feeds_back
        if self._in_step and (place is not Place.INLINE or strategy.max_pending == 1):
            self._shares = self._in_step = False
        self._runs = iter(())  # of units that are not yet in the queue
        self._exhausted = False
        self._n_asked = 0
        self._n_told = 0
        self._open = deque()  # proposed and not finished, in order
        self._pending = {}  # the same by number, if they are evaluated themselves
        self._first = {}  # key -> number of the candidate that had it first
        self._n_met = Counter()  # candidates by name in the journal
        self._in_flight = {}  # units by number and split
        self._failure = None  # of writing to the journal
        self._unit_seconds = None
        self._task_size = 1

    @property
    def in_flight(self):
        """list of Unit : Taken, and neither recorded nor put back."""
        return [*self._in_flight.values()]

    @property
    def ended(self):
        """Whether no unit will be added to the queue any more."""
        if self.reason is not None:
            return True
        return self._exhausted and not (self._race is not None and self._open)

    @property
    def late(self):
        """Whether the time of the search is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def complete(self):
        """Whether there is nothing left to do, as far as is known."""
        return not self._open and (
            self.ended or self._n_asked == self._strategy.n_candidates
        )

    def _may_ask(self):
        return not self._exhausted and self.reason is None and not self.late

    def fill(self):
        """Propose candidates until enough units wait, as far as the lag allows."""
        if self._failure is not None:
            raise self._failure
        n_wanted = self._n_workers * max(self._lookahead, 4 * self._task_size)
        if self._in_step:
            n_wanted = 1
        # Many results of an earlier run may be taken in here, one after another.
        while len(self.queue) < n_wanted and self._may_ask():
            run = next(self._runs, None)
            if run is not None:
                self.queue.extend(run)
                continue
            missing = self._ask(n_wanted)
            if missing is None:
                break
            self._runs = self._in_runs(missing)
            self._settle()
        if self._goes_ahead and self._exhausted and not self.late:
            self._go_ahead()

    def _n_needed(self):
        return self._strategy.n_needed(self._n_asked)

    def _ask(self, n_wanted):
        """Propose candidates; return the units of each, None if all have to wait."""
        n = self._n_allowed(n_wanted)
        if n == 0:
            return None
        missing, n_found = [], 0
        while n > 0:
            with on_its_own(self._feeds_back):
                candidates = self._strategy.ask(n)
            n_found += len(candidates)
            missing += [units for c in candidates if (units := self._add(c))]
            goes_on = self._in_step and candidates
            n = self._n_allowed(n_wanted) if goes_on else 0
        self._exhausted = n_found == 0 and self._n_needed() <= self._n_told
        return missing

    def _n_allowed(self, n_wanted):
        """Tell what has to be told; give how many candidates may be asked for."""
        n_needed = self._n_needed()
        if n_needed > len(self.trials):
            return 0
        if n_needed > self._n_told:
            with on_its_own(self._feeds_back):
                self._strategy.tell(self.trials[self._n_told : n_needed])
            self._n_told = n_needed
        if self._feeds_back:
            return 1
        if self._shares:
            return BLOCK
        return -(-(n_wanted - len(self.queue)) // self._n_first)

    def _in_runs(self, missing):
        """Divide the units of several candidates, in the order of their evaluation."""
        return self._together(missing) if self._shares else iter(missing)

    def _together(self, missing):
        """Put units side by side that may share a fit.

        Parameters
        ----------
        missing : list of list of Unit
            Those of each candidate.

        Yields
        ------
        units : list of Unit
            Those of one split that have a group, or of one candidate.
        """
        groups = {}
        keys = self._evaluator.share_keys([units[0].params for units in missing])
        for units, key in zip(missing, keys, strict=True):
            place = key or units[0].number, units[0].fraction
            groups.setdefault(place, []).append(units)
        n_tasks = self._n_splits * len(groups)
        for (key, _), group in groups.items():
            n = len(group)
            if self._is_too_soon() and n > MIN_PART and not is_whole(key):
                # How large parts should be, a first one tells.
                yield _grouped([units.pop(0) for units in group[:MIN_PART]])
            while group:
                size = self._size_of_part(key, n, n_tasks)
                part, group = group[:size], group[size:]
                by_split = {}
                for unit in chain.from_iterable(part):
                    by_split.setdefault(unit.split, []).append(unit)
                yield from map(_grouped, by_split.values())

    def _is_too_soon(self):
        """Tell whether nothing is known of how long fits take, and soon will be."""
        return self._unit_seconds is None and self._n_workers == 1

    def _size_of_part(self, key, n, n_tasks):
        """Choose how many of the `n` candidates of a group share a fit."""
        if n == 1:
            return 1
        if is_whole(key):
            # All that one fit can answer, unless workers would have nothing to do.
            return -(-n // max(-(-n // MAX_GROUP), -(-self._n_workers // n_tasks)))
        size = MIN_PART
        if self._unit_seconds is not None:
            size = min(MAX_GROUP, max(size, int(PART_SECONDS / self._unit_seconds)))
        if self._n_workers > 1:
            share = n * self._n_splits // (PARTS_FOR_WORKER * self._n_workers)
            size = min(size, max(2, share))
        return size

    def _add(self, candidate):
        """Take in a candidate; return the units that have to be evaluated."""
        number = self._n_asked
        self._n_asked += 1
        group = number
        if candidate.key is not None:
            group = self._first.setdefault(candidate.key, number)
            if group != number and not self._evaluator.repeats_itself(candidate.params):
                group = number
        entry = _Entry(number, candidate, group, self._n_splits)
        self._open.append(entry)
        if group != number:
            return []
        self._pending[number] = entry
        if self._journal is not None:
            # Two candidates may be the same and yet give other scores.
            name = self._journal.key(_setting(candidate))
            self._n_met[name] += 1
            n_met = self._n_met[name]
            entry.key = name if n_met == 1 else f"{name}-{n_met}"
        is_judged = self._race is not None and number >= self._race.lag
        return self._go_on(entry, self._n_first if is_judged else self._n_splits)

    def _go_on(self, entry, n_due):
        """Let a candidate have its first `n_due` splits; return what is missing."""
        missing = self._missing(entry, n_due)
        entry.n_due = n_due
        entry.n_missing = sum(result is None for result in entry.results[:n_due])
        return missing

    def _go_ahead(self):
        """Give workers that would do nothing splits that may be needed."""
        for entry in islice(self._open, self._race.lag + self._n_workers):
            while len(self.queue) < self._n_workers and entry.may_go_ahead:
                units = self._missing(entry, entry.n_asked + 1)
                entry.ahead += units
                self.queue.extend(units)

    def _give_up(self, entry):
        """Leave a candidate as it is, and what went ahead of its judgement undone."""
        entry.raced = True
        entry.results[entry.n_due :] = [None] * (self._n_splits - entry.n_due)
        for unit in entry.ahead:
            with suppress(ValueError, IndexError):  # it has been taken
                self.queue.remove(unit)

    def _missing(self, entry, n_asked):
        """Ask for the first `n_asked` splits of a candidate; return what is new."""
        missing = []
        for split in range(entry.n_asked, n_asked):
            unit = self._unit(entry, split)
            result = self._recorded(unit)
            if result is None:
                missing.append(unit)
            else:
                self._evaluator.repeat(unit, result)
                entry.results[split] = result
        entry.n_asked = max(entry.n_asked, n_asked)
        entry.n_fits += len(missing)
        return missing

    def _unit(self, entry, split):
        params, context = entry.candidate.params, None
        if self._new_context is not None:
            context = self._new_context(entry.number, params, split, self._detached)
        rung = entry.candidate.rung
        return Unit(
            entry.number,
            params,
            split,
            context,
            entry.key,
            fraction=entry.candidate.fraction,
            follows=None if rung is None else rung.follows,
            may_follow=rung is not None and rung.may_follow,
            slopes=entry.candidate.needs_slopes,
        )

    def _recorded(self, unit):
        """Find the result of a fit that was made before."""
        if self._journal is None:
            return None
        result = self._journal.recorded(unit.key, unit.split)
        if result is None or result.limit is None:
            return result
        # It was killed; now it may have more time.
        limit = self._fit_timeout
        return result if limit is not None and limit <= result.limit else None

    def take(self):
        """Cut the next task from the queue; an empty one if nothing waits."""
        # Towards the end tasks shrink, so that workers end together.
        size = min(self._task_size, -(-len(self.queue) // (4 * self._n_workers)))
        if self._journal is not None:
            # What is lost with a worker is what has not been recorded.
            size = min(size, MAX_RECORDED_SIZE)
        units = []
        try:
            while len(units) < size or _are_together(units[-1], self.queue[0]):
                units.append(self.queue.popleft())
        except IndexError:  # the last one, or the search has just been stopped
            pass
        self._in_flight.update(((u.number, u.split), u) for u in units)
        if self._journal is not None and units:
            try:
                self._journal.begin(_named(units))
            except OSError as error:
                # In a thread of joblib's nobody would hear of it.
                self._failure = error
                return []
        return units

    def put_back(self, units):
        """Queue units again that were taken and not evaluated."""
        self.let_go(units)
        if self.reason is None:
            self.queue.extendleft(reversed(units))

    def let_go(self, units):
        """Say of units that were taken that they have not killed the search."""
        given_up = [u for u in units if self._in_flight.pop((u.number, u.split), None)]
        if self._journal is not None and given_up:
            # Where the disk is full, something else says so.
            with suppress(OSError):
                self._journal.let_go(_named(given_up))

    def record(self, units, results):
        """Take in the results of units, and finish what is complete."""
        units = [self._in_flight.pop((u.number, u.split), u) for u in units]
        if self._journal is not None and units:
            self._journal.end(_named(units), results)
        for unit, result in zip(units, results, strict=True):
            self._take_in(unit, result)
        self._settle()

    def _take_in(self, unit, result):
        entry = self._pending.get(unit.number)
        # Else the search ended before this candidate, or it was given up.
        if entry is not None and not entry.raced:
            entry.results[unit.split] = result
            entry.n_missing -= unit.split < entry.n_due

    def measure(self, n_units, seconds):
        """Learn from a task how many units the next ones should hold."""
        if self._feeds_back or n_units == 0:
            return
        latest = seconds / n_units
        if self._unit_seconds is not None:
            latest = (latest + self._unit_seconds) / 2
        self._unit_seconds = max(latest, 1e-6)
        if self._sizes_tasks:
            self._task_size = max(1, int(self._task_seconds / self._unit_seconds))

    def _settle(self):
        """Judge and close candidates by turns, until neither changes anything."""
        due, n_closed = [], -1
        while n_closed != len(self.trials) and self.reason is None:
            n_closed = len(self.trials)
            due += self._judge()
            self._close()
        if due and self.reason is None:
            # They were there before what waits; others may wait for them.
            due = chain.from_iterable(self._in_runs(due))
            self.queue.extendleft(reversed([*due]))

    def _judge(self):
        """Give candidates up, or let them go on; return the units of each of these."""
        if self._race is None:
            return []
        due = []
        for entry in islice(self._open, self._race.lag):
            units = []
            while entry.n_missing == 0 and not entry.is_done and not units:
                if self._race.gives_up(entry.number, entry.results[: entry.n_due]):
                    self._give_up(entry)
                else:
                    units = self._go_on(entry, entry.n_due + 1)
            if units:
                due.append(units)
        return due

    def _close(self):
        """Turn candidates that are done into trials, in the order of their proposal."""
        while self._open and self.reason is None and self._open[0].is_done:
            entry = self._open.popleft()
            splits, raced = tuple(entry.results), entry.raced
            if entry.group == entry.number:
                del self._pending[entry.number]
            else:
                first = self.trials[entry.group]
                splits, raced = first.splits, first.raced
                for number, result in first.done.items():
                    self._evaluator.repeat(self._unit(entry, number), result)
            trial = Trial(entry.number, entry.candidate, splits, entry.group, raced)
            self.trials.append(trial)
            if self._race is not None:
                self._race.add(trial)
            if self._on_trial is not None:
                self._on_trial(trial, entry.n_fits == 0)
            if any(result.stop for result in trial.done.values()):
                self.end(STOPPED_BY_CALLBACK)
                self._open.clear()

    def end(self, reason):
        """Take no more units."""
        self.reason = reason
        self.queue.clear()

    def finish(self, *, keep_parts):
        """Collect what a clock or a signal has left, and tell the strategy the rest.

        Parameters
        ----------
        keep_parts : bool
            Whether candidates count that lack some splits.

        Returns
        -------
        trials : list of Trial
            All of them; their numbers are rows.
        """
        rows = {trial.number: trial.number for trial in self.trials}
        for entry in self._open:
            splits, raced = tuple(entry.results), entry.raced
            if entry.group != entry.number:
                if entry.group not in rows:
                    continue
                first = self.trials[rows[entry.group]]
                splits, raced = first.splits, first.raced
            n_done = sum(result is not None for result in splits)
            whole = raced or n_done == len(splits)
            if whole or (keep_parts and n_done):
                row = rows[entry.number] = len(self.trials)
                trial = Trial(row, entry.candidate, splits, rows[entry.group], raced)
                self.trials.append(trial)
                if self._on_trial is not None and whole:
                    self._on_trial(trial, entry.n_fits == 0)
        with on_its_own(self._feeds_back):
            self._strategy.tell(
                [trial for trial in self.trials[self._n_told :] if not trial.cut_off]
            )
        return self.trials


def _grouped(units):
    """Let units of one split share a fit."""
    if len(units) == 1:
        return units
    return [unit._replace(group=units[0].number) for unit in units]


def _are_together(one, other):
    """Tell whether two units may share a fit."""
    mine = one.group, one.split
    return one.group is not None and mine == (other.group, other.split)


def _named(units):
    """Name units as a journal does."""
    return [(unit.key, _setting(unit), unit.split) for unit in units]


def _setting(candidate):
    """Give the parameters of a candidate or unit, and the share of samples it has."""
    if candidate.fraction == 1:
        return candidate.params
    return {**candidate.params, "(fraction of samples)": candidate.fraction}


class _Entry:
    """A candidate that has been proposed and is not finished."""

    __slots__ = (
        "ahead",
        "candidate",
        "group",
        "key",
        "n_asked",
        "n_due",
        "n_fits",
        "n_missing",
        "number",
        "raced",
        "results",
    )

    def __init__(self, number, candidate, group, n_splits):
        self.number = number
        self.candidate = candidate
        self.group = group
        self.results = [None] * n_splits
        self.key = None
        # First splits that are to be evaluated, and that have been asked for, which may
        # be more. None if another candidate answers.
        self.n_due = self.n_asked = 0 if group == number else n_splits
        self.ahead = []  # units beyond those that are due
        self.n_missing = self.n_fits = 0
        self.raced = False

    @property
    def is_done(self):
        """Whether nothing of it is left to evaluate."""
        if self.n_missing:
            return False
        return self.raced or self.n_due == len(self.results)

    @property
    def may_go_ahead(self):
        """Whether there are splits that have not been asked for."""
        return not self.raced and self.n_asked < len(self.results)
