"""What stands for a split: nested, with all classes, whole groups, in time's order."""

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from skhpo._evaluation import subsamples as module
from skhpo._evaluation.subsamples import MIN_OF_CLASS, Subsamples

FRACTIONS = [0.01, 0.03, 0.1, 0.33, 0.9, 1.0]
rng = np.random.default_rng(0)
X = rng.normal(size=(1200, 2))
y = (rng.random(1200) < 0.03).astype(int)
groups = rng.integers(40, size=1200)


@pytest.fixture(autouse=True)
def small_test_parts(monkeypatch):
    monkeypatch.setattr(module, "MIN_TEST", 5)


def subsamples(splitter, **options):
    indices = list(splitter.split(X, y, options.get("groups")))
    return indices, Subsamples(indices, seed=0, **options)


@pytest.mark.parametrize(
    "splitter, options",
    [
        (KFold(3), {}),
        (StratifiedKFold(4), {"classes": y}),
        (GroupKFold(3), {"groups": groups, "classes": y}),
        (TimeSeriesSplit(3), {}),
    ],
)
@pytest.mark.parametrize("side", ["train", "test"])
def test_smaller_parts_lie_in_larger_ones_and_the_last_is_all(splitter, options, side):
    indices, chosen = subsamples(splitter, **options)
    for number, split in enumerate(indices):
        n = len(split[side == "test"])
        before = set()
        for fraction in FRACTIONS:
            positions = getattr(chosen, side)(number, fraction)
            assert len(positions) == max(1 if side == "train" else 5, int(fraction * n))
            assert (np.diff(positions) > 0).all()
            assert before <= set(positions)
            before = set(positions)
        np.testing.assert_array_equal(positions, np.arange(n))


def test_every_class_is_there_and_has_its_share():
    indices, chosen = subsamples(StratifiedKFold(4), classes=y)
    for number, (train, test) in enumerate(indices):
        assert set(y[test][chosen.test(number, 0.01)]) == {0, 1}
        for fraction in FRACTIONS:
            labels = y[train][chosen.train(number, fraction)]
            counts = np.bincount(labels, minlength=2)
            assert min(counts) >= min(MIN_OF_CLASS, len(labels) // 2)
            expected = len(labels) * y[train].mean()
            assert abs(counts[1] - expected) <= MIN_OF_CLASS + 1


def test_whole_groups_come_one_after_another():
    indices, chosen = subsamples(GroupKFold(3), groups=groups)
    for number, (train, _) in enumerate(indices):
        labels = groups[train][chosen.train(number, 0.33)]
        whole = [(labels == g).sum() == (groups[train] == g).sum() for g in set(labels)]
        assert len(whole) - sum(whole) <= 1


def test_in_time_the_nearest_samples_are_taken():
    indices, chosen = subsamples(TimeSeriesSplit(3))
    for number, (train, test) in enumerate(indices):
        n = len(train)
        np.testing.assert_array_equal(
            chosen.train(number, 0.1), np.arange(n - int(0.1 * n), n)
        )
        np.testing.assert_array_equal(
            chosen.test(number, 0.1), np.arange(int(0.1 * len(test)))
        )


def test_in_time_the_nearest_of_each_class_come_first():
    labels = np.sort(y)  # the latest samples are all of one class
    train, test = np.arange(1190), np.arange(1190, 1200)
    assert set(labels[train[-17:]]) == {1}
    chosen = Subsamples([(train, test)], seed=0, classes=labels).train(0, 17 / 1190)
    zeros = np.flatnonzero(labels[train] == 0)
    expected = np.union1d(zeros[-MIN_OF_CLASS:], train[-17 + MIN_OF_CLASS :])
    np.testing.assert_array_equal(chosen, expected)


def test_another_seed_draws_others():
    indices = list(KFold(3).split(X))
    one, other = (Subsamples(indices, seed=seed).train(0, 0.1) for seed in (0, 1))
    assert set(one) != set(other)
