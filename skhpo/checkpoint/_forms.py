"""What the canonical forms of values are made of."""


class NoFormError(Exception):
    """Say why a value has no canonical form; no sentence, it follows its name."""


class Bag:
    """Parts whose order does not count.

    Parameters
    ----------
    parts : list of (step, object)
        How to get there, for messages, and what is there.
    """

    __slots__ = ("parts",)

    def __init__(self, parts):
        self.parts = parts


class Pair:
    """A key and its value, in a bag.

    Parameters
    ----------
    key, value : object
        Anything.
    """

    __slots__ = ("key", "value")

    def __init__(self, key, value):
        self.key = key
        self.value = value


def class_name(cls):
    """Give the qualified name of a class, with its module."""
    return f"{cls.__module__}.{cls.__qualname__}"


def packages(value):
    """Collect the packages that the class of a value and its bases come from.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    set of str
        Names of packages.
    """
    names = (getattr(cls, "__module__", None) for cls in type(value).__mro__)
    return {name.partition(".")[0] for name in names if isinstance(name, str)}
