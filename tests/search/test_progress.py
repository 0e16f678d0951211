"""The progress line: what it says, when, and that it harms nobody."""

import io
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

import skhpo
from skhpo import GridSearch, RandomSearch
from skhpo._search.progress import PLAIN_SECONDS, REDRAW_SECONDS, Progress
from skhpo.trial import Candidate, SplitResult, Trial

X, y = load_iris(return_X_y=True)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    """Shows what a terminal would."""

    def isatty(self):
        return True

    @property
    def screen(self):
        lines = []
        for written in self.getvalue().split("\n"):
            shown = ""
            for state in written.split("\r"):
                shown = state + shown[len(state) :]
            lines.append(shown)
        return lines


def trial(number, *scores, errors=0, group=None, params=None):
    splits = [
        SplitResult(score, None, 0.1, 0.1, "error" if i < errors else None)
        for i, score in enumerate(scores)
    ]
    params = {"a": number} if params is None else params
    group = number if group is None else group
    return Trial(number, Candidate(params), tuple(splits), group)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def on_terminal(clock, n_candidates=10, **options):
    terminal = Terminal()
    progress = Progress(1, n_candidates, stream=terminal, clock=clock, **options)
    return progress, terminal


def test_the_line_says_how_far_the_search_is_and_what_is_best(clock):
    progress, terminal = on_terminal(clock)
    for number, score in enumerate([0.5, 0.75, 0.25, 0.625]):
        clock.now += 10
        progress.update(trial(number, score, score))
    assert terminal.screen == [
        "4/10 candidates, 40 s elapsed, 1 min 00 s left, best score 0.75 with {'a': 1}"
    ]


def test_the_line_is_shown_at_once_where_writing_is_buffered(clock):
    class Raw(io.BytesIO):
        def isatty(self):
            return True

    raw = Raw()
    stream = io.TextIOWrapper(io.BufferedWriter(raw))
    progress = Progress(1, 2, stream=stream, clock=clock)
    progress.update(trial(0, 0.5, 0.5))
    assert raw.getvalue().startswith(b"\r1/2 candidates")


def test_closing_ends_the_line_once(clock):
    progress, terminal = on_terminal(clock, n_candidates=1)
    clock.now += 2
    progress.update(trial(0, 0.5, 0.75))
    progress.close("all candidates evaluated")
    progress.close()
    progress.update(trial(1, 1.0, 1.0))
    assert terminal.screen == [
        "1/1 candidates, 2.0 s elapsed, best score 0.625 with {'a': 0}"
        + " " * len("0.0 s left, "),
        "",
    ]


def test_the_reason_of_an_early_end_is_shown(clock):
    progress, terminal = on_terminal(clock)
    progress.update(trial(0, 0.5, 0.5))
    progress.close("stopped by a callback")
    assert terminal.screen[0].startswith("1/10 candidates (stopped by a callback), ")


def test_an_error_ends_the_line_too(clock):
    progress, terminal = on_terminal(clock)
    with pytest.raises(KeyboardInterrupt), progress:
        progress.update(trial(0, 0.5, 0.5))
        raise KeyboardInterrupt
    assert len(terminal.screen) == 2 and terminal.screen[1] == ""


def test_the_line_is_drawn_at_most_ten_times_a_second_and_ends_up_to_date(clock):
    progress, terminal = on_terminal(clock, n_candidates=1000)
    for number in range(1000):
        progress.update(trial(number, 0.5, 0.5))
        clock.now += 1 / 256
    n_drawn = terminal.getvalue().count("\r")
    assert n_drawn == pytest.approx(1000 / 256 / REDRAW_SECONDS, abs=2)
    progress.close()
    assert terminal.screen[0].startswith("1000/1000 ")


