"""What a program said in the Test Anything Protocol, check by check."""

import re
from dataclasses import dataclass

# What differs from run to run: containers and bundles have random names.
UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
BUNDLE = re.compile(r"/tmp/\w+\d{4,}")
CHECK = re.compile(r"(ok|not ok)\b(?: (\d+))?(?: -)?\s*(.*?)(?:\s*#\s*(SKIP|TODO)\b\s*(.*))?$")
PLAN = re.compile(r"1\.\.(\d+)")


@dataclass(frozen=True)
class Check:
    """One line `ok` or `not ok`. Its number says nothing: the suite makes many of its checks in a random order."""

    name: str
    passed: bool
    skipped: bool = False


def parse(text: str, status: int) -> list[Check]:
    """The checks of a program that has printed this and ended so. How it ended is a check, too, and so is its plan: a test that
    ends early has fewer checks, and none of them fails."""
    checks: list[Check] = []
    plan = None
    for line in text.splitlines():
        if found := PLAN.fullmatch(line.strip()):
            plan = int(found[1])
        elif found := CHECK.match(line):
            word, _, description, directive, reason = found.groups()
            said = (description or reason or "").strip()
            said = BUNDLE.sub("BUNDLE", UUID.sub("ID", said))
            # A check that is known to fail, to the suite, is none.
            passed = word == "ok" or directive == "TODO"
            checks.append(Check(said, passed, directive is not None))
    if checks and plan is not None and plan != len(checks):
        checks.append(Check("the plan", False))
    checks.append(Check("ends well", status == 0))
    return checks
