//! Colours. Words carry the meaning and colours repeat it: what is printed without them says the same.
//!
//! Painted text goes through `anstream`, which takes the colours out unless a terminal shows them; `NO_COLOR` and `CLICOLOR_FORCE` decide before that.

use anstyle::{AnsiColor, Style};
use qkd_hal::device::HealthState;

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

/// The text in a colour.
pub(crate) fn paint(tone: Tone, text: &str) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
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
            let painted = paint(tone, "ok");
            assert_ne!(painted, "ok");
            assert_eq!(anstream::adapter::strip_str(&painted).to_string(), "ok");
        }
    }
}
