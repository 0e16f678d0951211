"""One penalty for each group of features, by scaling columns."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from skhpo import RandomSearch, Real
from skhpo.preprocessing import BlockScaler

NAMES = ["a", "b", "c", "d"]
OLD = parse_version(sklearn.__version__) < parse_version("1.7")
BLOCKS = {"left": [0, 1], "right": 3}
SCALES = {"left": 0.5, "right": 10.0}
SCALE = [0.5, 0.5, 1.0, 10.0]


CHECKS = parametrize_with_checks([BlockScaler("each")])


# A list, because pytest 9 warns of the generator that scikit-learn 1.6 gives it.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.fixture
def X(rng):
    return rng.normal(size=(6, 4))


# What scaling means.


@pytest.mark.parametrize("alpha", [0.1, 10.0])
def test_ridge_penalises_a_block_by_alpha_over_its_scale_squared(alpha, regression):
    X, y = regression
    scaler = BlockScaler({"left": [0, 1], "right": [4]}, {"left": 0.2, "right": 3.0})
    model = make_pipeline(scaler, Ridge(alpha, fit_intercept=False)).fit(X, y)
    penalties = alpha / np.array([0.2, 0.2, 1.0, 1.0, 3.0]) ** 2
    coef = np.linalg.solve(X.T @ X + np.diag(penalties), X.T @ y)
    np.testing.assert_allclose(model.predict(X), X @ coef)


def test_lasso_penalises_a_block_by_alpha_over_its_scale(regression):
    X, y = regression
    s, alpha, options = 0.2, 5.0, {"fit_intercept": False, "tol": 1e-12}
    scaler = BlockScaler({"all": slice(None)}, {"all": s})
    model = make_pipeline(scaler, Lasso(alpha, **options)).fit(X, y)
    plain = Lasso(alpha / s, **options).fit(X, y)
    assert 0 < np.count_nonzero(plain.coef_) < 5
    np.testing.assert_allclose(model[-1].coef_ * s, plain.coef_, atol=1e-9)


# Which columns.


@pytest.mark.parametrize(
    "columns",
    [
        1,
        -2,
        np.int64(1),
        slice(1, 3),
        slice(0, None, 2),
        [0, 2],
        (0, 2),
        np.array([3, 0]),
        [],
        [True, False, False, True],
        np.array([False, True, True, False]),
        lambda X: [X.shape[1] - 1],
    ],
)
@pytest.mark.parametrize("frame", [np.asarray, pd.DataFrame, sparse.csr_matrix])
def test_columns_without_names_are_those_of_column_transformer(columns, frame, X):
    check_same_columns(columns, frame(X), X)


@pytest.mark.parametrize(
    "columns",
    [
        "b",
        ["d", "a"],
        np.array(["d", "a"]),
        pd.Index(["b", "c"]),
        slice("b", "c"),
        slice("c", None),
        slice(None, "b"),
        2,
        lambda frame: list(frame.columns[:2]),
    ],
)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_columns_with_names_are_those_of_column_transformer(columns, frame, X):
    frame = frame(dict(zip(NAMES, X.T, strict=True)))
    if OLD and not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("scikit-learn 1.6 cannot read the names of the newest polars")
    check_same_columns(columns, frame, X)


def check_same_columns(columns, frame, X):
    """The columns outside the block are those that ColumnTransformer leaves."""
    scaler = BlockScaler({"block": columns}, {"block": 2.0}).fit(frame)
    oracle = ColumnTransformer([("block", "drop", columns)], remainder="passthrough")
    left = oracle.fit_transform(frame)
    left = left.toarray() if sparse.issparse(left) else left
    np.testing.assert_array_equal(X[:, scaler.scale_ == 1], left)
    assert (
        scaler.blocks_["block"].tolist() == np.flatnonzero(scaler.scale_ == 2).tolist()
    )


def test_a_column_selector_chooses_by_type(X):
    frame = pd.DataFrame(X, columns=NAMES).astype({"c": "float32"})
    scaler = BlockScaler({"small": make_column_selector(dtype_include="float32")})
    assert scaler.fit(frame).blocks_["small"].tolist() == [2]


def test_each_column_is_a_block_named_after_the_feature(X):
    assert list(BlockScaler("each").fit(X).blocks_) == ["x0", "x1", "x2", "x3"]
    frame = pd.DataFrame(X, columns=NAMES)
    scaler = BlockScaler("each", {"b": 3.0}).fit(frame)
    assert list(scaler.blocks_) == NAMES
    assert scaler.scale_.tolist() == [1, 3, 1, 1]


def test_a_column_in_two_blocks_is_an_error_that_names_both(X):
    frame = pd.DataFrame(X, columns=NAMES)
    scaler = BlockScaler({"one": ["a", "b"], "two": [3], "three": slice(1, 3)})
    with pytest.raises(
        ValueError, match=r"column 1 \('b'\) is in 'one' and in 'three'"
    ):
        scaler.fit(frame)


def test_a_column_twice_in_one_block_is_scaled_once(X):
    scaler = BlockScaler({"block": [1, 1, -3]}, {"block": 2.0}).fit(X)
    assert scaler.scale_.tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize(
    "columns", [4, [-5], [0.5], None, [True, False], [[0, 1]], ["a", 0], {}, "e", "a"]
)
def test_columns_that_x_has_not_are_an_error_that_names_the_block(columns, X):
    with pytest.raises(ValueError, match=r"of block 'mine' in X with 4 columns"):
        BlockScaler({"mine": columns}).fit(X)


def test_names_of_columns_need_a_frame_that_has_them(X):
    with pytest.raises(ValueError, match=r"'a' is a name, and X has none; give"):
        BlockScaler({"mine": "a"}).fit(X)
    with pytest.raises(ValueError, match=r"no single column is named 'e'"):
        BlockScaler({"mine": "e"}).fit(pd.DataFrame(X, columns=NAMES))


@pytest.mark.parametrize("blocks", ["each", {"mine": "a"}])
def test_two_columns_of_one_name_cannot_be_told_apart(blocks, X):
    with pytest.raises(ValueError, match=r"'a'|[Dd]uplicate|unique"):
        BlockScaler(blocks).fit(pd.DataFrame(X, columns=["a", "b", "a", "d"]))


# What comes out.


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_each_column_is_multiplied_by_the_scale_of_its_block(dtype, X):
    X = (10 * X).astype(dtype)
    before = X.copy()
    scaler = BlockScaler(BLOCKS, SCALES).fit(X)
    scaled = scaler.transform(X)
    np.testing.assert_allclose(scaled, X * SCALE, rtol=1e-6)
    np.testing.assert_array_equal(scaled[:, 2], X[:, 2])
    np.testing.assert_allclose(scaler.inverse_transform(scaled), X, rtol=1e-6)
    np.testing.assert_array_equal(X, before)
    assert scaled.dtype == (np.float64 if dtype is np.int64 else dtype)


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("fmt", ["csr", "csc"])
def test_sparse_stays_sparse(fmt, kind, X):
    X[X < 0] = 0
    given = getattr(sparse, f"{fmt}_{kind}")(X)
    scaler = BlockScaler(BLOCKS, SCALES).fit(given)
    scaled = scaler.transform(given)
    assert scaled.format == fmt
    np.testing.assert_allclose(scaled.toarray(), X * SCALE)
    back = scaler.inverse_transform(scaled)
    assert back.format == fmt
    np.testing.assert_allclose(back.toarray(), X)
    np.testing.assert_array_equal(given.toarray(), X)


def test_a_frame_comes_out_as_set_output_says(X):
    frame = pd.DataFrame(X, columns=NAMES, index=list("uvwxyz"))
    scaler = BlockScaler(BLOCKS, SCALES).fit(frame)
    assert scaler.get_feature_names_out().tolist() == NAMES
    scaled = scaler.transform(frame)
    assert isinstance(scaled, np.ndarray)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), X)
    scaled = scaler.set_output(transform="pandas").transform(frame)
    pd.testing.assert_frame_equal(scaled, frame * SCALE)
    scaled = scaler.set_output(transform="polars").transform(frame)
    assert isinstance(scaled, pl.DataFrame)
    assert scaled.columns == NAMES


def test_nan_stays_nan(X):
    X[0, 0] = np.nan
    scaled = BlockScaler(BLOCKS, SCALES).fit_transform(X)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(X))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_the_way_back_needs_all_columns(make, X):
    scaler = BlockScaler(BLOCKS, SCALES).fit(make(X))
    with pytest.raises(ValueError, match=r"X has 1 features.* expecting 4"):
        scaler.inverse_transform(make(X[:, :1]))


# Scales as parameters.


def test_scales_are_parameters_beside_the_constructors():
    scaler = BlockScaler(BLOCKS, {"left": 0.5})
    own = {"blocks": BLOCKS, "scales": {"left": 0.5}}
    assert scaler.get_params(deep=False) == own
    assert scaler.get_params() == {"left": 0.5, "right": 1.0, **own}


def test_set_params_takes_what_get_params_gives():
    scaler = BlockScaler(BLOCKS, {"left": 0.5}).set_params(right=2.0)
    again = BlockScaler({}).set_params(**scaler.get_params())
    assert again.get_params() == scaler.get_params()


def test_the_names_of_each_column_are_listed_once_known(X):
    scaler = BlockScaler("each").set_params(x2=0.1)
    assert scaler.get_params() == {"x2": 0.1, "blocks": "each", "scales": {"x2": 0.1}}
    params = scaler.fit(X).get_params()
    assert {name: params[name] for name in ("x0", "x2")} == {"x0": 1.0, "x2": 0.1}
    assert clone(scaler).get_params() == BlockScaler("each", {"x2": 0.1}).get_params()


def test_a_frames_own_names_may_be_set_before_fit(X):
    scaler = BlockScaler("each").set_params(c=0.1)
    assert scaler.fit(pd.DataFrame(X, columns=NAMES)).scale_.tolist() == [1, 1, 0.1, 1]


def test_set_params_changes_no_dict_of_others():
    mine = {"left": 0.5}
    scaler = BlockScaler(BLOCKS, mine)
    copy = clone(scaler).set_params(left=3.0)
    scaler.set_params(right=2.0)
    assert mine == {"left": 0.5}
    assert scaler.scales == {"left": 0.5, "right": 2.0}
    assert copy.scales == {"left": 3.0}


def test_blocks_and_their_scales_are_set_in_one_call():
    scaler = BlockScaler(BLOCKS, SCALES)
    scaler.set_params(new=2.0, scales={"other": 3.0}, blocks={"new": 0, "other": 1})
    assert scaler.scales == {"other": 3.0, "new": 2.0}


def test_clone_and_pickle_keep_the_scales(X):
    scaler = BlockScaler(BLOCKS).set_params(**SCALES).fit(X)
    for copy in (clone(scaler).fit(X), pickle.loads(pickle.dumps(scaler))):
        assert copy.scale_.tolist() == SCALE


def test_an_unknown_block_cannot_be_set_and_nothing_is():
    scaler = BlockScaler(BLOCKS, SCALES)
    match = r"no block 'cubik'; its blocks are 'left', 'right'\. Use one"
    with pytest.raises(ValueError, match=match):
        scaler.set_params(left=7.0, scales=None, cubik=0.1)
    assert scaler.scales is SCALES


def test_an_unknown_feature_is_found_at_fit_and_afterwards(X):
    scaler = BlockScaler("each").set_params(x4=0.1)
    match = r"no block 'x4'; its blocks are 'x0', 'x1', 'x2', 'x3'\."
    with pytest.raises(ValueError, match=match):
        scaler.fit(X)
    scaler.set_params(scales=None).fit(X)
    with pytest.raises(ValueError, match=match):
        scaler.set_params(x4=0.1)


def test_a_long_list_of_blocks_is_cut_short(rng):
    scaler = BlockScaler("each", {"x30": 1.0})
    with pytest.raises(ValueError, match=r"'x19' and 10 more\."):
        scaler.fit(rng.normal(size=(3, 30)))


@pytest.mark.parametrize(
    "name", ["a b", "a__b", "blocks", "scales", "1st", "", 3, None]
)
def test_a_name_that_cannot_be_a_parameter_is_refused(name, X):
    scaler = BlockScaler({name: 0, "good": 1})
    with pytest.raises(ValueError, match=rf"block {name!r}; .*Rename the block"):
        scaler.fit(X)
    own = {"blocks": {name: 0, "good": 1}, "scales": None}
    assert scaler.get_params() == {"good": 1.0, **own}


def test_each_refuses_a_column_whose_name_cannot_be_a_parameter(X):
    frame = pd.DataFrame(X, columns=["petal width", "b", "c", "d"])
    with pytest.raises(ValueError, match=r"'petal width'; .*rename the column or pass"):
        BlockScaler("each").fit(frame)
    with pytest.raises(ValueError, match=r"'petal width'; .*rename the column or pass"):
        BlockScaler("each").set_params(**{"petal width": 2.0})


@pytest.mark.parametrize("scale", [0, -1.0, np.inf, np.nan, "1", None, [1.0]])
def test_a_scale_that_is_not_finite_and_positive_is_refused_at_fit(scale, X):
    scaler = BlockScaler(BLOCKS).set_params(left=scale)
    with pytest.raises(
        ValueError, match=r"positive number as the scale of block 'left'"
    ):
        scaler.fit(X)


@pytest.mark.parametrize(
    "params", [{"blocks": "all"}, {"blocks": [0]}, {"scales": 2.0}]
)
def test_parameters_of_another_type_are_refused_at_fit(params, X):
    scaler = BlockScaler("each").set_params(**params)
    assert scaler.get_params().items() >= params.items()
    with pytest.raises(ValueError, match=rf"The '{next(iter(params))}' parameter"):
        scaler.fit(X)


# In a search.


@pytest.fixture
def model():
    degrees = {"linear": slice(2), "quadratic": slice(2, 5), "cubic": slice(5, 9)}
    return make_pipeline(
        PolynomialFeatures(3, include_bias=False),
        StandardScaler(),
        BlockScaler(degrees),
        Ridge(),
    )


def test_a_grid_of_scales_is_searched(model, rng):
    X = rng.normal(size=(40, 2))
    y = X[:, 0] + 0.5 * rng.normal(size=40)
    grid = {"blockscaler__cubic": [1e-3, 1e3], "blockscaler__linear": [1e-3, 10.0]}
    search = GridSearchCV(model, grid, n_jobs=None).fit(X, y)
    assert search.best_params_ == {
        "blockscaler__cubic": 1e-3,
        "blockscaler__linear": 10.0,
    }
    assert search.best_estimator_[2].scales == {"cubic": 1e-3, "linear": 10.0}
    assert model[2].scales is None


@pytest.mark.parametrize("blocks, name", [(BLOCKS, "left"), ("each", "x4")])
def test_our_searches_take_scales_as_dimensions(blocks, name, regression):
    model = make_pipeline(StandardScaler(), BlockScaler(blocks), Ridge())
    space = {f"blockscaler__{name}": Real(1e-3, 1e3, log=True)}
    search = RandomSearch(model, space, n_iter=3, random_state=0).fit(*regression)
    scale = search.best_params_[f"blockscaler__{name}"]
    assert search.best_estimator_[1].scales == {name: scale}
