//! Layout of the state for a number of columns and lines.

use super::{
    items::Item,
    state::{DeviceState, WatchState},
};
use crate::{
    colour::{TextStyle, paint},
    output,
};
use qkd_hal::device::HealthState;
use std::time::SystemTime;

/// A piece of a line, in one colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    tone: Option<TextStyle>,
    text: String,
}

/// One line of the screen.
pub(super) type Row = Vec<Span>;

fn span(tone: impl Into<Option<TextStyle>>, text: impl AsRef<str>) -> Span {
    Span {
        tone: tone.into(),
        text: printable(text.as_ref()),
    }
}

/// Cleans text from a device, which may contain anything: characters that move the cursor are
/// escaped.
pub(super) fn printable(text: &str) -> String {
    output::clean(text).into_owned()
}

/// The time of day, UTC.
pub(super) fn clock(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at)
        .to_string()
        .get(11..20)
        .unwrap_or_default()
        .to_owned()
}

/// A line as text, for [`colour::render`](crate::colour::render).
pub(super) fn text(row: &Row, colours: bool) -> String {
    row.iter()
        .map(|s| {
            s.tone
                .filter(|_| colours)
                .map_or_else(|| s.text.clone(), |tone| paint(tone, &s.text))
        })
        .collect()
}

/// Lays out the state on at most `width` columns and `height` lines.
pub(super) fn rows(picture: &WatchState, heading: &str, width: usize, height: usize) -> Vec<Row> {
    let mut rows = vec![vec![span(TextStyle::Quiet, heading)]];
    for device in &picture.devices {
        rows.push(Row::new());
        rows.push(title(device));
        if let Some(replaced) = &device.replaced {
            let now = device.identity.as_ref().map(ToString::to_string);
            let text = format!(
                "since {}: another device responds: {}; before it was {}; press a to acknowledge",
                clock(replaced.since),
                now.as_deref().unwrap_or("unknown"),
                replaced.before
            );
            rows.extend(wrapped(
                span(None, "  "),
                Some(TextStyle::Bad),
                &text,
                width,
            ));
        }
        if let Some(trouble) = &device.trouble {
            let text = format!("since {}: {}", clock(trouble.since), trouble.message);
            rows.extend(wrapped(
                span(None, "  "),
                Some(TextStyle::Bad),
                &text,
                width,
            ));
        }
        rows.extend(readings(device, width));
    }
    let happened = happened(picture, width);
    // The newest events stay in view, however many readings there are.
    let room = height.saturating_sub(happened.len().min(6));
    if rows.len() > room {
        let hidden = rows.len() + 1 - room.max(1);
        rows.truncate(room.saturating_sub(1));
        rows.push(vec![span(
            TextStyle::Quiet,
            format!("  … {hidden} more lines: make the window higher, or watch fewer devices"),
        )]);
    }
    let first = happened
        .len()
        .saturating_sub(height.saturating_sub(rows.len()));
    rows.extend(happened.into_iter().skip(first));
    rows.truncate(height);
    rows.iter_mut().for_each(|row| cut(row, width));
    rows
}

fn title(device: &DeviceState) -> Row {
    let (tone, word) = match (&device.trouble, device.readings.as_ref().map(|r| r.health)) {
        (Some(t), _) => (
            if t.word == "busy" {
                TextStyle::Caution
            } else {
                TextStyle::Bad
            },
            t.word.to_uppercase(),
        ),
        (None, None) => (TextStyle::Quiet, "opening".to_owned()),
        (None, Some(None)) => (TextStyle::Good, "answers".to_owned()),
        (None, Some(Some(HealthState::Ok))) => (TextStyle::Good, "ok".to_owned()),
        (None, Some(Some(state))) => (TextStyle::of_health(state), output::serde_name(state)),
    };
    let identity = device.identity.as_ref().map(ToString::to_string);
    let mut row = vec![span(TextStyle::Strong, &device.label), span(None, "  ")];
    if device.is_replaced() {
        row.extend([span(TextStyle::Bad, "REPLACED"), span(None, "  ")]);
    }
    row.extend([
        span(tone, word),
        span(None, "  "),
        span(TextStyle::Quiet, identity.unwrap_or_default()),
    ]);
    row
}

/// The fewest columns in which text is wrapped.
const MIN_WRAP: usize = 20;

