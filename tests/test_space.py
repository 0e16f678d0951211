"""Tests of the space: dimensions, branches, unit cube, keys and names."""

import copy
import itertools
import math
import pickle
import struct
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    KFold,
    ParameterGrid,
    ParameterSampler,
    StratifiedKFold,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skhpo.space import (
    Categorical,
    Integer,
    Real,
    Space,
    candidate_key,
    check_names,
)

UNIT = st.floats(0, 1)


def one(value):
    """Return the dimension that a space makes of a value."""
    return Space({"a": value}).branches[0]["a"]


class OnlyDraws:
    """A distribution that can be drawn from and nothing else."""

    def rvs(self, random_state=None):
        return random_state.randint(10)


@st.composite
def ranges(draw):
    """Draw a Real or an Integer."""
    log = draw(st.booleans())
    if draw(st.booleans()):
        low = draw(st.integers(1 if log else -(10**9), 10**9))
        return Integer(low, draw(st.integers(low, 10**9)), log=log)
    smallest = 1e-9 if log else -1e9
    low = draw(st.floats(smallest, 1e9))
    scale = math.log if log else float
    high = draw(st.floats(low, 2e9).filter(lambda high: scale(high) > scale(low)))
    return Real(low, high, log=log)


DISCRETE = [
    [1, 2, 5],
    ["a", None, 1, 1.0, True],
    [[1], (1,), {"a": 1}, np.arange(3), Ridge(), Ridge(2.0), len],
    [1, 1, 2],
    np.array([0.1, 0.2]),
    np.array(["a", "b"]),
    range(10, 0, -3),
    Categorical([3, 1, 2]),
    Integer(-3, 4),
    Integer(1, 100, log=True),
    Integer(7, 7),
    scipy.stats.randint(1, 5),
    scipy.stats.binom(5, 0.3),
    scipy.stats.rv_discrete(values=([1, 5, 7], [0.2, 0.3, 0.5])),
]


# Dimensions --------------------------------------------------------------------------


@given(ranges(), UNIT)
def test_values_decoded_from_the_unit_interval_are_inside_the_bounds(dimension, u):
    value = dimension.from_unit(u)
    assert dimension.low <= value <= dimension.high
    assert type(value) is (float if isinstance(dimension, Real) else int)


@given(ranges())
def test_both_bounds_are_reached_at_the_ends_of_the_unit_interval(dimension):
    assert dimension.from_unit(0.0) == dimension.low
    assert dimension.from_unit(1.0) == dimension.high


@given(ranges(), UNIT)
def test_encoding_a_decoded_value_is_stable(dimension, u):
    value = dimension.from_unit(u)
    encoded = dimension.to_unit(value)
    assert 0 <= encoded <= 1
    again = dimension.from_unit(encoded)
    if isinstance(dimension, Integer):
        assert again == value
    else:
        scale = max(abs(dimension.low), abs(dimension.high))
        tolerance = 1e-12 * (value if dimension.log else scale)
        assert again == pytest.approx(value, rel=0, abs=tolerance)


@given(ranges(), UNIT, UNIT)
def test_decoding_keeps_the_order(dimension, u, v):
    u, v = sorted([u, v])
    tolerance = 1e-12 * abs(dimension.high)
    assert dimension.from_unit(u) <= dimension.from_unit(v) + tolerance


@pytest.mark.parametrize("value", DISCRETE)
def test_each_value_of_a_finite_dimension_is_the_middle_of_its_own_cell(value):
    dimension = one(value)
    values = dimension.values()
    assert len(values) == dimension.n_values
    for v in values:
        key = candidate_key({"a": v})
        u = dimension.to_unit(v)
        assert 0 < u < 1
        assert candidate_key({"a": dimension.from_unit(u)}) == key
    drawn = {
        candidate_key({"a": dimension.from_unit(u)}) for u in np.linspace(0, 1, 5000)
    }
    assert len(drawn) == dimension.n_values


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50))
def test_the_cells_of_a_list_are_equally_wide(u, n):
    dimension = one([f"value {i}" for i in range(n)])
    u_back = dimension.to_unit(dimension.from_unit(u))
    assert abs(u_back - u) <= 0.5 / n + 1e-12


def test_a_log_integer_is_uniform_in_log_over_the_rounded_range():
    dimension = Integer(1, 100, log=True)
    drawn = [dimension.from_unit(u) for u in (np.arange(10**4) + 0.5) / 10**4]
    width = math.log(100.5 / 0.5)
    for value in (1, 2, 10, 100):
        share = math.log((value + 0.5) / (value - 0.5)) / width
        assert drawn.count(value) / 10**4 == pytest.approx(share, abs=2e-4)


@pytest.mark.parametrize(
    ("value", "ordinal"),
    [
        ([1, 2, 5], True),
        ([5.0, 2, 1], True),
        (np.geomspace(0.1, 10, 3), True),
        ([1, 3, 2], False),
        ([1, 1, 2], True),
        ([False, True], False),
        (["a", "b"], False),
        ([None, 1, 2], False),
        ([1.0, math.nan], False),
        (range(3), True),
        (Categorical([1, 2]), False),
        (Real(0, 1), True),
        (Integer(0, 1), True),
        (scipy.stats.uniform(), True),
        (OnlyDraws(), False),
    ],
)
def test_numbers_in_sorted_order_are_ordinal(value, ordinal):
    assert one(value).ordinal is ordinal


