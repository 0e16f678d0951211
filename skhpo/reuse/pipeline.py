"""Pipelines: candidates share the steps that they have in common, and views of others.

A group is a tree: candidates that are equal up to a step are fitted together up to
there, depth first, so that few intermediate features are in memory at a time.
"""

import sklearn
from sklearn.base import clone

from skhpo.reuse.base import NotShared, copy_of, draws, freeze, untouched, values_of

_OWN = {"steps", "memory", "verbose", "transform_input"}


class Pipelines:
    """The steps of a pipeline, each as its own family has it.

    Parameters
    ----------
    step_key : callable
        ``step_key(estimator, names)`` gives the key of a step, or raises NotShared.
    fitted : callable
        ``fitted(estimators, X, y, names, params)`` fits a group.
    family_of : callable
        ``family_of(estimator)`` finds a family, or None.
    """

    def __init__(self, step_key, fitted, family_of):
        self._step_key = step_key
        self._fitted = fitted
        self._family_of = family_of

    def may_share(self, names):
        """Tell whether candidates that differ in these parameters may share a fit."""
        return bool(names)

    def key(self, estimator, names):
        """Tell up to where pipelines have to be equal, and how.

        Parameters
        ----------
        estimator : Pipeline
            With the parameters of the candidate, not fitted.
        names : iterable of str
            Parameters in which candidates may differ.

        Returns
        -------
        key : hashable
            Of the first step in which candidates differ, and whether one fit of it
            answers for whole pipelines.

        Raises
        ------
        NotShared
            If that step, or one before it, would be fitted differently each time, or
            nothing can be shared.
        """
        check_pipeline(estimator, names)
        last = len(estimator.steps) - 1
        for number, (name, step) in enumerate(estimator.steps):
            inside = names_inside(name, step, names)
            if number == last or inside or name in names:
                try:
                    key = self._key(step, inside, last=number == last)
                    if any(self._draws(each) for _, each in estimator.steps[number:]):
                        raise NotShared
                    return number, key, number == last
                except NotShared:
                    front = estimator.steps[:last]
                    if number < last or draws(step) or _is_nothing(front):
                        raise
                    return number, "alone", False  # behind what is the same
            if draws(step):
                raise NotShared
        raise NotShared

    def _draws(self, step):
        """Tell whether fits of `step` may differ, whatever its family does."""
        if is_passthrough(step) or not draws(step):
            return False
        family = self._family_of(step)
        if family is None or family is self:
            return True
        try:
            family.key(step)
        except NotShared:
            return True
        return False

    def _key(self, step, inside, *, last):
        """Tell what candidates have in common that share a fit of this step."""
        if is_passthrough(step):
            if last:
                raise NotShared
            return "passthrough"
        try:
            if last or self._transformer_family(step) is not None:
                return "views", self._step_key(step, inside)
        except NotShared:
            if last:
                raise
        if draws(step):
            raise NotShared
        return "equal", self._equal(step, inside)

    def _transformer_family(self, step):
        """Find the family of a step that others follow, or None."""
        family = None if is_passthrough(step) else self._family_of(step)
        return None if isinstance(family, Pipelines) else family

    def _equal(self, step, inside):
        if is_passthrough(step):
            return "passthrough"
        return type(step), values_of(step, inside)

    def fit(self, estimators, X, y, names, params):
        """Fit a group; yield (number, estimator) for each of them.

        Parameters
        ----------
        estimators : list of Pipeline
            With equal keys, not fitted.
        X, y : array-like
            Training data.
        names : iterable of str
            Parameters in which candidates may differ.
        params : dict of str to object
            Parameters of ``fit``: of the steps, with their names in front.

        Yields
        ------
        number : int
            Of an estimator.
        estimator : Pipeline
            Fitted.
        """
        steps = tuple(name + "__" for name, _ in estimators[0].steps)
        if all(name.startswith(steps) for name in params):
            members = list(enumerate(estimators))
            yield from self._descend(members, 0, [], X, y, names, params)
        else:
            for i, pipeline in enumerate(estimators):
                yield i, clone(pipeline).fit(X, y, **params)  # it says what is wrong

    def transformed(self, transformers, X, y):
        """Fit several transformers to the same data, together as far as it can be.

        Parameters
        ----------
        transformers : list of estimator
            No two are equal.
        X, y : array-like
            Training data.

        Yields
        ------
        number : int
            Of a transformer.
        transformer : estimator
            Fitted.
        features : array-like or sparse matrix
            What its ``fit_transform`` gives.
        """
        groups = {}
        for i, transformer in enumerate(transformers):
            groups.setdefault(self._transformer_key(transformer, i), []).append(i)
        for numbers in groups.values():
            group = [transformers[i] for i in numbers]
            if len(group) > 1 and self._family_of(group[0]) is self:
                names = tuple(name for name, _ in group[0].steps)
                answers = self._descend(
                    list(enumerate(group)), 0, [], X, y, names, {}, features_too=True
                )
            else:
                answers = self._inner(group, X, y, {})
            for i, fitted, features in answers:
                yield numbers[i], fitted, features

    def _transformer_key(self, transformer, number):
        try:
            if self._family_of(transformer) is self:
                names = tuple(name for name, _ in transformer.steps)
                check_pipeline(transformer, names)
                return "pipeline", names
            names = tuple(sorted(transformer.get_params()))
            return self._key(transformer, names, last=False)
        except NotShared:
            return "alone", number

    def _descend(self, members, number, front, X, y, names, params, features_too=False):
        name = members[0][1].steps[number][0]
        is_last = number == len(members[0][1].steps) - 1
        last = is_last and not features_too
        before = name + "__"
        own = {
            key.removeprefix(before): value
            for key, value in params.items()
            if key.startswith(before)
        }
        for group in self._groups(members, number, names, last):
            steps = [pipeline.steps[number][1] for _, pipeline in group]
            inside = names_inside(name, steps[0], names)
            if last:
                for i, fitted in self._last(steps, X, y, inside, own):
                    j, pipeline = group[i]
                    path = [*front, (name, fitted)]
                    yield j, copy_of(pipeline, pipeline, steps=path)
                continue
            # Equal ones are fitted once.
            distinct = {}
            for i, step in enumerate(steps):
                key = self._distinct(step, inside, i, X)
                distinct.setdefault(key, []).append(group[i])
            firsts = [same[0][1].steps[number][1] for same in distinct.values()]
            alike = list(distinct.values())
            for i, fitted, features in self._inner(firsts, X, y, own):
                path = [*front, (name, fitted)]
                if is_last:
                    for j, pipeline in alike[i]:
                        yield j, copy_of(pipeline, pipeline, steps=path), features
                    continue
                yield from self._descend(
                    alike[i], number + 1, path, features, y, names, params, features_too
                )

    def _groups(self, members, number, names, last):
        """Divide members by what this step can be fitted once for."""
        groups = {}
        for position, (j, pipeline) in enumerate(members):
            name, step = pipeline.steps[number]
            try:
                key = self._key(step, names_inside(name, step, names), last=last)
            except NotShared:
                key = "alone", position
            groups.setdefault(key, []).append((j, pipeline))
        return groups.values()

    def _distinct(self, step, inside, number, X):
        """Give the same for steps that are the same, and whose fits are."""
        family = self._transformer_family(step)
        try:
            if (
                not is_passthrough(step)
                and draws(step)
                and (family is None or family.alone(step, X))
            ):
                return number
            return self._equal(step, inside)
        except NotShared:
            return number

    def _last(self, steps, X, y, inside, own):
        if len(steps) > 1:
            yield from self._fitted(steps, X, y, names=inside, params=own)
        elif is_passthrough(steps[0]):
            yield 0, steps[0]
        else:
            yield 0, clone(steps[0]).fit(untouched(X), y, **own)

    def _inner(self, steps, X, y, own):
        """Fit a transformer for several candidates; yield it and its features."""
        family = self._transformer_family(steps[0])
        alone = range(len(steps))
        if len(steps) > 1 and family is not None:
            alone = [i for i, step in enumerate(steps) if family.alone(step, X)]
            shared = [i for i in range(len(steps)) if i not in alone]
            if len(shared) == 1:
                alone = range(len(steps))
            elif shared:
                leader = family.leader([steps[i] for i in shared])
                leader_features = leader.fit_transform(untouched(X), y, **own)
                for i in shared:
                    view = family.view(leader, steps[i])
                    if view is None:
                        alone.append(i)
                    else:
                        yield (
                            i,
                            view,
                            family.features(view, untouched(X), leader_features),
                        )
        for i in alone:
            if is_passthrough(steps[i]):
                yield i, steps[i], X
                continue
            step, own_X = clone(steps[i]), untouched(X)
            if hasattr(step, "fit_transform"):
                yield i, step, step.fit_transform(own_X, y, **own)
            else:
                yield i, step.fit(own_X, y, **own), step.transform(own_X)

    def leader(self, estimators):
        """Make the pipeline to fit; see :meth:`Family.leader`."""
        leader = clone(estimators[0])
        lasts = [pipeline.steps[-1][1] for pipeline in estimators]
        family = self._family_of(lasts[0])
        if family is not None:
            leader.steps[-1] = (leader.steps[-1][0], family.leader(lasts))
        return leader

    def view(self, leader, estimator):
        """Make a view, or None if more than the last step differs."""
        try:
            if freeze(_front(leader)) != freeze(_front(estimator)):
                return None
        except NotShared:
            return None
        name, last = leader.steps[-1]
        family = self._family_of(estimator.steps[-1][1])
        view = None if family is None else family.view(last, estimator.steps[-1][1])
        if view is None:
            return None
        return copy_of(leader, estimator, steps=[*leader.steps[:-1], (name, view)])


