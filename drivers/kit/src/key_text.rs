//! Keys as text, for devices that take a secret as characters.

use zeroize::Zeroizing;

/// The hexadecimal digits of a key, in lower case. The result is wiped when it is dropped.
#[must_use]
pub fn hex_digits(key: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut digits = Zeroizing::new(vec![0; key.len() * 2]);
    // The lengths agree, which is the only error.
    let _ = hex::encode_to_slice(key, &mut digits);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_lower_case() {
        assert_eq!(hex_digits(&[0, 0xab, 0x1f]).as_slice(), b"00ab1f");
        assert!(hex_digits(&[]).is_empty());
    }
}
