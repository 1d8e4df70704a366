//! Parses requests into blocks, and formats responses and autonomous messages.

use std::{fmt::Write, time::Duration};

/// Reason for which a command is denied: code of four letters, and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ErrorCode(pub(super) &'static str, pub(super) &'static str);

impl ErrorCode {
    /// Denial codes from the sources.
    pub(super) const BAD_LOGIN: Self = Self("PICC", "Privilege, Illegal Command Code");
    pub(super) const BAD_AID: Self = Self("IIAC", "Input, Invalid Access Identifier");
    pub(super) const NOT_HERE: Self = Self("IICM", "Input, not supported on this switch");
    /// GR-831, appendix of error codes.
    pub(super) const NO_LOGIN: Self = Self("PLNA", "Privilege, Login Not Active");
    pub(super) const NO_VERB: Self = Self("ICNV", "Input, Command Not Valid");
    pub(super) const NO_BLOCK: Self = Self("IPNV", "Input, Parameter Not Valid");
    pub(super) const BAD_VALUE: Self = Self("IPNC", "Input, Parameter Not Consistent");
    pub(super) const REFUSED: Self = Self("SROF", "Status, Requested Operation Failed");
    pub(super) const TOO_LONG: Self = Self("IISP", "Input, Invalid Syntax or Punctuation");
}

/// A command: `VERB-MOD-MOD:TID:AID:CTAG:GENERAL:PAYLOAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) verb: String,
    pub(super) aid: String,
    pub(super) tag: String,
    /// Blocks after the CTAG.
    pub(super) blocks: Vec<String>,
}

impl Request {
    pub(super) fn parse(text: &[u8]) -> Result<Self, ErrorCode> {
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|t| {
                t.chars()
                    .all(|c| c.is_ascii_graphic() || c.is_ascii_whitespace())
            })
            .ok_or(ErrorCode::TOO_LONG)?;
        let blocks = split(text.trim())?;
        let block = |n: usize| {
            blocks
                .get(n)
                .map(|b| b.trim().to_owned())
                .unwrap_or_default()
        };
        let tag = block(3);
        let is_valid = tag.len() <= 6 && tag.chars().all(|c| c.is_ascii_alphanumeric());
        Ok(Self {
            verb: block(0).to_uppercase(),
            aid: block(2),
            tag: if is_valid && !tag.is_empty() {
                tag
            } else {
                "0".to_owned()
            },
            blocks: blocks.into_iter().skip(4).collect(),
        })
    }

    /// Returns the value of `NAME=value` in the payload blocks, without parentheses around it.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.blocks.iter().flat_map(|b| commas(b)).find_map(|part| {
            let (n, value) = part.split_once('=')?;
            n.trim().eq_ignore_ascii_case(name).then(|| {
                value
                    .trim()
                    .trim_matches('"')
                    .trim_start_matches('(')
                    .trim_end_matches(')')
                    .to_owned()
            })
        })
    }
    /// Returns the first non-empty block after the CTAG.
    pub(super) fn first(&self) -> &str {
        self.blocks
            .iter()
            .map(|b| b.trim())
            .find(|b| !b.is_empty())
            .unwrap_or_default()
    }
}

/// Splits at colons outside quotes.
fn split(text: &str) -> Result<Vec<String>, ErrorCode> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                all.last_mut().ok_or(ErrorCode::TOO_LONG)?.push(c);
            }
            ':' if !quoted => all.push(String::new()),
            c => all.last_mut().ok_or(ErrorCode::TOO_LONG)?.push(c),
        }
    }
    if quoted {
        Err(ErrorCode::TOO_LONG)
    } else {
        Ok(all)
    }
}

/// Splits at commas outside quotes.
fn commas(text: &str) -> Vec<String> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        quoted ^= c == '"';
        match (c, all.last_mut()) {
            (',', _) if !quoted => all.push(String::new()),
            (c, Some(last)) => last.push(c),
            _ => {}
        }
    }
    all
}

