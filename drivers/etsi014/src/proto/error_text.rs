//! A server's own words about a refusal.
//!
//! The standard has `message` and `details` (6.5). Servers in the field also send `detail`, as text
//! or as FastAPI's list of objects, `error`, plain text, or nothing.

use qkd_hal::text::{MAX_TEXT, printable};
use serde_json::{Map, Value};

/// The longest error body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Maximum number of parts of a list that are shown.
const MAX_PARTS: usize = 8;
/// The shortest run of characters that may be key material: 8 bytes in hexadecimal digits.
const SHORTEST_KEY: usize = 16;

/// Returns what the server says in its body, for people; `None` if there is nothing to show.
///
/// The text is bounded, its control characters are visible, and runs of characters that look like
/// key material are left out.
pub(super) fn error_text(body: &[u8]) -> Option<String> {
    if body.len() > MAX_BODY {
        return None;
    }
    let mut parts = Vec::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => collect(&value, &mut parts),
        Err(_) => {
            let text = std::str::from_utf8(body).ok()?.trim();
            // A page for browsers, or JSON that was cut.
            if !text.starts_with(['<', '{', '[']) {
                parts.push(text.to_owned());
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.dedup();
    let words = without_keys(&parts.join("; "));
    (!words.is_empty()).then(|| printable(&words, MAX_TEXT).into_owned())
}

fn collect(value: &Value, parts: &mut Vec<String>) {
    if parts.len() >= MAX_PARTS {
        return;
    }
    match value {
        Value::String(text) => parts.push(text.trim().to_owned()),
        Value::Array(list) => list.iter().for_each(|item| collect(item, parts)),
        Value::Object(object) => collect_object(object, parts),
        _ => {}
    }
}

fn collect_object(object: &Map<String, Value>, parts: &mut Vec<String>) {
    const WORDS: [&str; 6] = ["message", "msg", "error", "detail", "details", "title"];
    let place = object.get("loc").and_then(Value::as_array).map(|loc| {
        let names = loc.iter().map(|name| match name {
            Value::String(name) => name.clone(),
            other => other.to_string(),
        });
        names.collect::<Vec<_>>().join(".")
    });
    let first = parts.len();
    for name in WORDS {
        if let Some(value) = object.get(name) {
            collect(value, parts);
        }
    }
    // Table 15 of the standard has `details` as objects with names of the server's choice.
    if parts.len() == first {
        for (name, value) in object {
            if let Value::String(text) = value {
                parts.push(format!("{name}: {text}"));
            }
        }
        parts.truncate(MAX_PARTS);
    }
    if let (Some(place), Some(part)) = (place, parts.get_mut(first)) {
        *part = format!("{place}: {part}");
    }
}

/// Replaces each run of Base64 or hexadecimal characters that may be a key.
fn without_keys(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_key_character) {
        shown.push_str(&rest[..start]);
        rest = &rest[start..];
        let bytes_end = end_of_separated_bytes(rest);
        let run_end = rest.find(|c| !is_key_character(c)).unwrap_or(rest.len());
        let end = bytes_end.max(run_end);
        if bytes_end > 0 || looks_like_key(&rest[..run_end]) {
            shown.push_str(&format!("[{end} characters left out]"));
        } else {
            shown.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

fn is_key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_')
}

fn looks_like_key(run: &str) -> bool {
    let digits: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
    if digits.len() < SHORTEST_KEY || uuid::Uuid::try_parse(run).is_ok_and(|_| run.len() == 36) {
        return false;
    }
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    // Words and the names of parameters have few changes of case and digits; random text has many.
    let class = |c: char| match c {
        '0'..='9' => 0,
        'a'..='z' => 1,
        _ => 2,
    };
    let kinds: Vec<i32> = digits.chars().map(class).collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    run.ends_with('=')
        || run.contains('+')
        || (digits.bytes().all(|b| b.is_ascii_hexdigit()) && has(u8::is_ascii_digit))
        || changes * 4 >= digits.len()
}

/// The end of at least eight bytes in hexadecimal digits with a separator between; 0: none.
fn end_of_separated_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_byte = |at: usize| {
        bytes
            .get(at..at + 2)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    let (mut at, mut count) = (0, 0);
    while is_byte(at) {
        count += 1;
        at += 2;
        if matches!(bytes.get(at), Some(b' ' | b':' | b',' | b'-')) && is_byte(at + 1) {
            at += 1;
        } else {
            break;
        }
    }
    if count >= SHORTEST_KEY / 2 { at } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_error_bodies_are_shown() {
        for (body, words) in [
            (r#"{"message":"no such key"}"#, "no such key"),
            (r#"{"detail":"Not authenticated"}"#, "Not authenticated"),
            (
                r#"{"detail":[{"loc":["query","size"],"msg":"too small","input":"8"}]}"#,
                "query.size: too small",
            ),
            (
                r#"{"message":"bad request","details":[{"size":"must be 256"},{"message":"x"}]}"#,
                "bad request; size: must be 256; x",
            ),
            (
                r#"{"error":"remoteSystemID missing"}"#,
                "remoteSystemID missing",
            ),
            (r#"{"error":{"message":"peer","code":7}}"#, "peer"),
            (r#""only a text""#, "only a text"),
            ("Service Unavailable\r\n", "Service Unavailable"),
            (
                "size shall be from min_key_size 64 to max_key_size 1024",
                "size shall be from min_key_size 64 to max_key_size 1024",
            ),
            (
                r#"{"message":"additional_slave_SAE_IDs holds more than max_SAE_ID_count 4"}"#,
                "additional_slave_SAE_IDs holds more than max_SAE_ID_count 4",
            ),
            (
                "key bc490419-7d60-487f-adc1-4ddcc177c139 is gone",
                "key bc490419-7d60-487f-adc1-4ddcc177c139 is gone",
            ),
        ] {
            assert_eq!(
                error_text(body.as_bytes()).as_deref(),
                Some(words),
                "{body}"
            );
        }
        for body in [
            "",
            "{}",
            "<html>502</html>",
            r#"{"message":""#,
            "null",
            "\u{fffd}",
        ] {
            let nothing = error_text(body.as_bytes());
            assert!(
                nothing.is_none() || body == "\u{fffd}",
                "{body}: {nothing:?}"
            );
        }
    }

    #[test]
    fn error_texts_are_bounded_and_printable() {
        let hostile = serde_json::json!({ "message": format!("\u{1b}[2J{}", "ä ".repeat(9000)) });
        let words = error_text(hostile.to_string().as_bytes()).unwrap();
        assert!(words.starts_with("\\x1b[2J"), "{words}");
        assert!(words.chars().count() < MAX_TEXT + 50, "{}", words.len());
        let long = vec![b'a'; MAX_BODY + 1];
        assert_eq!(error_text(&long), None);
        let list: Vec<_> = (0..1000).map(|n| format!("part {n}")).collect();
        let words = error_text(serde_json::json!({ "detail": list }).to_string().as_bytes());
        assert!(words.unwrap().ends_with("part 7"));
    }

    #[test]
    fn key_material_is_never_repeated() {
        for key in [
            "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s=",
            "wHHVxRwDJs3_bXd38GHP3oe4svTuRpZS0yCC7x4Ly-s",
            "c071d5c51c0326cd",
            "C071D5C51C0326CDFF6D7777F061CFDE",
            "c0:71:d5:c5:1c:03:26:cd:ff:6d",
            "c0 71 d5 c5 1c 03 26 cd",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "6fa459eaee8a4ca4894edb77e160355e",
        ] {
            for body in [
                serde_json::json!({ "message": format!("cannot store {key} now") }).to_string(),
                serde_json::json!({ "detail": [{ "msg": key, "input": key }] }).to_string(),
                serde_json::json!({ "details": [{ "key": key }] }).to_string(),
                format!("bad key {key}"),
            ] {
                let words = error_text(body.as_bytes()).unwrap();
                assert!(!words.contains(&key[..8]), "{body}: {words}");
                assert!(words.contains("characters left out]"), "{words}");
            }
        }
    }
}
