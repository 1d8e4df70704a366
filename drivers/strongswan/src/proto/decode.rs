//! Replies.

use super::{MAX_DEPTH, MAX_EVENTS, ProtoError, element, packet, packets};

/// A value of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Bytes, normally text.
    Bytes(Vec<u8>),
    /// A list of bytes.
    List(Vec<Vec<u8>>),
    /// A section.
    Section(Section),
}

/// The elements of a message or section, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section(pub Vec<(String, Value)>);

impl Section {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
    /// Returns a value as text; `None` if no value has this name or if it is not UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
    /// Returns a number, which VICI writes in decimal digits.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
    /// Whether a value is `yes`.
    #[must_use]
    pub fn is_yes(&self, name: &str) -> bool {
        self.text(name) == Some("yes")
    }
    /// Returns the texts of a list; empty if no list has this name.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let items = match self.get(name) {
            Some(Value::List(items)) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(|i| std::str::from_utf8(i).ok())
    }
    /// Returns a section.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        match self.get(name)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }
    /// Returns all sections with their names.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }
}

/// The reply to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Events before the response, with their names.
    pub events: Vec<(String, Section)>,
    /// The response.
    pub response: Section,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtoError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ProtoError::Short)?;
        self.0 = rest;
        Ok(taken)
    }
    fn byte(&mut self) -> Result<u8, ProtoError> {
        Ok(self.take(1)?[0])
    }
    fn name(&mut self) -> Result<String, ProtoError> {
        let length = self.byte()?;
        let name = std::str::from_utf8(self.take(length.into())?);
        name.map(str::to_owned).map_err(|_| ProtoError::Name)
    }
    fn value(&mut self) -> Result<Vec<u8>, ProtoError> {
        let length = self.take(2)?;
        let length = u16::from_be_bytes([length[0], length[1]]);
        Ok(self.take(length.into())?.to_vec())
    }
    fn list(&mut self) -> Result<Vec<Vec<u8>>, ProtoError> {
        let mut items = Vec::new();
        loop {
            match self.byte()? {
                element::LIST_ITEM => items.push(self.value()?),
                element::LIST_END => return Ok(items),
                _ => return Err(ProtoError::Element),
            }
        }
    }
    /// The elements up to the end of the section; at depth 0, up to the end of the message.
    fn section(&mut self, depth: usize) -> Result<Section, ProtoError> {
        if depth > MAX_DEPTH {
            return Err(ProtoError::TooMuch);
        }
        let mut section = Section::default();
        loop {
            if self.0.is_empty() && depth == 0 {
                return Ok(section);
            }
            let one = match self.byte()? {
                element::SECTION_END if depth > 0 => return Ok(section),
                element::SECTION_START => {
                    let name = self.name()?;
                    (name, Value::Section(self.section(depth + 1)?))
                }
                element::VALUE => (self.name()?, Value::Bytes(self.value()?)),
                element::LIST_START => (self.name()?, Value::List(self.list()?)),
                _ => return Err(ProtoError::Element),
            };
            section.0.push(one);
        }
    }
}

/// Reads the packets of a reply to a command.
///
/// # Errors
/// [`ProtoError`].
pub fn decode_reply(reply: &[u8]) -> Result<Reply, ProtoError> {
    let mut events = Vec::new();
    for packet in packets(reply) {
        let mut reader = Reader(packet);
        match reader.byte()? {
            packet::EVENT if events.len() == MAX_EVENTS => return Err(ProtoError::TooMuch),
            packet::EVENT => {
                let name = reader.name()?;
                events.push((name, reader.section(0)?));
            }
            packet::RESPONSE => {
                let response = reader.section(0)?;
                return Ok(Reply { events, response });
            }
            packet::UNKNOWN_COMMAND => return Err(ProtoError::UnknownCommand),
            other => return Err(ProtoError::PacketType(other)),
        }
    }
    Err(ProtoError::Short)
}

/// Reads the reply to a registration of an event.
///
/// # Errors
/// [`ProtoError`]; `UnknownEvent` if the daemon does not have it.
pub fn decode_registration(reply: &[u8]) -> Result<(), ProtoError> {
    let last = packets(reply).last().ok_or(ProtoError::Short)?;
    match Reader(last).byte()? {
        packet::CONFIRM => Ok(()),
        packet::UNKNOWN_EVENT => Err(ProtoError::UnknownEvent),
        other => Err(ProtoError::PacketType(other)),
    }
}
