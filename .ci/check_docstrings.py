"""Check the docstrings of all public names with numpydoc.

Public is what skhpo and the files and folders directly in it offer, those with a
leading underscore left out: the names in ``__all__`` or, without one, what is defined
there; and the public methods and properties of such classes. Which checks count is said
in ``[tool.numpydoc_validation]`` of pyproject.toml; that modules have a docstring is
checked by ruff. Run from the root of the repository.
"""

import importlib
import inspect
import pkgutil
import sys
import tomllib
from pathlib import Path

from numpydoc.validate import ERROR_MSGS, validate

import skhpo


def public_modules():
    """Yield skhpo and the modules directly in it, without the private ones."""
    yield skhpo
    for info in pkgutil.iter_modules(skhpo.__path__, "skhpo."):
        if "._" not in info.name:
            yield importlib.import_module(info.name)


def public_names(module):
    """Yield the dotted names of what ``module`` offers."""
    own = [name for name, value in vars(module).items() if is_ours(value, module)]
    for name in getattr(module, "__all__", own):
        value = getattr(module, name)
        if name.startswith("_") or not callable(value):
            continue
        if module is not skhpo and vars(skhpo).get(name) is value:
            continue  # already checked
        yield f"{module.__name__}.{name}"
        if isinstance(value, type):
            for member in sorted(public_members(value)):
                yield f"{module.__name__}.{name}.{member}"


def is_ours(value, module):
    """Tell whether ``module`` defines ``value``."""
    return getattr(value, "__module__", None) == module.__name__


def public_members(cls):
    """Collect the names of methods and properties that skhpo defines."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("skhpo")
        for name, value in vars(base).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
    }


def checks():
    """Read the codes of the checks that count."""
    with Path("pyproject.toml").open("rb") as file:
        listed = set(tomllib.load(file)["tool"]["numpydoc_validation"]["checks"])
    return set(ERROR_MSGS) - listed if "all" in listed else listed


def main():
    """Print every finding; answer with the number of findings."""
    codes = checks()
    names = [name for module in public_modules() for name in public_names(module)]
    findings = [
        f"{name}: {code} {message}"
        for name in names
        for code, message in validate(name)["errors"]
        if code in codes
    ]
    print(*findings, f"{len(names)} docstrings, {len(findings)} findings", sep="\n")
    return len(findings)


if __name__ == "__main__":
    sys.exit(main() > 0)
