"""scikit-learn's shipped tests, run from where it is installed, pass with our searches.

Each test of scikit-learn that reaches ``GridSearchCV`` or ``RandomizedSearchCV`` runs
twice, with scikit-learn's classes and with ours under their names (`substitute.py`);
what passes for theirs has to pass for ours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

import skhpo

pytestmark = pytest.mark.shipped

HERE = Path(__file__).parent
SKLEARN = Path(sklearn.__file__).parent

# Tests that cannot apply to ours, and why.
EXCLUDED = {
    "sklearn/model_selection/tests/test_search.py::test_custom_run_search": (
        "asks of a search that is not ours for every public attribute that ours has, "
        "those included that only ours have (n_candidates_, stop_reason_, ...)"
    ),
}

# Tests of the random search that ask for its sequence of candidates, or for what holds
# of it only, and so not of BayesSearch.
OF_THE_SEQUENCE = {
    f"sklearn/model_selection/tests/test_search.py::{name}"
    for name in (
        "test_custom_run_search",
        "test_search_cv_timing",
        "test_search_default_iid[RandomizedSearchCV-specialized_params1]",
        "test_search_with_2d_array",
    )
}

# scikit-learn 1.6 ships 619 tests that count, 1.9 more; far fewer means that the plugin
# no longer finds them.
AT_LEAST = 600


class Run:
    """A pytest process over the shipped tests with one set of search classes."""

    def __init__(self, classes, folder, arguments):
        self._outcomes = folder / f"{classes}.json"
        self._log = folder / f"{classes}.log"
        ini = folder / "pytest.ini"
        ini.write_text("[pytest]\n")
        path = [str(HERE), str(Path(skhpo.__file__).parents[1]), *sys.path]
        one_thread = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {
            **os.environ,
            **dict.fromkeys(one_thread, "1"),
            "PYTHONPATH": os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")]),
            "SCIPY_ARRAY_API": "1",
        }
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        command += ["-p", "substitute", "--search-classes", classes]
        command += ["--outcomes", self._outcomes, "-c", ini]
        command += ["--rootdir", SKLEARN.parent, *arguments]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                list(map(str, command)),
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def result(self, timeout=600):
        """Wait for the process; give outcome and reason of each test."""
        status = self._process.wait(timeout)
        log = self._log.read_text(encoding="utf8", errors="replace")
        # 0: all passed, 1: some failed; anything else is a crash or an empty run.
        assert status in (0, 1), f"pytest ended with {status}:\n{log[-5000:]}"
        content = json.loads(self._outcomes.read_text(encoding="utf8"))
        assert content["exitstatus"] == status, log[-5000:]
        return content["outcomes"], content["reasons"]

    def end(self):
        """End the process, should it still run."""
        self._process.kill()
        self._process.wait()


def side_by_side(classes, folder, arguments):
    """Run with scikit-learn's classes and with others, both at a time."""
    runs = [Run(each, folder, arguments) for each in ("sklearn", classes)]
    try:
        return [run.result() for run in runs]
    finally:
        for run in runs:
            run.end()


def differences(theirs, ours):
    """List the tests that end worse with our classes than with scikit-learn's."""
    tests = [test for test in {**theirs, **ours} if test not in EXCLUDED]
    ends = {
        test: (theirs.get(test, "missing"), ours.get(test, "missing")) for test in tests
    }
    return [
        f"{test}: {their} for scikit-learn, {our} for ours"
        for test, (their, our) in ends.items()
        if "missing" in (their, our)
        or (our != their and our not in ("passed", "xpassed"))
    ]


def test_what_passes_for_scikit_learn_passes_for_ours(tmp_path):
    (theirs, _), (ours, reasons) = side_by_side("skhpo", tmp_path, [SKLEARN])
    for test in EXCLUDED:
        assert theirs[test] == "passed" != ours[test], f"{test} need not be excluded"
    worse = differences(theirs, ours)
    why = [f"{test}\n{why}" for test, why in reasons.items() if ours[test] == "failed"]
    assert not worse, "\n\n".join(["\n".join(worse), *why])
    n_compared = sum(theirs[test] == ours[test] == "passed" for test in theirs)
    assert n_compared >= AT_LEAST


def test_what_is_not_about_random_candidates_passes_for_bayes_search(tmp_path):
    files = [SKLEARN / "model_selection/tests/test_search.py"]
    (theirs, _), (ours, _) = side_by_side("bayes", tmp_path, files)
    worse = {
        test
        for test, outcome in theirs.items()
        if outcome == "passed" and ours.get(test) != "passed"
    }
    assert worse <= OF_THE_SEQUENCE
    n_compared = sum(theirs[test] == ours[test] == "passed" for test in theirs)
    assert n_compared >= 100


def test_a_search_without_std_is_found_out(tmp_path):
    files = [SKLEARN / "model_selection/tests/test_search.py", "-k", "cv_results"]
    (theirs, _), (ours, _) = side_by_side("forgetful", tmp_path, files)
    worse = "\n".join(differences(theirs, ours))
    assert "test_grid_search_cv_results: passed for scikit-learn, failed" in worse
    assert "test_random_search_cv_results: passed for scikit-learn, failed" in worse


def test_a_run_that_collects_nothing_is_no_success(tmp_path):
    files = [SKLEARN / "model_selection/tests/test_search.py", "-k", "no_such_test"]
    with pytest.raises(AssertionError, match="pytest ended with 5"):
        side_by_side("skhpo", tmp_path, files)


@pytest.mark.parametrize(
    "ours", [{}, {"a": "failed"}, {"a": "skipped"}, {"a": "passed", "b": "passed"}]
)
def test_a_missing_failing_skipped_or_additional_test_is_a_difference(ours):
    assert differences({"a": "passed"}, ours)
    assert not differences({"a": "passed"}, {"a": "passed"})
