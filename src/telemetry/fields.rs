//! The fields of an event as text, letter for letter as `tracing_subscriber` writes them, at less than half the cost.
//!
//! A line is written for every pod. The default visitor has each name and each equals sign go through formatters for
//! colors, which no file has.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::mem;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, DefaultVisitor, Writer};

/// Bytes of a line's fields, mostly.
const LENGTH: usize = 256;

/// Formats fields as `DefaultFields` does, and has it do whatever is rare.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        if writer.has_ansi_escapes() {
            // A terminal: nobody reads fast enough.
            return DefaultFields::new().format_fields(writer, fields);
        }
        // The writer is behind two pointers to functions: it gets all at once.
        let mut visitor = Visitor { text: String::with_capacity(LENGTH), first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result?;
        writer.write_str(&visitor.text)
    }
}

struct Visitor {
    text: String,
    first: bool,
    result: fmt::Result,
}

impl Visitor {
    /// Begins a field.
    fn name(&mut self, name: &str) {
        if !mem::take(&mut self.first) {
            self.text.push(' ');
        }
        self.text.push_str(name);
        self.text.push('=');
    }

    /// Writes the message, which comes before the fields, unless something of it has to be escaped.
    fn message(&mut self, message: &dyn Debug) -> bool {
        let written = self.first && write!(self.text, "{message:?}").is_ok() && is_plain(&self.text);
        if written {
            self.first = false;
        } else if self.first {
            self.text.clear();
        }
        written
    }

    /// Leaves a field to the default visitor.
    fn leave(&mut self, field: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut visitor = DefaultVisitor::new(Writer::new(&mut self.text), mem::take(&mut self.first));
        field(&mut visitor);
        self.result = self.result.and(visitor.finish());
    }
}

impl Visit for Visitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = field.name();
        if is_special(name) {
            self.leave(|visitor| visitor.record_str(field, value));
        } else if is_plain(value) {
            self.name(name);
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.leave(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" if self.message(value) => {}
            name if is_special(name) => self.leave(|visitor| visitor.record_debug(field, value)),
            name => {
                self.name(name);
                self.result = self.result.and(write!(self.text, "{value:?}"));
            }
        }
    }
}

/// Whether a field is written in another way than `name=value`: the message, whose control characters are escaped; what
/// `log` knows of its records; names that are words of Rust.
fn is_special(name: &str) -> bool {
    matches!(name.as_bytes(), b"message" | [b'l', b'o', b'g', b'.', ..] | [b'r', b'#', ..])
}

/// Whether nothing of a text is escaped, between quotes or in a message.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{Event, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    /// Formats events in both ways.
    struct Both(Arc<Mutex<Vec<[String; 2]>>>);

    impl<S: Subscriber> Layer<S> for Both {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let (mut ours, mut theirs) = (String::new(), String::new());
            Fields.format_fields(Writer::new(&mut ours), event).unwrap();
            DefaultFields::new().format_fields(Writer::new(&mut theirs), event).unwrap();
            self.0.lock().unwrap().push([ours, theirs]);
        }
    }

    #[test]
    fn fields_are_written_as_by_default() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Both(Arc::clone(&lines))), || {
            tracing::info!(uid = "u-1", dry_run = false, warnings = 2_usize, seconds = 0.000_123, "grafted");
            tracing::info!(seconds = 1e-9, large = 1e300, count = -3, wide = u128::MAX, none = None::<&str>);
            for word in ["", "~ !", "a \"b\"", r"C:\", "a\nb\tc", "\u{1b}[31m", "\u{7f}\u{9b}", "é日", "it's", "\0"] {
                tracing::info!(word, debug = ?word, display = %word, bytes = word.as_bytes(), "{word}");
                tracing::info!(message = word, r#type = word, log.target = word);
            }
            let error = io::Error::other(fmt::Error);
            tracing::info!(%error, source = &error as &dyn Error, "lost");
        });
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 23);
        assert_eq!(lines[0][0], "grafted uid=\"u-1\" dry_run=false warnings=2 seconds=0.000123");
        for [ours, theirs] in lines.iter() {
            assert_eq!(ours, theirs);
        }
    }
}
