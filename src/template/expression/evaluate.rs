//! Evaluation of compiled expressions within a budget.
//!
//! **Why not the cel crate's own interpreter:** it has no budget, copies what it is given, and iterates maps in random
//! order, while an expression here must neither stall nor bloat a request, whatever pod it sees, nor give two answers.
//! Its parser is used, and the tests hold this interpreter against it.
//!
//! **The bound.** Every node visited, every item touched and every [`CHUNK`] bytes of text read or written cost one unit
//! of [`BUDGET`], paid *before* the work is done and the memory taken. So one evaluation visits at most `BUDGET` nodes
//! (some milliseconds) and holds at most `BUDGET` items and `BUDGET * CHUNK` bytes of text (some MiB); values are shared,
//! so nothing is ever copied for free. The depth of recursion is that of the expression, which `scan` limits, or of a
//! value, which is limited by the JSON parser or, again, by the expression. All evaluations of a request share a
//! [`Budget`] besides, so that no template makes it long by repetition.

use std::sync::Arc;

use super::code::{At, Code, Element, Loop, LoopKind, Select};
use super::data::{Data, List, Map, Text};
use super::functions::{self, Function};
use super::tree::Unread;
use super::{Budget, EvaluationError, Expression, Given, Item, Variable, Variables, operators};
use crate::nearest::did_you_mean;
use crate::template::parameter::{self, Value, quoted};

/// Units that one evaluation may spend. Two nested loops over 64 items with ten nodes inside take half of it; so does
/// reading three texts of 1 MiB.
const BUDGET: usize = 100_000;

/// How deep a value may nest that is compared with another or formatted.
const MAX_DEPTH: usize = 512;

/// Bytes of text that one unit reads or writes.
pub(super) const CHUNK: usize = 64;

pub(super) type Evaluated<'v> = Result<Data<'v>, EvaluationError>;

/// One evaluation.
pub(super) struct Machine<'v> {
    variables: &'v dyn Variables,
    item: Option<&'v Item<'v>>,
    locals: Vec<Data<'v>>,
    budget: usize,
    /// The budget that it began with.
    allowed: usize,
    /// Messages don't show values.
    sensitive: bool,
    /// How deep into values it is.
    depth: usize,
}

/// Evaluates an expression, at the cost of the request's budget too.
pub(super) fn run<'v>(
    expression: &'v Expression,
    variables: &'v dyn Variables,
    item: Option<&'v Item<'v>>,
) -> Evaluated<'v> {
    let allowed = BUDGET.min(variables.budget().left());
    let sensitive = expression.sources(item).sensitive;
    let mut machine = Machine { variables, item, locals: Vec::new(), budget: allowed, allowed, sensitive, depth: 0 };
    let value = machine.evaluate(&expression.code);
    variables.budget().spend(allowed - machine.budget).and(value)
}

/// The value of code that names nothing, if it has one.
pub(super) fn constant<T>(code: &Code, budget: &Budget, read: impl FnOnce(&Data<'_>) -> T) -> Option<T> {
    /// No code asks it for anything.
    struct Nothing<'b>(&'b Budget, Value);

    impl Variables for Nothing<'_> {
        fn parameter(&self, _: usize) -> &Value {
            &self.1
        }

        fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
            Err(format!("there is no {}", variable.name()))
        }

        fn budget(&self) -> &Budget {
            self.0
        }
    }

    if code.names_anything() {
        return None;
    }
    let variables = Nothing(budget, Value::Boolean(false));
    let allowed = BUDGET.min(budget.left());
    let mut machine = Machine {
        variables: &variables,
        item: None,
        locals: Vec::new(),
        budget: allowed,
        allowed,
        sensitive: false,
        depth: 0,
    };
    let value = machine.evaluate(code);
    budget.spend(allowed - machine.budget).and(value).ok().map(|value| read(&value))
}

/// An evaluation that has no value.
pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, EvaluationError> {
    Err(EvaluationError::new(message.into()))
}

impl<'v> Machine<'v> {
    /// Pays for work to be done. Once the budget is spent nothing is free any more, so that `||` can't hide the error.
    pub(super) fn spend(&mut self, units: usize) -> Result<(), EvaluationError> {
        let rest = self.budget.checked_sub(units);
        self.budget = rest.unwrap_or(0);
        match rest {
            Some(_) => Ok(()),
            None if self.allowed < BUDGET => Budget::exhausted(),
            None => {
                fail(format!("takes more than {BUDGET} steps: the lists or texts that it works on are too long for it"))
            }
        }
    }

    /// Pays for reading or writing text.
    pub(super) fn spend_text(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend(1 + bytes / CHUNK)
    }

