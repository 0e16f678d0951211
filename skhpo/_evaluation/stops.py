"""Whether a callback asks to end the search, also one that the estimator calls.

scikit-learn hands callbacks that propagate on to the estimator; then the estimator
reports the end of our task as its own, and drops the answer. So these are wrapped, for
the length of one fit, by something that remembers it.
"""

from functools import wraps


def watch_callbacks(context):
    """Wrap the callbacks of `context` that propagate.

    Parameters
    ----------
    context : CallbackContext
        The place of one fit in the tree of tasks; its list of callbacks is replaced.

    Returns
    -------
    watchers : list
        Each has ``stop``, True once its callback has answered so at the end of the
        task of `context`.
    """
    watchers = {
        id(callback): _Watcher(callback, context)
        for callback in context._callbacks
        if hasattr(callback, "max_propagation_depth")
    }
    context._callbacks = [
        watchers.get(id(callback), callback) for callback in context._callbacks
    ]
    return list(watchers.values())


class _Watcher:
    """A callback that does what another one does, and remembers if it said stop."""

    def __init__(self, callback, watched):
        self.stop = False
        self._callback = callback
        # scikit-learn reads the signatures of these, and looks for them statically.
        self.setup = callback.setup
        self.teardown = callback.teardown
        self.max_propagation_depth = callback.max_propagation_depth
        self.on_fit_task_begin = callback.on_fit_task_begin

        @wraps(callback.on_fit_task_end)
        def on_fit_task_end(estimator, context, **kwargs):
            answer = callback.on_fit_task_end(estimator, context, **kwargs)
            # The estimator's root task stands in the tree where ours does.
            if context.task_id == watched.task_id and context.parent is watched.parent:
                self.stop |= bool(answer)
            return answer

        self.on_fit_task_end = on_fit_task_end

    def __reduce__(self):
        # Elsewhere nobody asks it: what is sent there is the callback.
        return _same, (self._callback,)


def _same(callback):
    return callback
