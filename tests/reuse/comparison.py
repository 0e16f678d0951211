"""Groups of candidates, fitted together and one by one."""

import re

from sklearn.base import clone

from skhpo.reuse import fitted, group_key
from skhpo.reuse.base import parts
from skhpo.reuse.selftest import differences, same


def candidates(base, grid):
    """Clone `base` for every setting of a list."""
    return [clone(base).set_params(**clone(params, safe=False)) for params in grid]


def names_of(grid):
    return {name for params in grid for name in params}


def groups(base, grid, *, close=False):
    """Give the candidates by key, and how many there are that share with none."""
    names = names_of(grid)
    found, n_alone = {}, 0
    for estimator, params in zip(candidates(base, grid), grid, strict=True):
        key = group_key(estimator, params, names, close=close)
        if key is None:
            n_alone += 1
        else:
            found.setdefault(key, []).append(estimator)
    return list(found.values()), n_alone


def check_group(group, names, X, y, X_new, params, *, close=False):
    """Compare every candidate of a group with a fit of its own."""
    answered = set()
    before = [attributes_of(estimator) for estimator in group]
    for number, ours in fitted(group, X, y, names=names, params=params, close=close):
        assert number not in answered
        answered.add(number)
        separate = clone(group[number]).fit(X, y, **params)
        assert type(ours) is type(separate)
        for data in (X_new, X):
            found = list(differences(ours, separate, data, exact=not close))
            assert not found, (group[number], found)
        assert text_of(ours) == text_of(separate)
        check_attributes(ours, separate, exact=not close)
    assert answered == set(range(len(group)))
    assert [attributes_of(estimator) for estimator in group] == before


def attributes_of(estimator):
    """Name what it has, and what each estimator inside has."""
    return [(type(part), sorted(vars(part))) for part in parts(estimator)]


def text_of(estimator):
    """Write down the parameters, without addresses of objects."""
    return re.sub("0x[0-9a-f]+", "", repr(estimator.get_params()))


def check_attributes(ours, separate, *, exact=True):
    """Compare what is public and fitted, as far as it consists of numbers."""
    for name, value in vars(separate).items():
        if name.endswith("_") and not name.startswith("_") and is_numeric(value):
            assert same(getattr(ours, name), value, exact=exact), name
    missing = {name for name in vars(separate) if name.endswith("_")}
    assert missing <= set(vars(ours))


def is_numeric(value):
    if isinstance(value, list):
        return all(map(is_numeric, value))
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return isinstance(value, int | float) or (kind in "biuf" and kind != "")
