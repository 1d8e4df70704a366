//! Features that a product code contains.

/// Ports with power monitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitors {
    /// No power monitors (`I-OST`, id:27402672866).
    None,
    /// The egress ports, as on most.
    Egress,
    /// All ports (`N-VST-192x192-LU1-DMHNV-801`, id:27402672866).
    All,
}

/// The size: `-(\d+)x(\d+)-` (id:27402672866, id:29512349446). `None` for codes without one, such
/// as any-to-any (`cc`) switches.
#[must_use]
pub fn size(code: &str) -> Option<(u32, u32)> {
    code.split('-')
        .filter_map(|part| part.split_once('x'))
        .find_map(|(n, m)| {
            let digits = |t: &str| {
                (!t.is_empty() && t.len() <= 4 && t.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| t.parse().ok())
                    .flatten()
            };
            Some((digits(n)?, digits(m)?))
        })
}

/// Returns the ports with power monitors according to a product code.
#[must_use]
pub fn monitors(code: &str) -> Monitors {
    if code.starts_with("I-OST") {
        Monitors::None
    } else if code == "N-VST-192x192-LU1-DMHNV-801" {
        Monitors::All
    } else {
        Monitors::Egress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_codes_contain_size_and_monitors() {
        assert_eq!(size("N-VST-192x192-LU1-DMHNV-801"), Some((192, 192)));
        assert_eq!(size("N-OST-48xcc-LA1"), None);
        assert_eq!(monitors("I-OST-24x24-LU1-DMHNS"), Monitors::None);
        assert_eq!(monitors("N-OST-24x24-LA1-DMHNS"), Monitors::Egress);
        assert_eq!(monitors("N-VST-192x192-LU1-DMHNV-801"), Monitors::All);
    }
}
