"""Descend a smooth function in the unit cube, one evaluation at a time.

====================  ===========  ====================================================
symbol                shape        meaning
====================  ===========  ====================================================
u                     (d,)         point of the unit cube
f, g                  scalar, (d,) loss and its gradient there; infinite where it failed
a, b                  scalar       ends of the bracket: the slope points inwards at both
H                     cubic        takes the values and slopes of f at both ends
====================  ===========  ====================================================

A search is a generator: it yields where it wants to look, is sent ``(f, g)``, and
returns why it ended. With one coordinate the minimum is bracketed by the sign of the
slope and closed in on by the minimum of H, which needs few evaluations because each
gives two numbers. With more they are quasi-Newton steps in a trust region (BFGS,
damped [1]_) rather than line searches, which waste evaluations where the function has
kinks. With very many, where a part of the curvature is known, only the rest is learnt.
Where a part of the loss is cheaper than all of it, a scout goes ahead on that.

References
----------
.. [1] J. Nocedal and S. J. Wright, "Numerical optimization", 2006, procedure 18.2.
"""

import itertools
from typing import NamedTuple

import numpy as np

# A search ends when the next step promises less than this share of the loss; one that
# only scouts, less than the other.
TOLERANCE = 1e-4
_ROUGHLY = 1e-3
CONVERGED = "converged: the next step promises less than 0.01 % of the loss"
AT_BOUND = "converged: the loss falls towards a bound of the space"
FLAT = "converged: the loss does not change with the hyperparameters"
KINK = "ended at a kink, where slopes promise what the loss does not keep"
FAILED = "the fits around the best candidate failed"
_FIRST_STEP = 0.15
_MAX_STRETCH = 2.5
# Of the bracket, how near to its ends the next point may lie; and its least width.
_MARGIN = 0.05
_MIN_WIDTH = 0.003
# Where a scout has been, the next point lies so much further than where Newton's step
# with its curvature would end, but no nearer than that.
_BEYOND, _LEAST_STEP = 2.0, 0.01
# A bracket of more than this is looked into, even if its cubic promises nothing.
_MAX_WIDTH = 0.25
# Where a plain is left from.
_ABOUT = (0.1, 0.3, 0.5, 0.7, 0.9)
# By how much the trust region shrinks where a step disappoints, its least radius, and
# the steps tried around a kink, the shorter ones where looks cost little.
_SHRINK = 3
_MIN_RADIUS = 0.003
_POLLS = 0.05, 0.025, 0.0125
_MAX_POLLS = 3
# Up to so many coordinates, steps between the axes are tried too.
_MAX_ACROSS = 3
# Of each coordinate, on average, where there are many.
_FIRST_OF_EACH, _MOST_OF_EACH, _LEAST_OF_EACH = 0.05, 0.17, 0.002
# The end is doubted if a step of this length along the slope would promise more.
_DOUBT = 0.05
# Of the least singular value of unit vectors that point in all directions.
_SPREAD = 0.5


class End(NamedTuple):
    """Where a search ends that has not been there.

    Parameters
    ----------
    reason : str
        Why it ends.
    u : ndarray of shape (d,)
        Where the minimum is expected.
    """

    reason: str
    u: np.ndarray


def descend(
    start,
    looks_cost=lambda: True,
    may_poll=lambda f: True,
    at_kink=False,
    curvature=None,
):
    """Choose the search for this number of coordinates.

    Parameters
    ----------
    start : ndarray of shape (d,)
        Where to begin.
    looks_cost : callable
        Tells whether a point costs fits; where it does not, plains are crossed, shorter
        steps are tried around a kink, and the last step need not be taken.
    may_poll : callable
        Tells whether a kink with this loss is worth a look around.
    at_kink : bool, default=False
        Whether the start is such a kink.
    curvature : float, default=None
        What :func:`scout` has found at the start, with one coordinate.

    Returns
    -------
    generator
        Yields points, is sent ``(f, g)``, returns why it ended, or an :class:`End`.
    """
    if len(start) == 1:
        return _bracket(start, looks_cost, curvature)
    return _quasi_newton(start, looks_cost, may_poll, at_kink)


