//! Go's way of writing a duration: `1h30m`, `2.5s`, `-300ms`. Knows nothing of flags.

/// Nanoseconds of a text, as Go's `time.ParseDuration`; `None` if it is none, or more than 292 years.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanoseconds = if rest == "0" { 0 } else { sum(rest)? };
    i64::try_from(if negative { nanoseconds.checked_neg()? } else { nanoseconds }).ok()
}

fn sum(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut sum: i128 = 0;
    loop {
        let (whole, after) = split(rest, |c| c.is_ascii_digit());
        let (fraction, after) =
            after.strip_prefix('.').map_or(("", after), |after| split(after, |c| c.is_ascii_digit()));
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit = nanoseconds_of(unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(unit)?)?;
        // Beyond the 18th digit there is nothing to see, even of an hour.
        let digits = fraction.get(..18).unwrap_or(fraction);
        if !digits.is_empty() {
            let scale = 10_i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
            sum = sum.checked_add(digits.parse::<i128>().ok()?.checked_mul(unit)?.checked_div(scale)?)?;
        }
        if after.is_empty() {
            return Some(sum);
        }
        rest = after;
    }
}

fn split(text: &str, belongs: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn nanoseconds_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_of_go() {
        const S: i64 = 1_000_000_000;
        for (text, nanoseconds) in [
            ("5s", Some(5 * S)),
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+1m30s", Some(90 * S)),
            ("-1.5h", Some(-5400 * S)),
            (".5s", Some(S / 2)),
            ("1.s", Some(S)),
            ("100ms", Some(S / 10)),
            ("3us2ns", Some(3002)),
            ("1µs", Some(1000)),
            ("1μs", Some(1000)),
            ("0.000000001s", Some(1)),
            ("0.100000000000000000000000000000000001h", Some(360 * S)),
            ("2562047h47m16.854775807s", Some(i64::MAX)),
            ("-2562047h47m16.854775808s", Some(i64::MIN)),
            ("2562047h47m16.854775808s", None),
            ("99999999999999999999999999999999999999999h", None),
            ("", None),
            ("-", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1 s", None),
            ("1h2x", None),
            ("1d", None),
            ("--1s", None),
            ("1h-2m", None),
        ] {
            assert_eq!(parse(text), nanoseconds, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "[-+.0-9hmsuµn]{0,40}|.{0,10}") {
            parse(&text);
        }
    }
}
