//! `format()`: `'%s listens on %d'.format([a, b])`, by the specification of CEL's string extension.

use super::wrong;
use crate::template::expression::EvaluationError;
use crate::template::expression::data::Data;
use crate::template::expression::evaluate::{Evaluated, Machine, fail};

/// Digits after the point of `%f` and `%e` without a precision, and the most that one may ask for (as in cel-go).
const PRECISION: usize = 6;
const MAX_PRECISION: usize = 100;

pub(super) fn format<'v>(machine: &mut Machine<'v>, arguments: &[Data<'v>]) -> Evaluated<'v> {
    let [Data::Text(format), Data::List(values)] = arguments else {
        return wrong("format", arguments);
    };
    machine.spend_text(format.len())?;
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest: &str = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = precision(after)?;
        let mut verb = after.chars();
        let Some(value) = values.next() else {
            return fail("format(): there are more % than values");
        };
        match verb.next() {
            Some(verb) => {
                let value = machine.read(value)?;
                write(machine, verb, precision, &value, &mut out)?;
            }
            None => return fail("format(): the text ends in %"),
        }
        rest = verb.as_str();
    }
    out.push_str(rest);
    Ok(Data::text(out))
}

/// `.3` in front of a verb.
fn precision(text: &str) -> Result<(usize, &str), EvaluationError> {
    let Some(digits) = text.strip_prefix('.') else {
        return Ok((PRECISION, text));
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match digits[..end].parse() {
        Ok(precision) if precision <= MAX_PRECISION => Ok((precision, &digits[end..])),
        _ => fail(format!("format(): a precision is a number up to {MAX_PRECISION}")),
    }
}

fn write<'v>(
    machine: &mut Machine<'v>,
    verb: char,
    precision: usize,
    value: &Data<'v>,
    out: &mut String,
) -> Result<(), EvaluationError> {
    let sign = |integer: i64| if integer < 0 { "-" } else { "" };
    let formatted = match (verb, value) {
        ('s', value) => return write_value(machine, value, out),
        ('d', Data::Integer(_) | Data::Double(_)) => return write_value(machine, value, out),
        ('f', Data::Double(double)) => format!("{double:.precision$}"),
        #[expect(clippy::cast_precision_loss, reason = "CEL formats ints as doubles here")]
        ('f', Data::Integer(integer)) => format!("{:.precision$}", *integer as f64),
        ('e', Data::Double(double)) => scientific(*double, precision),
        #[expect(clippy::cast_precision_loss, reason = "CEL formats ints as doubles here")]
        ('e', Data::Integer(integer)) => scientific(*integer as f64, precision),
        ('b', Data::Boolean(boolean)) => u8::from(*boolean).to_string(),
        ('b', Data::Integer(integer)) => format!("{}{:b}", sign(*integer), integer.unsigned_abs()),
        ('o', Data::Integer(integer)) => format!("{}{:o}", sign(*integer), integer.unsigned_abs()),
        ('x', Data::Integer(integer)) => format!("{}{:x}", sign(*integer), integer.unsigned_abs()),
        ('X', Data::Integer(integer)) => format!("{}{:X}", sign(*integer), integer.unsigned_abs()),
        ('x' | 'X', Data::Text(text)) => {
            machine.spend_text(2 * text.len())?;
            let upper = verb == 'X';
            text.bytes().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
        }
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', value) => {
            return fail(format!("format(): %{verb} is not for {}", value.kind()));
        }
        (verb, _) => {
            let verb = machine.shown(&Data::text(verb.to_string()));
            return fail(format!("format(): %{verb} is none of %s %d %f %e %b %o %x %X %%"));
        }
    };
    machine.spend_text(formatted.len())?;
    out.push_str(&formatted);
    Ok(())
}

/// `1.500000e+03`: a sign and two digits at least in the exponent.
fn scientific(double: f64, precision: usize) -> String {
    let formatted = format!("{double:.precision$e}");
    match formatted.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => formatted,
    }
}

/// `%s`: any value; a list as `[a, b]`, a map as `{key: value}`, sorted.
fn write_value<'v>(machine: &mut Machine<'v>, value: &Data<'v>, out: &mut String) -> Result<(), EvaluationError> {
    machine.spend(1)?;
    match value {
        Data::Text(text) => {
            machine.spend_text(text.len())?;
            out.push_str(text);
        }
        Data::Null => out.push_str("null"),
        Data::Boolean(boolean) => out.push_str(&boolean.to_string()),
        Data::Integer(integer) => out.push_str(&integer.to_string()),
        Data::Double(double) => out.push_str(&double.to_string()),
        Data::Type(name) => out.push_str(name),
        Data::Optional(_) => return fail("format(): an optional can't be written; orValue(...) gives its value"),
        Data::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                let item = machine.read(item)?;
                machine.deeper(|machine| write_value(machine, &item, out))?;
            }
            out.push(']');
        }
        Data::Map(map) => {
            let mut entries = Vec::new();
            for (key, value) in map.entries() {
                let (key, value) = (machine.read(key)?, machine.read(value)?);
                let mut entry = String::new();
                write_value(machine, &key, &mut entry)?;
                entry.push_str(": ");
                machine.deeper(|machine| write_value(machine, &value, &mut entry))?;
                entries.push(entry);
            }
            machine.spend_text(entries.iter().map(String::len).sum())?;
            entries.sort();
            out.push('{');
            out.push_str(&entries.join(", "));
            out.push('}');
        }
    }
    Ok(())
}