@pytest.mark.parametrize(
    "dimension",
    [
        Real(0, 1),
        Real(1e-3, 1e3, log=True),
        Integer(1, 3),
        Integer(1, 3, log=True),
        Categorical(["a", [1, 2], None]),
    ],
)
def test_public_dimensions_survive_repr_pickle_copy_and_clone(dimension):
    hash(dimension)
    if isinstance(dimension, Categorical):
        dimension.n_values  # noqa: B018  fills the caches
    copies = [
        eval(repr(dimension)),
        pickle.loads(pickle.dumps(dimension)),
        copy.deepcopy(dimension),
        clone(dimension, safe=False),
    ]
    for other in copies:
        assert other == dimension
        assert hash(other) == hash(dimension)
        assert repr(other) == repr(dimension)
    with pytest.raises(AttributeError):
        dimension.ordinal = True


def test_a_categorical_of_estimators_and_functions_can_be_pickled_after_use():
    dimension = Categorical([Ridge(), len, SVC(C=2)])
    assert dimension.to_unit(Ridge()) == 1 / 6
    assert pickle.loads(pickle.dumps(dimension)).to_unit(SVC(C=2)) == 5 / 6


def test_constructor_arguments_are_kept_as_they_are():
    low, choices = np.float64(1), [1, 2]
    assert Real(low, 3).low is low
    assert Categorical(choices).choices is choices


def test_dimensions_of_different_type_bounds_or_scale_differ():
    dimensions = [
        Real(1, 3),
        Real(1, 3, log=True),
        Real(1, 4),
        Integer(1, 3),
        Integer(1, 3, log=True),
        Categorical([1, 3]),
        Categorical([1, 3.0]),
        one([1, 3]),
        one(scipy.stats.uniform(1, 3)),
        one(scipy.stats.uniform(1, 4)),
        one(scipy.stats.norm(1, 3)),
    ]
    assert len(set(dimensions)) == len(dimensions)
    assert one(scipy.stats.uniform(1, 3)) == one(scipy.stats.uniform(1, 3))
    data = [scipy.stats.rv_histogram(np.histogram(x)) for x in ([1, 2], [1, 3])]
    assert one(data[0]) != one(data[1])


@pytest.mark.parametrize(
    "dimension",
    [Real(0, 1), Integer(1, 5, log=True), Categorical(["a", "b"]), one([[1], [2, 3]])],
)
@pytest.mark.parametrize(
    "new_generator", [np.random.RandomState, np.random.default_rng]
)
def test_rvs_has_scipys_shapes_and_follows_the_random_state(dimension, new_generator):
    drawn = dimension.rvs(size=(5, 2), random_state=new_generator(0))
    again = dimension.rvs(size=(5, 2), random_state=new_generator(0))
    assert drawn.shape == (5, 2)
    assert drawn.tolist() == again.tolist()
    single = dimension.rvs(random_state=new_generator(0))
    assert single == drawn[0, 0]
    assert not isinstance(single, (np.generic, np.ndarray))
    assert drawn.dtype.kind == {Real: "f", Integer: "i"}.get(type(dimension), "O")


@pytest.mark.parametrize(
    "dist",
    [
        scipy.stats.loguniform(1e-3, 1e3),
        scipy.stats.uniform(2, 3),
        scipy.stats.norm(),
        scipy.stats.expon(scale=10),
        scipy.stats.randint(1, 4),
        scipy.stats.poisson(3),
        scipy.stats.poisson(1000),
        scipy.stats.binom(5000, 0.5),
        scipy.stats.halfnorm(scale=10),
        scipy.stats.halfcauchy(),
        scipy.stats.rv_histogram(np.histogram([1, 2, 2, 3])),
    ],
)
def test_scipy_distributions_decode_to_finite_python_numbers_and_back(dist):
    dimension = one(dist)
    for u in [0.0, 0.1, 0.5, 0.9, 1.0]:
        value = dimension.from_unit(u)
        assert type(value) is (int if hasattr(dist, "pmf") else float)
        assert dist.cdf(value) >= 1e-3 - 1e-9
        assert dist.sf(value - 1e-9 * abs(value)) >= 1e-3 - 1e-9
        low, high = dist.support()
        assert low <= value <= high
        assert math.isfinite(value)
        assert dimension.from_unit(dimension.to_unit(value)) == pytest.approx(value)


@pytest.mark.parametrize("n", [3, 1000, 10**6])
def test_ends_of_a_discrete_distribution_that_are_no_tails_are_reached(n):
    dimension = one(scipy.stats.randint(1, n + 1))
    assert [dimension.from_unit(u) for u in (0.0, 1.0)] == [1, n]
    assert dimension.to_unit(1) == pytest.approx(0.5 / n)
    assert one(scipy.stats.geom(0.1)).from_unit(0.0) == 1


def test_a_frozen_distribution_of_listed_values_has_all_of_them():
    values = ([0.1, 0.5, 100_000.0], [0.3, 0.3, 0.4])
    listed = scipy.stats.rv_discrete(values=values)
    for dimension in (one(listed), one(listed())):
        assert dimension.values() == [0.1, 0.5, 100_000]
        decoded = [dimension.from_unit(u) for u in (0.0, 0.5, 1.0)]
        assert decoded == [0.1, 0.5, 100_000]
    whole = scipy.stats.rv_discrete(values=([1, 2, 3], [0.3, 0.3, 0.4]))
    assert one(whole(loc=2)).values() == [3, 4, 5]


