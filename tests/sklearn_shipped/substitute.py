"""Let scikit-learn's own tests meet our searches under scikit-learn's names.

A pytest plugin (``-p substitute``). Before any of scikit-learn's conftest or test
modules is imported, it replaces ``GridSearchCV`` and ``RandomizedSearchCV`` throughout
scikit-learn by subclasses of ours with those names. It keeps the tests that reach one
of the two names, and writes down how each ended.
"""

import ast
import inspect
import json
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from sklearn import model_selection

import skhpo

NAMES = ("GridSearchCV", "RandomizedSearchCV")
ORIGINALS = {name: getattr(model_selection, name) for name in NAMES}
# Not the halving searches; with the number that pytest may append to an id.
MENTION = re.compile(rf"(?<![A-Za-z])({'|'.join(NAMES)})(?![A-Za-z])")

# Modules of scikit-learn's tests that go over every class it finds.
GENERATORS = re.compile(r"\b(all_estimators|_tested_estimators)\b")


# These are found under their names in this module, so that a loky worker unpickles
# ours and not scikit-learn's.
class GridSearchCV(skhpo.GridSearch):
    __doc__ = skhpo.GridSearch.__doc__


class RandomizedSearchCV(skhpo.RandomSearch):
    __doc__ = skhpo.RandomSearch.__doc__


class Bayes:
    """BayesSearch in the place of the random search."""

    GridSearchCV = GridSearchCV

    class RandomizedSearchCV(skhpo.BayesSearch):
        __doc__ = skhpo.BayesSearch.__doc__


class Forgetful:
    """The negative control: searches that forget the spread over the splits."""

    class GridSearchCV(GridSearchCV):
        def fit(self, X, y=None, **params):
            return forget_std(super().fit(X, y, **params))

    class RandomizedSearchCV(RandomizedSearchCV):
        def fit(self, X, y=None, **params):
            return forget_std(super().fit(X, y, **params))


def forget_std(search):
    for key in [key for key in search.cv_results_ if key.startswith("std_")]:
        del search.cv_results_[key]
    return search


SUBSTITUTES = {
    "sklearn": ORIGINALS,
    "skhpo": {name: globals()[name] for name in NAMES},
    "bayes": {name: getattr(Bayes, name) for name in NAMES},
    "forgetful": {name: getattr(Forgetful, name) for name in NAMES},
}


def pytest_addoption(parser):
    group = parser.getgroup("substitute")
    group.addoption("--search-classes", choices=SUBSTITUTES, required=True)
    group.addoption("--outcomes", required=True, help="a JSON file, to be written")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    classes = SUBSTITUTES[early_config.known_args_namespace.search_classes]
    for module, attribute, original in globals_with_originals():
        setattr(module, attribute, classes[original.__name__])


def globals_with_originals():
    """Find the globals of scikit-learn that hold one of its own two classes."""
    originals = set(map(id, ORIGINALS.values()))
    return [
        (module, attribute, value)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "sklearn"
        for attribute, value in list(vars(module).items())
        if id(value) in originals
    ]


def pytest_ignore_collect(collection_path):
    """Leave out files that neither name a search nor go over every class."""
    if collection_path.is_file() and collection_path.name.startswith("test_"):
        source = collection_path.read_text(encoding="utf8")
        if not (MENTION.search(source) or GENERATORS.search(source)):
            return True
    return None


def pytest_configure(config):
    config.pluginmanager.register(Recorder(config), "substitute-recorder")


class Recorder:
    """Keep the tests that concern the searches, and record how they end."""

    def __init__(self, config):
        self._classes = config.option.search_classes
        self._path = Path(config.option.outcomes)
        self._outcomes = {}
        self._reasons = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        if self._classes != "sklearn" and (left := globals_with_originals()):
            raise pytest.UsageError(f"not substituted: {left}")
        kept = [item for item in items if concerns_search(item)]
        config.hook.pytest_deselected(items=[i for i in items if i not in set(kept)])
        items[:] = kept
        twice = [k for k, n in Counter(i.nodeid for i in items).items() if n > 1]
        if twice:
            raise pytest.UsageError(f"several tests with one id: {twice}")

    def pytest_collectreport(self, report):
        if report.outcome != "passed":
            self._note(f"collecting {report.nodeid}", report)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self._note(report.nodeid, report)

    def _note(self, nodeid, report):
        # What went wrong first counts: a failing teardown does not undo a failing
        # call, and a passing call does not undo a failing set-up.
        if self._outcomes.get(nodeid) != "failed":
            outcome = report.outcome
            if hasattr(report, "wasxfail"):
                outcome = "xpassed" if outcome == "passed" else "xfailed"
            self._outcomes[nodeid] = outcome
            self._reasons[nodeid] = report.longreprtext

    def pytest_sessionfinish(self, exitstatus):
        content = {
            "exitstatus": int(exitstatus),
            "outcomes": self._outcomes,
            "reasons": {k: v for k, v in self._reasons.items() if v},
        }
        self._path.write_text(json.dumps(content), encoding="utf8")


def concerns_search(item):
    """Whether a test can reach one of the two names."""
    if item.path.name == "test_search.py" or MENTION.search(item.name):
        return True
    name = item.cls.__name__ if item.cls else item.originalname
    in_body, in_decorators = definitions_that_reach_search(item.module)
    if name in in_body:
        return True
    return name in in_decorators and holds_search(item.callspec.params)


def holds_search(value):
    """Whether a test's parameter is, contains, or may make, one of the searches."""
    if isinstance(value, dict):
        return any(map(holds_search, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_search, value))
    if isinstance(value, type):
        return value.__name__ in NAMES
    if hasattr(value, "get_params"):
        return holds_search(type(value)) or holds_search(value.get_params(deep=False))
    return callable(value)


@cache
def definitions_that_reach_search(module):
    """Name a module's top-level definitions that lead to a search class.

    A definition leads there when a name in it is that of a search, of such a
    definition, or (an argument) of such a fixture.

    Returns
    -------
    in_body, in_decorators : set of str
        The definitions that do so in their body, and those that do in a decorator.
    """
    classes = {id(cls) for which in SUBSTITUTES.values() for cls in which.values()}
    in_body = {name for name, value in vars(module).items() if id(value) in classes}
    in_decorators = set()
    statements = [
        statement
        for statement in ast.parse(inspect.getsource(module)).body
        if not isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    grown = True
    while grown:
        before = len(in_body)
        for statement in statements:
            decorators = getattr(statement, "decorator_list", [])
            parts = [x for x in ast.iter_child_nodes(statement) if x not in decorators]
            if names_in(*parts) & in_body:
                in_body |= defined_by(statement)
            if names_in(*decorators) & in_body:
                in_decorators |= defined_by(statement)
        grown = len(in_body) > before
    return in_body, in_decorators


def defined_by(statement):
    """The names that a top-level statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    names = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def names_in(*nodes):
    """All names in some nodes, those of arguments included."""
    found = [child for node in nodes for child in ast.walk(node)]
    names = {node.id for node in found if isinstance(node, ast.Name)}
    return names | {node.arg for node in found if isinstance(node, ast.arg)}