    /// Reads a value, at the cost of its text.
    pub(super) fn read(&mut self, value: Unread<'v>) -> Evaluated<'v> {
        self.spend(value.cost())?;
        Ok(value.read())
    }

    /// Pays for reading several texts of at most that many bytes.
    pub(super) fn spend_texts(&mut self, texts: usize, bytes: usize) -> Result<(), EvaluationError> {
        self.spend(texts.saturating_mul(1 + bytes / CHUNK))
    }

    /// Goes a level deeper into a value: the pod's may nest as deep as they like, the stack does not.
    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, EvaluationError>,
    ) -> Result<T, EvaluationError> {
        if self.depth == MAX_DEPTH {
            return fail(format!("the value nests more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn evaluate(&mut self, code: &'v Code) -> Evaluated<'v> {
        self.spend(1)?;
        match code {
            Code::Constant(constant) => Ok(constant.borrowed()),
            Code::Parameter(index) => Ok(self.variables.parameter(*index).into()),
            Code::Variable(variable) => match self.variables.variable(*variable) {
                Ok(given) => Ok(given.0),
                Err(message) => fail(message),
            },
            Code::Item => Ok(self.item.map_or(Data::Null, |item| item.value.clone())),
            Code::Index => Ok(self.item.map_or(Data::Null, |item| Data::count(item.index))),
            Code::Local(slot) => Ok(self.locals.get(*slot).cloned().unwrap_or(Data::Null)),
            Code::Select(select) => self.select(select),
            Code::Has(of, field) => self.has(of, field),
            Code::At(at) => self.at(at),
            Code::If(branches) => {
                let branch = if self.truth(&branches[0], "?")? { &branches[1] } else { &branches[2] };
                self.evaluate(branch)
            }
            Code::Logic(and, sides) => self.logic(*and, sides),
            Code::Not(side) => Ok(Data::Boolean(!self.truth(side, "!")?)),
            Code::Negate(side) => operators::negate(&self.evaluate(side)?),
            Code::Binary(operator, sides) => {
                let left = self.evaluate(&sides[0])?;
                let right = self.evaluate(&sides[1])?;
                self.binary(*operator, &left, &right)
            }
            Code::List(elements) => self.list(elements),
            Code::Map(entries) => self.map(entries),
            Code::Loop(each) => self.each(each),
            Code::OptionalMap(parts, flat) => self.optional_map(parts, *flat),
            Code::Call(function, arguments) => self.call(function, arguments),
            Code::Matches(text, pattern) => match self.evaluate(text)? {
                Data::Text(text) => {
                    self.spend(pattern.steps(&text))?;
                    Ok(Data::Boolean(pattern.is_match(&text)))
                }
                other => fail(format!("matches() wants a string, not {}", other.kind())),
            },
        }
    }

    fn call(&mut self, function: &'static Function, arguments: &'v [Code]) -> Evaluated<'v> {
        match arguments {
            // Nearly all calls have one or two: these need no memory of their own.
            [one] => {
                let one = [self.evaluate(one)?];
                (function.call)(self, &one)
            }
            [one, other] => {
                let both = [self.evaluate(one)?, self.evaluate(other)?];
                (function.call)(self, &both)
            }
            all => {
                let all: Vec<_> = all.iter().map(|code| self.evaluate(code)).collect::<Result<_, _>>()?;
                (function.call)(self, &all)
            }
        }
    }

    fn truth(&mut self, code: &'v Code, operator: &str) -> Result<bool, EvaluationError> {
        match self.evaluate(code)? {
            Data::Boolean(boolean) => Ok(boolean),
            other => fail(format!("{operator} wants a bool, not {}", other.kind())),
        }
    }

    /// `&&` and `||` in CEL take their sides in any order: a side that decides does so even if the other has no value.
    fn logic(&mut self, and: bool, sides: &'v [Code; 2]) -> Evaluated<'v> {
        let operator = if and { "&&" } else { "||" };
        let left = self.truth(&sides[0], operator);
        if left == Ok(!and) {
            return Ok(Data::Boolean(!and));
        }
        let right = self.truth(&sides[1], operator)?;
        if right == and { left.map(Data::Boolean) } else { Ok(Data::Boolean(right)) }
    }

    fn select(&mut self, select: &'v Select) -> Evaluated<'v> {
        let field = Data::Text(Text::Borrowed(&select.field));
        match self.evaluate(&select.of)? {
            Data::Optional(None) => Ok(Data::Optional(None)),
            Data::Optional(Some(of)) => self.maybe(&of, &field),
            of if select.optional => self.maybe(&of, &field),
            of => self.find(&of, &field),
        }
    }

    fn at(&mut self, at: &'v At) -> Evaluated<'v> {
        let (of, optional) = match self.evaluate(&at.of)? {
            Data::Optional(None) => return Ok(Data::Optional(None)),
            Data::Optional(Some(of)) => ((*of).clone(), true),
            of => (of, at.optional),
        };
        let index = self.evaluate(&at.index)?;
        if optional { self.maybe(&of, &index) } else { self.find(&of, &index) }
    }

    fn has(&mut self, of: &'v Code, field: &'v str) -> Evaluated<'v> {
        let field = Data::Text(Text::Borrowed(field));
        let of = match self.evaluate(of)? {
            Data::Optional(None) => return Ok(Data::Boolean(false)),
            Data::Optional(Some(of)) => (*of).clone(),
            of => of,
        };
        match &of {
            Data::Map(map) => Ok(Data::Boolean(self.lookup(map, &field)?.is_some())),
            other => fail(format!("has() wants a map, not {}", other.kind())),
        }
    }

    /// What is there, as an optional. Only running out of budget is still an error.
    fn maybe(&mut self, of: &Data<'v>, index: &Data<'v>) -> Evaluated<'v> {
        match of {
            Data::Map(map) if index.is_key() => {
                let found = self.lookup(map, index)?.map(|value| self.read(value)).transpose()?;
                Ok(Data::Optional(found.map(Arc::new)))
            }
            _ => Ok(self.find(of, index).map_or(Data::Optional(None), Data::some)),
        }
    }

    fn find(&mut self, of: &Data<'v>, index: &Data<'v>) -> Evaluated<'v> {
        match (of, index) {
            (Data::Map(map), key) => match self.lookup(map, key)? {
                Some(value) => self.read(value),
                None => self.no_such_key(map, key),
            },
            (Data::List(list), index @ (Data::Integer(_) | Data::Double(_))) => {
                let position = index.position().filter(|position| *position < list.len());
                if matches!(list, List::Tree(_)) {
                    self.spend(position.unwrap_or_default() / 8)?;
                }
                if let Some(item) = position.and_then(|position| list.get(position)) {
                    return self.read(item);
                }
                let [index, length] = [index, &Data::count(list.len())].map(|number| self.shown(number));
                fail(format!("there is no item {index} in a list of {length}"))
            }
            (of, Data::Text(_)) => fail(format!("{} has no keys, so no {}", of.kind(), self.shown(index))),
            (of, index) => fail(format!("{} has no index of type {}", of.kind(), index.kind())),
        }
    }

    /// The value of a map's key, to be read by whoever needs more than that it is there.
    pub(super) fn lookup(&mut self, map: &Map<'v>, key: &Data<'_>) -> Result<Option<Unread<'v>>, EvaluationError> {
        if !key.is_key() {
            return fail(format!("a key of a map is a string, an int or a bool, not {}", key.kind()));
        }
        let compared = match map {
            Map::Json(_) => 1,
            // Of most members the first letters tell that they are others.
            Map::Tree(tree) => 1 + tree.len() / 8,
            Map::Shared(entries) => entries.len(),
        };
        let length = if let Data::Text(text) = key { text.len() } else { 0 };
        self.spend_texts(compared, length)?;
        Ok(map.get(key))
    }

    fn no_such_key(&mut self, map: &Map<'v>, key: &Data<'_>) -> Evaluated<'v> {
        /// Keys that a message lists, and what it costs to compare one with what was asked for.
        const LISTED: usize = 12;
        const COMPARISON: usize = 16;
        self.spend(map.len().min(LISTED) * COMPARISON)?;
        let mut known = Vec::new();
        for key in map.keys().take(LISTED) {
            let key = self.read(key)?;
            known.push(self.shown(&key));
        }
        let more = if map.len() > LISTED { ", ..." } else { "" };
        let wanted = self.shown(key);
        let meant = did_you_mean(&wanted, known.iter().map(String::as_str));
        if known.is_empty() {
            return fail(format!("no such key: {wanted}; the map is empty"));
        }
        fail(format!("no such key: {wanted}{meant}; known keys: {}{more}", known.join(", ")))
    }

