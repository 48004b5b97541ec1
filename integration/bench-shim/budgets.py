"""What we promised ourselves of the shim, and whether it holds. Each line is printed, held or missed."""

from meters import median

NEW = "new"
OURS, REFERENCE = "dunnage", "reference"


class Budget:
    """MEASURED against LIMIT, in UNIT; None is what was not measured. OF: where the limit comes from."""

    def __init__(self, what, measured, limit, unit, of=""):
        self.what, self.measured, self.limit, self.unit, self.of = what, measured, limit, unit, of

    @property
    def verdict(self):
        if self.measured is None or self.limit is None:
            return "not measured"
        return "holds" if self.measured <= self.limit else "**missed**"


def budgets(figures, counts):
    def ours(key):
        return median(figures.of(key, OURS, NEW))

    def absolute(what, key, limit, unit, of=""):
        return Budget(what, ours(key), limit, unit, of)

    def relative(what, key, factor, unit):
        theirs = median(figures.of(key, REFERENCE, NEW))
        limit = None if theirs is None else theirs * factor
        return Budget(what, ours(key), limit, unit, f"{factor} x {theirs:.2f}" if limit else "")

    grown = counts["growth"][OURS]
    pods, megabytes = counts["many"][NEW], counts["megabytes"]
    return [
        absolute("idle pod, pause and one container: PSS", "pod pss", 1024, "KiB"),
        absolute("idle pod: anonymous memory", "pod anon", 700, "KiB"),
        absolute("one container more: anonymous memory", "more anon", 30, "KiB"),
        absolute("idle pod: threads", "pod threads", 1, ""),
        absolute("descriptors a container", "more fds", 7, ""),
        relative(f"{pods} pods, start: CPU of all", "many start cpu", 0.35, "ms"),
        relative(f"{pods} pods, stop: CPU of all", "many stop cpu", 0.35, "ms"),
        relative("exec probe: CPU of all", "probe cpu", 0.25, "ms"),
        absolute("exec (Exec, Start, Wait, Delete), of the shim", "direct exec wall", 5, "ms"),
        absolute("`start`", "direct start wall", 3, "ms"),
        absolute("Connect, of the server", "Connect cpu", 50, "us"),
        absolute("State, of the server", "State cpu", 50, "us"),
        absolute("Stats, of the server", "Stats cpu", 200, "us"),
        absolute(f"growth after {grown} execs", "growth", 63.99, "KiB"),
        relative(f"{megabytes} MiB of output: CPU of the server", "output cpu", 1.0, "ms"),
    ]
