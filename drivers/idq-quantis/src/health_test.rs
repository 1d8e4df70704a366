//! Health tests of the random bytes: NIST SP 800-90B §4.4.1 (repetition count) and §4.4.2 (adaptive
//! proportion), over samples of one byte, at start-up (§4.3) and on every byte after it.
//!
//! No public document states the min-entropy of a byte that the device gives. Four bits, half of
//! what a byte can hold, are what the cutoffs rest on: a sound source fails neither test in
//! practice, and a source that has stopped, or repeats a few values, fails both at once.

use thiserror::Error;

/// Bytes that must pass before the first one is given out (§4.3 requirement 10: at least 1024).
pub(crate) const START_UP_BYTES: usize = 1024;

/// Equal bytes in succession that fail: 1 + ⌈20 / 4⌉, for a false alarm at 2⁻²⁰.
const REPETITION_CUTOFF: u32 = 6;

/// Bytes of a window; that of §4.4.2 for samples that are not binary.
const WINDOW: u32 = 512;

/// Occurrences of the first byte of a window that fail: 1 + CRITBINOM(512, 2⁻⁴, 1 − 2⁻²⁰).
const PROPORTION_CUTOFF: u32 = 62;

/// Health test that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum HealthFailure {
    #[error("{REPETITION_CUTOFF} equal bytes in succession (repetition count test)")]
    RepetitionCount,
    #[error("{PROPORTION_CUTOFF} equal bytes among {WINDOW} (adaptive proportion test)")]
    AdaptiveProportion,
}

/// The state of both tests, over all bytes since the source was started.
#[derive(Debug, Default)]
pub(crate) struct HealthTest {
    tested: usize,
    last: Option<u8>,
    repeated: u32,
    /// The first byte of the window, how often it occurred, how many bytes the window has.
    window: Option<(u8, u32, u32)>,
    failure: Option<HealthFailure>,
}

impl HealthTest {
    /// Tests the next bytes. A failure stays until the source is started again.
    pub(crate) fn test(&mut self, bytes: &[u8]) -> Result<(), HealthFailure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        for byte in bytes {
            if let Err(failure) = self.sample(*byte) {
                self.failure = Some(failure);
                return Err(failure);
            }
        }
        self.tested = self.tested.saturating_add(bytes.len());
        Ok(())
    }

    fn sample(&mut self, byte: u8) -> Result<(), HealthFailure> {
        if self.last == Some(byte) {
            self.repeated += 1;
        } else {
            (self.last, self.repeated) = (Some(byte), 1);
        }
        if self.repeated >= REPETITION_CUTOFF {
            return Err(HealthFailure::RepetitionCount);
        }
        let (first, mut count, mut length) = self.window.unwrap_or((byte, 0, 0));
        length += 1;
        count += u32::from(byte == first);
        self.window = (length < WINDOW).then_some((first, count, length));
        if count >= PROPORTION_CUTOFF {
            return Err(HealthFailure::AdaptiveProportion);
        }
        Ok(())
    }

    /// Bytes of the start-up test that are still to come.
    pub(crate) fn missing(&self) -> usize {
        START_UP_BYTES.saturating_sub(self.tested)
    }

    /// Returns the present failure; `None` if no test has failed.
    pub(crate) fn failure(&self) -> Option<HealthFailure> {
        self.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a linear congruential generator: no two windows alike, each value about as often.
    fn varied(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect()
    }

    #[test]
    fn the_cutoff_is_the_quantile_of_the_binomial_distribution() {
        // By logarithms: a term such as p to the 512th is less than a float can hold.
        let (p, n) = (2_f64.powi(-4), f64::from(WINDOW));
        let mut choices = 0.0_f64;
        let terms: Vec<f64> = (0..=WINDOW)
            .map(|k| {
                let k = f64::from(k);
                if k > 0.0 {
                    choices += ((n - k + 1.0) / k).ln();
                }
                (choices + k * p.ln() + (n - k) * (1.0 - p).ln()).exp()
            })
            .collect();
        assert!((terms.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // CRITBINOM is the least k with P(X <= k) >= 1 - alpha, that is P(X > k) <= alpha.
        let alpha = 2_f64.powi(-20);
        let above = |k: u32| terms[k as usize + 1..].iter().sum::<f64>();
        let critical = (0..WINDOW).find(|k| above(*k) <= alpha).unwrap();
        assert_eq!(PROPORTION_CUTOFF, critical + 1);
    }

    #[test]
    fn a_good_source_passes_for_a_long_time() {
        let mut test = HealthTest::default();
        assert_eq!(test.missing(), START_UP_BYTES);
        for _ in 0..16 {
            test.test(&varied(1 << 16)).unwrap();
        }
        assert_eq!(test.missing(), 0);
    }

    #[test]
    fn a_constant_source_fails_after_six_bytes_whatever_the_calls() {
        let mut test = HealthTest::default();
        test.test(&varied(2000)).unwrap();
        test.test(&[1, 7, 7, 7]).unwrap();
        assert_eq!(test.test(&[7, 7, 7]), Err(HealthFailure::RepetitionCount));
        assert_eq!(
            test.test(&varied(100)),
            Err(HealthFailure::RepetitionCount),
            "it stays"
        );
        assert_eq!(test.failure(), Some(HealthFailure::RepetitionCount));
    }

    #[test]
    fn a_source_that_repeats_a_few_values_fails() {
        for values in 2..=8_u8 {
            let bytes: Vec<u8> = (0..values).cycle().take(1024).collect();
            assert_eq!(
                HealthTest::default().test(&bytes),
                Err(HealthFailure::AdaptiveProportion),
                "{values}"
            );
        }
    }
}
