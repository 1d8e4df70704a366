//! The log of a program: on standard error, each event on one line that a terminal cannot misread.

use super::console::MAX_LINE;
use qkd_hal::text::printable;
use std::fmt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Log filter for `async-snmp`, independent of the level of a program. The library warns about each
/// datagram that it cannot read, so any sender of datagrams could fill the log. Its client logs
/// each error that it also returns.
const SNMP_LOG_FILTER: &str = "async_snmp=error,async_snmp::client=off";

/// The filter of a log at this level, where the user gives none.
fn default_filter(level: &str) -> String {
    format!("{level},{SNMP_LOG_FILTER}")
}

/// Parses a filter: `LEVEL`, `TARGET` and `TARGET=LEVEL`, with commas between them. A filter that
/// is empty lets errors through. `None` for other text.
///
/// This is `EnvFilter` without its filters by the name and the fields of a span: those need the
/// engine of regular expressions, which took 5 % of the time of a build.
fn parsed(filter: &str) -> Option<Targets> {
    if filter.contains('[') {
        return None;
    }
    let directives: Vec<_> = filter.split(',').filter(|d| !d.is_empty()).collect();
    if directives.is_empty() {
        return Some(Targets::new().with_default(LevelFilter::ERROR));
    }
    directives.join(",").parse().ok()
}

/// Begins the log at this level. The environment variable `variable` holds a filter of the user
/// that replaces the level.
pub fn begin(variable: &str, level: &str, has_colour: bool) {
    let of_user = std::env::var(variable).ok().and_then(|f| parsed(&f));
    let filter = of_user
        .or_else(|| parsed(&default_filter(level)))
        .unwrap_or_default();
    let _ = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // Its own complaint about a log that cannot be written would panic.
        .log_internal_errors(false)
        .event_format(Lines::new(has_colour))
        .finish()
        .with(filter)
        .try_init();
}

/// Formats events as lines: each is cleaned as a whole, then its level is coloured.
struct Lines {
    format: Format,
    has_colour: bool,
}

impl Lines {
    fn new(has_colour: bool) -> Self {
        Self {
            format: Format::default().with_ansi(false),
            has_colour,
        }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format
            .format_event(context, Writer::new(&mut line), event)?;
        let line = printable(line.trim_end_matches('\n'), MAX_LINE);
        let level = event.metadata().level();
        let coloured = self.has_colour.then(|| line.split_once(level.as_str()));
        match coloured.flatten() {
            Some((before, after)) => {
                let colour = colour(*level);
                writeln!(writer, "{before}\x1b[{colour}m{level}\x1b[0m{after}")
            }
            None => writeln!(writer, "{line}"),
        }
    }
}

/// The colour of a level, as a parameter of SGR.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::text::is_misleading;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the output of `log` with this filter.
    fn logged(filter: &str, has_colour: bool, log: impl FnOnce()) -> String {
        let kept = CapturedLog::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .event_format(Lines::new(has_colour))
            .finish()
            .with(parsed(filter).unwrap());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_clean_line_of_bounded_length() {
        let hostile = "a\x1b[2J\r\nforged\u{9b}\u{202e}\u{fffe}\0";
        let text = logged("debug", false, || {
            let span = tracing::info_span!("s", hostile);
            let _entered = span.enter();
            tracing::warn!(hostile, debug = ?hostile, "a message: {hostile}");
            tracing::warn!("{}", "x".repeat(100_000));
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        let found = text.chars().find(|c| *c != '\n' && is_misleading(*c));
        assert_eq!(found, None, "{}", text.escape_debug());
        assert!(text.contains("\\x1b[2J\\r\\nforged\\u{9b}"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() < MAX_LINE + 40));
    }

    #[test]
    fn only_the_level_is_coloured() {
        let text = logged("warn", true, || tracing::warn!("a\x1b[31mb WARN"));
        assert!(text.contains("\x1b[33mWARN\x1b[0m"), "{text:?}");
        assert_eq!(text.matches('\x1b').count(), 2, "{text:?}");
    }

    #[test]
    fn a_library_that_warns_of_each_datagram_logs_errors_that_it_does_not_return() {
        let log = || {
            tracing::warn!(target: "async_snmp::agent", "a datagram");
            tracing::debug!(target: "async_snmp::client", "a datagram");
            tracing::error!(target: "async_snmp::client", "a returned error");
            tracing::error!(target: "async_snmp::agent", "an error");
            tracing::warn!("ours");
        };
        for level in ["warn", "debug"] {
            let text = logged(&default_filter(level), false, log);
            assert!(!text.contains("a datagram"), "{text}");
            assert!(!text.contains("a returned error"), "{text}");
            assert!(text.contains("an error") && text.contains("ours"), "{text}");
        }
    }

    /// Returns which of an error, a warning and a debug event of two targets pass a filter.
    fn passed(filter: &str) -> Vec<String> {
        let text = logged(filter, false, || {
            tracing::error!(target: "a::b", "a-error");
            tracing::warn!(target: "a::b", "a-warn");
            tracing::debug!(target: "a::b", "a-debug");
            tracing::error!(target: "c", "c-error");
            tracing::debug!(target: "c", "c-debug");
        });
        let last = |l: &str| l.rsplit(' ').next().unwrap().to_owned();
        text.lines().map(last).collect()
    }

    #[test]
    fn a_filter_names_levels_and_targets() {
        assert_eq!(passed(""), ["a-error", "c-error"]);
        assert_eq!(passed(","), ["a-error", "c-error"]);
        assert_eq!(passed("WARN"), ["a-error", "a-warn", "c-error"]);
        assert_eq!(passed("a=warn"), ["a-error", "a-warn"]);
        assert_eq!(passed("a"), ["a-error", "a-warn", "a-debug"]);
        assert_eq!(passed("off,c=debug,"), ["c-error", "c-debug"]);
        assert_eq!(passed("trace,a::b=off"), ["c-error", "c-debug"]);
        assert!(parsed("a=loud").is_none());
        assert!(parsed("[span]=debug").is_none() && parsed("a[{x}]=debug").is_none());
    }
}