    fn list(&mut self, elements: &'v [Element]) -> Evaluated<'v> {
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            items.extend(self.element(element)?);
        }
        Ok(Data::list(items))
    }

    /// The value of an element, unless it is an optional one without.
    fn element(&mut self, element: &'v Element) -> Result<Option<Data<'v>>, EvaluationError> {
        let value = self.evaluate(&element.value)?;
        match value {
            Data::Optional(value) if element.optional => Ok(value.map(|value| (*value).clone())),
            value => Ok(Some(value)),
        }
    }

    fn map(&mut self, entries: &'v [(Code, Element)]) -> Evaluated<'v> {
        let mut made: Vec<(Data<'v>, Data<'v>)> = Vec::with_capacity(entries.len());
        for (key, element) in entries {
            let key = self.evaluate(key)?;
            if !matches!(key, Data::Text(_) | Data::Integer(_) | Data::Boolean(_)) {
                return fail(format!("a key of a map is a string, an int or a bool, not {}", key.kind()));
            }
            for (known, _) in &made {
                if self.equal(known, &key)? {
                    return fail(format!("the key {} is there twice", self.shown(&key)));
                }
            }
            made.extend(self.element(element)?.map(|value| (key, value)));
        }
        Ok(Data::Map(Map::Shared(made.into())))
    }

    fn each(&mut self, each: &'v Loop) -> Evaluated<'v> {
        let range = match self.evaluate(&each.range)? {
            Data::List(list) => list,
            Data::Map(map) if each.kind != LoopKind::SortBy => {
                self.spend(map.len())?;
                List::Shared(map.keys().map(|key| self.read(key)).collect::<Result<_, _>>()?)
            }
            other => return fail(format!("{} can't be gone over", other.kind())),
        };
        let slot = self.locals.len();
        let result = self.run(each, &range, slot);
        self.locals.truncate(slot);
        result
    }

    fn run(&mut self, each: &'v Loop, range: &List<'v>, slot: usize) -> Evaluated<'v> {
        let (mut made, mut keys) = (Vec::new(), Vec::new());
        let (mut count, mut failure) = (0, None);
        for item in range.iter() {
            self.spend(1)?;
            let item = self.read(item)?;
            self.locals.truncate(slot);
            self.locals.push(item.clone());
            if let Some(filter) = &each.filter
                && !self.truth(filter, "map()")?
            {
                continue;
            }
            match each.kind {
                LoopKind::Map => made.push(self.evaluate(&each.body)?),
                LoopKind::SortBy => {
                    keys.push(self.evaluate(&each.body)?);
                    made.push(item);
                }
                LoopKind::Filter => {
                    if self.truth(&each.body, "filter()")? {
                        made.push(item);
                    }
                }
                LoopKind::ExistsOne => count += usize::from(self.truth(&each.body, "exists_one()")?),
                // As with && and ||, an item that decides does so even if others have no value.
                LoopKind::All | LoopKind::Exists => match self.truth(&each.body, "all() and exists()") {
                    Ok(holds) if holds == (each.kind == LoopKind::Exists) => return Ok(Data::Boolean(holds)),
                    Ok(_) => {}
                    Err(error) => failure = Some(error),
                },
            }
        }
        match (each.kind, failure) {
            (_, Some(error)) => Err(error),
            (LoopKind::All, None) => Ok(Data::Boolean(true)),
            (LoopKind::Exists, None) => Ok(Data::Boolean(false)),
            (LoopKind::ExistsOne, None) => Ok(Data::Boolean(count == 1)),
            (LoopKind::Filter | LoopKind::Map, None) => Ok(Data::list(made)),
            (LoopKind::SortBy, None) => functions::sort_by_keys(self, &keys, &made),
        }
    }

    fn optional_map(&mut self, parts: &'v [Code; 2], flat: bool) -> Evaluated<'v> {
        let value = match self.evaluate(&parts[0])? {
            Data::Optional(None) => return Ok(Data::Optional(None)),
            Data::Optional(Some(value)) => (*value).clone(),
            other => return fail(format!("optMap() wants an optional, not {}", other.kind())),
        };
        self.locals.push(value);
        let mapped = self.evaluate(&parts[1]);
        self.locals.pop();
        match mapped? {
            mapped @ Data::Optional(_) if flat => Ok(mapped),
            other if flat => fail(format!("optFlatMap() wants an optional result, not {}", other.kind())),
            mapped => Ok(mapped.some()),
        }
    }

    /// A key or index in a message: plain where it reads well, else in quotes.
    pub(super) fn shown(&self, data: &Data<'_>) -> String {
        /// Longer texts are in quotes, and shortened.
        const PLAIN: usize = 64;
        match data {
            _ if self.sensitive => "(not shown)".to_owned(),
            Data::Text(text)
                if text.len() <= PLAIN && !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic()) =>
            {
                text.to_string()
            }
            Data::Text(text) => quoted(text),
            Data::Integer(integer) => integer.to_string(),
            Data::Double(double) => double.to_string(),
            Data::Boolean(boolean) => boolean.to_string(),
            other => other.kind().to_owned(),
        }
    }

    /// A text in a message.
    pub(super) fn quoted(&self, text: &str) -> String {
        parameter::shown(self.sensitive, text)
    }
}
