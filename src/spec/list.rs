//! Lists of CPUs and memory nodes (`0-3,7`) as bit masks.

use super::text::quote;

/// A set of small numbers, as the kernel takes it: bit n of the little-endian sequence of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u64>,
}

impl Mask {
    /// The words of the mask, as many as the highest bit needs.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many are in the set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).fold(0, u32::saturating_add)
    }

    /// Whether `bit` is in the set.
    pub fn contains(&self, bit: u32) -> bool {
        usize::try_from(bit / 64).ok().and_then(|at| self.words.get(at)).is_some_and(|w| w >> (bit % 64) & 1 == 1)
    }

    fn insert(&mut self, bit: u32) {
        let Ok(at) = usize::try_from(bit / 64) else { return };
        if self.words.len() <= at {
            self.words.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (bit % 64);
        }
    }
}

/// The kernel's largest NR_CPUS.
pub const MAX_CPUS: u32 = 8192;
/// The kernel's largest MAX_NUMNODES.
pub const MAX_NODES: u32 = 1024;

/// Parses a list of numbers below `limit`. Spaces around numbers and empty elements are allowed, as the schema's pattern
/// `^[0-9, -]*$` and runc have it; signs are not. An empty text gives the empty set. The errors are in Go's words.
pub fn parse(list: &str, limit: u32) -> Result<Mask, String> {
    let mut mask = Mask::default();
    for element in list.split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let (first, last) = match element.split_once('-') {
            Some((first, last)) => (number(first, limit)?, number(last, limit)?),
            None => {
                let n = number(element, limit)?;
                (n, n)
            }
        };
        if first > last {
            return Err(format!("invalid range: {element}"));
        }
        (first..=last).for_each(|n| mask.insert(n));
    }
    if mask.words.is_empty() && !list.is_empty() {
        return Err(format!("no members found in set {}", quote(list)));
    }
    Ok(mask)
}

fn number(text: &str, limit: u32) -> Result<u32, String> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.ParseUint: parsing {}: invalid syntax", quote(text)));
    }
    match text.parse() {
        Ok(n) if n < limit => Ok(n),
        _ => Err(format!("values larger than {} are not supported", limit.saturating_sub(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (text, words) in [
            ("", &[][..]),
            ("0", &[1]),
            ("0-3,7", &[0b1000_1111]),
            (" 0 - 1 ,, 3,", &[0b1011]),
            ("63,64", &[1 << 63, 1]),
            ("128", &[0, 0, 1]),
            ("3,1-2,2", &[0b1110]),
        ] {
            assert_eq!(parse(text, MAX_CPUS).unwrap().words(), words, "{text}");
        }
    }

    #[test]
    fn refused() {
        for (text, why) in [
            ("3-1", "invalid range: 3-1"),
            ("x", "strconv.ParseUint: parsing \"x\": invalid syntax"),
            ("+1", "strconv.ParseUint: parsing \"+1\": invalid syntax"),
            ("-1", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("1-2-3", "strconv.ParseUint: parsing \"2-3\": invalid syntax"),
            (", ", "no members found in set \", \""),
            ("8192", "values larger than 8191 are not supported"),
            ("0-99999999999999999999", "values larger than 8191 are not supported"),
        ] {
            assert_eq!(parse(text, MAX_CPUS).unwrap_err(), why, "{text}");
        }
        assert!(parse("1024", MAX_NODES).is_err());
    }

    #[test]
    fn membership() {
        let mask = parse("0-3,70", MAX_CPUS).unwrap();
        assert_eq!(mask.count(), 5);
        assert!(mask.contains(70) && mask.contains(0));
        assert!(!mask.contains(4) && !mask.contains(8000));
    }
}
