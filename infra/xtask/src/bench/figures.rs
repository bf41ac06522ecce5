//! Percentiles, and how figures are written.

use std::time::Duration;

/// The value below which `part` (0 to 1) of the values lie; zero where there are none.
pub(crate) fn percentile(values: &[Duration], part: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn median(values: &[Duration]) -> Duration {
    percentile(values, 0.5)
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// `2.4x`, or nothing to compare with.
pub(crate) fn ratio(of: f64, to: f64) -> String {
    if to > 0.0 { format!("{:.2}x", of / to) } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<_> = [5, 1, 4, 2, 3].map(Duration::from_millis).into();
        assert_eq!([0.0, 0.5, 1.0].map(|part| percentile(&values, part).as_millis()), [1, 3, 5]);
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
