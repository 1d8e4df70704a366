//! Coarse tests of bits that should be random: they do not prove randomness, but a failed source
//! does not pass them.

/// Tests bits with the frequency and the runs test of NIST SP 800-22 (2.1 and 2.3), at a
/// significance at which a good source fails once in ten million times.
///
/// # Errors
/// Error text with the deviation from random bits.
pub(crate) fn check_randomness(bits: &[bool]) -> Result<(), String> {
    // A normal deviate is beyond it with a probability of 1e-7.
    const LIMIT: f64 = 5.33;
    let n = bits.len() as f64;
    if bits.len() < 1000 {
        return Err(format!("{} bits are too few to look at", bits.len()));
    }
    let ones = bits.iter().filter(|b| **b).count() as f64;
    let share = ones / n;
    let deviation = (ones - n / 2.0) / (n / 4.0).sqrt();
    if deviation.abs() > LIMIT {
        return Err(format!("{:.1} % of {n} bits are ones", share * 100.0));
    }
    let runs = 1.0 + bits.windows(2).filter(|w| w[0] != w[1]).count() as f64;
    let expected = 2.0 * n * share * (1.0 - share);
    let deviation = (runs - expected) / (2.0 * n.sqrt() * share * (1.0 - share));
    if deviation.abs() > LIMIT {
        return Err(format!(
            "{n} bits change {runs} times, and {expected:.0} times in random bits"
        ));
    }
    // The same block over and over passes both.
    let mut blocks = std::collections::BTreeSet::new();
    if bits.chunks_exact(128).any(|block| !blocks.insert(block)) {
        return Err("a block of 128 bits comes twice".to_owned());
    }
    Ok(())
}

/// SHA-256: what is kept of a secret to know it again.
pub(crate) fn digest(secret: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_sources_are_detected_and_a_good_source_passes() {
        let good: Vec<bool> = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes())
            .take(200)
            .flat_map(|id| [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 15].map(|i: usize| id[i]))
            .flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1))
            .collect();
        check_randomness(&good).unwrap();
        assert!(check_randomness(&[true; 4096]).is_err());
        assert!(
            check_randomness(&[true, false].repeat(2048))
                .unwrap_err()
                .contains("change")
        );
        assert!(
            check_randomness(&good[..1280].repeat(3))
                .unwrap_err()
                .contains("twice")
        );
        let biased: Vec<bool> = good
            .iter()
            .enumerate()
            .map(|(n, b)| *b || n % 4 == 0)
            .collect();
        assert!(check_randomness(&biased).is_err());
        assert!(check_randomness(&good[..10]).is_err());
    }
}