def test_bounds_that_no_float_holds_are_reached():
    third = Real(Fraction(1, 3), Fraction(2, 3))
    assert third.to_unit(third.from_unit(0.0)) == 0
    assert third.to_unit(third.from_unit(1.0)) == 1


def test_dates_are_choices_as_any():
    dates = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
    space = Space({"since": dates})
    (first, _) = [space.setting(params).params["since"] for params in space.grid()]
    assert first == dates[0]
    mixed = one([1, np.int64(1), "x"])
    assert type(mixed.own(np.int64(1))) is np.int64
    assert type(mixed.own(1)) is int


def test_scipy_distributions_of_finite_support_have_their_values_listed():
    assert one(scipy.stats.randint(1, 4)).values() == [1, 2, 3]
    assert one(scipy.stats.randint(1, 4, loc=0.5)).values() == [1.5, 2.5, 3.5]
    assert one(scipy.stats.randint(1, 10**12)).values() == range(1, 10**12)
    assert one(scipy.stats.bernoulli(1.0)).values() == [1]
    gaps = scipy.stats.rv_discrete(values=([1, 5, 7], [0.5, 0.0, 0.5]))
    assert one(gaps).values() == [1, 7]
    assert one(scipy.stats.poisson(3)).n_values == math.inf
    assert one(scipy.stats.uniform()).n_values == math.inf
    with pytest.raises(TypeError, match="infinitely many values"):
        one(scipy.stats.uniform()).values()


def test_an_object_with_rvs_alone_is_drawn_from_but_not_decoded():
    draws = OnlyDraws()
    space = Space({"a": draws})
    assert space.distributions[0]["a"] is draws
    rng = np.random.RandomState(0)
    drawn = space.branches[0]["a"].rvs(random_state=rng)
    assert drawn == draws.rvs(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match=r"\['a'\].*has no ppf method.*skhpo.Real"):
        space.params([0.5])
    with pytest.raises(TypeError, match=r"\['a'\].*has no cdf method"):
        space.point({"a": 3})


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Real(0, 1), 1.5),
        (Real(0, 1), "1"),
        (Real(0, 1), True),
        (Real(0, 1), math.nan),
        (Integer(0, 3), 4),
        (Integer(0, 3), 1.0),
        (Categorical([1, 2]), 1.0),
        (one(range(3)), 1.0),
        (one(range(3)), True),
        (one(scipy.stats.uniform()), 2.0),
        (one(scipy.stats.randint(1, 4)), 2.5),
        (one(scipy.stats.randint(1, 4)), 4),
    ],
)
def test_encoding_a_value_from_outside_names_the_value(dimension, value):
    with pytest.raises(ValueError, match="is not in") as info:
        dimension.to_unit(value)
    assert repr(value) in str(info.value)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Real(10, 1), ValueError, r"Real\(10, 1\) has reversed bounds; need"),
        (lambda: Real(1.0, 1.0), ValueError, r"single value.*list such as \[1.0\]"),
        (lambda: Real(0, math.inf), ValueError, "infinite bounds"),
        (lambda: Real(math.nan, 1), ValueError, "NaN or infinite bounds"),
        (lambda: Real(0, 10**400), ValueError, "infinite bounds, or a range beyond"),
        (lambda: Real(-1e308, 1e308), ValueError, "range beyond the largest float"),
        (lambda: Real(2e8, 2e8 + 1e-7, log=True), ValueError, "are the same float"),
        (lambda: Integer(2**60, 2**60 + 1, log=True), ValueError, "use log=False"),
        (lambda: Real(0, 1, log=True), ValueError, "logarithmic scale and low <= 0"),
        (lambda: Real("0", 1), TypeError, "Real: low = '0' must be a real number"),
        (lambda: Real(0, 1, log="yes"), TypeError, "Real: log = 'yes' must be True"),
        (lambda: Integer(0, 1.5), TypeError, "Integer: high = 1.5 must be an integer"),
        (lambda: Integer(False, 1), TypeError, "low = False must be an integer"),
        (lambda: Integer(3, 1), ValueError, r"Integer\(3, 1\) has reversed bounds"),
        (lambda: Integer(0, 3, log=True), ValueError, "need 0 < low"),
        (lambda: Categorical([]), ValueError, r"Categorical: choices = \[\] is empty"),
        (lambda: Categorical("ab"), TypeError, r"is a str; give a list such as \['ab"),
        (lambda: Categorical({1, 2}), TypeError, "is a set; give a list of values"),
        (lambda: Categorical(np.ones((2, 2))), ValueError, "one-dimensional array"),
    ],
)
def test_a_dimension_refuses_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Other libraries' objects ------------------------------------------------------------


@pytest.mark.optional
def test_optuna_distributions_are_understood():
    optuna = pytest.importorskip("optuna.distributions")
    assert one(optuna.FloatDistribution(0, 1)) == Real(0, 1)
    assert one(optuna.FloatDistribution(1e-3, 1, log=True)) == Real(1e-3, 1, log=True)
    assert one(optuna.IntDistribution(1, 9)) == Integer(1, 9)
    assert one(optuna.IntDistribution(1, 9, log=True)) == Integer(1, 9, log=True)
    assert one(optuna.CategoricalDistribution(["a", 1])) == Categorical(["a", 1])
    assert list(one(optuna.FloatDistribution(2.0, 2.0)).values()) == [2.0]
    assert one(optuna.IntDistribution(1, 9, step=2)).values() == range(1, 10, 2)
    tenths = one(optuna.FloatDistribution(0, 1, step=0.1))
    assert list(tenths.values()) == [i / 10 for i in range(11)]
    assert tenths.ordinal
    assert tenths.to_unit(0.3) == 3.5 / 11
    with pytest.raises(ValueError, match=r"0.35 is not in"):
        tenths.to_unit(0.35)


