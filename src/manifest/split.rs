//! A YAML stream into the texts of its documents (YAML 1.2, chapter 9). Together they are the stream, byte for byte.
//!
//! Lines are enough to go by: at the start of a line, `---` and `...` followed by white space are markers wherever
//! they stand, and forbidden inside of any scalar.

/// The byte order mark, which may begin a document.
pub const BOM: char = '\u{feff}';

/// The text of one document, with the directives, comments and marker before it and the end marker after it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// Its bytes.
    pub text: &'t str,
    /// The number of lines before it.
    pub line: usize,
}

/// What a line is to the stream.
enum Line {
    /// `---`, perhaps with content behind it.
    Start,
    /// `...`
    End,
    /// A directive, a comment or nothing: before a document starts it belongs to no content.
    Blank,
    /// `%YAML`, where no document has started.
    Directive,
    /// Anything else.
    Content,
}

fn classify(line: &str) -> Line {
    let line = line.strip_prefix(BOM).unwrap_or(line);
    let marks = |marker| {
        line.strip_prefix(marker).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    match line.trim_start().chars().next() {
        _ if marks("---") => Line::Start,
        _ if marks("...") => Line::End,
        None | Some('#') => Line::Blank,
        Some('%') if line.starts_with('%') => Line::Directive,
        Some(_) => Line::Content,
    }
}

/// A text's lines, each with its break: a line feed, a carriage return, or both (YAML 1.2, section 5.4).
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.find(['\n', '\r']).map(|at| at + if rest[at..].starts_with("\r\n") { 2 } else { 1 });
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        (!line.is_empty()).then_some(line)
    })
}

/// Splits a stream. What follows the last document's end and holds no content is a piece of its own.
pub fn documents(stream: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let mut begun = false;
    let mut offset = 0;
    for (number, line) in lines(stream).enumerate() {
        let end = offset + line.len();
        match classify(line) {
            Line::Start if begun => {
                pieces.push(Piece { text: &stream[start..offset], line: start_line });
                (start, start_line) = (offset, number);
            }
            Line::End => {
                pieces.push(Piece { text: &stream[start..end], line: start_line });
                (start, start_line) = (end, number + 1);
                begun = false;
            }
            Line::Start | Line::Content => begun = true,
            Line::Blank | Line::Directive => {}
        }
        offset = end;
    }
    if start < stream.len() {
        pieces.push(Piece { text: &stream[start..], line: start_line });
    }
    pieces
}

/// The line of a document's text that ends it by a marker; empty if it has none.
pub fn end_marker(text: &str) -> &str {
    lines(text).last().filter(|line| matches!(classify(line), Line::End)).unwrap_or_default()
}

/// What must stand between a stream and this one that is appended to it.
pub fn separator(next: &str) -> &'static str {
    match lines(next).map(classify).find(|line| !matches!(line, Line::Blank)) {
        Some(Line::Content) => "---\n",
        // A directive is one only after a document's end.
        Some(Line::Directive) => "...\n",
        _ => "",
    }
}

/// Whether a text begins like a JSON object; a flow mapping of YAML may, too.
pub fn looks_like_json(stream: &str) -> bool {
    let stream = stream.strip_prefix(BOM).unwrap_or(stream).trim_start();
    stream.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}
