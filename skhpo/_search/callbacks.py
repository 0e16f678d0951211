"""scikit-learn's callbacks (1.9): a search's tasks, by scikit-learn's names."""

import copy


class CallbackTasks:
    """The tree of tasks that callbacks are told about during one ``fit``.

    The root is ``fit``; below it ``search``, with a ``candidate-split-evaluation`` for
    each fit, and ``refit-with-best-params``. Without scikit-learn's callback support
    (before 1.9) nothing is told to anyone.

    Parameters
    ----------
    search : BaseSearchCV
        The search being fitted.
    X, y, metadata
        What the root and refit tasks report.
    """

    def __init__(self, search, X, y, sample_weight):
        self._search = search
        self._data = dict(
            estimator=search,
            X=X,
            y=y,
            metadata=None
            if sample_weight is None
            else {"sample_weight": sample_weight},
        )
        self._root = None
        if hasattr(search, "_init_callback_context"):
            n_subtasks = 1 + (search.refit is not False)
            self._root = search._init_callback_context(max_subtasks=n_subtasks)
            self._root.call_on_fit_task_begin(**self._data)

    def begin_search(self, n_candidates, n_splits):
        """Open the task ``search``."""
        self._n_splits = n_splits
        if self._root is not None:
            self._evaluations = self._root.subcontext(
                task_name="search",
                max_subtasks=None if n_candidates is None else n_candidates * n_splits,
                sequential_subtasks=False,
            ).call_on_fit_task_begin(estimator=self._search)

    def end_search(self):
        """Close the task ``search``."""
        if self._root is not None:
            self._evaluations.call_on_fit_task_end(estimator=self._search)

    @property
    def new_evaluation(self):
        """Factory of the places of single fits in the tree; None if nobody listens."""
        return self._new_evaluation if _listens(self._search) else None

    def _new_evaluation(self, number, params, split, detached):
        context = self._evaluations.subcontext(
            task_name="candidate-split-evaluation",
            task_id=number * self._n_splits + split,
        )
        return _detach(context) if detached else context

    def refit(self, estimator, fit):
        """Call `fit` as the task ``refit-with-best-params``."""
        if self._root is None:
            fit()
            return
        context = self._root.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self._data)
            fit()
        context.call_on_fit_task_end(**self._data)

    def end(self):
        """Close the root task."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._data)


def _listens(value):
    """Tell whether `value`, or what it holds, has callbacks."""
    if hasattr(value, "_skl_callbacks"):
        return True
    if hasattr(value, "get_params") and not isinstance(value, type):
        value = value.get_params(deep=False)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return any(_listens(item) for item in value)


def _detach(context):
    """Copy `context` and its ancestors without the other tasks.

    It is pickled in another thread, which must not meet a tree that is growing.
    """
    detached = copy.copy(context)
    if context.parent is not None:
        detached.parent = _detach(context.parent)
        detached.parent._children_map = {detached.task_id: detached}
    return detached