/// Wraps a text at words after a prefix, with a hanging indent of the width of the prefix.
fn wrapped(prefix: Span, tone: Option<TextStyle>, text: &str, width: usize) -> Vec<Row> {
    let indent = prefix.text.chars().count();
    let room = width.saturating_sub(indent).max(MIN_WRAP);
    let mut first = Some(prefix);
    textwrap::wrap(&printable(text), room)
        .into_iter()
        .map(|line| {
            let before = first
                .take()
                .unwrap_or_else(|| span(None, " ".repeat(indent)));
            vec![before, span(tone, line)]
        })
        .collect()
}

/// A cell wider than this has a line to itself.
const CELL: usize = 40;

/// Lays out the values in as many columns as fit; changed values are highlighted, old ones are
/// dimmed.
fn readings(device: &DeviceState, width: usize) -> Vec<Row> {
    let Some(readings) = &device.readings else {
        return Vec::new();
    };
    // The health is in the title.
    let items = || readings.items.iter().filter(|i| i.name != "health");
    let length = |item: &Item| item.name.chars().count() + item.shown.chars().count();
    let name = items()
        .map(|i| i.name.chars().count())
        .filter(|n| *n < CELL)
        .max()
        .unwrap_or(0);
    let value = items()
        .filter(|i| length(i) < CELL)
        .map(|i| i.shown.chars().count())
        .max()
        .unwrap_or(0);
    let columns = (width / (name + value + 4)).max(1);
    let mut rows: Vec<Row> = Vec::new();
    let mut room = 0;
    for item in items() {
        let tone = if device.trouble.is_some() {
            Some(TextStyle::Quiet)
        } else {
            device
                .changed
                .contains(&item.name)
                .then_some(TextStyle::Strong)
        };
        let is_wide = length(item) >= CELL || columns == 1;
        let shown = if is_wide {
            item.shown.clone()
        } else {
            format!("{:value$}", item.shown)
        };
        let cell = [
            span(TextStyle::Quiet, format!("  {:name$}  ", item.name)),
            span(tone, shown),
        ];
        match rows.last_mut().filter(|_| room > 0 && !is_wide) {
            Some(row) => row.extend(cell),
            None => {
                rows.push(cell.into());
                room = columns;
            }
        }
        room = if is_wide { 0 } else { room - 1 };
    }
    rows
}

fn happened(picture: &WatchState, width: usize) -> Vec<Row> {
    if picture.happened.is_empty() {
        return Vec::new();
    }
    let lines = picture.happened.iter().flat_map(|(at, device, line)| {
        let prefix = span(TextStyle::Quiet, format!("  {}  {device}  ", clock(*at)));
        let tone = line.is_bad().then_some(TextStyle::Bad);
        wrapped(prefix, tone, &line.status_text(), width)
    });
    [Row::new(), vec![span(TextStyle::Strong, "What happened")]]
        .into_iter()
        .chain(lines)
        .collect()
}

