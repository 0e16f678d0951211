"""The lines that are printed for each fit, scikit-learn's word for word.

But where a fit sees some of the samples only, which scikit-learn's do not say.
"""

from joblib.logger import short_format_time


def _progress(evaluator, unit):
    message = ""
    if evaluator.verbose > 2:
        message = f" {unit.split + 1}/{len(evaluator.splits.indices)}"
        if evaluator.verbose > 9:
            message += f"; {unit.number + 1}/{evaluator.n_candidates or '?'}"
    return message


def _params_text(unit):
    texts = [f"{name}={unit.params[name]}" for name in sorted(unit.params)]
    if unit.fraction < 1:
        texts.append(f"{unit.fraction:.3g} of the samples")
    return ", ".join(texts)


def start_line(evaluator, unit):
    """Write what stands before a fit, from ``verbose=10`` on."""
    line = f"[CV{_progress(evaluator, unit)}] START {_params_text(unit)}"
    return f"{line}{(80 - len(line)) * '.'}"


def end_line(evaluator, unit, result):
    """Write what stands behind a fit, from ``verbose=2`` on."""
    params = _params_text(unit)
    text = params + (";" if params else "")
    if evaluator.verbose > 2:
        train, test = result.train_scores, result.test_scores
        if isinstance(test, dict):
            for name in sorted(test):
                text += f" {name}: ("
                if train is not None:
                    text += f"train={train[name]:.3f}, "
                text += f"test={test[name]:.3f})"
        elif train is not None:
            text += f", score=(train={train:.3f}, test={test:.3f})"
        else:
            text += f", score={test:.3f}"
    text += f" total time={short_format_time(result.fit_time + result.score_time)}"
    head = f"[CV{_progress(evaluator, unit)}] END "
    return head + "." * (80 - len(head) - len(text)) + text
