"""The list of cases: which callers each is for."""

import collections

Case = collections.namedtuple("Case", "name callers function applies limit")
CASES = []
# All that have `run`, `exec` and so on in the same words.
ENGINES = ("podman", "podman-rootless", "podman-systemd", "docker")
# What is tried through the user's systemd, where each command is a service: one of each kind.
USER = ("life", "exec_status", "pause", "logs", "run_exit_status", "run_user", "run_volumes", "pod", "init_then_start")


def case(*callers, applies=None, limit=60):
    """Registers a case for these callers. APPLIES: a function of the caller that says whether it has such a thing; LIMIT: seconds."""

    def register(function):
        names = (*(callers or ENGINES), *(("podman-user",) if function.__name__ in USER else ()))
        CASES.append(Case(function.__name__, names, function, applies, limit))
        return function

    return register
