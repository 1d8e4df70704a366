//! The terminal while it is watched: raw, on its other screen, and as it was before once that ends,
//! however it ends.

use super::view::{self, Row};
use crate::colour;
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute, queue,
    style::Print,
    terminal::{
        self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate,
        EnterAlternateScreen, LeaveAlternateScreen,
    },
};
use futures::StreamExt;
use std::io::{self, IsTerminal, Write};

/// The terminal, as long as this lives.
pub(super) struct Screen {
    keys: EventStream,
    colours: bool,
}

/// Action of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserAction {
    Leave,
    Redraw,
    /// Replaced devices are the right ones.
    Acknowledge,
}

/// Whether a person sits at both ends.
pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn restore() {
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        // A panic message is printed on the normal screen.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        terminal::enable_raw_mode()?;
        let screen = Self {
            keys: EventStream::new(),
            colours: colour::shown_on(&io::stdout()),
        };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Returns the size of the terminal: columns and lines.
    pub(super) fn size() -> (usize, usize) {
        terminal::size().map_or((80, 24), |(w, h)| (w.into(), h.into()))
    }

    pub(super) fn draw(&self, rows: &[Row]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        for (n, row) in (0..).zip(rows) {
            queue!(
                out,
                MoveTo(0, n),
                Print(colour::render(&view::text(row, self.colours))),
                Clear(ClearType::UntilNewLine)
            )?;
        }
        if rows.len() < Self::size().1 {
            queue!(
                out,
                MoveTo(0, u16::try_from(rows.len()).unwrap_or(u16::MAX)),
                Clear(ClearType::FromCursorDown)
            )?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }

    /// Waits for a key, or for another size.
    pub(super) async fn next_action(&mut self) -> UserAction {
        while let Some(Ok(event)) = self.keys.next().await {
            match event {
                Event::Resize(..) => return UserAction::Redraw,
                Event::Key(KeyEvent {
                    code,
                    modifiers,
                    kind: KeyEventKind::Press,
                    ..
                }) => {
                    let control = modifiers.contains(KeyModifiers::CONTROL);
                    match code {
                        KeyCode::Char('c' | 'd') if control => return UserAction::Leave,
                        KeyCode::Char('l') if control => return UserAction::Redraw,
                        KeyCode::Char('q' | 'Q') | KeyCode::Esc => return UserAction::Leave,
                        KeyCode::Char('a' | 'A') => return UserAction::Acknowledge,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        // The terminal has gone.
        UserAction::Leave
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
