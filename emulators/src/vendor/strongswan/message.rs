//! The packets and messages of VICI.
//!
//! A message is read as charon 5.9.8 reads it: what precedes a malformed element is valid, and
//! `Message::is_whole` is false. Sections that are open at the end are closed.

use zeroize::Zeroizing;

/// Longest packet, in octets, without its length.
pub(super) const MAX_PACKET: usize = 512 * 1024;
/// Deepest nesting of sections that is read; deeper ones are malformed here. charon has no limit.
const MAX_DEPTH: usize = 16;

/// First octet of a packet.
pub(super) mod operation {
    pub(crate) const CMD_REQUEST: u8 = 0;
    pub(crate) const CMD_RESPONSE: u8 = 1;
    pub(crate) const CMD_UNKNOWN: u8 = 2;
    pub(crate) const EVENT_REGISTER: u8 = 3;
    pub(crate) const EVENT_UNREGISTER: u8 = 4;
    pub(crate) const EVENT_CONFIRM: u8 = 5;
    pub(crate) const EVENT_UNKNOWN: u8 = 6;
    pub(crate) const EVENT: u8 = 7;
}

/// First octet of an element of a message.
mod element {
    pub(super) const SECTION_START: u8 = 1;
    pub(super) const SECTION_END: u8 = 2;
    pub(super) const KEY_VALUE: u8 = 3;
    pub(super) const LIST_START: u8 = 4;
    pub(super) const LIST_ITEM: u8 = 5;
    pub(super) const LIST_END: u8 = 6;
}

/// A value: octets that may be a key.
pub(super) type Value = Zeroizing<Vec<u8>>;

/// A named element of a message.
pub(super) enum Content {
    Section(Vec<Element>),
    Value(Value),
    List(Vec<Value>),
}

pub(super) struct Element {
    pub(super) name: String,
    pub(super) content: Content,
}

/// A received message.
pub(super) struct Message {
    pub(super) elements: Vec<Element>,
    /// Whether all of it has the right form.
    pub(super) is_whole: bool,
}

/// Returns text if it is printable ASCII, as charon requires of every name and text.
pub(super) fn printable(bytes: &[u8]) -> Option<&str> {
    let is_printable = bytes.iter().all(|b| (0x20..0x7f).contains(b));
    std::str::from_utf8(bytes).ok().filter(|_| is_printable)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }
    fn name(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        printable(self.take(length.into())?)
    }
    fn value(&mut self) -> Option<Value> {
        let length = self.take(2)?;
        let length = u16::from_be_bytes([length[0], length[1]]);
        Some(Zeroizing::new(self.take(length.into())?.to_vec()))
    }
    /// Reads an element into the open sections; `None` if it is malformed.
    fn element(&mut self, open: &mut Vec<(String, Vec<Element>)>) -> Option<()> {
        let content = match self.byte()? {
            element::SECTION_START if open.len() <= MAX_DEPTH => {
                open.push((self.name()?.to_owned(), Vec::new()));
                return Some(());
            }
            element::SECTION_END if open.len() > 1 => {
                close(open);
                return Some(());
            }
            element::KEY_VALUE => {
                let name = self.name()?.to_owned();
                let content = Content::Value(self.value()?);
                Element { name, content }
            }
            element::LIST_START => {
                let name = self.name()?.to_owned();
                let mut items = Vec::new();
                loop {
                    match self.byte()? {
                        element::LIST_ITEM => items.push(self.value()?),
                        element::LIST_END => break,
                        _ => return None,
                    }
                }
                let content = Content::List(items);
                Element { name, content }
            }
            _ => return None,
        };
        open.last_mut()?.1.push(content);
        Some(())
    }
}

fn close(open: &mut Vec<(String, Vec<Element>)>) {
    if let Some((name, inner)) = open.pop()
        && let Some((_, outer)) = open.last_mut()
    {
        let content = Content::Section(inner);
        outer.push(Element { name, content });
    }
}

