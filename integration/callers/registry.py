"""The list of cases: which callers each is for."""

import collections

Case = collections.namedtuple("Case", "name callers function applies limit")
CASES = []
# All that have `run`, `exec` and so on in the same words.
ENGINES = ("podman", "podman-rootless", "docker")


def case(*callers, applies=None, limit=60):
    """Registers a case for these callers. APPLIES: a function of the caller that says whether it has such a thing; LIMIT: seconds."""

    def register(function):
        CASES.append(Case(function.__name__, callers or ENGINES, function, applies, limit))
        return function

    return register
