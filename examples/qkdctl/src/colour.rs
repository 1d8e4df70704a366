//! Colours. Words carry the meaning and colours repeat it: what is printed without them says the
//! same.
//!
//! Painted text goes through `anstream`, which takes the colours out unless a terminal shows them;
//! `NO_COLOR` and `CLICOLOR_FORCE` decide before that.

use anstyle::{AnsiColor, Style};
use qkd_hal::{device::HealthState, text::printable_lines};
use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

/// Meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextStyle {
    /// As it should be.
    Good,
    /// A state that needs attention.
    Caution,
    /// Not as it should be.
    Bad,
    /// Text of less interest.
    Quiet,
    /// A heading, or what has just changed.
    Strong,
}

impl TextStyle {
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Caution => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Quiet => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
    pub(crate) fn of_health(state: HealthState) -> Self {
        match state {
            HealthState::Ok => Self::Good,
            HealthState::Degraded => Self::Caution,
            _ => Self::Bad,
        }
    }
}

/// All styles, in the order of their marks.
const TONES: [TextStyle; 5] = [
    TextStyle::Good,
    TextStyle::Caution,
    TextStyle::Bad,
    TextStyle::Quiet,
    TextStyle::Strong,
];

/// First of the characters that mark colours, in a plane of private characters. Text from outside
/// is cleaned of escape sequences, and the marks represent the program's own sequences until then.
/// They differ in each process, so that text from outside cannot contain them.
static FIRST_MARK: LazyLock<u32> = LazyLock::new(|| {
    let random = RandomState::new().hash_one(()) % u64::from(PRIVATE_CHARACTERS);
    PRIVATE_PLANES + u32::try_from(random).unwrap_or_default()
});

/// The first of these planes, and how many of its characters a mark can be.
const PRIVATE_PLANES: u32 = 0xf_0000;
const PRIVATE_CHARACTERS: u32 = 0xff00;

/// Returns the mark that ends a colour: after those that begin one.
fn end_mark() -> char {
    u32::try_from(TONES.len())
        .ok()
        .and_then(|n| char::from_u32(*FIRST_MARK + n))
        .unwrap_or_default()
}

/// The text in a colour, for [`render`].
pub(crate) fn paint(tone: TextStyle, text: &str) -> String {
    let mark = (*FIRST_MARK..)
        .zip(TONES)
        .find(|(_, t)| *t == tone)
        .and_then(|(mark, _)| char::from_u32(mark))
        .unwrap_or_default();
    format!("{mark}{text}{}", end_mark())
}

/// An output of several lines as it goes to a terminal: what came from outside cannot move the
/// cursor, and what was painted is in its colour.
pub(crate) fn render(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let end = end_mark();
    for character in printable_lines(text).chars() {
        let tone = u32::from(character)
            .checked_sub(*FIRST_MARK)
            .and_then(|n| TONES.get(usize::try_from(n).ok()?));
        match tone {
            Some(tone) => shown.push_str(&tone.style().to_string()),
            None if character == end => shown.push_str(&anstyle::Reset.to_string()),
            None => shown.push(character),
        }
    }
    shown
}

/// Whether colours are shown on this stream.
pub(crate) fn shown_on(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_same_without_colour() {
        for tone in [
            TextStyle::Good,
            TextStyle::Caution,
            TextStyle::Bad,
            TextStyle::Quiet,
            TextStyle::Strong,
        ] {
            let painted = render(&paint(tone, "ok"));
            assert_ne!(painted, "ok");
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), "ok");
        }
    }

    #[test]
    fn text_from_outside_is_not_coloured() {
        let all: String = ('\u{e000}'..='\u{f8ff}').collect();
        assert_eq!(render(&all), all);
    }

    #[test]
    fn colours_of_others_are_made_visible() {
        assert_eq!(
            render("a\u{1b}[31mb\u{9b}1m\u{202e}"),
            "a\\x1b[31mb\\u{9b}1m\\u{202e}"
        );
    }
}