impl Message {
    /// Reads a message.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        let mut open = vec![(String::new(), Vec::new())];
        let mut is_whole = true;
        while is_whole && !reader.0.is_empty() {
            is_whole = reader.element(&mut open).is_some();
        }
        while open.len() > 1 {
            close(&mut open);
        }
        let elements = open.pop().map(|(_, elements)| elements).unwrap_or_default();
        Self { elements, is_whole }
    }

    fn find(&self, name: &str) -> impl Iterator<Item = &Content> {
        let named = move |e: &&Element| e.name == name;
        self.elements.iter().filter(named).map(|e| &e.content)
    }
    /// The octets of a value.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        self.find(name).find_map(|content| match content {
            Content::Value(value) => Some(value.as_slice()),
            _ => None,
        })
    }
    /// A value as text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(printable)
    }
    /// A value as number; 0 for another text, as `strtol` reads it.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).map(|text| text.trim().parse().unwrap_or(0))
    }
    /// Whether a value means yes.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.text(name).and_then(boolean).unwrap_or(false)
    }
    /// The items of a list.
    pub(super) fn list(&self, name: &str) -> &[Value] {
        self.find(name)
            .find_map(|content| match content {
                Content::List(items) => Some(items.as_slice()),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// Reads a truth value as settings have it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "enabled" | "1" => Some(true),
        "no" | "false" | "disabled" | "0" => Some(false),
        _ => None,
    }
}

/// Writes a message. Names of more than 255 and values of more than 65,535 octets are cut.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn start(&mut self, kind: u8, name: &str) {
        self.0.push(kind);
        push_name(&mut self.0, name);
    }
    fn put(&mut self, value: &str) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(&value.as_bytes()[..length.into()]);
    }
    pub(super) fn value(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.start(element::KEY_VALUE, name);
        self.put(&value.to_string());
        self
    }
    pub(super) fn list<T: AsRef<str>>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.start(element::LIST_START, name);
        for item in items {
            self.0.push(element::LIST_ITEM);
            self.put(item.as_ref());
        }
        self.0.push(element::LIST_END);
        self
    }
    pub(super) fn section(&mut self, name: &str, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.start(element::SECTION_START, name);
        write(self);
        self.0.push(element::SECTION_END);
        self
    }
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    #[cfg(test)]
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    /// A command's reply: success, or why not.
    pub(super) fn outcome(result: Result<(), String>) -> Self {
        let mut message = Self::default();
        match result {
            Ok(()) => message.value("success", "yes"),
            Err(why) => message.value("success", "no").value("errmsg", why),
        };
        message
    }
    /// The packet of an event.
    pub(super) fn event(self, name: &str) -> Vec<u8> {
        packet(operation::EVENT, Some(name), &self.0)
    }
    /// The packet of a reply.
    pub(super) fn response(self) -> Vec<u8> {
        packet(operation::CMD_RESPONSE, None, &self.0)
    }
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend(&name.as_bytes()[..length.into()]);
}

/// A packet with its length.
pub(super) fn packet(operation: u8, name: Option<&str>, message: &[u8]) -> Vec<u8> {
    let mut body = vec![operation];
    if let Some(name) = name {
        push_name(&mut body, name);
    }
    body.extend(message);
    let mut packet = u32::try_from(body.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes()
        .to_vec();
    packet.extend(body);
    packet
}

/// A request: operation, name, message. `None` if charon ignores the packet.
pub(super) fn request(packet: &[u8]) -> Option<(u8, &str, &[u8])> {
    let mut reader = Reader(packet);
    let operation = reader.byte()?;
    let is_request = matches!(
        operation,
        operation::CMD_REQUEST | operation::EVENT_REGISTER | operation::EVENT_UNREGISTER
    );
    let name = is_request.then(|| reader.name()).flatten()?;
    Some((operation, name, reader.0))
}
