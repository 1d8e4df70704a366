//! Colours. Words carry the meaning and colours repeat it: what is printed without them says the
//! same.
//!
//! Painted text goes through `anstream`, which takes the colours out unless a terminal shows them;
//! `NO_COLOR` and `CLICOLOR_FORCE` decide before that.

use anstyle::{AnsiColor, Style};
use qkd_hal::{device::HealthState, text::printable_lines};

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Caution,
    /// Not as it should be.
    Bad,
    /// Of less interest.
    Quiet,
    /// A heading, or what has just changed.
    Strong,
}

impl Tone {
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

/// The tones, in the order of their marks.
const TONES: [Tone; 5] = [
    Tone::Good,
    Tone::Caution,
    Tone::Bad,
    Tone::Quiet,
    Tone::Strong,
];

/// Marks where colours begin, from the private use area: text from outside is cleaned of escape
/// sequences, and these stand for the program's own until then.
const FIRST_MARK: u32 = 0xe000;

/// The mark where a colour ends.
const END_MARK: char = '\u{e0ff}';

/// The text in a colour, for [`render`].
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    let mark = (FIRST_MARK..)
        .zip(TONES)
        .find(|(_, t)| *t == tone)
        .and_then(|(mark, _)| char::from_u32(mark))
        .unwrap_or_default();
    format!("{mark}{text}{END_MARK}")
}

/// An output of several lines as it goes to a terminal: what came from outside cannot move the
/// cursor, and what was painted is in its colour.
pub(crate) fn render(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in printable_lines(text).chars() {
        let tone = u32::from(character)
            .checked_sub(FIRST_MARK)
            .and_then(|n| TONES.get(usize::try_from(n).ok()?));
        match tone {
            Some(tone) => shown.push_str(&tone.style().to_string()),
            None if character == END_MARK => shown.push_str(&anstyle::Reset.to_string()),
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
    fn the_word_stays_without_its_colour() {
        for tone in [
            Tone::Good,
            Tone::Caution,
            Tone::Bad,
            Tone::Quiet,
            Tone::Strong,
        ] {
            let painted = render(&paint(tone, "ok"));
            assert_ne!(painted, "ok");
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), "ok");
        }
    }

    #[test]
    fn colours_of_others_are_made_visible() {
        assert_eq!(
            render("a\u{1b}[31mb\u{9b}1m\u{202e}"),
            "a\\x1b[31mb\\u{9b}1m\\u{202e}"
        );
    }
}
