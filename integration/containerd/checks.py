"""What a test says of what it sees, how long it may take, and which failures are known: for these tests and those of integration/callers.

Knows no daemon and no client.
"""

import fnmatch
import signal
import time


def eventually(condition, timeout=10, what="it"):
    """Waits until the condition holds; returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError(f"{what + ': ' if what else ''}got {got!r}, wanted {wanted!r}")


def contains(text, wanted):
    if wanted not in text:
        raise AssertionError(f"{wanted!r} is not in {text!r}")


class Differences:
    """Lines of differences.txt: `runtime | test | why`, with a question mark after the runtime for what fails only at times."""

    def __init__(self, path, runtime):
        self.known = []
        with open(path) as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    names, name, why = (part.strip() for part in line.split("|"))
                    for pattern in names.split():
                        if fnmatch.fnmatch(runtime, pattern.rstrip("?")):
                            self.known.append((name, pattern.endswith("?"), why))

    def of(self, test):
        """(whether it may pass, why) or None."""
        return next(((sometimes, why) for name, sometimes, why in self.known if fnmatch.fnmatch(test, name)), None)


class Alarm:
    """A time limit of the main thread."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        def ring(*_):
            raise TimeoutError(f"the test took more than {self.seconds} s")

        signal.signal(signal.SIGALRM, ring)
        signal.alarm(self.seconds)

    def __exit__(self, *_):
        signal.alarm(0)
