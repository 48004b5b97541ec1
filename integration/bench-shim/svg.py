"""The picture: one panel a measure, one bar a candidate, a scale of its own for each panel."""

from budgets import NEW, OURS, REFERENCE
from meters import median

OLD = "old"
PANELS = [
    ("idle pod: PSS, MiB", "pod pss", 1 / 1024), ("idle pod: descriptors", "pod fds", 1),
    ("start of many pods: CPU of all, s", "many start cpu", 1 / 1000), ("stop of many pods: CPU of all, s", "many stop cpu", 1 / 1000),
    ("task, by the daemon: wall, ms", "task life wall", 1), ("task, by the daemon: CPU, ms", "task life cpu", 1),
    ("exec, by the daemon: wall, ms", "task exec wall", 1), ("exec probe: CPU of all, ms", "probe cpu", 1),
    ("Stats: CPU of the server, us", "Stats cpu", 1), ("1 GiB of output: CPU of the shim, ms", "output cpu", 1),
]  # fmt: skip
WIDTH, BAR, LABEL = 900, 18, 140
COLUMN = WIDTH / 2
# Room for the longest bar: a column less its label, the figure behind the bar and the margins.
LONGEST = COLUMN - LABEL - 90
COLOURS = {OURS: "#c2410c", REFERENCE: "#475569"}
INK, GREY = "#111827", "#6b7280"


def bars(figures, facts, key):
    found = []
    for pair in (NEW, OLD):
        for kind in (OURS, REFERENCE):
            value = median(figures.of(key, kind, pair))
            if value is not None:
                found.append((f"{kind}, {facts['pairs'][pair]['containerd']}", kind, value))
    return found


def text(x, y, words, weight="normal", more=""):
    return f'<text x="{x:g}" y="{y:g}"{more} font-weight="{weight}" fill="{INK}">{words}</text>'


def panel(title, found, factor, x, y):
    longest = max(value for _, _, value in found) or 1
    lines = [text(x + 16, y + 22, title, "bold")]
    for number, (name, kind, value) in enumerate(found):
        at = y + 30 + number * (BAR + 5)
        width, weight = value / longest * LONGEST, "bold" if kind == OURS else "normal"
        value *= factor
        figure = f"{value:.0f}" if factor == 1 and value >= 100 or value == int(value) else f"{value:.2f}"
        lines.append(
            text(x + LABEL, at + 13.5, name, weight, ' text-anchor="end"')
            + f'<rect x="{x + LABEL + 8:g}" y="{at:g}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[kind]}"/>'
            + text(round(x + LABEL + 14 + width, 1), at + 13.5, figure, weight)
        )
    return lines


def plot(figures, facts):
    panels = [(title, bars(figures, facts, key), factor) for title, key, factor in PANELS]
    panels = [one for one in panels if one[1]]
    high = 44 + 4 * (BAR + 5)
    height = 60 + (len(panels) + 1) // 2 * high
    counts = facts["counts"]["many"]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        text(16, 26, "The shim against containerd-shim-runc-v2 with runc, medians: shorter is better", "bold", ' font-size="16"'),
        f'<text x="16" y="45" fill="{GREY}">The number behind a name is that of the containerd. Many pods: {counts[NEW]} with the newer, {counts[OLD]} with the older.</text>',
    ]
    for number, (title, found, factor) in enumerate(panels):
        lines += panel(title, found, factor, number % 2 * COLUMN, 60 + number // 2 * high)
    return "\n".join([*lines, "</svg>", ""])
