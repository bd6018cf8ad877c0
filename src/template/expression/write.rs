//! From values to core/v1 JSON, bounded.

use super::MAX_LEAF;
use super::data::Data;
use super::evaluate::fail;
use super::{Budget, EvaluationError, Style};
use crate::json::write_escaped;

/// How deep a rendered value may nest; core/v1 needs about ten levels.
const MAX_DEPTH: usize = 32;

/// Writes one leaf: at most [`MAX_LEAF`] bytes and as many values, as not every value leaves bytes behind. The values cost
/// a unit each of the request's budget; for the bytes, whoever lets it write pays.
pub(super) struct Writer<'o> {
    out: &'o mut String,
    budget: &'o Budget,
    start: usize,
    values: usize,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut String, budget: &'o Budget) -> Self {
        Self { start: out.len(), out, budget, values: 0 }
    }

    /// Text that is JSON already.
    pub(super) fn json(&mut self, json: &str) -> Result<(), EvaluationError> {
        self.fits(json.len())?;
        self.out.push_str(json);
        Ok(())
    }

    /// The inside of a JSON string; with `double`, every `$` twice, so that the kubelet's expansion of `$(VAR)` gives
    /// back what was there.
    pub(super) fn text(&mut self, text: &str, double: bool) -> Result<(), EvaluationError> {
        self.fits(text.len())?;
        if double {
            let mut pieces = text.split('$');
            write_escaped(pieces.next().unwrap_or_default(), self.out);
            for piece in pieces {
                self.out.push_str("$$");
                write_escaped(piece, self.out);
            }
        } else {
            write_escaped(text, self.out);
        }
        // Escapes lengthen what was just written sixfold at most.
        self.fits(0)
    }

    /// The inside of a JSON string for a value that becomes text.
    pub(super) fn scalar(&mut self, data: &Data<'_>, double: bool) -> Result<(), EvaluationError> {
        match data {
            Data::Text(text) => self.text(text, double),
            Data::Boolean(boolean) => self.json(&boolean.to_string()),
            Data::Integer(integer) => self.json(&integer.to_string()),
            Data::Double(double) => self.double(*double),
            Data::Optional(Some(data)) => self.scalar(data, double),
            Data::List(_) => fail("found a list where text is wanted; join(',') makes text of it"),
            Data::Null | Data::Optional(None) => fail("found null in the middle of text; orValue('') gives a value"),
            other => fail(format!("found {} where text is wanted", other.kind())),
        }
    }

    /// A whole value; `false`, and nothing written, if it is `null`. Inside lists and maps `null` is left out.
    pub(super) fn value(&mut self, data: &Data<'_>, style: Style, double: bool) -> Result<bool, EvaluationError> {
        if is_null(data) {
            return Ok(false);
        }
        if matches!(style, Style::Text | Style::Expanded) {
            self.json("\"")?;
            self.scalar(data, double)?;
            self.json("\"")?;
        } else {
            self.typed(data, Dollars::of(style, double), 0)?;
        }
        Ok(true)
    }

    fn typed(&mut self, data: &Data<'_>, dollars: Dollars, depth: usize) -> Result<(), EvaluationError> {
        if depth > MAX_DEPTH {
            return fail(format!("the value nests more than {MAX_DEPTH} deep"));
        }
        self.visit()?;
        match data {
            // Lists, maps and leaves leave it out.
            Data::Null | Data::Optional(None) => Ok(()),
            Data::Boolean(boolean) => self.json(&boolean.to_string()),
            Data::Integer(integer) => self.json(&integer.to_string()),
            Data::Double(double) => self.double(*double),
            Data::Text(text) => {
                self.json("\"")?;
                self.text(text, dollars == Dollars::Double)?;
                self.json("\"")
            }
            Data::Optional(Some(data)) => self.typed(data, dollars, depth + 1),
            Data::List(list) => {
                self.json("[")?;
                let mut separator = "";
                for item in list.iter() {
                    self.visit()?;
                    let item = self.budget.read(item)?;
                    if !is_null(&item) {
                        self.json(separator)?;
                        separator = ",";
                        self.typed(&item, dollars, depth + 1)?;
                    }
                }
                self.json("]")
            }
            Data::Map(map) => {
                self.json("{")?;
                let mut separator = "";
                for (key, value) in map.entries() {
                    self.visit()?;
                    let (key, value) = (self.budget.read(key)?, self.budget.read(value)?);
                    let Data::Text(key) = key else {
                        return fail(format!("a key of the map is {}, not a string", key.kind()));
                    };
                    if !is_null(&value) {
                        self.json(separator)?;
                        separator = ",";
                        self.json("\"")?;
                        self.text(&key, false)?;
                        self.json("\":")?;
                        self.typed(&value, dollars.below(&key), depth + 1)?;
                    }
                }
                self.json("}")
            }
            Data::Type(name) => fail(format!("the type {name} is no value for a field")),
        }
    }

    /// A finite number, in the shortest notation that reads back as it: a whole one has no fraction, since core/v1
    /// knows integers only.
    fn double(&mut self, double: f64) -> Result<(), EvaluationError> {
        if double.is_finite() {
            self.json(&double.to_string())
        } else {
            fail(format!("the number {double} is not finite"))
        }
    }

    fn visit(&mut self) -> Result<(), EvaluationError> {
        self.values += 1;
        if self.values > MAX_LEAF {
            return fail(format!("the value has more than {MAX_LEAF} parts"));
        }
        self.budget.spend(1)
    }

    fn fits(&self, more: usize) -> Result<(), EvaluationError> {
        if self.out.len() - self.start + more > MAX_LEAF {
            fail(format!("the value is longer than {} KiB", MAX_LEAF / 1024))
        } else {
            Ok(())
        }
    }
}

/// Which `$` of a structure are doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dollars {
    Keep,
    Double,
    /// Those of the fields of this name, such as `value` in `env`.
    In(&'static str),
}

impl Dollars {
    /// Those of a whole value, if what is literal in it is to be doubled.
    fn of(style: Style, double: bool) -> Self {
        match style {
            Style::ExpandedItems if double => Self::Double,
            Style::ExpandedIn(name) if double => Self::In(name),
            _ => Self::Keep,
        }
    }

    /// For the value of a map's key.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::In(name), key) if name == key => Self::Double,
            (Self::In(_), _) => Self::Keep,
            (dollars, _) => dollars,
        }
    }
}

fn is_null(data: &Data<'_>) -> bool {
    match data {
        Data::Null | Data::Optional(None) => true,
        Data::Optional(Some(data)) => is_null(data),
        _ => false,
    }
}
