//! The functions that expressions may call: CEL's standard ones and its string and list extensions, as in Kubernetes,
//! `seconds` and `units`. What is not here: timestamps, bytes, unsigned integers, and the `duration()`, `quantity()` and `url()`
//! families.

mod format;
mod list;
mod text;

use std::ops::RangeInclusive;

use super::EvaluationError;
use super::data::Data;
use super::evaluate::{Evaluated, Machine, fail};
use crate::template::parameter::{Type, seconds, units};

pub(super) use list::sort_by_keys;

/// A function; a method gets its target as first argument.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) method: bool,
    /// How many arguments it takes, the target not counted.
    pub(super) arguments: RangeInclusive<usize>,
    pub(super) call: for<'v> fn(&mut Machine<'v>, &[Data<'v>]) -> Evaluated<'v>,
}

impl Function {
    /// The type of its result, if it is always the same.
    pub(super) fn result(&self) -> Option<Type> {
        match self.name {
            "charAt" | "format" | "join" | "lowerAscii" | "replace" | "string" | "strings.quote" | "substring"
            | "trim" | "upperAscii" => Some(Type::String),
            "indexOf" | "int" | "lastIndexOf" | "seconds" | "size" | "units" => Some(Type::Integer),
            "double" => Some(Type::Number),
            "bool" | "contains" | "endsWith" | "hasValue" | "startsWith" => Some(Type::Boolean),
            "split" => Some(Type::List),
            _ => None,
        }
    }
}

const fn global(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    call: for<'v> fn(&mut Machine<'v>, &[Data<'v>]) -> Evaluated<'v>,
) -> Function {
    Function { name, method: false, arguments, call }
}

const fn method(
    name: &'static str,
    arguments: RangeInclusive<usize>,
    call: for<'v> fn(&mut Machine<'v>, &[Data<'v>]) -> Evaluated<'v>,
) -> Function {
    Function { name, method: true, arguments, call }
}

static FUNCTIONS: &[Function] = &[
    global("bool", 1..=1, to_bool),
    global("double", 1..=1, to_double),
    global("dyn", 1..=1, |_, arguments| Ok(arguments[0].clone())),
    global("int", 1..=1, to_int),
    global("lists.range", 1..=1, list::range),
    global("optional.none", 0..=0, |_, _| Ok(Data::Optional(None))),
    global("optional.of", 1..=1, |_, arguments| Ok(arguments[0].clone().some())),
    global("optional.ofNonZeroValue", 1..=1, |_, arguments| Ok(optional_of_non_zero(&arguments[0]))),
    global("seconds", 1..=1, to_seconds),
    global("size", 1..=1, size),
    global("string", 1..=1, to_string),
    global("strings.quote", 1..=1, text::quote),
    global("type", 1..=1, |_, arguments| Ok(Data::Type(arguments[0].kind()))),
    global("units", 1..=1, to_units),
    method("charAt", 1..=1, text::char_at),
    method("contains", 1..=1, text::contains),
    method("distinct", 0..=0, list::distinct),
    method("endsWith", 1..=1, text::ends_with),
    method("flatten", 0..=1, list::flatten),
    method("format", 1..=1, format::format),
    method("hasValue", 0..=0, has_value),
    method("indexOf", 1..=2, text::index_of),
    method("join", 0..=1, text::join),
    method("lastIndexOf", 1..=2, text::last_index_of),
    method("lowerAscii", 0..=0, text::lower_ascii),
    method("or", 1..=1, or),
    method("orValue", 1..=1, or_value),
    method("replace", 2..=3, text::replace),
    method("reverse", 0..=0, reverse),
    method("size", 0..=0, size),
    method("slice", 2..=2, list::slice),
    method("sort", 0..=0, list::sort),
    method("split", 1..=2, text::split),
    method("startsWith", 1..=1, text::starts_with),
    method("substring", 1..=2, text::substring),
    method("trim", 0..=0, text::trim),
    method("upperAscii", 0..=0, text::upper_ascii),
    method("value", 0..=0, value),
];

/// The function of this name, called on a target or not.
pub(super) fn find(name: &str, method: bool) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name && function.method == method)
}

/// The names of all functions that are called on a target, or of all that are not.
pub(super) fn names(method: bool) -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().filter(move |function| function.method == method).map(|function| function.name)
}

/// Arguments of types that a function is not for.
fn wrong<T>(function: &str, arguments: &[Data<'_>]) -> Result<T, EvaluationError> {
    let kinds: Vec<&str> = arguments.iter().map(Data::kind).collect();
    fail(format!("{function}() is not for ({})", kinds.join(", ")))
}

fn size<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let size = match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            text.chars().count()
        }
        [Data::List(list)] => list.len(),
        [Data::Map(map)] => map.len(),
        _ => return wrong("size", arguments),
    };
    Ok(Data::count(size))
}

