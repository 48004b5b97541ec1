//! The plot: one panel a command, one bar a runtime, a scale of its own for each panel.

use crate::report::{Host, OURS};
use crate::runtimes::FLOOR;
use std::fmt::Write;

const PANELS: [(&str, &str); 8] = [
    ("run", "warm"),
    ("run", "cold"),
    ("create+start+delete", "warm"),
    ("create+start+delete", "cold"),
    ("exec", "warm"),
    ("exec", "cold"),
    ("state", "warm"),
    ("kill", "warm"),
];

const WIDTH: f64 = 900.0;
const COLUMN: f64 = WIDTH / 2.0;
const BAR: f64 = 18.0;
const LABEL: f64 = 80.0;
/// Room for the longest bar: a column less its label, the figure behind the bar and the margins.
const LONGEST: f64 = COLUMN - LABEL - 90.0;

fn colour(runtime: &str) -> &'static str {
    match runtime {
        OURS => "#c2410c",
        FLOOR => "#9ca3af",
        _ => "#475569",
    }
}

/// The whole picture.
pub fn plot(host: &Host) -> String {
    let runtimes = host.runtimes();
    let panel_height = 44.0 + runtimes.len() as f64 * (BAR + 5.0);
    let panels: Vec<_> = PANELS
        .iter()
        .filter(|(row, mode)| runtimes.iter().any(|r| host.figure(row, r, mode, "wall").is_some()))
        .collect();
    let height = 60.0 + panels.len().div_ceil(2) as f64 * panel_height;
    let mut s = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        s,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="26" font-size="16" font-weight="bold" fill="#111827">Wall time of a command, milliseconds, median: shorter is better</text>
<text x="16" y="45" fill="#6b7280">{}. warm: back to back; cold: 0.3 s apart. floor: the least work the kernel must be asked for.</text>"##,
        host.name()
    );
    let (mut x, mut y) = (0.0, 60.0);
    for (row, mode) in panels {
        panel(&mut s, host, &runtimes, (row, mode), (x, y));
        if x > 0.0 {
            y += panel_height;
        }
        x = COLUMN - x;
    }
    s.push_str("</svg>\n");
    s
}

fn panel(s: &mut String, host: &Host, runtimes: &[&str], (row, mode): (&str, &str), (x, y): (f64, f64)) {
    let longest = runtimes.iter().filter_map(|r| host.figure(row, r, mode, "wall")).fold(0.0, f64::max);
    let _ = writeln!(
        s,
        r##"<text x="{}" y="{}" font-weight="bold" fill="#111827">{row}, {mode}</text>"##,
        x + 16.0,
        y + 22.0
    );
    let mut at = y + 30.0;
    for runtime in runtimes {
        let Some(wall) = host.figure(row, runtime, mode, "wall") else { continue };
        let (bar, weight) = (wall / longest * LONGEST, if *runtime == OURS { "bold" } else { "normal" });
        let _ = writeln!(
            s,
            r##"<text x="{}" y="{}" text-anchor="end" font-weight="{weight}" fill="#111827">{runtime}</text><rect x="{}" y="{at}" width="{bar:.1}" height="{BAR}" fill="{}"/><text x="{:.1}" y="{}" font-weight="{weight}" fill="#111827">{wall:.2}</text>"##,
            x + LABEL,
            at + 13.5,
            x + LABEL + 8.0,
            colour(runtime),
            x + LABEL + 14.0 + bar,
            at + 13.5,
        );
        at += BAR + 5.0;
    }
}
