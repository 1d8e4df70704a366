//! Hostile text appended to the texts of a device.

use std::{fmt::Write as _, str::FromStr};

/// The longest text, in bytes, that [`HostileText::Long`] appends.
const LONG: usize = 30_000;
/// Maximum number of distinguished fields; further fields count as the last one.
const MAX_FIELDS: usize = 10_000;
/// Escape sequences of terminals and other control characters of ASCII.
const CONTROL: &str = "\x1b[2J\x1b]0owned\x07\x1b[31m\x08\x7f\x00\x0b";
/// The same with what ends a line.
const CONTROL_AND_LINES: &str = "\x1b[2J\x1b]0;owned\x07\x1b[31m\x08\x7f\x00\x0b\r\nforged\tline";
/// C1, bidirectional marks, invisible and private characters, noncharacters.
const MARKS: &str = "\u{9b}31m\u{85}\u{202e}\u{2066}\u{200b}\u{2028}\u{feff}\u{fffe}\u{ffff}\
                     \u{e002}\u{e0041}\u{10ffff}";
/// Bytes that are not UTF-8: a C1 control of an 8-bit terminal, a surrogate, an overlong NUL.
const BYTES: &[u8] = b"\x9b2J\xff\xfe\xc0\x80\xed\xa0\x80";
/// Stands for [`BYTES`] while JSON is built.
const BYTES_STAND_IN: &str = "9b2Jfffec080eda080-not-utf-8";
/// Longest VICI packet that gets a text, so that it stays a valid one.
const VICI_ROOM: usize = 512 * 1024 - 2 * LONG;

/// Kind of the text that is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostileText {
    /// Escape sequences and other control characters of ASCII.
    Control,
    /// C1, bidirectional marks, invisible characters and noncharacters, in UTF-8.
    Marks,
    /// Bytes that are not UTF-8.
    Bytes,
    /// A very long run.
    Long,
}

impl HostileText {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("control", Self::Control),
        ("marks", Self::Marks),
        ("bytes", Self::Bytes),
        ("long", Self::Long),
    ];

    /// Returns the bytes to append if at most `room` bytes are available; `has_lines` allows line
    /// ends.
    fn bytes(self, has_lines: bool, room: usize) -> Vec<u8> {
        let mut bytes = match self {
            Self::Control if has_lines => CONTROL.as_bytes().to_vec(),
            Self::Control => CONTROL_AND_LINES.as_bytes().to_vec(),
            Self::Marks => MARKS.as_bytes().to_vec(),
            Self::Bytes => BYTES.to_vec(),
            Self::Long => vec![b'A'; LONG],
        };
        bytes.truncate(room);
        bytes
    }
}

/// The fault `hostile-text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextFault {
    /// Kind of the text that is appended.
    pub text: HostileText,
    /// To which field alone, counted from 1.
    pub field: Option<usize>,
}

impl FromStr for TextFault {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let takes = || {
            let kinds = HostileText::ALL.map(|(name, _)| name).join(", ");
            format!("hostile-text takes KIND or KIND:FIELD; kinds are {kinds}, fields count from 1")
        };
        let (kind, field) = text
            .split_once(':')
            .map_or((text, None), |(kind, field)| (kind, Some(field)));
        let found = HostileText::ALL.iter().find(|(name, _)| *name == kind);
        let field = field
            .map(|f| f.parse().ok().filter(|n| *n > 0).ok_or_else(takes))
            .transpose()?;
        Ok(Self {
            text: found.ok_or_else(takes)?.1,
            field,
        })
    }
}

/// Where a reply has its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// Binary data: no text is appended.
    Binary,
    /// All of it is one text.
    Whole,
    /// In lines, of which each word is a field.
    Lines,
    /// Behind its length as a little-endian number of 16 bits.
    Length16,
    /// Behind its length as a byte, after a picture or none.
    Length8,
    /// In each string of a JSON document.
    Json,
    /// In the texts of a USB/IP device record, which NUL ends.
    UsbIp,
    /// In the values of a VICI message.
    Vici,
}

/// Text fields in the order in which they were first sent.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<String>);

impl Fields {
    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The number of a field, from 1. Texts that differ in digits only are one field: a table of
    /// hundreds of ports has few.
    fn number(&mut self, text: &[u8]) -> usize {
        let mut shape = String::new();
        for c in String::from_utf8_lossy(text).chars().take(100) {
            match c {
                '0'..='9' if shape.ends_with('#') => {}
                '0'..='9' => shape.push('#'),
                c => shape.push(c),
            }
        }
        match self.0.iter().position(|known| *known == shape) {
            Some(at) => at + 1,
            None if self.0.len() >= MAX_FIELDS => MAX_FIELDS,
            None => {
                self.0.push(shape);
                self.0.len()
            }
        }
    }
}

/// The faults that are active, and the fields.
pub(super) struct Inserter<'a> {
    pub(super) faults: &'a [TextFault],
    pub(super) fields: &'a mut Fields,
}

