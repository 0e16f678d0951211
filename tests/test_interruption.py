"""Ctrl-C and other signals: what is done is kept, and no process stays behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from misbehaving import Misbehaving, is_alive, processes_of

from skhpo import BayesSearch, GridSearch, RandomSearch, Real
from skhpo._search.interruption import one_interruption

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")

X = np.random.default_rng(0).normal(size=(60, 3))
y = X[:, 0]

# A search of which the third candidate hangs.
SCRIPT = """
import json, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored
sys.path.insert(0, {folder!r})
from misbehaving import Misbehaving
from test_interruption import X, y
from skhpo import GridSearch

options, deed, log = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
grid = [
    {{"level": [0.0, 1.0]}},
    {{"level": [0.5], "deed": [deed]}},
    {{"level": [2.0, 3.0, 4.0], "deed": [deed]}},
]
search = GridSearch(Misbehaving(log=log), grid, cv=2, refit=False, **options)
try:
    search.fit(X, y)
except KeyboardInterrupt:
    # The second may come when the search is over, while the interpreter ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found = search.cv_results_["params"], search.best_params_, search.stop_reason_
    print(json.dumps(found), flush=True)
    raise
"""


def start(tmp_path, deed, **options):
    """Start the script, and wait until all its workers hang."""
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(options), deed, str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    n_workers = options.get("n_jobs") or 1
    end = time.monotonic() + 100
    while time.monotonic() < end:
        time.sleep(0.05)
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) == 4 + n_workers:
            break
    else:
        process.kill()
        pytest.fail(f"did not get there: {process.communicate()}")
    time.sleep(0.2)
    return process, log


def left_of(log):
    """Give processes some time to end; return those that did not."""
    end = time.monotonic() + 20
    while any(map(is_alive, processes_of(log))) and time.monotonic() < end:
        time.sleep(0.05)
    return [pid for pid in processes_of(log) if is_alive(pid)]


OPTIONS = [
    {},
    {"n_jobs": 2},
    {"fit_timeout": 1000},
    {"n_jobs": 2, "timeout": 1000},
]


@pytest.mark.slow
@pytest.mark.parametrize("n_times", [1, 2])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_complete_is_kept_and_the_interrupt_goes_on(tmp_path, options, n_times):
    process, log = start(tmp_path, "hang", **options)
    for _ in range(n_times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    # Behind it joblib may say that files were gone which it wanted to remove.
    assert "KeyboardInterrupt" in errors.splitlines()
    params = [{"level": 0.0}, {"level": 1.0}]
    assert json.loads(output) == [params, {"level": 1.0}, "interrupted"]
    assert left_of(log) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_no_process_outlives_the_search(tmp_path, options, name):
    deed = "hang_deaf" if "fit_timeout" in options else "hang"
    process, log = start(tmp_path, deed, **options)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, name)
    assert left_of(log) == []


@pytest.mark.slow
def test_what_a_fit_has_started_ends_with_it(tmp_path):
    process, log = start(tmp_path, "hang_with_child", fit_timeout=1000)
    (worker,) = processes_of(log) - {process.pid}
    children = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    assert children
    process.kill()
    process.communicate(timeout=60)
    assert left_of(log) == []
    end = time.monotonic() + 20
    while any(is_alive(int(pid)) for pid in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(is_alive(int(pid)) for pid in children)


FORKING = """
import os, sys, threading, time
sys.path.insert(0, {folder!r})
from misbehaving import Misbehaving
from test_interruption import X, y
from skhpo import GridSearch

def fork():
    time.sleep(1.0)
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print("forked", flush=True)

threading.Thread(target=fork).start()
base = Misbehaving(log=sys.argv[1], deed="hang")
GridSearch(base, {{"level": [0.0]}}, cv=2, fit_timeout=1000).fit(X, y)
"""


@pytest.mark.slow
def test_no_process_outlives_a_search_that_was_forked(tmp_path):
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(FORKING.format(folder=str(Path(__file__).parent)))
    process = subprocess.Popen(
        [sys.executable, str(script), str(log)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "forked\n"
        end = time.monotonic() + 60
        while not log.exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert left_of(log) == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the fork
        process.stdout.close()


class Interrupted(Misbehaving):
    """Be interrupted, as by Ctrl-C, in the fits of one level, or of all data."""

    def fit(self, X, y):
        if self.level == 2.0 or (self.where == "all" and len(X) == 60):
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_results_of_an_interrupted_search_are_those_of_its_complete_candidates():
    grid = {"level": [0.0, 1.0, 2.0, 3.0]}
    search = GridSearch(Interrupted(), grid, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    part = GridSearch(Misbehaving(), {"level": [0.0, 1.0]}, cv=3).fit(X, y)
    assert {*search.cv_results_} == {*part.cv_results_}
    for name, column in part.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(search.cv_results_[name], column)
    assert search.best_params_ == {"level": 1.0}
    assert search.best_score_ == part.best_score_
    assert search.stop_reason_ == "interrupted"
    assert not hasattr(search, "best_estimator_")


def test_results_are_there_when_the_last_fit_is_interrupted():
    search = GridSearch(Interrupted(where="all"), {"level": [0.0, 1.0]}, cv=3)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert search.best_params_ == {"level": 1.0}
    assert search.stop_reason_ == "all candidates evaluated"
    assert not hasattr(search, "best_estimator_")


def test_nothing_of_an_earlier_search_is_mixed_into_an_interrupted_one():
    search = GridSearch(Misbehaving(), {"level": [0.0, 1.0]}, cv=3).fit(X, y)
    search.set_params(estimator=Interrupted(), param_grid={"level": [2.0]})
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert [name for name in vars(search) if name.endswith("_")] == []


def test_an_interrupt_before_the_first_candidate_is_complete_leaves_nothing():
    search = RandomSearch(Interrupted(), {"level": [2.0]}, n_iter=1)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert not hasattr(search, "cv_results_")


def test_the_second_interrupt_waits_and_the_third_does_not():
    reached = []
    with one_interruption():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        reached.append("after the second")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_others_and_other_threads_are_left_alone():
    previous = signal.signal(signal.SIGINT, print)
    try:
        with one_interruption():
            assert signal.getsignal(signal.SIGINT) is print
    finally:
        signal.signal(signal.SIGINT, previous)
    errors = []

    def fit():
        try:
            GridSearch(Misbehaving(), {"level": [0.0]}).fit(X, y)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert errors == []


class Stopped(Misbehaving):
    """Get a SIGTERM in the fits of one level."""

    def fit(self, X, y):
        if self.level == 2.0:
            signal.raise_signal(signal.SIGTERM)
        return super().fit(X, y)


def test_a_program_that_exits_on_a_signal_exits_in_a_fit_too():
    def handle(number, frame):
        sys.exit(3)

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        search = GridSearch(Stopped(), {"level": [1.0, 2.0, 3.0]}, cv=2)
        with pytest.raises(SystemExit) as caught:
            search.fit(X, y)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert caught.value.code == 3
    assert search.cv_results_["params"] == [{"level": 1.0}]


def test_what_was_learnt_is_kept_too():
    space = {"level": Real(0.0, 1.9)}

    class Sudden(Misbehaving):
        n_left = 14

        def fit(self, X, y):
            Sudden.n_left -= 1
            if Sudden.n_left < 0:
                raise KeyboardInterrupt
            return super().fit(X, y)

    search = BayesSearch(Sudden(), space, n_iter=10, cv=2, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert search.n_candidates_ == 7
    assert np.isfinite(search.surrogate_.predict([{"level": 1.0}])).all()
