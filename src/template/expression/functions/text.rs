//! CEL's functions on text. Positions are in characters, as everywhere in CEL.

use super::wrong;
use crate::template::expression::EvaluationError;
use crate::template::expression::data::Data;
use crate::template::expression::evaluate::{Evaluated, Machine, fail};

/// The byte at which the character of this position begins; the end, for the position after the last.
fn byte(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(position)
}

fn out_of_range<T>(machine: &Machine<'_>, function: &str, position: i64) -> Result<T, EvaluationError> {
    let position = machine.shown(&Data::Integer(position));
    fail(format!("{function}(): position {position} is outside the text"))
}

/// A test of one text by another.
fn test<'v>(
    machine: &mut Machine<'v>,
    arguments: &[Data<'v>],
    function: &str,
    holds: impl Fn(&str, &str) -> bool,
) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text), Data::Text(other)] => {
            machine.spend_text(text.len() + other.len())?;
            Ok(Data::Boolean(holds(text, other)))
        }
        _ => wrong(function, arguments),
    }
}

pub(super) fn contains<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    test(machine, arguments, "contains", |text, part| text.contains(part))
}

pub(super) fn starts_with<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    test(machine, arguments, "startsWith", |text, part| text.starts_with(part))
}

pub(super) fn ends_with<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    test(machine, arguments, "endsWith", |text, part| text.ends_with(part))
}

/// A text made of one text.
fn made<'v>(
    machine: &mut Machine<'v>,
    arguments: &[Data<'v>],
    function: &str,
    make: impl Fn(&str) -> String,
) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            Ok(Data::text(make(text)))
        }
        _ => wrong(function, arguments),
    }
}

pub(super) fn lower_ascii<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    made(machine, arguments, "lowerAscii", str::to_ascii_lowercase)
}

pub(super) fn upper_ascii<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    made(machine, arguments, "upperAscii", str::to_ascii_uppercase)
}

/// The text as CEL would write it: in quotes, with escapes.
pub(super) fn quote<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    made(machine, arguments, "strings.quote", |text| {
        let mut quoted = String::with_capacity(text.len() + 2);
        quoted.push('"');
        for character in text.chars() {
            match character {
                '\x07' => quoted.push_str("\\a"),
                '\x08' => quoted.push_str("\\b"),
                '\x0b' => quoted.push_str("\\v"),
                '\x0c' => quoted.push_str("\\f"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\\' => quoted.push_str("\\\\"),
                '"' => quoted.push_str("\\\""),
                other => quoted.push(other),
            }
        }
        quoted.push('"');
        quoted
    })
}

pub(super) fn trim<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            let start = text.len() - text.trim_start().len();
            Ok(Data::Text(text.part(start..start + text.trim().len())))
        }
        _ => wrong("trim", arguments),
    }
}

pub(super) fn char_at<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text), Data::Integer(position)] => {
            machine.spend_text(text.len())?;
            match byte(text, *position) {
                Some(start) => {
                    let length = text[start..].chars().next().map_or(0, char::len_utf8);
                    Ok(Data::Text(text.part(start..start + length)))
                }
                None => out_of_range(machine, "charAt", *position),
            }
        }
        _ => wrong("charAt", arguments),
    }
}

pub(super) fn substring<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (text, from, to) = match arguments {
        [Data::Text(text), Data::Integer(from)] => (text, *from, None),
        [Data::Text(text), Data::Integer(from), Data::Integer(to)] => (text, *from, Some(*to)),
        _ => return wrong("substring", arguments),
    };
    machine.spend_text(text.len())?;
    let Some(start) = byte(text, from) else {
        return out_of_range(machine, "substring", from);
    };
    let end = match to {
        Some(to) => match byte(text, to) {
            Some(end) => end,
            None => return out_of_range(machine, "substring", to),
        },
        None => text.len(),
    };
    if start > end {
        return fail("substring(): the start is after the end");
    }
    Ok(Data::Text(text.part(start..end)))
}