impl Inserter<'_> {
    /// The reply with hostile text in it.
    pub(super) fn insert(&mut self, reply: &[u8], format: TextFormat) -> Vec<u8> {
        let changed = match format {
            TextFormat::Binary => None,
            TextFormat::Whole => Some(self.text(reply, false, usize::MAX)),
            TextFormat::Lines => Some(self.lines(reply)),
            TextFormat::Length16 => self.length16(reply),
            TextFormat::Length8 => self.length8(reply),
            TextFormat::Json => self.json(reply),
            TextFormat::UsbIp => self.usbip(reply),
            TextFormat::Vici => self.vici(reply),
        };
        changed.unwrap_or_else(|| reply.to_vec())
    }

    /// One text, to which at most `room` bytes are appended.
    fn text(&mut self, text: &[u8], has_lines: bool, room: usize) -> Vec<u8> {
        let number = self.fields.number(text);
        let mut out = text.to_vec();
        for fault in self.faults {
            if fault.field.is_none_or(|field| field == number) {
                let left = room.saturating_sub(out.len() - text.len());
                out.extend(fault.text.bytes(has_lines, left));
            }
        }
        out
    }

    fn lines(&mut self, reply: &[u8]) -> Vec<u8> {
        let is_of_word = |b: &u8| !b.is_ascii_control() && !b" ,;:\"'=()<>".contains(b);
        let (mut out, mut rest) = (Vec::new(), reply);
        while let Some(first) = rest.first() {
            let is_word = is_of_word(first);
            let end = rest.iter().position(|b| is_of_word(b) != is_word);
            let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
            if is_word && piece.iter().any(u8::is_ascii_alphanumeric) {
                out.extend(self.text(piece, true, usize::MAX));
            } else {
                out.extend(piece);
            }
            rest = after;
        }
        out
    }

    fn length16(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let (length, text) = reply.split_at_checked(2)?;
        if usize::from(u16::from_le_bytes([length[0], length[1]])) != text.len() {
            return None;
        }
        let text = self.text(text, false, usize::from(u16::MAX) - text.len());
        let mut out = u16::try_from(text.len()).ok()?.to_le_bytes().to_vec();
        out.extend(text);
        Some(out)
    }

    fn length8(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let is_text =
            |bytes: &[u8]| bytes.first().map(|n| usize::from(*n) + 1) == Some(bytes.len());
        let picture = if is_text(reply) {
            0
        } else {
            let length = u32::from_le_bytes(reply.get(..4)?.try_into().ok()?);
            usize::try_from(length).ok()?.checked_add(4)?
        };
        let (picture, text) = reply.split_at_checked(picture)?;
        if !is_text(text) {
            return None;
        }
        let text = self.text(&text[1..], false, usize::from(u8::MAX) - (text.len() - 1));
        let mut out = picture.to_vec();
        out.push(u8::try_from(text.len()).ok()?);
        out.extend(text);
        Some(out)
    }

    fn json(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let mut document = serde_json::from_slice(reply).ok()?;
        self.json_value(&mut document);
        let text = document.to_string();
        let mut out = Vec::new();
        for (n, piece) in text.split(BYTES_STAND_IN).enumerate() {
            if n > 0 {
                out.extend(BYTES);
            }
            out.extend(piece.as_bytes());
        }
        Some(out)
    }

    fn json_value(&mut self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => {
                let number = self.fields.number(text.as_bytes());
                for fault in self.faults {
                    if fault.field.is_some_and(|field| field != number) {
                        continue;
                    }
                    let _ = match fault.text {
                        HostileText::Control => text.write_str(CONTROL_AND_LINES),
                        HostileText::Marks => text.write_str(MARKS),
                        HostileText::Bytes => text.write_str(BYTES_STAND_IN),
                        HostileText::Long => text.write_str(&"A".repeat(LONG)),
                    };
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|v| self.json_value(v)),
            serde_json::Value::Object(items) => {
                items.values_mut().for_each(|v| self.json_value(v));
            }
            _ => {}
        }
    }

    /// Alters the values of keys (type 3) and items of lists (type 5), after their lengths.
    fn vici(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let (length, mut rest) = packet.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*length) as usize != rest.len() {
            return None;
        }
        let copy = |out: &mut Vec<u8>, rest: &mut &[u8], n: usize| {
            let (taken, after) = rest.split_at_checked(n)?;
            out.extend(taken);
            *rest = after;
            Some(())
        };
        let is_event = rest.first() == Some(&7);
        copy(&mut out, &mut rest, 1)?;
        if is_event {
            let name = usize::from(*rest.first()?);
            copy(&mut out, &mut rest, name + 1)?;
        }
        while let Some(kind) = rest.first().copied() {
            copy(&mut out, &mut rest, 1)?;
            if matches!(kind, 1 | 3 | 4) {
                let name = usize::from(*rest.first()?);
                copy(&mut out, &mut rest, name + 1)?;
            }
            if matches!(kind, 3 | 5) {
                let (length, after) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_be_bytes(*length));
                let (value, after) = after.split_at_checked(length)?;
                let room = if out.len() < VICI_ROOM {
                    usize::from(u16::MAX) - length
                } else {
                    0
                };
                let text = self.text(value, false, room);
                out.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
                out.extend(text);
                rest = after;
            }
        }
        let mut whole = u32::try_from(out.len()).ok()?.to_be_bytes().to_vec();
        whole.extend(out);
        Some(whole)
    }

    /// Alters `struct usbip_usb_device` of a list (after a count) or of an import: path and bus ID.
    fn usbip(&mut self, reply: &[u8]) -> Option<Vec<u8>> {
        let places = match reply.get(..4)? {
            [1, 0x11, 0, 5] => [(12, 256), (12 + 256, 32)],
            [1, 0x11, 0, 3] => [(8, 256), (8 + 256, 32)],
            _ => return None,
        };
        let mut out = reply.to_vec();
        for (at, size) in places {
            let field = out.get(at..at + size)?;
            let length = field.iter().position(|b| *b == 0).unwrap_or(size);
            let text = self.text(&field[..length], false, size - length);
            out[at..at + text.len()].copy_from_slice(&text);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply, and the fields it has.
    fn insert(spec: &str, reply: &[u8], format: TextFormat) -> (Vec<u8>, Vec<String>) {
        let mut fields = Fields::default();
        let faults = [spec.parse().unwrap()];
        let reply = Inserter {
            faults: &faults,
            fields: &mut fields,
        }
        .insert(reply, format);
        (reply, fields.names().to_vec())
    }

    #[test]
    fn each_word_of_a_line_is_a_field_and_numbers_are_one() {
        let line = b"Polatis,OSM-16,12,13;\"a b\"\r\n";
        let (reply, fields) = insert("bytes:4", line, TextFormat::Lines);
        assert_eq!(fields, ["Polatis", "OSM-#", "#", "a", "b"]);
        let expected = [&b"Polatis,OSM-16,12,13;\"a"[..], BYTES, &b" b\"\r\n"[..]].concat();
        assert_eq!(reply, expected);
        let (reply, _) = insert("bytes:3", line, TextFormat::Lines);
        assert_eq!(reply.len(), line.len() + 2 * BYTES.len());
        let (reply, _) = insert("control", line, TextFormat::Lines);
        assert_eq!(reply.len(), line.len() + 6 * CONTROL.len());
        assert_eq!(reply.iter().filter(|b| **b == b'\n').count(), 1);
    }

    #[test]
    fn lengths_before_texts_are_right() {
        let (reply, _) = insert("long", b"\x02\x00ok", TextFormat::Length16);
        assert_eq!(reply[..4], [0x32, 0x75, b'o', b'k']);
        assert_eq!(reply.len(), 0x7532 + 2);
        let (reply, _) = insert("long", b"\x03\0\0\0PNG\x02ok", TextFormat::Length8);
        assert_eq!(reply[..10], *b"\x03\0\0\0PNG\xffok");
        assert_eq!(reply.len(), 4 + 3 + 256);
        for (binary, format) in [
            (&b"\x07\x00ok"[..], TextFormat::Length16),
            (b"\x07ok", TextFormat::Length8),
            (b"ok", TextFormat::Binary),
        ] {
            assert_eq!(insert("control", binary, format).0, binary);
        }
    }

    #[test]
    fn each_value_of_a_vici_message_is_a_field() {
        // An event `log` with a section, a value and a list.
        let body = b"\x07\x03log\x01\x03net\x03\x01a\0\x02ok\x02\x04\x01l\x05\0\x01x\x06";
        let packet = [&[0, 0, 0, body.len() as u8][..], body].concat();
        let (reply, fields) = insert("bytes:2", &packet, TextFormat::Vici);
        assert_eq!(fields, ["ok", "x"]);
        assert_eq!(
            reply[..4],
            ((body.len() + BYTES.len()) as u32).to_be_bytes()
        );
        assert_eq!(reply.len(), packet.len() + BYTES.len());
        let end = [&[0, 1 + BYTES.len() as u8, b'x'][..], BYTES, &[6]].concat();
        assert!(reply.ends_with(&end));
        // Something else is sent as it is.
        assert_eq!(
            insert("bytes", &packet[..9], TextFormat::Vici).0,
            packet[..9]
        );
    }

    #[test]
    fn each_string_of_a_json_document_is_a_field() {
        let body = br#"{"message":"no","details":[{"size":3,"key":"AA=="}]}"#;
        let (reply, fields) = insert("control:1", body, TextFormat::Json);
        // serde_json sorts the members of objects by name.
        assert_eq!(fields, ["AA==", "no"]);
        let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["message"], "no");
        let key = reply["details"][0]["key"].as_str().unwrap();
        assert!(key.starts_with("AA==\u{1b}[2J"), "{key:?}");
        let (reply, _) = insert("bytes", body, TextFormat::Json);
        assert!(std::str::from_utf8(&reply).is_err());
    }

    #[test]
    fn fault_kinds_and_fields_are_parsed_or_refused() {
        for (name, _) in HostileText::ALL {
            assert!(name.parse::<TextFault>().is_ok(), "{name}");
        }
        for wrong in ["", "x", "long:", "long:0", "long:x", ":1"] {
            let error = wrong.parse::<TextFault>().unwrap_err();
            assert!(error.contains("control, marks, bytes, long"), "{error}");
        }
    }
}