@pytest.mark.optional
def test_optuna_steps_are_never_listed():
    optuna = pytest.importorskip("optuna.distributions")
    space = Space({"a": optuna.FloatDistribution(0, 1e9, step=0.5)})
    assert space.n_values == 2 * 10**9 + 1
    assert list(itertools.islice(space.grid(), 2)) == [{"a": 0.0}, {"a": 0.5}]
    assert space.all_lists
    assert len(list(ParameterSampler(space.distributions, 3, random_state=0))) == 3
    assert space.point(space.params([0.7])) == pytest.approx(0.7)


@pytest.mark.optional
def test_skopt_dimensions_are_understood():
    skopt = pytest.importorskip("skopt.space")
    assert one(skopt.Real(0, 1)) == Real(0, 1)
    assert one(skopt.Real(1, 10, prior="log-uniform")) == Real(1, 10, log=True)
    assert one(skopt.Integer(1, 9)) == Integer(1, 9)
    assert one(skopt.Integer(1, 9, prior="log-uniform")) == Integer(1, 9, log=True)
    assert one(skopt.Categorical(["a", "b"])) == Categorical(("a", "b"))
    with pytest.raises(ValueError, match=r"has prior probabilities.*leave prior away"):
        one(skopt.Categorical(["a", "b"], prior=[0.1, 0.9]))


@pytest.mark.parametrize(
    ("value", "replacement"),
    [
        ((1e-3, 1e3, "log-uniform"), "skhpo.Real(0.001, 1000.0, log=True)"),
        ((1, 9, "uniform"), "skhpo.Integer(1, 9)."),
        ((1, 9.0, "uniform"), "skhpo.Real(1, 9.0)."),
        ((np.int64(1), 9, "log-uniform", 2), "skhpo.Integer(1, 9, log=True)"),
    ],
)
def test_skopt_tuples_are_refused_with_the_replacement(value, replacement):
    with pytest.raises(ValueError, match="in skopt's form") as info:
        one(value)
    assert replacement in str(info.value)
    assert "param_distributions['a'] = " in str(info.value)


@pytest.mark.parametrize("value", [(1, 9), (1, 9, "other"), (True, 2, "uniform")])
def test_other_tuples_are_choices(value):
    assert list(one(value).values()) == list(value)


# The space as a grid and as distributions --------------------------------------------

SPECS = [
    {},
    {"b": [1, 2], "a": ["x", "y", "x"]},
    {"b": (1,), "a": np.array([0.5, 1.5]), "c": [None, [1, 2]]},
    [{"C": [1, 10]}, {}, {"C": [0.5]}],
    [{"kernel": ["linear"]}, {"kernel": ["rbf"], "gamma": [1, 10]}],
    {"clf": [SVC(), Ridge()], "clf__tol": range(3)},
]


@pytest.mark.parametrize("spec", SPECS)
def test_the_grid_is_that_of_parameter_grid(spec):
    space = Space(spec, name="param_grid")
    expected = list(ParameterGrid(spec))
    grid = list(space.grid())
    assert [list(row) for row in grid] == [list(row) for row in expected]
    for row, expected_row in zip(grid, expected, strict=True):
        for name, value in row.items():
            assert type(value) is type(expected_row[name])
            assert value is expected_row[name] or value == expected_row[name]
    assert space.n_rows == len(ParameterGrid(spec))
    keys = {candidate_key(row) for row in grid}
    assert space.n_values == len(keys)
    assert space.has_duplicates or len(keys) == len(grid)


