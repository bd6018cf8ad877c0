//! Text as Markdown (GitHub's: CommonMark with tables), none of it taken for markup.

/// Prose that may have code spans in it, on one line; everything else is no markup.
pub(super) fn prose(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let pieces: Vec<_> = text.split('`').collect();
    // An odd number of backticks leaves one that closes nothing.
    if pieces.len() % 2 == 0 {
        return escape(&text);
    }
    let piece = |(index, piece): (usize, &&str)| if index % 2 == 0 { escape(piece) } else { (*piece).to_owned() };
    pieces.iter().enumerate().map(piece).collect::<Vec<_>>().join("`")
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        // An underscore inside a word is one.
        let inside = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        if r"\`*[<".contains(c) || c == '_' && !inside {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A code span, on one line.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() {
        return "`\"\"`".to_owned();
    }
    let line = on_one_line(text);
    // A fence longer than what it holds; blanks keep it from a backtick at an end.
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let blank = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{line}{blank}{fence}")
}

/// Text for a line of code: what would end the line, or can't be seen, is escaped.
pub(super) fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
}

/// A table; cells are Markdown.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    // A table's cells end at pipes, those in code spans too.
    let line = |cells: [String; N]| format!("| {} |\n", cells.map(|cell| cell.replace('|', r"\|")).join(" | "));
    let rule = line(heading.map(|_| "---".to_owned()));
    let rows: String = rows.into_iter().map(line).collect();
    line(heading.map(str::to_owned)) + &rule + &rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_keeps_its_code_and_nothing_else_is_markup() {
        assert_eq!(prose("its *.log\n  files, `*.log` of <HOST>"), r"its \*.log files, `*.log` of \<HOST>");
        assert_eq!(prose("a ` alone, a_b, _c_"), r"a \` alone, a_b, \_c\_");
    }

    #[test]
    fn code_is_what_it_was() {
        assert_eq!(code("a*b"), "`a*b`");
        assert_eq!(code(""), "`\"\"`");
        assert_eq!(code("a\nb"), r"`a\nb`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`a"), "`` `a ``");
    }

    #[test]
    fn pipes_end_no_cell() {
        let table = table(["a", "b"], [[code("x|y"), String::new()]]);
        assert_eq!(table, "| a | b |\n| --- | --- |\n| `x\\|y` |  |\n");
    }
}