def scout(start):
    """Find roughly where a part of the loss is least, along one coordinate.

    Parameters
    ----------
    start : ndarray of shape (1,)
        Where to begin.

    Yields
    ------
    u : ndarray of shape (1,)
        Where it looks; it is sent ``(f, g)``.

    Returns
    -------
    u : ndarray of shape (1,) or None
        None if that is no further than a first step.
    curvature : float or None
        Second derivative near it; None if there is no bracket.
    """
    first = yield from _look(float(start[0]))
    if not np.isfinite(first[1]):
        return None, None
    a, b, _ = yield from _bracket_from(first, lambda: False, _FIRST_STEP)
    if first in (a, b):
        return None, None
    t, curvature = a[0], None
    if a is not b:
        best = min(a[1], b[1])
        _, t, a, b = yield from _close_in(a, b, best, tolerance=_ROUGHLY)
        curvature = (b[2] - a[2]) / (b[0] - a[0])
    is_near = t is None or abs(t - first[0]) <= _FIRST_STEP
    return (None, None) if is_near else (np.array([t]), curvature)


def descend_many(start, known, learnt=None):
    """Descend in many coordinates, a part of whose curvature is known.

    Steps are as those in few coordinates. The Hessian is the known one and one that is
    learnt, and nothing is tried around an end.

    Parameters
    ----------
    start : ndarray of shape (d,)
        Where to begin.
    known : ndarray of shape (d, d)
        A part of the Hessian.
    learnt : list of ndarray, default=None
        Its last is taken as the rest of the Hessian at the start, if there is one. At
        the end what has been learnt is appended.

    Returns
    -------
    generator
        Yields points, is sent ``(f, g)``, returns why it ended.
    """
    learnt = [] if learnt is None else learnt
    u = np.array(start)
    f, g, *_ = yield u
    if not np.isfinite(f):
        return FAILED
    if not g.any():
        return FLAT
    root = np.sqrt(len(u))
    radius = _FIRST_OF_EACH * root
    B = learnt[-1] if learnt else np.eye(len(u)) * np.linalg.norm(g) / radius
    while True:
        step, promised = _step(u, g, B + known, radius)
        if promised <= TOLERANCE * abs(f) or radius < _LEAST_OF_EACH * root:
            learnt.append(B)
            return _reason(u) if promised <= TOLERANCE * abs(f) else KINK
        new = np.clip(u + step, 0, 1)
        f_new, g_new, *_ = yield new
        if not np.isfinite(f_new):
            radius = np.linalg.norm(step) / 4
            continue
        ratio = (f - f_new) / promised
        if ratio > 0.75:
            longer = min(2 * np.linalg.norm(step), _MOST_OF_EACH * root)
            radius = max(radius, longer)
        elif ratio < 0.25:
            radius = np.linalg.norm(step) / 4
        moved = new - u
        B = _update(B, moved, g_new - g - known @ moved)
        if f_new < f:
            u, f, g = new, f_new, g_new


def _look(u):
    """Look at a point of one coordinate; give it with its loss and slope."""
    f, g, *_ = yield np.array([u])
    return u, f, float(g[0])


def _bracket(start, looks_cost, curvature):
    """Bracket the minimum, and close in on it.

    With the first point may come a curve of others, ``(u, f, g)`` each, that no fit was
    made for: then the bracket is there.
    """
    u = float(start[0])
    f, g, *curve = yield np.array([u])
    here = u, f, float(g[0])
    if not np.isfinite(f):
        return FAILED
    given = curve[0] if curve else []
    if given:
        a, b = _bracket_in([*given, here])
    else:
        step = _FIRST_STEP
        if curvature is not None and curvature > 0:
            step = np.clip(_BEYOND * abs(here[2]) / curvature, _LEAST_STEP, step)
        a, b, reason = yield from _bracket_from(here, looks_cost, step)
        if reason is not None:
            return reason
    # What no fit was made for is no candidate yet.
    best = min([f, *(end[1] for end in (a, b) if end not in given)])
    margin = 0.0 if given else _MARGIN
    reason, t, *_ = yield from _close_in(a, b, best, margin)
    if t is None or looks_cost():
        return reason
    return End(reason, np.array([t]))


