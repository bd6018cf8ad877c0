//! Mistakes in template files: collected while a file is read, shown as rustc shows them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Line, Origin, Scope};

/// The most mistakes that are kept of one file: who has more has another problem.
pub(super) const MAX_DIAGNOSTICS: usize = 50;

/// The longest line, in bytes, that is shown; of longer ones, only the place.
const MAX_LINE: usize = 16 * 1024;

/// Where something stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Line, from 1.
    pub(super) line: Line,
    /// Column in characters, from 1.
    pub(super) column: u32,
    /// Its bytes; of a block map or list, only the place where it starts.
    pub(super) range: Range<usize>,
}

impl Default for Place {
    fn default() -> Self {
        Self { line: 1, column: 1, range: 0..0 }
    }
}

/// A mistake in a template's file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: Line,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes of the file that are wrong, within one line; empty when it is a place rather than a piece of text.
    pub range: Range<usize>,
    /// What was found.
    pub message: String,
    /// What is allowed there, or what to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Says what is allowed there, or what to do.
    pub(super) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    fn group<'a>(&'a self, level: Level<'a>, origin: &'a super::Origin, text: &'a str) -> Group<'a> {
        let start = text[..self.range.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let title = level.primary_title(&self.message);
        let group = if line.len() <= MAX_LINE {
            let end = self.range.end.min(start + line.len());
            let span = self.range.start - start..end.max(self.range.start) - start;
            let snippet = Snippet::source(line).line_start(self.line as usize).path(&*origin.0);
            title.element(snippet.annotation(AnnotationKind::Primary.span(span)))
        } else {
            let place = annotate_snippets::Origin::path(&*origin.0).line(self.line as usize);
            title.element(place.char_column(self.column as usize))
        };
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }
}

/// A file that is no set of templates: every mistake in it.
#[derive(Debug, Clone)]
pub struct LoadError {
    /// The file.
    pub origin: Origin,
    /// The file's text.
    pub text: Arc<str>,
    /// Scope and name of the templates that the file declares, as far as they could be read.
    pub declares: Vec<(Scope, String)>,
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
    /// It may be none: there was no thread to read it on. The next time, there may be one.
    pub passing: bool,
}

impl LoadError {
    /// The mistakes with the lines they stand in, a caret under each, as rustc shows them.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        render(&self.origin, &self.text, &self.diagnostics, &Level::ERROR, color)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for LoadError {}

/// The warnings of a file that was loaded, shown in the same way.
#[must_use]
pub fn render_warnings(origin: &Origin, text: &str, warnings: &[Diagnostic], color: bool) -> String {
    render(origin, text, warnings, &Level::WARNING, color)
}

fn render(origin: &Origin, text: &str, diagnostics: &[Diagnostic], level: &Level<'_>, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let shown: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| renderer.render(&[diagnostic.group(level.clone(), origin, text)]))
        .collect();
    shown.join("\n\n")
}

/// Collects what is wrong with a file while it is read.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    /// The whole file.
    text: &'t str,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The whole file.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// How many errors there are so far.
    pub(super) fn count(&self) -> usize {
        self.errors.len()
    }

    /// More errors would not be shown: loops over what the file repeats may end.
    pub(super) fn is_full(&self) -> bool {
        self.errors.len() > MAX_DIAGNOSTICS
    }

    /// Adds an error; the file is refused.
    pub(super) fn error(&mut self, place: &Place, message: impl Into<String>) -> &mut Diagnostic {
        add(&mut self.errors, self.text, place, message.into())
    }

    /// Adds a warning; the file is loaded.
    pub(super) fn warning(&mut self, place: &Place, message: impl Into<String>) -> &mut Diagnostic {
        add(&mut self.warnings, self.text, place, message.into())
    }

    /// The errors, or else the warnings, in the file's order, each once: an alias repeats what it stands for.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        if self.errors.is_empty() { Ok(tidy(self.warnings)) } else { Err(tidy(self.errors)) }
    }
}

/// Adds a diagnostic, or writes over the last one when there are too many.
fn add<'p>(found: &'p mut Vec<Diagnostic>, text: &str, place: &Place, message: String) -> &'p mut Diagnostic {
    let range = one_line(text, &place.range);
    found.truncate(MAX_DIAGNOSTICS);
    found.push(Diagnostic { line: place.line, column: place.column, range, message, help: None });
    let newest = found.len() - 1;
    &mut found[newest]
}

/// The part of a range that lies in its first line, on character boundaries.
fn one_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    let end = text.floor_char_boundary(range.end).max(start);
    let line = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    start..line
}

fn tidy(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.sort_by(|a, b| (a.range.start, a.range.end, &a.message).cmp(&(b.range.start, b.range.end, &b.message)));
    found.dedup();
    found.truncate(MAX_DIAGNOSTICS);
    found
}

/// A piece of the file for a message: at most 60 characters, without control characters.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
