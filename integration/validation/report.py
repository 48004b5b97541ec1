"""The table of a run."""

from collections import Counter
from dataclasses import dataclass

import expected
import tap

# Who fails, for the reader.
WHO = {"ours": "**dunnage alone**", expected.REFERENCE: "runc alone", expected.BOTH: "both"}


@dataclass
class Row:
    """One test, by both runtimes."""

    test: str
    ours: list[tap.Check]
    reference: list[tap.Check]
    recorded: expected.Test | None

    def failing(self) -> dict[str, str]:
        """What fails -> with whom. Checks of the same name are counted; one that only one of the two has made, the other has
        not passed."""
        made = [Counter(check.name for check in checks) for checks in (self.ours, self.reference)]
        passed = [Counter(check.name for check in checks if check.passed) for checks in (self.ours, self.reference)]
        found = {}
        for name in dict.fromkeys(check.name for check in self.reference + self.ours):
            ours, reference = (max(made[0][name], made[1][name]) - of[name] for of in passed)
            if ours > reference:
                found[name] = "ours"
            elif ours:
                found[name] = expected.BOTH
            elif reference:
                found[name] = expected.REFERENCE
        return found


def cell(checks: list[tap.Check]) -> str:
    failed = sum(not check.passed for check in checks)
    skipped = sum(check.skipped for check in checks)
    words = [f"{len(checks) - failed - skipped} pass"]
    if failed:
        words.append(f"{failed} fail")
    if skipped:
        words.append(f"{skipped} not asked")
    return ", ".join(words)


def reasons(row: Row) -> list[str]:
    """Why what fails fails; what has one reason is told once."""
    told: dict[tuple[str, str], list[str]] = {}
    for check, who in row.failing().items():
        known = row.recorded.failure(check) if row.recorded else None
        told.setdefault((who, known.reason if known else "**no reason recorded**"), []).append(check)
    lines = []
    for (who, reason), checks in told.items():
        names = "; ".join(checks) if len(checks) < 4 else f"{len(checks)} checks"
        lines.append(f"{WHO[who]}: {names}: {reason}".replace("|", "\\|"))
    return lines


def table(rows: list[Row]) -> list[str]:
    lines = ["| test | dunnage | runc | what fails, and why |", "|---|---|---|---|"]
    lines += [f"| {row.test} | {cell(row.ours)} | {cell(row.reference)} | {'<br>'.join(reasons(row))} |" for row in rows]
    return lines


def page(rows: list[Row], suite: str, versions: list[str]) -> str:
    """docs/validation.md."""
    checks = sum(len(row.ours) for row in rows)
    failing = [who for row in rows for who in row.failing().values()]
    alone = [row.test for row in rows if expected.REFERENCE in row.failing().values()]
    nothing = "nothing" if "ours" not in failing else "**something**"
    text = f"""# The OCI's validation suite

Written by `make validation`, which builds the suite of runtime-tools {suite} from Debian's source package and runs each of its
{len(rows)} tests against two runtimes, {versions[0]} and {versions[1]}: {checks} checks. Of what runc passes, {nothing} fails with dunnage.
Tests of which runc alone fails something: {", ".join(alone) or "none"}. The rest fails with both, most because the suite is older than the
kernel or the specification.

The run fails if a check that runc passes fails with dunnage, if one fails that has no reason in
`integration/validation/expected.txt`, if a failure that is listed there has gone away, and if there are fewer tests or
checks than listed. Two tests race with their own containers and are made to wait (`integration/validation/build.sh`). "Not asked" is
what the suite itself skips: fields that the test's configuration does not have. "Ends well" is the exit status of the test.

"""
    return text + "\n".join(table(rows)) + "\n"