def _close_in(a, b, best, margin=_MARGIN, tolerance=TOLERANCE):
    """Close in on the minimum between two ends.

    Returns
    -------
    reason : str
        Why it ended.
    t : float or None
        Where the minimum is expected; None if no better place is.
    a, b : tuple of (float, float, float)
        The ends by then.
    """
    widths = []
    while True:
        low, high = a[0], b[0]
        width = high - low
        widths.append(width)
        if np.isfinite(a[1]) and np.isfinite(b[1]):
            t, value = _least_of_cubic(a, b)
            if best - value <= tolerance * abs(best) and width <= _MAX_WIDTH:
                return AT_BOUND if t in (0.0, 1.0) else CONVERGED, t, a, b
        else:
            t, value = (low + high) / 2, -np.inf
        if width < _MIN_WIDTH:
            return CONVERGED, None, a, b
        if width > _MAX_WIDTH and best - value <= tolerance * abs(best):
            # A cubic between two plains knows nothing of a valley.
            t = (low + high) / 2
        elif len(widths) > 2 and width > widths[-3] / 2:
            # One end creeps.
            t = (low + high) / 2
        t = min(max(t, low + margin * width), high - margin * width)
        new = yield from _look(t)
        margin = _MARGIN
        if not np.isfinite(new[1]):
            # Failures lie on one side.
            a, b = (a, new) if np.isfinite(a[1]) else (new, b)
        elif new[2] > 0 or (new[1] > best and a[1] == best):
            b = new
        else:
            a = new
        best = min(best, new[1])


def _bracket_from(here, looks_cost, step):
    """Go down until the slope turns; give both ends, or one twice and why it ended."""
    if abs(here[2]) <= TOLERANCE * abs(here[1]) and not looks_cost():
        here = yield from _leave_plain(here)
    u, f, g = here
    direction = -np.sign(g)
    while True:
        if g == 0:
            return here, here, FLAT
        bound = 1.0 if direction > 0 else 0.0
        if u == bound:
            return here, here, AT_BOUND
        if abs(g * (bound - u)) <= TOLERANCE * abs(f) and looks_cost():
            # All the way there the slope as it is promises nothing.
            return here, here, CONVERGED
        new = yield from _look(min(max(u + direction * step, 0.0), 1.0))
        if not np.isfinite(new[1]) or new[2] * direction >= 0 or new[1] > f:
            return *((here, new) if direction > 0 else (new, here)), None
        # Where the secant of the slopes sees the minimum, but not too far away.
        ratio = new[2] / g
        step *= np.clip(ratio / (1 - ratio) if ratio < 1 else np.inf, 0.5, _MAX_STRETCH)
        here = new
        u, f, g = here


def _leave_plain(here):
    """Look about for the lowest point that is no higher than the plain."""
    for u in sorted(_ABOUT, key=lambda u: abs(u - here[0])):
        new = yield from _look(u)
        if np.isfinite(new[1]) and new[1] < here[1]:
            here = new
    return here


def _bracket_in(points):
    """Choose the two neighbours between which a curve is lowest."""
    points = sorted(points)
    pairs = list(itertools.pairwise(points))
    return min(pairs, key=lambda pair: _least_of_cubic(*pair)[1])


def _least_of_cubic(a, b):
    """Find the minimum of the Hermite cubic between two points, and its value."""
    width = b[0] - a[0]
    c0, c1 = a[1], a[2] * width
    rise, slope = b[1] - a[1], b[2] * width
    c2, c3 = 3 * rise - 2 * c1 - slope, c1 + slope - 2 * rise
    t = np.append([0.0, 1.0], np.roots([3 * c3, 2 * c2, c1]))
    t = np.real(t[np.isreal(t)])
    t = t[(t >= 0) & (t <= 1)]
    values = c0 + t * (c1 + t * (c2 + t * c3))
    least = values.argmin()
    return a[0] + t[least] * width, values[least]


