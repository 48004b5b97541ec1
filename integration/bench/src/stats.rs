//! Numbers out of samples. Knows nothing of what was measured.

/// The smallest sample that at least `fraction` of the samples do not exceed. 0 without samples.
pub fn quantile(samples: &[f64], fraction: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * fraction).ceil().max(1.0) as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The middle sample.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let s = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(median(&s), 3.0);
        assert_eq!(quantile(&s, 0.9), 5.0);
        assert_eq!(quantile(&s, 0.2), 1.0);
        assert_eq!(median(&[7.0, 9.0]), 7.0);
        assert_eq!(median(&[]), 0.0);
    }
}