def check_pipeline(estimator, names):
    """Raise NotShared if more than the steps decides what a fit of `estimator` does."""
    if sklearn.get_config().get("enable_metadata_routing"):
        raise NotShared
    if estimator.memory is not None or _OWN.intersection(names):
        raise NotShared
    if getattr(estimator, "transform_input", None) is not None:
        raise NotShared
    try:
        estimator._validate_steps()
    except Exception as error:
        raise NotShared from error


def names_inside(name, step, names):
    """Give the names of parameters of the step `name`, without it."""
    if name in names:
        # Any two candidates may bring estimators of their own.
        return () if is_passthrough(step) else tuple(sorted(step.get_params()))
    before = name + "__"
    return tuple(
        sorted(key.removeprefix(before) for key in names if key.startswith(before))
    )


def _is_nothing(steps):
    return all(is_passthrough(step) for _, step in steps)


def is_passthrough(step):
    """Tell whether a step leaves the data as they are.

    Parameters
    ----------
    step : estimator, str or None
        Of a pipeline.

    Returns
    -------
    is_passthrough : bool
        False for an estimator.
    """
    return step is None or isinstance(step, str)


def _front(pipeline):
    return [
        (name, step if is_passthrough(step) else (type(step), step.get_params()))
        for name, step in pipeline.steps[:-1]
    ]
