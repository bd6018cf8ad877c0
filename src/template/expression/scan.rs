//! The text of expressions as tokens: where an expression ends, and whether it is within the limits that keep the
//! parser, and everything that walks its tree, from running out of stack.

use std::ops::Range;

use super::ExpressionError;

/// The longest expression, in bytes.
pub(super) const MAX_SOURCE: usize = 1024;

/// The most operators, selections, brackets of calls and indices in an expression. Tried: 1,500 terms overflow the stack
/// of a worker thread; a tree is at most as deep as it has operators and brackets.
pub(super) const MAX_OPERATORS: usize = 100;

/// The deepest nesting of brackets.
pub(super) const MAX_NESTING: usize = 24;

/// A stretch of a string leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text.
    Text(Range<usize>),
    /// An expression, without braces and the blanks inside them.
    Expression(Range<usize>),
}

/// Splits a leaf into text and expressions. An expression ends at the first `}}` outside CEL's strings and brackets.
///
/// # Errors
///
/// An expression that does not end. What follows it can't be read, so there is never a second mistake.
pub(super) fn split(text: &str) -> Result<Vec<Piece>, ExpressionError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("{{") {
        let open = at + found;
        if open > at {
            pieces.push(Piece::Text(at..open));
        }
        let close = end(text, open + 2)?.ok_or_else(|| ExpressionError {
            range: open..open + 2,
            message: "the expression is not closed".to_owned(),
            help: Some("write }} after it; to write two braces as text: {{ '{{' }}".to_owned()),
        })?;
        let inner = &text[open + 2..close];
        let start = open + 2 + (inner.len() - inner.trim_start().len());
        pieces.push(Piece::Expression(start..start + inner.trim().len()));
        at = close + 2;
    }
    if at < text.len() {
        pieces.push(Piece::Text(at..text.len()));
    }
    Ok(pieces)
}

/// Where the `}}` of an expression that begins at `start` stands, if anywhere.
fn end(text: &str, start: usize) -> Result<Option<usize>, ExpressionError> {
    let mut brackets = Brackets::default();
    let mut at = start;
    loop {
        let blanks = text[at..].len() - text[at..].trim_start().len();
        at += blanks;
        if brackets.open.is_empty() && text[at..].starts_with("}}") {
            return Ok(Some(at));
        }
        match next(text, at)? {
            Some((token, range)) => {
                brackets.see(token, &range)?;
                at = range.end;
            }
            None => return brackets.finish().map(|()| None),
        }
    }
}

/// Checks an expression's length, number of operators and nesting.
///
/// # Errors
///
/// The first limit that it exceeds, or text or bracket that is not closed.
pub(super) fn check(source: &str) -> Result<(), ExpressionError> {
    let refuse = |range: Range<usize>, message: &str, help: &str| {
        Err(ExpressionError { range, message: message.to_owned(), help: Some(help.to_owned()) })
    };
    if source.trim().is_empty() {
        return refuse(0..source.len(), "the expression is empty", "write CEL, such as params.name");
    }
    if source.len() > MAX_SOURCE {
        let help = format!("at most {MAX_SOURCE} bytes; split it, or compute less in the template");
        return refuse(0..source.len(), &format!("the expression has {} bytes", source.len()), &help);
    }
    let mut brackets = Brackets::default();
    let (mut operators, mut at, mut after_operand) = (0, 0, false);
    while let Some((token, range)) = next(source, at)? {
        brackets.see(token, &range)?;
        operators += usize::from(match token {
            Token::Operator => true,
            // After an operand, a call or an index; else a list or a grouping, which the nesting limits.
            Token::Open(_) => after_operand,
            Token::Word => &source[range.clone()] == "in",
            Token::Text | Token::Number | Token::Close(_) | Token::Other => false,
        });
        if operators > MAX_OPERATORS {
            let help = "split the expression, or compute less in the template";
            return refuse(range, &format!("the expression has more than {MAX_OPERATORS} operators"), help);
        }
        if brackets.open.len() > MAX_NESTING {
            let help = "split the expression, or compute less in the template";
            return refuse(range, &format!("brackets nest more than {MAX_NESTING} deep"), help);
        }
        after_operand = matches!(token, Token::Word | Token::Text | Token::Number | Token::Close(_));
        at = range.end;
    }
    brackets.finish()
}

/// What a piece of CEL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Text,
    Word,
    Number,
    Operator,
    Open(char),
    Close(char),
    /// A comma, a colon, or what is no CEL.
    Other,
}

