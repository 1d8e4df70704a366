//! BER as a tree, for changing messages that are on their way: any message is taken apart and put
//! together again, whether its content makes sense or not.

/// Maximum nesting depth: an SNMPv3 message has 6 levels.
const MAX_DEPTH: usize = 12;

/// A tag with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tlv {
    /// Octets as they are.
    Primitive(u8, Vec<u8>),
    /// A SEQUENCE or a PDU.
    Constructed(u8, Vec<Tlv>),
}

impl Tlv {
    /// The first tag with its content, and what follows it; `None` if the bytes are not BER.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Self::parse_at(bytes, 0)
    }

    fn parse_at(bytes: &[u8], depth: usize) -> Option<(Self, &[u8])> {
        let (&tag, rest) = bytes.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let n = usize::from(first & 0x7f);
            if n == 0 || n > 4 || rest.len() < n {
                return None;
            }
            let (length, rest) = rest.split_at(n);
            (length.iter().fold(0, |l, b| l << 8 | usize::from(*b)), rest)
        };
        if rest.len() < length {
            return None;
        }
        let (content, rest) = rest.split_at(length);
        // Bit 6 of a tag says that tags follow inside (X.690, 8.1.2.5).
        if tag & 0x20 == 0 || depth == MAX_DEPTH {
            return Some((Self::Primitive(tag, content.to_vec()), rest));
        }
        let (mut inside, mut left) = (Vec::new(), content);
        while !left.is_empty() {
            let (one, after) = Self::parse_at(left, depth + 1)?;
            inside.push(one);
            left = after;
        }
        Some((Self::Constructed(tag, inside), rest))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, content) = match self {
            Self::Primitive(tag, content) => (*tag, content.clone()),
            Self::Constructed(tag, inside) => {
                (*tag, inside.iter().flat_map(Self::encode).collect())
            }
        };
        let mut bytes = vec![tag];
        match content.len() {
            n @ 0..=0x7f => bytes.push(n as u8),
            n @ 0x80..=0xff => bytes.extend([0x81, n as u8]),
            n => bytes.extend([0x82, (n >> 8) as u8, n as u8]),
        }
        bytes.extend(content);
        bytes
    }

    /// An INTEGER that is not negative.
    pub(crate) fn number(value: u32) -> Self {
        let bytes = value.to_be_bytes();
        let from = bytes.iter().position(|b| *b != 0).unwrap_or(3);
        let mut content = bytes[from..].to_vec();
        if content[0] & 0x80 != 0 {
            content.insert(0, 0);
        }
        Self::Primitive(2, content)
    }

    /// The value of an INTEGER that is not negative.
    pub(crate) fn as_number(&self) -> Option<u32> {
        match self {
            Self::Primitive(2, bytes) if bytes.len() <= 5 => {
                let value = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
                u32::try_from(value).ok()
            }
            _ => None,
        }
    }

    /// The octets of a primitive.
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Primitive(_, bytes) => Some(bytes),
            Self::Constructed(..) => None,
        }
    }

    /// Returns the elements of a constructed value.
    pub(crate) fn inside(&mut self) -> Option<&mut Vec<Tlv>> {
        match self {
            Self::Constructed(_, inside) => Some(inside),
            Self::Primitive(..) => None,
        }
    }

    pub(crate) fn tag(&self) -> u8 {
        match self {
            Self::Primitive(tag, _) | Self::Constructed(tag, _) => *tag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_encoded_as_ber_does() {
        for (value, bytes) in [
            (0, vec![2, 1, 0]),
            (127, vec![2, 1, 127]),
            (128, vec![2, 2, 0, 128]),
            (2_147_483_647, vec![2, 4, 0x7f, 0xff, 0xff, 0xff]),
            (4_294_967_295, vec![2, 5, 0, 0xff, 0xff, 0xff, 0xff]),
        ] {
            assert_eq!(Tlv::number(value).encode(), bytes);
            assert_eq!(Tlv::parse(&bytes).unwrap().0.as_number(), Some(value));
        }
    }

    proptest! {
        #[test]
        fn parsed_values_encode_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some((tree, rest)) = Tlv::parse(&bytes) {
                let (again, left) = Tlv::parse(&tree.encode()).map(|(t, l)| (t, l.len())).unwrap();
                prop_assert_eq!((again, left), (tree, 0));
                prop_assert!(rest.len() < bytes.len());
            }
        }
    }
}
