//! Parts of a reply that a transcript omits.

use crate::proto;
use qkd_driver_kit::link::all_secret;
use std::ops::Range;

/// Returns the positions of the keys of a container. A body that cannot be parsed with certainty is
/// secret as a whole.
pub(crate) fn key_spans(body: &[u8]) -> Vec<Range<usize>> {
    const NAME: &[u8] = b"\"key\"";
    let Ok(keys) = proto::decode_container(body) else {
        return all_secret(body);
    };
    if body.contains(&b'\\') {
        return all_secret(body);
    }
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(found) = body
        .get(at..)
        .and_then(|rest| rest.windows(NAME.len()).position(|w| w == NAME))
    {
        at += found + NAME.len();
        let skip = |from: usize, byte: u8| {
            let rest = body.get(from..)?;
            let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            (rest.get(blank) == Some(&byte)).then_some(from + blank + 1)
        };
        let Some(start) = skip(at, b':').and_then(|colon| skip(colon, b'"')) else {
            continue;
        };
        let Some(length) = body[start..].iter().position(|b| *b == b'"') else {
            return all_secret(body);
        };
        spans.push(start..start + length);
        at = start + length;
    }
    if spans.len() == keys.len() {
        spans
    } else {
        all_secret(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_leaves_out_the_keys_and_nothing_else() {
        let id = "bc490419-7d60-487f-adc1-4ddcc177c139";
        let body = format!(
            r#"{{"keys":[{{"key_ID":"{id}","key" : "AAAA"}},{{"key":"BBBB","key_ID":"{id}"}}]}}"#
        );
        let secret: Vec<&str> = key_spans(body.as_bytes())
            .into_iter()
            .map(|r| &body[r])
            .collect();
        assert_eq!(secret, ["AAAA", "BBBB"]);
        for odd in [
            r#"{"x":"AAAA"}"#,
            "AAAA",
            &body.replace("AAAA", r"\/AAA"),
            &body.replace("key_ID", "key"),
        ] {
            assert_eq!(key_spans(odd.as_bytes()), vec![0..odd.len()], "{odd}");
        }
    }
}