/// Cuts a line that is too long.
fn cut(row: &mut Row, width: usize) {
    let mut left = width;
    for span in row.iter_mut() {
        let length = span.text.chars().count();
        if length > left {
            span.text = span
                .text
                .chars()
                .take(left.saturating_sub(1))
                .chain((left > 0).then_some('…'))
                .collect();
        }
        left = left.saturating_sub(length);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            items::Readings,
            poll::{Report, Update},
            state::Name,
        },
        *,
    };
    use qkd_hal::{Error, ErrorKind};
    use serde_json::json;

    fn readings(values: &[(&str, u64)]) -> Update {
        let items = values
            .iter()
            .map(|(name, v)| Item {
                name: (*name).to_owned(),
                value: json!(v),
                shown: v.to_string(),
            })
            .collect();
        Update::Readings(Readings {
            health: Some(HealthState::Ok),
            items,
        })
    }
    fn name(label: &str) -> Name {
        Name {
            label: label.to_owned(),
            uri: format!("polatis+tcp://{label}"),
        }
    }
    fn take(picture: &mut WatchState, news: Update) -> Vec<String> {
        picture
            .apply_report(Report {
                device: 0,
                at: SystemTime::UNIX_EPOCH,
                news,
            })
            .iter()
            .map(super::super::state::Line::status_text)
            .collect()
    }
    fn seen(picture: &WatchState, width: usize, height: usize) -> Vec<String> {
        rows(picture, "heading", width, height)
            .iter()
            .map(|r| text(r, false))
            .collect()
    }

    #[test]
    fn the_loss_and_return_of_a_device_are_each_reported_once() {
        let mut picture = WatchState::new(vec![name("sw1")], false);
        assert_eq!(
            take(&mut picture, readings(&[("paths", 1), ("old", 1)])),
            ["2 readings"]
        );
        assert_eq!(
            take(&mut picture, readings(&[("paths", 2), ("new", 1)])),
            ["paths: 1 -> 2", "new: - -> 1", "old: 1 -> -"]
        );
        let gone = || {
            Update::Trouble(Error::new(
                ErrorKind::Unreachable,
                "no device responds\u{1b}[2J",
            ))
        };
        assert_eq!(take(&mut picture, gone()).len(), 1);
        assert_eq!(take(&mut picture, gone()), Vec::<String>::new());
        assert_eq!(picture.code(), 3);
        let away = seen(&picture, 80, 24);
        assert!(away.iter().any(|l| l == "sw1  AWAY  "), "{away:#?}");
        assert!(
            away.iter()
                .any(|l| l.contains("since 00:00:00Z: no device responds\\x1b[2J")),
            "{away:#?}"
        );
        assert_eq!(
            take(&mut picture, readings(&[("paths", 2), ("new", 1)])),
            ["is back"]
        );
        assert_eq!(picture.code(), 0);
        assert!(
            seen(&picture, 80, 24)
                .iter()
                .any(|l| l.ends_with("sw1  is back"))
        );
    }

    #[test]
    fn a_replaced_device_stays_marked_until_it_is_acknowledged() {
        let identity =
            |serial: &str| Update::Identity(qkd_hal::Identity::new("Polatis").with_serial(serial));
        let mut picture = WatchState::new(vec![name("sw1")], false);
        take(&mut picture, identity("1"));
        assert_eq!(
            take(&mut picture, readings(&[("paths", 1)])),
            ["1 readings"]
        );
        let reported = take(&mut picture, identity("2"));
        assert!(
            reported[0].contains("another device responds"),
            "{reported:?}"
        );
        take(&mut picture, readings(&[("paths", 1)]));
        assert_eq!(picture.code(), 7, "it can be read, and is another");
        let marked = seen(&picture, 80, 24);
        assert!(
            marked.iter().any(|l| l.starts_with("sw1  REPLACED  ok")),
            "{marked:#?}"
        );
        picture.acknowledge();
        assert_eq!(picture.code(), 0);
        assert!(!seen(&picture, 80, 24).join("\n").contains("REPLACED"));
        let mut picture = WatchState::new(vec![name("sw1")], true);
        take(&mut picture, identity("1"));
        assert_eq!(take(&mut picture, identity("2")).len(), 1);
        assert_eq!(picture.code(), 0, "it was acknowledged in advance");
    }

    #[test]
    fn a_long_event_is_wrapped_at_words_and_indented() {
        let mut picture = WatchState::new(vec![name("sw1")], false);
        let message = "word ".repeat(40);
        take(
            &mut picture,
            Update::Trouble(Error::new(ErrorKind::Unreachable, message.trim())),
        );
        let rows = seen(&picture, 80, 24);
        let words = rows.join(" ").matches("word").count();
        assert_eq!(
            words, 80,
            "in the title and in the list, none is cut: {rows:#?}"
        );
        assert!(rows.iter().all(|r| r.chars().count() <= 80), "{rows:#?}");
        assert!(
            rows.last()
                .is_some_and(|l| l.starts_with("                  word")),
            "{rows:#?}"
        );
    }

    #[test]
    fn the_screen_fits_any_window_size() {
        let mut picture = WatchState::new(vec![name("a switch with a long name")], false);
        let names: Vec<String> = (0..60).map(|n| format!("power {n}")).collect();
        take(
            &mut picture,
            readings(&names.iter().map(|n| (n.as_str(), 1)).collect::<Vec<_>>()),
        );
        for n in 0..50 {
            take(&mut picture, Update::Lost(n));
        }
        for (width, height) in [(80, 24), (200, 60), (20, 8), (1, 1), (0, 0), (40, 3)] {
            let rows = seen(&picture, width, height);
            assert!(rows.len() <= height, "{width}x{height}: {rows:#?}");
            assert!(
                rows.iter().all(|r| r.chars().count() <= width),
                "{width}x{height}: {rows:#?}"
            );
        }
        let rows = seen(&picture, 80, 24);
        assert!(
            rows.iter().any(|l| l.contains("49 events are lost")),
            "{rows:#?}"
        );
        assert!(
            rows.iter().any(|l| l.contains("more lines"))
                || rows.iter().any(|l| l.contains("power 59")),
            "{rows:#?}"
        );
    }
}