@pytest.mark.parametrize("columns", [1, 2, 5, 20, 40, 80])
def test_the_line_stays_within_the_terminal_and_a_shorter_one_leaves_no_rest(
    clock, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    progress, terminal = on_terminal(clock, n_candidates=None)
    lengths = []
    for number, params in enumerate([{"a": "x" * 500}, {"a": 0}]):
        clock.now += 1
        progress.update(trial(number, number, number, params=params))
        lengths.append(len(terminal.screen[0]))
    assert max(lengths) <= max(columns - 1, 1)
    shown = terminal.screen[0].rstrip()
    assert shown.startswith("2 candidates"[: max(columns - 4, 0)])
    if columns == 80:
        assert shown.endswith("best score 1 with {'a': 0}")


@pytest.mark.parametrize("columns", [30])
def test_the_last_state_is_shown_whole(clock, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    progress, terminal = on_terminal(clock)
    progress.update(trial(0, 0.5, 0.5))
    progress.close()
    assert terminal.screen[0].rstrip().endswith("with {'a': 0}")


@pytest.mark.parametrize("verbose, stream", [(1, io.StringIO), (2, Terminal)])
def test_whole_lines_come_every_ten_seconds_and_at_the_end(clock, verbose, stream):
    stream = stream()
    progress = Progress(verbose, 100, stream=stream, clock=clock)
    for number in range(50):
        clock.now += 1
        progress.update(trial(number, number, number))
    assert "\r" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 50 / PLAIN_SECONDS
    progress.close()
    lines = stream.getvalue().split("\n")
    assert lines[0] == (
        "10/100 candidates, 10 s elapsed, 1 min 30 s left, best score 9 with {'a': 9}"
    )
    assert lines[-2:] == [
        "50/100 candidates, 50 s elapsed, best score 49 with {'a': 49}",
        "",
    ]


def test_a_short_search_prints_one_line_in_a_file(clock):
    stream = io.StringIO()
    with Progress(1, 3, stream=stream, clock=clock) as progress:
        for number in range(3):
            progress.update(trial(number, 0.5, 0.5))
    assert stream.getvalue().count("\n") == 1


def test_a_notebook_has_a_line_that_is_overwritten(clock, monkeypatch):
    class OutStream(io.StringIO):
        pass

    iostream = types.ModuleType("ipykernel.iostream")
    iostream.OutStream = OutStream
    monkeypatch.setitem(sys.modules, "ipykernel.iostream", iostream)
    stream = OutStream()
    progress = Progress(1, 2, stream=stream, clock=clock)
    progress.update(trial(0, 0.5, 0.5))
    assert stream.getvalue().startswith("\r1/2 candidates")


def test_failed_fits_are_counted(clock):
    progress, terminal = on_terminal(clock)
    progress.update(trial(0, np.nan, 0.5, 0.5, errors=1))
    clock.now += 1
    progress.update(trial(1, np.nan, np.nan, np.nan, errors=3))
    assert ", 4 of 6 fits failed, " in terminal.screen[0]
    assert "best" not in terminal.screen[0]


@pytest.mark.parametrize(
    "metric, shown",
    [
        (None, "best acc 0.75 with {'a': 1}"),
        ("acc", "best acc 0.75 with {'a': 1}"),
        ("r2", "best r2 0.5 with {'a': 0}"),
    ],
)
def test_the_metric_that_decides_is_shown(clock, metric, shown):
    progress, terminal = on_terminal(clock, metric=metric)
    progress.update(trial(0, {"acc": 0.5, "r2": 0.5}))
    clock.now += 1
    progress.update(trial(1, {"acc": 0.75, "r2": 0.25}))
    clock.now += 1
    progress.update(trial(2, np.nan, errors=1))
    assert terminal.screen[0].endswith(shown)


@pytest.mark.parametrize(
    "scores, shown",
    [
        ([-np.inf, np.nan], "best score -inf with {'a': 0}"),
        ([np.nan, -1.0], "best score -1 with {'a': 1}"),
        ([0.5, np.inf], "best score inf with {'a': 1}"),
        ([0.5, 0.5], "best score 0.5 with {'a': 0}"),
        ([None, "good", 10**400, np.float32(0.5)], "best score 0.5 with {'a': 3}"),
    ],
)
def test_odd_scores_harm_nothing(clock, scores, shown):
    progress, terminal = on_terminal(clock)
    for number, score in enumerate(scores):
        clock.now += 1
        progress.update(trial(number, score, score))
    assert terminal.screen[0].endswith(shown)


class Odd:
    def __init__(self, text):
        self.text = text

    def __repr__(self):
        if self.text is None:
            raise RuntimeError("no repr")
        return self.text


@pytest.mark.parametrize(
    "value", ["\u03b1\U0001f600", Odd("\x1b[2J\x07"), Odd("a\nb\r\tc"), Odd(None)]
)
def test_only_plain_characters_of_one_line_are_written(clock, value):
    progress, terminal = on_terminal(clock)
    progress.update(trial(0, 0.5, 0.5, params={"a": value}))
    written = terminal.getvalue()
    assert written.startswith("\r1/10") and "{'a': " in written
    assert written[1:].isascii() and written[1:].isprintable()


class Broken:
    """Has no isatty, and cannot be written to."""

    def write(self, text):
        raise OSError("gone")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [Broken(), closed(), object()])
def test_a_stream_that_fails_does_not_end_the_search(stream):
    with pytest.raises((OSError, ValueError, AttributeError)):
        stream.write("")
    progress = Progress(1, 2, stream=stream)
    progress.update(trial(0, 0.5, 0.5))
    progress.close()


def test_stdout_is_looked_up_when_it_is_used(monkeypatch):
    progress = Progress(1, 1)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    progress.update(trial(0, 0.5, 0.5))
    progress.close()
    assert sys.stdout.getvalue().startswith("1/1 candidates")
    monkeypatch.setattr(sys, "stdout", None)
    Progress(1, 1).close()


def test_a_silent_search_does_not_look_at_its_trials():
    progress = Progress(0, 1, stream=None, clock=None)
    progress.update(None)
    progress.close()


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("n_candidates", [1, 7])
def test_a_search_shows_its_progress_below_the_line_of_scikit_learn(
    capsys, n_jobs, n_candidates
):
    grid = {"C": [float(c) for c in range(1, n_candidates + 1)]}
    search = GridSearch(SVC(), grid, verbose=1, n_jobs=n_jobs, cv=3).fit(X, y)
    plan, line = capsys.readouterr().out.splitlines()
    assert plan == (
        f"Fitting 3 folds for each of {n_candidates} candidates, "
        f"totalling {3 * n_candidates} fits"
    )
    assert line.startswith(f"{n_candidates}/{n_candidates} candidates, ")
    best = f"best score {search.best_score_:.4g} with {search.best_params_}"
    assert line.endswith(best)


def test_the_metric_of_refit_is_the_one_of_the_line(capsys):
    search = RandomSearch(SVC(), {"C": [1, 10]}, n_iter=2, verbose=1, random_state=0)
    search.set_params(scoring=["accuracy", "f1_macro"], refit="f1_macro").fit(X, y)
    best = f"best f1_macro {search.best_score_:.4g} with {search.best_params_}\n"
    assert capsys.readouterr().out.endswith(best)


def test_a_silent_search_prints_nothing(capsys):
    GridSearch(SVC(), {"C": [1, 10]}).fit(X, y)
    assert capsys.readouterr() == ("", "")


def test_an_error_of_a_search_ends_the_line(capsys):
    grid = {"C": [1.0, -1.0]}
    search = GridSearch(SVC(), grid, verbose=1, error_score="raise")
    with pytest.raises(ValueError):
        search.fit(X, y)
    _, line = capsys.readouterr().out.splitlines(keepends=True)
    assert line.startswith("1/2 candidates, ")
    assert line.endswith("best score 0.9667 with {'C': 1.0}\n")


PROGRAM = """
import time
from sklearn.datasets import load_iris
from sklearn.svm import SVC
from skhpo import GridSearch

class Slow(SVC):
    def fit(self, X, y):
        time.sleep(0.03)
        return super().fit(X, y)

X, y = load_iris(return_X_y=True)
GridSearch(Slow(), {"C": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, verbose=1, cv=2).fit(X, y)
print("next")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_a_real_terminal_shows_one_line_that_is_overwritten():
    import pty

    parent, child = pty.openpty()
    root = str(Path(skhpo.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=child,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    os.close(child)
    written = b""
    # The end of the terminal is an error on Linux.
    try:
        while chunk := os.read(parent, 4096):
            written += chunk
    except OSError:
        pass
    os.close(parent)
    assert process.communicate()[1] == b""
    assert process.returncode == 0
    plan, line, last, rest = written.decode("ascii").split("\r\n")
    assert plan.startswith("Fitting 2 folds for each of 6 candidates")
    states = line.split("\r")[1:]
    assert states[0].startswith("1/6 candidates, ")
    assert states[-1].startswith("6/6 candidates, ")
    assert 3 <= len(states) <= 7
    assert (last, rest) == ("next", "")


def test_what_was_recalled_says_nothing_of_the_time_left(clock):
    stream = io.StringIO()
    with Progress(1, 10, stream=stream, clock=clock) as progress:
        for number in range(6):
            progress.update(trial(number, 0.5, 0.5), recalled=True)
        clock.now += 30
        progress.update(trial(6, 0.5, 0.5))
        line = stream.getvalue().splitlines()[-1]
        assert "7/10 candidates" in line and "1 min 30 s left" in line


def test_the_highest_score_is_not_shown_where_it_does_not_decide(clock):
    stream = io.StringIO()
    with Progress(1, 10, stream=stream, clock=clock, shows_best=False) as progress:
        progress.update(trial(0, 0.5, 0.5))
    assert "candidates" in stream.getvalue() and "best" not in stream.getvalue()
