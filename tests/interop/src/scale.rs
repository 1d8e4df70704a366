//! Scale of random tests.

/// The variable that makes them run longer: a factor from 1 to 1,000. `.ci/run --night` sets it.
const VARIABLE: &str = "QKD_TEST_SCALE";

/// Returns the number of inputs, turns or seeds of a random test that has `usual` of them in the
/// gate.
///
/// # Panics
/// If the variable is set and is not a number from 1 to 1,000, because a long run must not become a
/// short one by mistake.
#[must_use]
pub fn scaled(usual: usize) -> usize {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return usual;
    };
    let factor = text.to_str().and_then(|text| text.parse::<usize>().ok());
    match factor {
        Some(factor @ 1..=1000) => usual * factor,
        _ => panic!(
            "{VARIABLE}={}: it takes a number from 1 to 1000",
            text.display()
        ),
    }
}
