"""What is recorded in expected.txt of each test, and what is wrong with a result."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import report

BOTH, REFERENCE = "both", "runc"


@dataclass(frozen=True)
class Failure:
    """A check that fails with `who`; if `at_times`, on some hosts only."""

    who: str
    at_times: bool
    check: str
    reason: str

    def is_of(self, check: str) -> bool:
        """`*` at the end stands for the rest."""
        return check == self.check or (self.check.endswith("*") and check.startswith(self.check[:-1]))


@dataclass
class Test:
    ours: int
    reference: int
    failures: list[Failure] = field(default_factory=list)

    def failure(self, check: str) -> Failure | None:
        """What is recorded of a check. The first line that is of it counts."""
        return next((failure for failure in self.failures if failure.is_of(check)), None)


def read(path: Path) -> dict[str, Test]:
    tests: dict[str, Test] = {}
    last = None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        if not line[0].isspace():
            name, ours, *other = line.split()
            last = tests[name] = Test(int(ours), int(other[0] if other else ours))
            continue
        who, check, reason = (part.strip() for part in line.split(" | "))
        if who.rstrip("?") not in (BOTH, REFERENCE) or not reason or last is None:
            raise ValueError(f"{path}:{number}: {line.strip()}")
        last.failures.append(Failure(who.rstrip("?"), who.endswith("?"), check, reason))
    return tests


def faults(row: "report.Row") -> list[str]:
    """What does not hold of a test, in words."""
    found = []
    recorded = row.recorded
    if recorded is None:
        return [f"{row.test}: not recorded: {len(row.ours)} checks"]
    for who, checks, number in (("ours", row.ours, recorded.ours), ("runc", row.reference, recorded.reference)):
        if len(checks) < number:
            found.append(f"{row.test}: {len(checks)} checks by {who}, recorded are {number}")
    seen = set()
    for check, who in row.failing().items():
        known = recorded.failure(check)
        if who == "ours":
            found.append(f"{row.test}: fails with ours alone: {check}")
        elif known is None:
            found.append(f"{row.test}: fails ({who}), and has no reason: {check}")
        elif known.who != who:
            found.append(f"{row.test}: is recorded as failing ({known.who}), and fails ({who}): {check}")
        seen.add(known)
    found += [f"{row.test}: is recorded as failing ({known.who}), and passes: {known.check}"
              for known in recorded.failures if known not in seen and not known.at_times]
    return found