def test_a_huge_grid_starts_at_once_and_is_counted_exactly():
    assert Space({"a": range(0, -(10**30), -7)}).n_rows == -(-(10**30) // 7)
    many = {name: Integer(1, 10**12) for name in "abc"} | {"d": range(10**9)}
    space = Space([many, {"e": [1]}])
    assert space.n_rows == space.n_values == 10**45 + 1
    rows = list(itertools.islice(space.grid(), 2))
    assert rows == [dict.fromkeys("abc", 1) | {"d": d} for d in (0, 1)]
    wide = {f"p{i}": Integer(1, 10**12) for i in range(40)}
    assert Space(wide).n_values == 10**480
    assert Space([wide | {"x": Real(0, 1)}, wide]).n_values == math.inf


def test_duplicates_and_overlapping_branches_are_counted_once():
    assert Space({"a": [1, 1, 2]}).n_rows == 3
    assert Space({"a": [1, 1, 2]}).n_values == 2
    assert Space({"a": [1, 1.0, True]}).n_values == 3
    assert not Space({"a": [1, 1.0, True]}).has_duplicates
    overlap = Space([{"a": [1, 2]}, {"a": [2, 3]}])
    assert (overlap.n_rows, overlap.n_values, overlap.has_duplicates) == (4, 3, True)
    apart = Space([{"k": ["x"], "C": Real(0, 1)}, {"k": ["y"], "C": Real(0, 1)}])
    assert not apart.has_duplicates
    many = Space([{"a": Integer(1, 10**6)}, {"a": Integer(5, 10**6)}])
    assert many.has_duplicates
    assert many.n_values == many.n_rows  # the documented upper bound


def test_a_grid_of_infinitely_many_values_is_refused_at_once():
    space = Space([{"a": [1]}, {"C": scipy.stats.loguniform(1, 10)}], name="param_grid")
    assert space.n_values == space.n_rows == math.inf
    message = r"param_grid\['C'\] = loguniform\(1, 10\) .*\[1.1, 2.2, .*RandomSearch"
    with pytest.raises(TypeError, match=message) as info:
        space.grid()
    assert "needs to be a list or a numpy array" in str(info.value)


@pytest.mark.parametrize(
    "spec",
    [
        *SPECS[1:],
        {"C": scipy.stats.loguniform(1, 10), "k": ["a", "b"]},
        [{"C": scipy.stats.expon()}, {"C": [1, 2]}, {"d": OnlyDraws()}],
    ],
)
def test_distributions_give_parameter_sampler_the_users_own_objects(spec):
    space = Space(spec)
    for given_branch, branch in zip(
        [spec] if isinstance(spec, dict) else spec, space.distributions, strict=True
    ):
        assert all(branch[name] is given_branch[name] for name in given_branch)
    sampler = ParameterSampler(spec, 3, random_state=0)
    assert space.all_lists is sampler._is_all_lists()
    drawn = list(ParameterSampler(space.distributions, 3, random_state=0))
    assert repr(drawn) == repr(list(sampler))


def test_parameter_sampler_draws_python_numbers_from_our_dimensions():
    spec = {"C": Real(1, 9), "n": Integer(1, 9), "k": Categorical(["a", "b"])}
    space = Space(spec)
    assert not space.all_lists
    for params in ParameterSampler(space.distributions, 20, random_state=0):
        assert [type(v) for v in params.values()] == [float, str, int]
        assert space.params(space.point(params)) == pytest.approx(params)


def test_a_pandas_series_is_a_list_of_its_values():
    pandas = pytest.importorskip("pandas")
    dimension = one(pandas.Series([1.0, 2.0], index=[7, 8]))
    assert dimension.from_unit(0.0) == 1.0


# The unit cube -----------------------------------------------------------------------

BRANCHES = [
    {"clf": [SVC()], "clf__C": Real(1e-3, 1e3, log=True), "clf__gamma": Real(0, 1)},
    {"clf": [LogisticRegression()], "clf__C": Real(1e-3, 1e3, log=True)},
    {"clf": [Ridge(), Ridge(2.0)], "pca": Integer(1, 9)},
    {},
]


def test_equal_dimensions_of_a_name_share_a_coordinate():
    space = Space(BRANCHES)
    axes = [(axis.name, axis.branches) for axis in space.coordinates]
    assert axes == [
        (None, (0, 1, 2, 3)),
        ("clf", (0,)),
        ("clf__C", (0, 1)),
        ("clf__gamma", (0,)),
        ("clf", (1,)),
        ("clf", (2,)),
        ("pca", (2,)),
    ]
    assert space.n_dims == 7


@given(st.lists(UNIT, min_size=7, max_size=7))
def test_a_point_decoded_and_encoded_decodes_to_the_same_setting(point):
    space = Space(BRANCHES)
    params = space.params(point)
    encoded = space.point(params)
    active = ~np.isnan(encoded)
    again = space.params(encoded)
    assert list(again) == list(params) == sorted(params)
    for axis, name in enumerate(a.name for a in space.coordinates):
        if active[axis] and isinstance(space.coordinates[axis].dimension, Real):
            assert again.pop(name) == pytest.approx(params.pop(name), rel=1e-9)
    assert candidate_key(again) == candidate_key(params)
    assert active.sum() == 1 + len(space.params(point))


def test_a_candidate_holds_params_point_and_key():
    space = Space(BRANCHES)
    candidate = space.candidate(np.array([0.3, *[0.5] * 6]))
    assert list(candidate.params) == ["clf", "clf__C"]
    assert candidate.params["clf__C"] == pytest.approx(1)
    assert_array_equal(candidate.point, [0.3, np.nan, 0.5, np.nan, 0.5, np.nan, np.nan])
    assert candidate.key == candidate_key(candidate.params)
    with pytest.raises(ValueError, match="read-only"):
        candidate.point[0] = 1


def test_a_space_without_parameters_is_a_single_point():
    space = Space({})
    assert (space.n_dims, space.n_rows, space.n_values) == (0, 1, 1)
    assert space.params([]) == {}
    assert space.point({}).shape == (0,)
    assert list(space.grid()) == [{}]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"C": 20.0}, r"params\['C'\]: 20.0 is not in Real\(0, 10\)"),
        ({"C": 5.0, "gama": 1}, r"does not know \['gama'\]; need \['C'\] or \['k'\]"),
    ],
)
def test_a_setting_outside_the_space_has_no_point(params, message):
    space = Space([{"C": Real(0, 10)}, {"k": ["a"]}])
    with pytest.raises(ValueError, match=message):
        space.point(params)


def test_a_setting_is_made_of_the_spaces_own_values():
    space = Space(
        {
            "a": Real(0, 10),
            "b": Integer(1, 9),
            "c": np.array([1, 2]),
            "d": scipy.stats.uniform(0, 5),
            "e": scipy.stats.randint(1, 5),
        }
    )
    given = {"a": 1, "b": np.int64(2), "c": 2, "d": 3, "e": np.int64(4)}
    params = space.setting(given).params
    assert params == given
    kinds = [type(value) for value in params.values()]
    assert kinds == [float, int, np.int64, float, int]
    exact = {**given, "a": 0.1 + 0.2}
    assert space.setting(exact).params["a"] == 0.1 + 0.2