/// A text, what is looked for in it, and the byte at which the search begins, if the call says so.
type Search<'a> = (&'a str, &'a str, Option<usize>);

fn search<'a, 'v>(
    machine: &mut Machine<'v>,
    arguments: &'a [Data<'v>],
    function: &str,
) -> Result<Search<'a>, EvaluationError> {
    let (text, part, position) = match arguments {
        [Data::Text(text), Data::Text(part)] => (text, part, None),
        [Data::Text(text), Data::Text(part), Data::Integer(position)] => (text, part, Some(*position)),
        _ => return wrong(function, arguments),
    };
    machine.spend_text(text.len() + part.len())?;
    let Some(position) = position else {
        return Ok((text, part, None));
    };
    match byte(text, position).filter(|at| *at < text.len() || part.is_empty()) {
        Some(at) => Ok((text, part, Some(at))),
        None => out_of_range(machine, function, position),
    }
}

/// The position of the character at a byte; -1 for none.
fn position<'v>(text: &str, byte: Option<usize>) -> Data<'v> {
    byte.map_or(Data::Integer(-1), |byte| Data::count(text[..byte].chars().count()))
}

pub(super) fn index_of<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (text, part, start) = search(machine, arguments, "indexOf")?;
    let start = start.unwrap_or(0);
    Ok(position(text, text[start..].find(part).map(|at| start + at)))
}

pub(super) fn last_index_of<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (text, part, start) = search(machine, arguments, "lastIndexOf")?;
    // The last place at which it may begin, and so the last at which it may end.
    let end = start.map_or(text.len(), |start| text.floor_char_boundary(start + part.len()));
    Ok(position(text, text[..end].rfind(part)))
}

pub(super) fn replace<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (text, from, to, limit) = match arguments {
        [Data::Text(text), Data::Text(from), Data::Text(to)] => (text, from, to, -1),
        [Data::Text(text), Data::Text(from), Data::Text(to), Data::Integer(limit)] => (text, from, to, *limit),
        _ => return wrong("replace", arguments),
    };
    // A negative limit is none.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    machine.spend_text(text.len() + from.len())?;
    let replaced = text.matches(&**from).take(limit).count();
    machine.spend_text((text.len() - replaced * from.len()).saturating_add(replaced.saturating_mul(to.len())))?;
    Ok(Data::text(text.replacen(&**from, to, limit)))
}

pub(super) fn split<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (text, separator, limit) = match arguments {
        [Data::Text(text), Data::Text(separator)] => (text, separator, -1),
        [Data::Text(text), Data::Text(separator), Data::Integer(limit)] => (text, separator, *limit),
        _ => return wrong("split", arguments),
    };
    // A negative limit is none, and none at all makes no pieces.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    machine.spend_text(text.len() + separator.len())?;
    let mut pieces = Vec::new();
    let mut start = 0;
    while pieces.len() < limit && (start < text.len() || !separator.is_empty()) {
        machine.spend(1)?;
        let last = pieces.len() + 1 == limit;
        // Between any two characters, if the separator is empty.
        let found = match (last, separator.is_empty()) {
            (true, _) => None,
            (false, true) => text[start..].chars().next().map(char::len_utf8).filter(|at| start + at < text.len()),
            (false, false) => text[start..].find(&**separator),
        };
        let Some(found) = found else {
            pieces.push(Data::Text(text.part(start..text.len())));
            break;
        };
        pieces.push(Data::Text(text.part(start..start + found)));
        start += found + separator.len();
    }
    Ok(Data::list(pieces))
}

pub(super) fn join<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let (list, separator) = match arguments {
        [Data::List(list)] => (list, ""),
        [Data::List(list), Data::Text(separator)] => (list, &**separator),
        _ => return wrong("join", arguments),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let item = match machine.read(item)? {
            Data::Text(item) => item,
            other => return fail(format!("join() wants a list of strings, and item {index} is {}", other.kind())),
        };
        machine.spend_text(separator.len() + item.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&item);
    }
    Ok(Data::text(joined))
}