def _quasi_newton(start, looks_cost, may_poll, at_kink):
    u = np.array(start)
    f, g, *_ = yield u
    if not np.isfinite(f):
        return FAILED
    if not g.any():
        return FLAT
    first = _POLLS[0] if at_kink else _FIRST_STEP
    B = np.eye(len(u)) * max(np.linalg.norm(g), 1e-12) / first
    radius = 0.0 if at_kink else first
    n_looks, n_doubts, n_polls, doubted, foretold = 1, 0, 0, None, []
    while True:
        step, promised = _step(u, g, B, radius)
        # At a kink that is given, what lies around comes first.
        if radius > 0 and promised <= TOLERANCE * abs(f):
            # The model may be stiff in directions that were never measured.
            slope = np.linalg.norm(g[_free(u, g)])
            if n_looks == 1 and not _doubtful(slope, f):
                return FLAT
            # From the same point the same doubt would take the same steps again.
            is_done = doubted is u or n_doubts == len(u) or _are_enough(foretold)
            if is_done or not _doubtful(slope, f):
                return _reason(u)
            doubted, n_doubts, foretold = u, n_doubts + 1, []
            B = np.eye(len(u)) * slope / _DOUBT
            radius = max(radius, _DOUBT)
            continue
        if radius < _MIN_RADIUS:
            # A kink: the slopes promise what the function does not keep.
            found = None
            if n_polls < _MAX_POLLS and may_poll(f):
                lengths = _POLLS[:1] if looks_cost() else _POLLS
                for length in lengths:
                    found = yield from _poll(u, f, length)
                    if found is not None:
                        break
            if found is None:
                return KINK
            n_polls += 1
            u, f, g = found
            radius = length
            continue
        new = np.clip(u + step, 0, 1)
        f_new, g_new, *_ = yield new
        n_looks += 1
        if not np.isfinite(f_new):
            radius = np.linalg.norm(step) / _SHRINK
            continue
        ratio = (f - f_new) / promised
        foretold = [*foretold, step / np.linalg.norm(step)] if 0.5 < ratio < 2 else []
        if ratio > 0.75:
            radius = max(radius, min(2 * np.linalg.norm(step), 0.5))
        elif ratio < 0.25:
            radius = np.linalg.norm(step) / _SHRINK
        B = _update(B, new - u, g_new - g)
        if f_new < f:
            u, f, g = new, f_new, g_new


def _are_enough(directions):
    """Tell whether a model that has foretold steps there can be believed everywhere."""
    d = len(directions[0]) if directions else 0
    if len(directions) <= 2 * d:
        return False
    return np.linalg.svd(directions, compute_uv=False)[d - 1] > _SPREAD


def _doubtful(slope, f):
    return slope * _DOUBT > TOLERANCE * abs(f)


def _poll(u, f, length):
    """Step along the axes, and between any two; give the first better point, or None.

    A kinked valley may run across the axes.
    """
    axes = np.eye(len(u))
    pairs = itertools.combinations(axes, 2) if len(u) <= _MAX_ACROSS else ()
    across = [way for a, b in pairs for way in ((a - b) / 2**0.5, (a + b) / 2**0.5)]
    seen = []
    for way in (*axes, *across):
        for side in (1, -1):
            new = np.clip(u + side * length * way, 0, 1)
            if any(_rises(*point, new, length) for point in seen):
                continue
            f_new, g_new, *_ = yield new
            if f_new < f - TOLERANCE * abs(f):
                return new, f_new, g_new
            if np.isfinite(f_new):
                seen.append((new, g_new))
    return None


def _rises(u, g, new, length):
    """Tell whether the loss at a worse point nearby rises further towards `new`.

    A convex one is then not better there.
    """
    return np.linalg.norm(new - u) < length and g @ (new - u) > 0


def _free(u, g):
    """Tell which coordinates are not held at a bound by their slope."""
    return ~(((u <= 0) & (g > 0)) | ((u >= 1) & (g < 0)))


def _step(u, g, B, radius):
    """Minimise the model in the box, no further than `radius`, roughly.

    Coordinates at a bound that the slope points out of stay; the others take the
    Newton step, cut to the radius, and those it takes out of the box stay at the bound.
    """
    step = np.zeros(len(u))
    free = _free(u, g)
    for _ in range(len(u)):
        if not free.any():
            break
        moved = np.linalg.solve(
            B[np.ix_(free, free)], -(g + B @ np.where(free, 0, step))[free]
        )
        length = np.linalg.norm(moved)
        step[free] = moved * min(1, radius / max(length, 1e-300))
        out = free & ((u + step < 0) | (u + step > 1))
        if not out.any():
            break
        step[out] = np.clip(u + step, 0, 1)[out] - u[out]
        free &= ~out
    return step, -(g @ step + 0.5 * step @ B @ step)


def _update(B, s, y):
    """Update the Hessian, damped so that it stays positive definite."""
    Bs = B @ s
    sBs, sy = s @ Bs, s @ y
    if sBs <= 0:
        return B
    if sy < 0.2 * sBs:
        y = Bs + 0.8 * sBs / (sBs - sy) * (y - Bs)
        sy = s @ y
    return B - np.outer(Bs, Bs) / sBs + np.outer(y, y) / sy


def _reason(u):
    return AT_BOUND if np.isin(u, (0.0, 1.0)).any() else CONVERGED