def test_a_setting_is_looked_for_in_every_branch_of_its_names():
    space = Space([{"C": Real(0, 1)}, {"C": Real(2, 3)}])
    assert_array_equal(space.point({"C": 3.0}), [0.75, np.nan, 1.0])


def test_a_branch_that_has_the_types_of_the_values_goes_before_others():
    space = Space([{"C": Real(0, 4)}, {"C": Integer(1, 2)}])
    assert_array_equal(space.point({"C": 1}), [0.75, np.nan, 0.25])
    assert_array_equal(space.point({"C": 1.0}), [0.25, 0.25, np.nan])
    assert_array_equal(space.point({"C": 3}), [0.25, 0.75, np.nan])
    assert space.setting({"C": np.int64(2)}).params == {"C": 2}
    lists = Space([{"a": [1, 2, 3]}, {"a": np.array([1, 2])}])
    for value, branch in [(1, 0), (np.int64(1), 1), (3, 0)]:
        candidate = lists.setting({"a": value})
        assert type(candidate.params["a"]) is type(value)
        assert lists.branch_at(candidate.point) is lists.branches[branch]
    for C in (1, 1.0, 3):
        candidate = space.setting({"C": C})
        assert candidate.params == space.params(np.nan_to_num(candidate.point))


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ([0.5, 0.5], r"point has shape \(2,\); need \(1,\)"),
        ([math.nan], r"point\[0\] = nan, but 'C' is active there"),
    ],
)
def test_a_point_of_the_wrong_shape_or_nan_is_refused(point, message):
    with pytest.raises(ValueError, match=message):
        Space({"C": Real(0, 1)}).params(point)


def test_a_space_can_be_pickled():
    space = pickle.loads(pickle.dumps(Space(BRANCHES)))
    assert space.params([0.9] * 7) == {}


# What a spec may not be --------------------------------------------------------------

GRID_SENTENCE = "Parameter grid for parameter 'C' needs to be a list or a numpy array"
SAMPLER_SENTENCE = "Parameter grid for parameter 'C' is not iterable or a distribution"


@pytest.mark.parametrize(
    ("spec", "error", "parts"),
    [
        (0, TypeError, ["param_grid = 0 must be a dict", "should be a dict or a list, "
         "got: 0 of type int"]),
        ([{"a": [0]}, 0], TypeError, ["param_grid[1] = 0", "Parameter grid is not a "
         "dict (0)"]),
        ([], ValueError, ["param_grid = [] holds no dict"]),
        ({1: [0]}, TypeError, ["key 1 of type int", "must be names"]),
        ({"C": 3.0}, TypeError, ["param_grid['C'] = 3.0 is a single value; give a list "
         "such as [3.0].", GRID_SENTENCE, "but got 3.0 (of type float) instead. Single "
         "values need to be wrapped in a list with one element."]),
        ({"C": np.array(3.0)}, TypeError, ["is a single value", GRID_SENTENCE]),
        ({"C": "1,2,3"}, TypeError, ["is a str; give a list such as ['1,2,3'].",
         GRID_SENTENCE + ", but got '1,2,3' (of type str) instead."]),
        ({"C": []}, ValueError, ["param_grid['C'] = [] is empty", "Parameter grid for "
         "parameter 'C' need to be a non-empty sequence, got: []"]),
        ({"C": np.array([])}, ValueError, ["is empty", "non-empty sequence"]),
        ({"C": np.ones((3, 2))}, ValueError, ["has 2 dimensions", "Parameter array for "
         "'C' should be one-dimensional, got: ", "with shape (3, 2)"]),
        ({"C": {1, 2}}, TypeError, ["is a set; give a list of values", GRID_SENTENCE]),
        ({"C": {"a": 1}}, TypeError, ["is a dict; give a list", GRID_SENTENCE]),
        ({"C": (i for i in [1])}, TypeError, ["is a generator", GRID_SENTENCE]),
        ({"C": Real}, TypeError, ["is a class; give an instance", GRID_SENTENCE]),
        ([{}, {"C": 1}], TypeError, ["param_grid[1]['C'] = 1 is a single value"]),
        ({"C": SVC()}, TypeError, ["= SVC() is a single value; give a list such as "
         "[SVC()]"]),
    ])  # fmt: skip
def test_a_bad_grid_is_named_with_what_to_do(spec, error, parts):
    with pytest.raises(error) as info:
        Space(spec, name="param_grid")
    for part in parts:
        assert part in str(info.value)


@pytest.mark.parametrize(
    ("spec", "error", "parts"),
    [
        (0, TypeError, ["Parameter distribution is not a dict or a list, got: 0 of "
         "type int"]),
        ([0], TypeError, ["param_distributions[0] = 0", "Parameter distribution is not "
         "a dict (0)"]),
        ({"C": 0}, TypeError, ["param_distributions['C'] = 0 is a single value",
         SAMPLER_SENTENCE + " (value=0)"]),
        ({"C": scipy.stats.loguniform(10, 1)}, ValueError, ["param_distributions['C']: "
         "loguniform(10, 1) has reversed or invalid bounds; need 0 < low < high."]),
        ({"C": scipy.stats.uniform(0, scale=-1)}, ValueError, ["uniform(0, scale=-1) "
         "has reversed", "need scale > 0"]),
        ({"C": scipy.stats.randint(5, 2)}, ValueError, ["need low < high"]),
        ({"C": scipy.stats.uniform(math.nan, 1)}, ValueError, ["['C']: uniform(nan, 1)"
         ]),
        ({"C": scipy.stats.uniform(0, math.inf)}, ValueError, ["infinite bounds"]),
        ({"C": scipy.stats.loguniform}, TypeError, ["['C']: ", "is not a frozen "
         "distribution", "give its arguments"]),
    ])  # fmt: skip