/// Maximum number of ports in an AID.
const MAX_PORTS: usize = 4096;

/// Returns the ports of an AID, such as `11&4&10` or the range `1&&640`, each from 1 to `end`.
pub(super) fn ports(text: &str, end: u32) -> Result<Vec<u32>, ErrorCode> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let from: u32 = number.parse().map_err(|_| ErrorCode::BAD_AID)?;
        let mut to = from;
        rest = tail;
        if let Some(tail) = rest.strip_prefix("&&") {
            let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = tail.split_at(digits);
            to = number.parse().map_err(|_| ErrorCode::BAD_AID)?;
            rest = tail;
        }
        if from > to || to > end || from == 0 || all.len() > MAX_PORTS {
            return Err(ErrorCode::BAD_AID);
        }
        all.extend(from..=to);
        match rest.strip_prefix('&') {
            Some(tail) if !tail.is_empty() => rest = tail,
            Some(_) => return Err(ErrorCode::BAD_AID),
            None if rest.is_empty() => {}
            None => return Err(ErrorCode::BAD_AID),
        }
    }
    Ok(all)
}

fn header(now: Duration) -> String {
    // Computes a civil date from the epoch, so that long runs stay in order.
    let (mut day, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    let mut year = 1970;
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    while day >= if leap(year) { 366 } else { 365 } {
        day -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let months = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while day >= months[month] {
        day -= months[month];
        month += 1;
    }
    format!(
        "\r\n   ( nil ) {:02}-{:02}-{:02} {:02}:{:02}:{:02}\r\n",
        year % 100,
        month + 1,
        day + 1,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The answer to a command.
pub(super) fn response(now: Duration, tag: &str, result: Result<Vec<String>, ErrorCode>) -> String {
    let mut text = header(now);
    match result {
        Ok(lines) => {
            let _ = write!(text, "M  {tag} COMPLD\r\n");
            for line in lines {
                let _ = write!(text, "   \"{line}\"\r\n");
            }
        }
        Err(ErrorCode(code, words)) => {
            let _ = write!(text, "M  {tag} DENY\r\n   {code}\r\n   /* {words} */\r\n");
        }
    }
    text.push_str(";\r\n");
    text
}

/// Formats an autonomous message.
pub(super) fn autonomous(now: Duration, code: &str, tag: u32, verb: &str, line: &str) -> String {
    format!(
        "{}{code:<2} {tag} {verb}\r\n   \"{line}\"\r\n;\r\n",
        header(now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_parse_and_others_are_refused() {
        assert_eq!(ports("11&4&10", 16).unwrap(), [11, 4, 10]);
        assert_eq!(ports("1&&4", 16).unwrap(), [1, 2, 3, 4]);
        assert_eq!(ports("1&&2&7", 16).unwrap(), [1, 2, 7]);
        assert!(ports("", 16).unwrap().is_empty());
        for wrong in ["0", "17", "4&&2", "1&", "a", "1,2", "1&&", "1&&4294967296"] {
            assert_eq!(ports(wrong, 16), Err(ErrorCode::BAD_AID), "{wrong}");
        }
    }

    #[test]
    fn a_request_and_its_blocks() {
        let request =
            Request::parse(b"\r\nset-port-atten:\"my:switch\":33:12:::MODE=ABS,LEVEL=(-10.0)")
                .unwrap();
        assert_eq!(
            (
                request.verb.as_str(),
                request.aid.as_str(),
                request.tag.as_str()
            ),
            ("SET-PORT-ATTEN", "33", "12")
        );
        assert_eq!(
            (
                request.parameter("mode").as_deref(),
                request.parameter("LEVEL").as_deref()
            ),
            (Some("ABS"), Some("-10.0"))
        );
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(
            header(Duration::from_secs(951_782_400)),
            "\r\n   ( nil ) 00-02-29 00:00:00\r\n"
        );
    }
}
