"""What the tests of the models share: derivatives, domains, membership."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from skhpo.gp.domain import INACTIVE_LEVEL, INACTIVE_NUMBER, Column, Domain

# The same examples in each run.
repeatable = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

SEEDS = st.integers(0, 2**32 - 1)


def assert_gradient(function, x, gradient, rng, *, h=1e-4, rtol=1e-6, atol=1e-9):
    """Compare a gradient with central differences in random directions.

    Parameters
    ----------
    function : callable
        From an array of the shape of `x` to a float.
    x : ndarray
        Where.
    gradient : ndarray of the shape of x
        What is checked.
    rng : numpy.random.Generator
        Draws the directions.
    h : float
        Step; the error of the formula is of order ``h^4``.
    rtol, atol : float
        Tolerance, relative to the length of the gradient and absolute.
    """
    assert np.shape(gradient) == np.shape(x)
    for _ in range(3):
        direction = rng.normal(size=np.shape(x))
        direction /= np.linalg.norm(direction)
        values = [function(x + step * h * direction) for step in (-2, -1, 1, 2)]
        slope = np.dot([1, -8, 8, -1], values) / (12 * h)
        tolerance = atol + rtol * np.linalg.norm(gradient)
        tolerance += 1e-15 * np.abs(values).max() / h  # rounding of the values
        assert abs(np.vdot(gradient, direction) - slope) <= tolerance


@st.composite
def domains(draw, max_columns=5):
    """Draw a domain: numbers, grids, categories, one branch or several."""
    n_branches = draw(st.integers(1, 3))
    columns = [Column(n_levels=n_branches)] if n_branches > 1 else []
    for _ in range(draw(st.integers(1, max_columns))):
        kind = draw(st.sampled_from(["number", "grid", "category"]))
        if kind == "number":
            columns.append(Column())
        elif kind == "category":
            columns.append(Column(n_levels=draw(st.integers(2, 4))))
        else:
            n_values = draw(st.sampled_from([2, 3, 7, 40]))
            columns.append(Column(grid=(np.arange(n_values) + 0.5) / n_values))
    active = np.ones((n_branches, len(columns)), dtype=bool)
    if n_branches > 1:
        for j in range(1, len(columns)):
            branches = draw(st.sets(st.integers(0, n_branches - 1), min_size=1))
            active[:, j] = np.isin(np.arange(n_branches), list(branches))
    return Domain(columns, active)


def draw_points(domain, n, rng):
    """Draw model points uniformly."""
    return domain.from_uniform(rng.random((n, domain.n_columns)))


def assert_in_domain(domain, x):
    """Assert that all of these are points of the domain."""
    assert x.ndim == 2
    assert x.shape[1] == domain.n_columns
    assert np.isfinite(x).all()
    active = np.broadcast_to(domain.active[domain.branch(x)], x.shape)
    for j, column in enumerate(domain.columns):
        here, gone = x[active[:, j], j], x[~active[:, j], j]
        if column.n_levels:
            assert np.isin(here, np.arange(column.n_levels)).all()
            assert (gone == INACTIVE_LEVEL).all()
        else:
            assert ((here >= 0) & (here <= 1)).all()
            assert column.grid is None or np.isin(here, column.grid).all()
            assert (gone == INACTIVE_NUMBER).all()
