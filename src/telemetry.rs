//! Logs: on stderr, as text for people or JSON for machines, one line an event.

mod fields;
mod lines;

use std::cell::Cell;
use std::fmt;
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use jiff::Timestamp;
use tracing::level_filters::STATIC_MAX_LEVEL;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use lines::Lines;

/// How long the end of the process waits for its last lines to be taken.
const LAST: Duration = Duration::from_secs(1);

/// All lines go to one place.
static LINES: Lines = Lines::new();

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object.
    Json,
}

/// `--log-level`: a level, or directives such as `info,podgraft::tls=debug`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLevel(Box<Targets>);

impl std::str::FromStr for LogLevel {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Box::new(text.parse()?)))
    }
}

/// The log of the process. When it is dropped, what was logged has been written, or nobody takes it.
#[must_use]
#[derive(Debug)]
pub struct Log(());

impl Drop for Log {
    fn drop(&mut self) {
        wait();
    }
}

/// Waits until what was logged has been written, or nobody takes it.
pub fn wait() {
    LINES.wait(LAST);
}

/// Starts logging for the process; a second call changes nothing.
///
/// # Errors
///
/// There is no thread to be had.
pub fn start(format: LogFormat, level: &LogLevel) -> io::Result<Log> {
    let lines = tracing_subscriber::fmt::layer().with_writer(|| &LINES).with_target(false).with_timer(Now);
    let registry = tracing_subscriber::registry().with(quiet(&level.0));
    let started = match format {
        LogFormat::Text => {
            let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            registry.with(lines.fmt_fields(fields::Fields).with_ansi(color)).try_init()
        }
        LogFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_current_span(false).with_span_list(false)).try_init()
        }
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(panicked));
        let lost = |lines| tracing::warn!(lines, "nobody took the log for a while: lines were lost here");
        thread::Builder::new().name("log".to_owned()).spawn(move || LINES.write_to(io::stderr(), lost))?;
        let finest = level.0.iter().map(|(_, level)| level).chain(level.0.default_level()).max();
        if finest > Some(STATIC_MAX_LEVEL) {
            tracing::warn!("this build logs nothing finer than {STATIC_MAX_LEVEL}; one without optimisation does");
        }
    }
    Ok(Log(()))
}

/// The time of a line, in UTC.
struct Now;

/// Such as `2026-01-01T00:00:00.000000Z`.
type Time = [u8; 27];

thread_local! {
    /// The second of this thread's last line, and a time in it: that of the next line has the same date.
    static SECOND: Cell<Option<(u64, Time)>> = const { Cell::new(None) };
}

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = time(now).ok_or(fmt::Error)?;
        writer.write_str(str::from_utf8(&time).map_err(|_| fmt::Error)?)
    }
}

/// A time since 1970; until 9999.
fn time(since: Duration) -> Option<Time> {
    let second = since.as_secs();
    let mut time = match SECOND.get() {
        Some((last, time)) if last == second => time,
        _ => {
            let time = Timestamp::from_second(second.try_into().ok()?).ok()?;
            let time = format!("{time:.6}").into_bytes().try_into().ok()?;
            SECOND.set(Some((second, time)));
            time
        }
    };
    let mut micros = since.subsec_micros();
    for digit in time[20..26].iter_mut().rev() {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    Some(time)
}

/// What was asked for. Unless it names them: nothing of the Kubernetes client, which logs each attempt that fails, where we
/// say once what is wrong; and nothing of what watches files, which would log each line that is written to a log beside
/// them, and that line as well.
fn quiet(asked: &Targets) -> Targets {
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    let silent = ["kube_client", "kube_runtime", "notify"].map(|target| (target, LevelFilter::OFF));
    Targets::new().with_default(default).with_targets(silent).with_targets(asked.iter())
}

/// A panic is a line like any other: a collector of logs understands no backtrace.
fn panicked(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string);
    tracing::error!(place, "panicked: {message:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_watches_files_logs_only_when_it_is_named() {
        let logs = |level: &str, target: &str| {
            let LogLevel(asked) = level.parse().unwrap();
            quiet(&asked).would_enable(target, &tracing::Level::TRACE)
        };
        assert!(logs("trace", "podgraft::watch") && !logs("trace", "notify::inotify"));
        assert!(logs("info,notify=trace", "notify::inotify"));
    }

    #[test]
    fn a_line_has_its_time_to_the_microsecond() {
        let mut line = String::new();
        Now.format_time(&mut Writer::new(&mut line)).unwrap();
        assert_eq!(line.len(), "2026-01-01T00:00:00.000000Z".len(), "{line}");
        let age = line.parse::<Timestamp>().unwrap().duration_until(Timestamp::now());
        assert!((0..60).contains(&age.as_secs()), "{line}");
    }

    #[test]
    fn a_time_is_right_whatever_the_one_before() {
        let (start, day) = (Duration::new(1_790_000_000, 999_999_999), Duration::from_hours(24));
        let near = [0, 1, 999, 1000, 1001, 12_345_678, 999_999_999].map(Duration::from_nanos);
        for since in [Duration::ZERO, start, start + 40 * day, start, Duration::from_secs(253_402_207_199)] {
            for since in near.map(|more| since + more) {
                let expected = format!("{:.6}", Timestamp::UNIX_EPOCH + since);
                assert_eq!(str::from_utf8(&time(since).unwrap()).unwrap(), expected, "{since:?}");
            }
        }
        assert_eq!(time(Duration::MAX), None);
    }
}