def test_a_bad_distribution_is_named_with_what_to_do(spec, error, parts):
    with pytest.raises(error) as info:
        Space(spec)
    for part in parts:
        assert part in str(info.value)


# Keys --------------------------------------------------------------------------------


def same(a, b):
    """Tell whether two values have equal keys, and check the hashes then."""
    a, b = candidate_key({"a": a}), candidate_key({"a": b})
    assert (a == b) is (b == a)
    assert a != b or hash(a) == hash(b)
    return a == b


class Fitted(BaseEstimator):
    def __init__(self, a=1, b=None):
        self.a = a
        self.b = b


class Plain:
    def __init__(self, a):
        self.a = a


class MoreThanAttributes(Plain):
    def __reduce__(self):
        return MoreThanAttributes, (self.a,)


class NamedNumber(float):
    name = "one"


class OfC(struct.Struct):
    """What it is made of is no attribute."""


PAIRS = [
    (1, 1),
    (np.int64(1), np.int64(1)),
    (np.float32(0.5), np.float32(0.5)),
    (np.float32("nan"), np.float32("nan")),
    (np.bool_(True), np.bool_(True)),
    (np.str_("a"), np.str_("a")),
    (math.nan, float("nan")),
    (np.float64("nan"), np.float64("nan")),
    (complex(0, math.nan), complex(0, float("nan"))),
    (np.longdouble(1), np.longdouble(1)),
    (np.datetime64("2020-01-01", "ns"), np.datetime64("2020-01-01", "ns")),
    ([1, [2]], [1, [2]]),
    ({"a": [1], "b": 2}, {"b": 2, "a": [1]}),
    ({1, 2}, {2, 1}),
    (range(3), range(3)),
    (np.array([0.0, math.nan]), np.array([0.0, -math.nan])),
    (np.array([1, 2, 3, 4])[::2], np.array([1, 3])),
    (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
    (scipy.sparse.csr_matrix(np.eye(2)), scipy.sparse.csr_matrix(np.eye(2))),
    (Ridge(), Ridge()),
    (Pipeline([("a", Ridge(2))]), Pipeline([("a", Ridge(2))])),
    (Ridge().fit([[1.0]], [1.0]), Ridge()),
    (StandardScaler().set_output(transform="pandas"),) * 2,
    (len, len),
    (None, None),
    (KFold(3), KFold(3)),
    (partial(len, (1, 2)), partial(len, (1, 2))),
    (Plain(a=[2, math.nan]), Plain(a=[2, math.nan])),
    (Plain(a=np.eye(2)), Plain(a=np.eye(2))),
]


def test_an_object_that_changes_stays_the_same_candidate():
    value, itself = Plain(a=1), Plain(a=1)
    key = candidate_key({"a": value})
    value.a = 2
    assert candidate_key({"a": value}) == key
    itself.a = [itself]
    assert same(itself, itself)
    assert not same(itself, copy.deepcopy(itself))


def test_objects_that_hold_one_another_are_not_looked_into():
    crowd = [Plain(a=None) for _ in range(30)]
    for each in crowd:
        each.a = crowd
    assert same(crowd[0], crowd[0])
    chain = None
    for _ in range(2000):
        chain = Plain(a=chain)
    assert same(chain, chain)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_the_same_type_and_value_is_the_same_candidate(a, b):
    assert same(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *itertools.combinations([1, 1.0, True, 1 + 0j, "1", b"1", None], 2),
        (0.0, -0.0),
        (np.array([0.0]), np.array([-0.0])),
        (np.float32(0.5), 0.5),
        (np.int8(1), 1),
        ([1], (1,)),
        ([1], [1.0]),
        ({"a": 1}, {"a": 1.0}),
        (np.array([1]), np.array([1.0])),
        (np.ones((2, 3)), np.ones((3, 2))),
        (np.ones(2), [1.0, 1.0]),
        (np.array([1, 1.0], dtype=object), np.array([1, 1], dtype=object)),
        (scipy.sparse.eye(2, format="csr"), scipy.sparse.eye(3, format="csr")),
        (Ridge(1), Ridge(1.0)),
        (Ridge(), SVC()),
        (Ridge(), Ridge),
        (StandardScaler(), StandardScaler().set_output(transform="pandas")),
        (lambda: 1, lambda: 1),
        (KFold(3), KFold(4)),
        (KFold(3), StratifiedKFold(3)),
        (partial(len, (1, 2)), partial(len, (1, 3))),
        (Plain(a=1), Plain(a=1.0)),
        (Plain(a=object()), Plain(a=object())),
        (Plain(a=Plain(1)), Plain(a=Plain(1))),
        (OfC("i"), OfC("d")),
        (MoreThanAttributes(a=1), MoreThanAttributes(a=1)),
        (NamedNumber(1.0), NamedNumber(2.0)),
        (np.random.RandomState(0), np.random.RandomState(0)),
        (FrozenEstimator(Ridge()), FrozenEstimator(Ridge())),
        (math.nan, None),
        (math.nan, 0.0),
    ],
)
def test_another_type_or_value_is_another_candidate(a, b):
    assert not same(a, b)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(VALUES)