/// The token at or after `at`; `None` at the end.
///
/// # Errors
///
/// A string that is not closed.
pub(super) fn next(source: &str, at: usize) -> Result<Option<(Token, Range<usize>)>, ExpressionError> {
    let mut start = at;
    loop {
        start += source[start..].len() - source[start..].trim_start().len();
        if !source[start..].starts_with("//") {
            break;
        }
        start += source[start..].find('\n').unwrap_or(source.len() - start);
    }
    let rest = &source[start..];
    let Some(first) = rest.chars().next() else {
        return Ok(None);
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let (token, length) = match first {
        '"' | '\'' => (Token::Text, string(source, start, 0, false)?),
        // A prefix of a string: r for raw, b for bytes, in any order and case.
        _ if word <= 2 && rest[..word].chars().all(|c| "rRbB".contains(c)) && rest[word..].starts_with(['"', '\'']) => {
            (Token::Text, string(source, start, word, rest[..word].contains(['r', 'R']))?)
        }
        '0'..='9' => (Token::Number, number(rest)),
        _ if is_word(first) => (Token::Word, word),
        '(' | '[' | '{' => (Token::Open(first), 1),
        ')' | ']' | '}' => (Token::Close(first), 1),
        ',' | ':' => (Token::Other, 1),
        _ if ["&&", "||", "==", "!=", "<=", ">=", ".?"].iter().any(|long| rest.starts_with(long)) => {
            (Token::Operator, 2)
        }
        '+' | '-' | '*' | '/' | '%' | '!' | '<' | '>' | '?' | '.' | '=' => (Token::Operator, 1),
        _ => (Token::Other, first.len_utf8()),
    };
    Ok(Some((token, start..start + length)))
}

/// The length of the number that `rest` begins with: `12`, `1.5`, `1e9`, `2.5e-3`, `0xff`.
fn number(rest: &str) -> usize {
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let digit_at = |at: usize| rest[at..].starts_with(|c: char| c.is_ascii_digit());
    let mut end = word(rest);
    if rest[end..].starts_with('.') && digit_at(end + 1) {
        end += 1 + word(&rest[end + 1..]);
    }
    if !rest.starts_with("0x")
        && rest[..end].ends_with(['e', 'E'])
        && rest[end..].starts_with(['+', '-'])
        && digit_at(end + 1)
    {
        end += 1 + word(&rest[end + 1..]);
    }
    end
}

/// The length of the string literal at `start`, whose quotes follow `prefix` bytes later.
fn string(source: &str, start: usize, prefix: usize, raw: bool) -> Result<usize, ExpressionError> {
    let quoted = &source[start + prefix..];
    let quote = &quoted[..1];
    let triple = quoted.starts_with(&quote.repeat(3));
    let delimiter = if triple { &quoted[..3] } else { quote };
    let mut at = delimiter.len();
    while at < quoted.len() {
        let rest = &quoted[at..];
        if rest.starts_with(delimiter) {
            return Ok(prefix + at + delimiter.len());
        }
        let Some(first) = rest.chars().next().filter(|first| triple || *first != '\n') else {
            break;
        };
        at += first.len_utf8();
        if first == '\\' && !raw {
            at += quoted[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    Err(ExpressionError {
        range: start..start + prefix + delimiter.len(),
        message: "the text is not closed".to_owned(),
        help: Some(format!("write {delimiter} after it, on the same line unless three quotes began it")),
    })
}

/// The brackets that are open, innermost last.
#[derive(Debug, Default)]
struct Brackets {
    open: Vec<(char, Range<usize>)>,
}

impl Brackets {
    fn see(&mut self, token: Token, range: &Range<usize>) -> Result<(), ExpressionError> {
        let (Token::Open(bracket) | Token::Close(bracket)) = token else {
            return Ok(());
        };
        let opening = match bracket {
            ')' => '(',
            ']' => '[',
            '}' => '{',
            _ => {
                self.open.push((bracket, range.clone()));
                return Ok(());
            }
        };
        match self.open.pop() {
            Some((open, _)) if open == opening => Ok(()),
            Some((open, place)) => Err(Self::unclosed(open, place)),
            None => Err(ExpressionError {
                range: range.clone(),
                message: format!("{bracket} closes nothing"),
                help: Some(format!("remove it, or write {opening} before it")),
            }),
        }
    }

    fn finish(&self) -> Result<(), ExpressionError> {
        match self.open.last() {
            Some((open, place)) => Err(Self::unclosed(*open, place.clone())),
            None => Ok(()),
        }
    }

    fn unclosed(open: char, range: Range<usize>) -> ExpressionError {
        let closing = match open {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        ExpressionError {
            range,
            message: format!("{open} is not closed"),
            help: Some(format!("write {closing} where it ends")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<(bool, &str)> {
        let piece = |piece| match piece {
            Piece::Text(range) => (false, &text[range]),
            Piece::Expression(range) => (true, &text[range]),
        };
        split(text).unwrap().into_iter().map(piece).collect()
    }

    #[test]
    fn an_expression_ends_outside_strings_and_brackets() {
        assert_eq!(pieces("plain }} text {"), [(false, "plain }} text {")]);
        assert_eq!(pieces("a{{ b }}c{{d}}"), [(false, "a"), (true, "b"), (false, "c"), (true, "d")]);
        assert_eq!(pieces("{{ '}}' }}"), [(true, "'}}'")]);
        assert_eq!(pieces("{{ '{{' }}"), [(true, "'{{'")]);
        assert_eq!(pieces("{{ {'a': {'b': 1}}}}"), [(true, "{'a': {'b': 1}}")]);
        assert_eq!(pieces("{{ {'a': 1}['a'] }}}}"), [(true, "{'a': 1}['a']"), (false, "}}")]);
        assert_eq!(pieces(r#"{{ "\"}}" + 'x' }}"#), [(true, r#""\"}}" + 'x'"#)]);
        assert_eq!(pieces(r"{{ r'\' + '}}' }}"), [(true, r"r'\' + '}}'")]);
        assert_eq!(pieces("{{ '''it's }} \n''' }}"), [(true, "'''it's }} \n'''")]);
        assert_eq!(pieces("{{ \"\"\"\"}}\"\"\" }}"), [(true, "\"\"\"\"}}\"\"\"")]);
        assert_eq!(pieces("{{ bR'}}\\' }}"), [(true, "bR'}}\\'")]);
        assert_eq!(pieces("{{ a // }} '\n + b }}"), [(true, "a // }} '\n + b")]);
        assert_eq!(pieces("é{{ 'é' }}é"), [(false, "é"), (true, "'é'"), (false, "é")]);
        assert_eq!(pieces("{{}}"), [(true, "")]);
    }

    #[test]
    fn what_does_not_end_is_named_with_its_place() {
        for (text, range, message) in [
            ("ab{{ c", 2..4, "the expression is not closed"),
            ("{{ c }", 5..6, "} closes nothing"),
            ("{{ f(c }}", 4..5, "( is not closed"),
            ("{{ it's }}", 5..6, "the text is not closed"),
            ("{{ 'a\nb' }}", 3..4, "the text is not closed"),
            ("{{ '''a' }}", 3..6, "the text is not closed"),
            ("{{ 'a\\", 3..4, "the text is not closed"),
        ] {
            let error = split(text).unwrap_err();
            assert_eq!((error.range, error.message.as_str()), (range, message), "{text}");
        }
    }

    #[test]
    fn the_limits_hold_to_the_last_operator() {
        let sum = |terms: usize| vec!["1"; terms].join("+");
        assert!(check(&sum(MAX_OPERATORS + 1)).is_ok());
        assert!(check(&sum(MAX_OPERATORS + 2)).is_err());
        for operator in ["!", "-"] {
            assert!(check(&format!("{}true", operator.repeat(MAX_OPERATORS))).is_ok());
            assert!(check(&format!("{}true", operator.repeat(MAX_OPERATORS + 1))).is_err());
        }
        for (open, close) in [("(", ")"), ("[", "]"), ("f(", ")"), ("{1:", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(check(&nested(MAX_NESTING)).is_ok(), "{open}");
            assert!(check(&nested(MAX_NESTING + 1)).is_err(), "{open}");
        }
        assert!(check(&format!("a{}", ".b".repeat(MAX_OPERATORS))).is_ok());
        assert!(check(&format!("a{}", "[0]".repeat(MAX_OPERATORS + 1))).is_err());
        assert!(check(&format!("a{}", ".f()".repeat(MAX_OPERATORS / 2))).is_ok());
        assert!(check(&format!("a{}", ".f()".repeat(MAX_OPERATORS / 2 + 1))).is_err());
        assert!(check(&format!("'{}'", "+".repeat(MAX_SOURCE - 2))).is_ok());
        assert!(check(&format!("'{}'", "+".repeat(MAX_SOURCE - 1))).is_err());
        assert!(check(" \n").is_err());
        assert!(check("1.5 + 1e9 - 0xff").is_ok());
    }
}
