//! Text from outside, made safe to show.
//!
//! Devices, agents, servers and files send text that may hold terminal escape sequences,
//! bidirectional marks or megabytes of noise. [`printable`] is the one function through which such
//! text passes on its way to a terminal, a log, a report or an error message.

use std::borrow::Cow;

/// The longest text, in characters, that one field from outside takes in an output.
pub const MAX_TEXT: usize = 400;

/// Returns `text` with every character escaped that a terminal or a report could misread, truncated
/// to `max_chars` characters.
///
/// Escaped as `\n`, `\x1b` or `\u{202e}` are: control characters (C0, DEL, C1), line and paragraph
/// separators, bidirectional and other invisible format characters, byte-order marks, and
/// noncharacters. A backslash is unchanged. A truncated text ends in `… (N more characters)`. A
/// clean, short text needs no allocation.
#[must_use]
pub fn printable(text: &str, max_chars: usize) -> Cow<'_, str> {
    let is_long = text.len() > max_chars && text.chars().nth(max_chars).is_some();
    if !is_long && !text.chars().any(is_misleading) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().min(max_chars.saturating_mul(4)) + 32);
    let mut rest = text.chars();
    for character in rest.by_ref().take(max_chars) {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if is_misleading(c) && c.is_ascii() => {
                shown.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if is_misleading(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    let left = rest.count();
    if left > 0 {
        shown.push_str(&format!("… ({left} more characters)"));
    }
    Cow::Owned(shown)
}

/// Returns bytes as text that is safe to show; bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn printable_bytes(bytes: &[u8], max_chars: usize) -> String {
    // A character has at most four bytes: the rest is only counted.
    printable(&String::from_utf8_lossy(bytes), max_chars).into_owned()
}

/// Returns a text of several lines with each line made safe as by [`printable`]; line feeds and
/// tabs stay. For whole outputs whose lines this project wrote.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || c == '\t';
    if !text.chars().any(|c| is_misleading(c) && !is_kept(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 32);
    for character in text.chars() {
        if is_kept(character) || !is_misleading(character) {
            shown.push(character);
        } else {
            shown.push_str(&printable(character.encode_utf8(&mut [0; 4]), 1));
        }
    }
    Cow::Owned(shown)
}

/// Returns a JSON document in which every character that a terminal could misread is an escape of
/// JSON: [`printable_lines`] would write escapes that JSON does not have. It means the same.
#[must_use]
pub fn json_text(document: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c == '\n' || !is_misleading(c);
    if document.chars().all(is_kept) {
        return Cow::Borrowed(document);
    }
    let mut text = String::with_capacity(document.len() + 32);
    for character in document.chars() {
        if is_kept(character) {
            text.push(character);
        } else {
            // Outside strings, our JSON documents contain no such character.
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Cow::Owned(text)
}

/// As [`json_text`], with each string cut after `max_chars` characters, counted as they are
/// written: `… (N more characters)` follows within the string.
#[must_use]
pub fn bounded_json_text(document: &str, max_chars: usize) -> String {
    let mut text = String::with_capacity(document.len());
    let mut rest = document.chars();
    while let Some(character) = rest.next() {
        text.push(character);
        if character != '"' {
            continue;
        }
        // The string, to its closing quote; an escape is one character.
        let (mut length, mut left) = (0_usize, 0_usize);
        while let Some(character) = rest.next() {
            if character == '"' {
                break;
            }
            let mut written = String::from(character);
            if character == '\\' {
                let escaped = rest.next();
                written.extend(escaped);
                if escaped == Some('u') {
                    written.extend(rest.by_ref().take(4));
                }
            }
            length += 1;
            if length <= max_chars {
                text.push_str(&written);
            } else {
                left += 1;
            }
        }
        if left > 0 {
            text.push_str(&format!("… ({left} more characters)"));
        }
        text.push('"');
    }
    json_text(&text).into_owned()
}

/// Whether a terminal or a reader could take this character for something else than text.
#[must_use]
pub fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width characters and directional marks; separators; embeddings and overrides.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            // Byte-order mark and interlinear annotations.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}'
        )
        || (u32::from(character) & 0xfffe) == 0xfffe
        || ('\u{fdd0}'..='\u{fdef}').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_borrowed() {
        assert!(matches!(printable("Größe 3 µW ✓", 40), Cow::Borrowed(_)));
        assert_eq!(printable("", 0), "");
    }

    #[test]
    fn control_and_format_characters_become_visible() {
        let hostile = "a\x1b[2J\r\n\t\x07\u{9b}31m\u{202e}\u{feff}\u{fffe}\u{10ffff}\u{200d}\x7f";
        let shown = printable(hostile, 100);
        assert_eq!(
            shown,
            "a\\x1b[2J\\r\\n\\t\\x07\\u{9b}31m\\u{202e}\\u{feff}\\u{fffe}\\u{10ffff}\\u{200d}\\x7f"
        );
        assert!(!shown.chars().any(is_misleading));
    }

    #[test]
    fn long_text_is_truncated_with_the_number_of_omitted_characters() {
        assert_eq!(
            printable(&"x".repeat(1000), 3),
            "xxx… (997 more characters)"
        );
        assert_eq!(printable("ääää", 4), "ääää");
        assert_eq!(printable_bytes(b"a\xffb", 10), "a\u{fffd}b");
    }

    #[test]
    fn line_ends_in_output_are_kept() {
        assert_eq!(printable_lines("a\tb\nc\x1bd\n"), "a\tb\nc\\x1bd\n");
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_the_same_without_characters_that_mislead() {
        let value = serde_json::json!({"a": "x\u{1b}[2J\u{9b}\u{202e}\u{feff}\u{e0041}\u{7f}\nü"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json_text(&text);
        assert!(
            !shown.chars().any(|c| c != '\n' && is_misleading(c)),
            "{shown}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }

    #[test]
    fn strings_of_json_are_cut_and_stay_json() {
        let hostile = "\u{1b}\"\\é\u{202e}".repeat(3);
        let value = serde_json::json!({"a": hostile, "b\"": ["x", 1, ""]});
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(bounded_json_text(&text, 100), json_text(&text));
        let cut: serde_json::Value = serde_json::from_str(&bounded_json_text(&text, 7)).unwrap();
        let seven: String = hostile.chars().take(7).collect();
        assert_eq!(cut["a"], format!("{seven}… (8 more characters)"));
        assert_eq!(cut["b\""], value["b\""]);
    }
}