def test_a_copy_has_the_key_of_the_original(value):
    assert same(value, copy.deepcopy(value))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 2.0]),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner, inner),
    max_leaves=4,
)


@given(PLAIN, PLAIN)
def test_built_in_values_are_the_same_when_they_look_the_same(a, b):
    assert same(a, b) is (repr(a) == repr(b))


def test_a_key_names_the_parameters_in_any_order():
    assert candidate_key({"a": 1, "b": 2}) == candidate_key({"b": 2, "a": 1})
    assert candidate_key({"a": 1}) != candidate_key({"b": 1})


def test_a_key_keeps_what_it_compares_by_identity_alive():
    key = candidate_key({"a": lambda: 1})
    others = [candidate_key({"a": lambda: 1}) for _ in range(100)]
    assert key not in others


# Names -------------------------------------------------------------------------------

PIPELINE = Pipeline([("pca", PCA()), ("clf", SVC())])


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"clf__C": [1, 2], "pca__n_components": Integer(1, 2)},
        {"clf__C": scipy.stats.loguniform(1, 10)},
        {"clf": [SVC(), LogisticRegression()], "clf__C": [1, 2]},
        {"clf": [Ridge()], "clf__alpha": [1.0]},
        {"pca": ["passthrough", None, PCA()]},
        [{"clf": [Ridge()], "clf__alpha": [1.0]}, {"clf__gamma": Real(0, 1)}],
        {"steps": [[("a", Ridge())]], "a__alpha": [1.0]},
    ],
)
def test_parameters_that_can_be_set_pass(spec):
    before = repr(PIPELINE)
    check_names(PIPELINE, Space(spec))
    assert repr(PIPELINE) == before


def test_parameters_that_get_params_does_not_list_pass():
    class Open(BaseEstimator):
        def set_params(self, **params):
            return self

    check_names(Open(), Space({"anything": [1]}))


@pytest.mark.parametrize(
    ("spec", "name", "suggestion"),
    [
        ({"clf__gama": [1]}, "clf__gama", "clf__gamma"),
        ({"cls__gamma": [1]}, "cls__gamma", "clf__gamma"),
        ({"gamma": [1]}, "gamma", "clf__gamma"),
        ({"clf__c": [1]}, "clf__c", "clf__C"),
        ({"clf": [Ridge()], "clf__alhpa": [1]}, "clf__alhpa", "clf__alpha"),
        ({"clf": [SVC(), Ridge()], "clf__kernel": ["rbf"]}, "clf__kernel", None),
        ([{"clf__C": [1]}, {"qqq": [1]}], "qqq", False),
        ({"clf__qqq": [1]}, "clf__qqq", False),
    ],
)
def test_an_unknown_name_is_told_with_a_suggestion(spec, name, suggestion):
    with pytest.raises(ValueError) as info:
        check_names(PIPELINE, Space(spec, name="param_grid"))
    message = str(info.value)
    assert f"param_grid names '{name}', which Pipeline does not have" in message
    if suggestion is False:
        assert "Did you mean" not in message
    if suggestion:
        assert f"Did you mean '{suggestion}'?" in message
    assert "Invalid parameter" in message
    assert isinstance(info.value.__cause__, ValueError)


@pytest.mark.parametrize("part", [None, "passthrough"])
def test_a_parameter_of_a_step_that_is_switched_off_is_told(part):
    space = Space({"pca": [PCA(), part], "pca__n_components": [1]}, name="param_grid")
    with pytest.raises(ValueError) as info:
        check_names(PIPELINE, space)
    message = str(info.value)
    assert f"names 'pca__n_components', but 'pca' is {part!r} there" in message
    assert isinstance(info.value.__cause__, AttributeError)


def test_a_parameter_of_a_part_that_is_not_there_is_told():
    space = Space({"estimator__C": [1]})
    with pytest.raises(
        ValueError, match=r"'estimator' is None there.*Give 'estimator'"
    ):
        check_names(BaggingClassifier(), space)


def test_any_other_failure_names_the_parameter_and_its_value():
    class Picky(BaseEstimator):
        def __init__(self, a=1, b=1):
            self.a = a
            self.b = b

        def set_params(self, **params):
            if params.get("a") == 2:
                raise RuntimeError("not today")
            return super().set_params(**params)

    with pytest.raises(ValueError, match=r"\['a'\] = 2 cannot be set on Picky: Runt"):
        check_names(Picky(), Space({"a": [2], "b": [5]}))


def test_checking_names_draws_nothing_from_the_global_random_state():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    check_names(SVC(), Space({"C": scipy.stats.loguniform(1, 2), "tol": Real(0, 1)}))
    assert_array_equal(np.random.get_state()[1], before)


def test_a_row_of_the_grid_is_found_by_its_number():
    space = Space([{"a": [1, 2], "b": Integer(5, 7)}, {}, {"c": ["x", "y"]}])
    rows = [space.grid_row(number) for number in range(space.n_rows)]
    assert rows == list(space.grid())
    with pytest.raises(IndexError, match="has 9 rows"):
        space.grid_row(9)