fn reverse<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            Ok(Data::text(text.chars().rev().collect::<String>()))
        }
        [Data::List(list)] => {
            machine.spend(list.len())?;
            let mut items: Vec<_> = list.iter().map(|item| machine.read(item)).collect::<Result<_, _>>()?;
            items.reverse();
            Ok(Data::list(items))
        }
        _ => wrong("reverse", arguments),
    }
}

fn to_bool<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [boolean @ Data::Boolean(_)] => Ok(boolean.clone()),
        // The spellings that the CEL specification lists.
        [Data::Text(text)] => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Data::Boolean(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Data::Boolean(false)),
            other => fail(format!("bool(): {} is neither true nor false", machine.quoted(other))),
        },
        _ => wrong("bool", arguments),
    }
}

fn to_double<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [double @ Data::Double(_)] => Ok(double.clone()),
        #[expect(clippy::cast_precision_loss, reason = "CEL's double(int) rounds")]
        [Data::Integer(integer)] => Ok(Data::Double(*integer as f64)),
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            match text.parse() {
                Ok(double) => Ok(Data::Double(double)),
                Err(_) => fail(format!("double(): {} is no number", machine.quoted(text))),
            }
        }
        _ => wrong("double", arguments),
    }
}

fn to_int<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    /// The doubles from here on up do not fit 64 bits.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    match arguments {
        [integer @ Data::Integer(_)] => Ok(integer.clone()),
        [Data::Double(double)] if (-BOUND..BOUND).contains(double) => Ok(Data::Integer(*double as i64)),
        [double @ Data::Double(_)] => fail(format!("int(): {} does not fit a 64-bit integer", machine.shown(double))),
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            match text.parse() {
                Ok(integer) => Ok(Data::Integer(integer)),
                Err(_) => fail(format!("int(): {} is no 64-bit integer", machine.quoted(text))),
            }
        }
        _ => wrong("int", arguments),
    }
}

fn to_string<'v>(_: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [text @ Data::Text(_)] => Ok(text.clone()),
        [Data::Boolean(boolean)] => Ok(Data::text(boolean.to_string())),
        [Data::Integer(integer)] => Ok(Data::text(integer.to_string())),
        [Data::Double(double)] => Ok(Data::text(double.to_string())),
        _ => wrong("string", arguments),
    }
}

/// The whole seconds of a duration's text, rounded up: what shells and probes count in.
fn to_seconds<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            match seconds(text) {
                Some(seconds) => Ok(Data::Integer(seconds)),
                None => fail(format!("seconds(): {} is no duration such as 1h30m", machine.quoted(text))),
            }
        }
        _ => wrong("seconds", arguments),
    }
}

/// A quantity's text as a whole number, rounded up: the bytes of `16Mi`.
fn to_units<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Text(text)] => {
            machine.spend_text(text.len())?;
            match units(text) {
                Some(units) => Ok(Data::Integer(units)),
                None => fail(format!("units(): {} is no 64-bit quantity such as 16Mi", machine.quoted(text))),
            }
        }
        _ => wrong("units", arguments),
    }
}

fn optional_of_non_zero<'v>(data: &Data<'v>) -> Data<'v> {
    let zero = match data {
        Data::Null | Data::Boolean(false) | Data::Integer(0) | Data::Optional(None) => true,
        Data::Double(double) => *double == 0.0,
        Data::Text(text) => text.is_empty(),
        Data::List(list) => list.len() == 0,
        Data::Map(map) => map.len() == 0,
        _ => false,
    };
    if zero { Data::Optional(None) } else { data.clone().some() }
}

fn has_value<'v>(_: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Optional(value)] => Ok(Data::Boolean(value.is_some())),
        _ => wrong("hasValue", arguments),
    }
}

fn value<'v>(_: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Optional(Some(value))] => Ok((**value).clone()),
        [Data::Optional(None)] => fail("value(): the optional has no value; orValue(...) says what to take then"),
        _ => wrong("value", arguments),
    }
}

fn or<'v>(_: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Optional(None), other @ Data::Optional(_)] => Ok(other.clone()),
        [optional @ Data::Optional(Some(_)), Data::Optional(_)] => Ok(optional.clone()),
        _ => wrong("or", arguments),
    }
}

fn or_value<'v>(_: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    match arguments {
        [Data::Optional(Some(value)), _] => Ok((**value).clone()),
        [Data::Optional(None), other] => Ok(other.clone()),
        _ => wrong("orValue", arguments),
    }
}
