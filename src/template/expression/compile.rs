//! From CEL's text to [`Code`]: names resolved, functions found, patterns compiled, so that a request finds nothing wrong
//! but what depends on its values.

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::code::{At, Code, Element, Loop, LoopKind, Operator, Select};
use super::data::Data;
use super::{ExpressionError, Mentions, Names, Variable, functions, scan};
use crate::nearest::did_you_mean;
use crate::template::parameter::{Pattern, quoted};

/// How deep macros over lists may nest: each level multiplies the work by the length of a list.
const MAX_LOOPS: usize = 2;

/// Where the supported language is described.
const REFERENCE: &str = "expressions are CEL; params.NAME is a parameter";

/// The names of types, which an expression compares `type(x)` with.
const TYPES: [&str; 9] = ["bool", "double", "int", "list", "map", "null_type", "optional_type", "string", "type"];

/// The macros that stand for a loop.
const LOOPS: [(&str, LoopKind); 7] = [
    ("all", LoopKind::All),
    ("exists", LoopKind::Exists),
    ("exists_one", LoopKind::ExistsOne),
    ("existsOne", LoopKind::ExistsOne),
    ("filter", LoopKind::Filter),
    ("map", LoopKind::Map),
    ("sortBy", LoopKind::SortBy),
];

/// Compiles an expression.
///
/// # Errors
///
/// Every mistake, with its place in `source`. What exceeds a limit or is no CEL at all is one mistake.
pub(super) fn compile(source: &str, names: Names<'_>) -> Result<(Code, Mentions), Vec<ExpressionError>> {
    scan::check(source).map_err(|error| vec![error])?;
    // An environment without macros: the parser then leaves them as the calls they were written as. It is not ours, and
    // what it is given may be hostile: should it panic, it takes nothing with it.
    let parsed = std::panic::catch_unwind(|| cel::Env::default().compile(source));
    let program = match parsed {
        Ok(Ok(program)) => program,
        Ok(Err(errors)) => return Err(vec![syntax(source, &errors)]),
        Err(_) => return Err(vec![not_cel(0..source.len())]),
    };
    let mut compiler = Compiler {
        source,
        names,
        places: program.source_info(),
        scope: Vec::new(),
        loops: 0,
        mentions: Mentions::default(),
        errors: Vec::new(),
    };
    let code = compiler.code(program.expression());
    compiler.mentions.parameters.sort_unstable();
    compiler.mentions.parameters.dedup();
    if compiler.errors.is_empty() { Ok((code, compiler.mentions)) } else { Err(compiler.errors) }
}

/// What nothing more can be said about.
fn not_cel(range: Range<usize>) -> ExpressionError {
    ExpressionError { range, message: "this is no CEL expression".to_owned(), help: Some(REFERENCE.to_owned()) }
}

/// What CEL's parser says, in plain words. Its later errors follow from the first.
fn syntax(source: &str, errors: &cel::ParseErrors) -> ExpressionError {
    let (message, (line, column)) = match errors.errors.first() {
        Some(error) => (error.msg.as_str(), error.pos),
        None => ("", (1, 1)),
    };
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = match message.split_once(" expecting ").map_or(message, |(found, _)| found) {
        // Errors of the parser about itself: its recursion limit, or a rule that it could not finish.
        found if found.contains("Recursion limit") => "the expression nests too deeply".to_owned(),
        found if found.contains('`') => return not_cel(0..source.len()),
        found if found.ends_with("'<EOF>'") => "the expression ends too early".to_owned(),
        found => match found.split_once(" input ").or_else(|| found.split_once(" error at: ")) {
            Some((_, text)) => format!("unexpected {text}"),
            None => found.to_owned(),
        },
    };
    let index = |number: isize| usize::try_from(number - 1).unwrap_or(0);
    let before: usize = source.split_inclusive('\n').take(index(line)).map(str::len).sum();
    let start = before + source[before..].chars().take(index(column)).map(char::len_utf8).sum::<usize>();
    let rest = &source[start..];
    // The text that the message quotes, or else a character.
    let found = message.split('\'').nth(1).filter(|found| rest.starts_with(found)).map(|found| found.trim_end().len());
    let length = found.unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
    let range = start..start + length;
    ExpressionError { range, message, help: Some(REFERENCE.to_owned()) }
}

struct Compiler<'s> {
    source: &'s str,
    names: Names<'s>,
    places: &'s SourceInfo,
    /// The variables of the macros around, outermost first.
    scope: Vec<String>,
    /// How many loops are around.
    loops: usize,
    mentions: Mentions,
    errors: Vec<ExpressionError>,
}

impl Compiler<'_> {
    /// Remembers a mistake; the code that stands for it is never evaluated.
    fn refuse(&mut self, range: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Code {
        self.errors.push(ExpressionError { range, message: message.into(), help: Some(help.into()) });
        Code::Constant(Data::Null)
    }

    /// The place of a node: of an operator or call, of its sign.
    fn place(&self, node: &IdedExpr) -> Range<usize> {
        let (start, last) = self.places.offset_for(node.id).unwrap_or_default();
        let start = (start as usize).min(self.source.len());
        start..(last as usize + 1).clamp(start, self.source.len())
    }

    /// The place of the name after a `.` or before a `(`, which are the places of a selection and a call.
    fn name_place(&self, node: &IdedExpr, name: &str) -> Range<usize> {
        let sign = self.place(node);
        let after = self.source[sign.end..].find(name).map(|at| sign.end + at);
        let before = self.source[..sign.start].rfind(name);
        let start = if self.source[sign.clone()].starts_with('(') { before } else { after };
        start.map_or(sign, |start| start..start + name.len())
    }

    fn code(&mut self, node: &IdedExpr) -> Code {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.name(node, name),
            Expr::Select(select) => {
                let place = self.name_place(node, &select.field);
                self.select(&select.operand, &select.field, false, place)
            }
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => {
                let element = |(index, value)| (value, list.optional_indices.contains(&index));
                let elements = list.elements.iter().enumerate().map(element);
                Code::List(elements.map(|(value, optional)| Element { value: self.code(value), optional }).collect())
            }
            Expr::Map(map) => {
                let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some(entry),
                    EntryExpr::StructField(_) => None,
                });
                let entry = |entry: &cel::common::ast::MapEntryExpr| {
                    (self.code(&entry.key), Element { value: self.code(&entry.value), optional: entry.optional })
                };
                Code::Map(entries.map(entry).collect())
            }
            Expr::Struct(message) => {
                let place = self.place(node);
                self.refuse(place, format!("{} is a message", message.type_name), "a map is {'key': value}")
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                let place = self.place(node);
                self.refuse(place, "this can't be evaluated", REFERENCE)
            }
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Code {
        let place = self.place(node);
        Code::Constant(match literal {
            LiteralValue::Null => Data::Null,
            LiteralValue::Boolean(boolean) => Data::Boolean(*boolean.inner()),
            LiteralValue::Int(integer) => Data::Integer(*integer.inner()),
            LiteralValue::Double(double) => Data::Double(*double.inner()),
            LiteralValue::String(text) => Data::text(text.inner()),
            LiteralValue::UInt(_) => {
                return self.refuse(place, "unsigned integers are not supported", "leave out the u");
            }
            LiteralValue::Bytes(_) => return self.refuse(place, "bytes are not supported", "leave out the b"),
        })
    }

    fn name(&mut self, node: &IdedExpr, name: &str) -> Code {
        if let Some(slot) = self.scope.iter().rposition(|local| local == name) {
            return Code::Local(slot);
        }
        let place = self.place(node);
        if name == "params" {
            return self.refuse(place, "params is no value by itself", "write params.NAME");
        }
        if let Some(variable) = Variable::from_name(name) {
            self.mentions.variables |= variable.bit();
            return Code::Variable(variable);
        }
        match name {
            "item" | "index" if self.names.in_for_each => {
                self.mentions.item = true;
                return if name == "item" { Code::Item } else { Code::Index };
            }
            "item" | "index" => {
                return self.refuse(place, format!("{name} is bound by forEach alone"), "there is no forEach around");
            }
            _ => {}
        }
        if let Some(kind) = TYPES.into_iter().find(|kind| *kind == name) {
            return Code::Constant(Data::Type(kind));
        }
        if self.names.parameters.iter().any(|parameter| parameter.name == name) {
            return self.refuse(place, format!("unknown name {name}"), format!("the parameter is params.{name}"));
        }
        let mut known = vec!["params"];
        known.extend(Variable::ALL.map(Variable::name));
        known.extend(self.names.in_for_each.then_some(["item", "index"]).into_iter().flatten());
        let meant = did_you_mean(name, known.iter().copied().chain(self.scope.iter().map(String::as_str)));
        self.refuse(place, format!("unknown name {}{meant}", quoted(name)), format!("known: {}", known.join(", ")))
    }

    /// A node that is this name, and no variable of a macro.
    fn is_name(&self, node: &IdedExpr, name: &str) -> bool {
        matches!(&node.expr, Expr::Ident(found) if found == name) && !self.scope.iter().any(|local| local == name)
    }

    /// `of.field` and `of['field']`, with what is known of the names at load.
    fn select(&mut self, of: &IdedExpr, field: &str, optional: bool, place: Range<usize>) -> Code {
        if self.is_name(of, "params") {
            if optional {
                return self.refuse(place, "a parameter always has a value", format!("write params.{field}"));
            }
            return self.parameter(field, place);
        }
        for variable in Variable::ALL {
            if self.is_name(of, variable.name()) && !variable.fields().is_empty() && !variable.fields().contains(&field)
            {
                let meant = did_you_mean(field, variable.fields().iter().copied());
                let message = format!("{} has no {field}{meant}", variable.name());
                return self.refuse(place, message, format!("it has {}", variable.fields().join(", ")));
            }
        }
        Code::Select(Box::new(Select { of: self.code(of), field: field.into(), optional }))
    }

    fn parameter(&mut self, name: &str, place: Range<usize>) -> Code {
        let parameters = self.names.parameters;
        if let Some(index) = parameters.iter().position(|parameter| parameter.name == name) {
            self.mentions.parameters.push(index);
            return Code::Parameter(index);
        }
        let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let meant = did_you_mean(name, known.iter().copied());
        let help = match known.as_slice() {
            [] => "the template declares no parameters".to_owned(),
            known => format!("declared: {}", known.join(", ")),
        };
        self.refuse(place, format!("unknown parameter {}{meant}", quoted(name)), help)
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Code {
        match (&call.target, call.func_name.as_str(), call.args.as_slice()) {
            (None, operators::CONDITIONAL, [condition, yes, no]) => {
                Code::If(Box::new([self.code(condition), self.code(yes), self.code(no)]))
            }
            (None, operators::LOGICAL_AND, [left, right]) => Code::Logic(true, Box::new(self.pair(left, right))),
            (None, operators::LOGICAL_OR, [left, right]) => Code::Logic(false, Box::new(self.pair(left, right))),
            (None, operators::LOGICAL_NOT, [side]) => Code::Not(Box::new(self.code(side))),
            (None, operators::NEGATE, [side]) => Code::Negate(Box::new(self.code(side))),
            (None, operators::INDEX, [of, index]) => self.at(of, index, false),
            (None, operators::OPT_INDEX, [of, index]) => self.at(of, index, true),
            (None, operators::OPT_SELECT, [of, field]) => {
                let Expr::Literal(LiteralValue::String(field)) = &field.expr else {
                    let place = self.place(node);
                    return self.refuse(place, "a field is a name", REFERENCE);
                };
                let place = self.name_place(node, field.inner());
                self.select(of, field.inner(), true, place)
            }
            (None, name, [left, right]) if let Some(operator) = operator(name) => {
                Code::Binary(operator, Box::new(self.pair(left, right)))
            }
            (None, "has", [of]) => self.has(node, of),
            (Some(target), name, arguments) if !self.is_namespace(target) => self.method(node, target, name, arguments),
            (target, name, arguments) => {
                let namespace = target.as_deref().and_then(|target| match &target.expr {
                    Expr::Ident(namespace) => Some(format!("{namespace}.{name}")),
                    _ => None,
                });
                self.function(node, namespace.as_deref().unwrap_or(name), arguments)
            }
        }
    }

    fn pair(&mut self, left: &IdedExpr, right: &IdedExpr) -> [Code; 2] {
        [self.code(left), self.code(right)]
    }

    fn at(&mut self, of: &IdedExpr, index: &IdedExpr, optional: bool) -> Code {
        let place = self.place(index);
        if let Expr::Literal(LiteralValue::String(field)) = &index.expr {
            return self.select(of, field.inner(), optional, place);
        }
        if self.is_name(of, "params") {
            return self.refuse(place, "the name of a parameter must be constant", "write params.NAME");
        }
        Code::At(Box::new(At { of: self.code(of), index: self.code(index), optional }))
    }

    fn has(&mut self, node: &IdedExpr, of: &IdedExpr) -> Code {
        let Expr::Select(select) = &of.expr else {
            let place = self.place(node);
            return self.refuse(place, "has() asks for a field", "write has(object.metadata.labels)");
        };
        let place = self.name_place(of, &select.field);
        if self.is_name(&select.operand, "params") {
            let help = "a parameter without a default must be set; compare its value instead";
            return self.refuse(place, "a parameter always has a value", help);
        }
        match self.select(&select.operand, &select.field, false, place) {
            Code::Select(select) => Code::Has(Box::new(select.of), select.field),
            other => other,
        }
    }

    /// The `lists` of `lists.range(...)`.
    fn is_namespace(&self, target: &IdedExpr) -> bool {
        ["lists", "optional", "strings"].iter().any(|namespace| self.is_name(target, namespace))
    }

    fn function(&mut self, node: &IdedExpr, name: &str, arguments: &[IdedExpr]) -> Code {
        if name == "matches"
            && let [text, pattern] = arguments
        {
            return self.matches(text, pattern);
        }
        self.found(node, name, false, &arguments.iter().collect::<Vec<_>>())
    }

    fn method(&mut self, node: &IdedExpr, target: &IdedExpr, name: &str, arguments: &[IdedExpr]) -> Code {
        if let Some((_, kind)) = LOOPS.iter().find(|(known, _)| *known == name) {
            return self.each(node, target, *kind, name, arguments);
        }
        match (name, arguments) {
            ("matches", [pattern]) => self.matches(target, pattern),
            ("optMap" | "optFlatMap", [variable, body]) => {
                let of = self.code(target);
                let body = self.bound(variable, |compiler| compiler.code(body));
                Code::OptionalMap(Box::new([of, body]), name == "optFlatMap")
            }
            _ => self.found(node, name, true, &std::iter::once(target).chain(arguments).collect::<Vec<_>>()),
        }
    }

    /// A call of a function, or the mistake in its name or number of arguments.
    fn found(&mut self, node: &IdedExpr, name: &str, method: bool, arguments: &[&IdedExpr]) -> Code {
        let place = self.name_place(node, name.rsplit('.').next().unwrap_or(name));
        let Some(function) = functions::find(name, method) else {
            // What an unknown function does with its arguments is unknown too: it may be a macro that binds a name.
            arguments.iter().take(usize::from(method)).for_each(|target| drop(self.code(target)));
            return self.unknown_function(name, method, place);
        };
        let code: Box<[Code]> = arguments.iter().map(|argument| self.code(argument)).collect();
        let given = code.len() - usize::from(method);
        if !function.arguments.contains(&given) {
            let (least, most) = (function.arguments.start(), function.arguments.end());
            let wanted = if least == most { least.to_string() } else { format!("{least} or {most}") };
            return self.refuse(place, format!("{name}() has {given} arguments"), format!("it takes {wanted}"));
        }
        Code::Call(function, code)
    }

    fn unknown_function(&mut self, name: &str, method: bool, place: Range<usize>) -> Code {
        if functions::find(name, !method).is_some() {
            let help = if method { format!("write {name}(...)") } else { format!("write x.{name}(...)") };
            let message = format!("{name}() is not called {} a value", if method { "on" } else { "without" });
            return self.refuse(place, message, help);
        }
        let macros: &[&str] = if method { &["optMap", "optFlatMap", "matches"] } else { &["has", "matches"] };
        let loops = LOOPS.iter().map(|(name, _)| *name).filter(|_| method);
        let meant = did_you_mean(name, functions::names(method).chain(loops).chain(macros.iter().copied()));
        self.refuse(place, format!("unknown function {name}(){meant}"), REFERENCE)
    }

    fn matches(&mut self, text: &IdedExpr, pattern: &IdedExpr) -> Code {
        let text = self.code(text);
        let place = self.place(pattern);
        let Expr::Literal(LiteralValue::String(source)) = &pattern.expr else {
            let help = "write the pattern as text, so that it is compiled once, when the template is loaded";
            return self.refuse(place, "the pattern of matches() is not constant", help);
        };
        match Pattern::compile(source.inner()) {
            Ok(pattern) => Code::Matches(Box::new(text), pattern),
            Err(message) => self.refuse(place, message, Pattern::HELP),
        }
    }

    fn each(&mut self, node: &IdedExpr, range: &IdedExpr, kind: LoopKind, name: &str, arguments: &[IdedExpr]) -> Code {
        let place = self.name_place(node, name);
        let (variable, filter, body) = match arguments {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if kind == LoopKind::Map => (variable, Some(filter), body),
            _ => {
                let message = format!("{name}() has {} arguments", arguments.len());
                return self.refuse(place, message, format!("write list.{name}(x, ...), where x names an item"));
            }
        };
        let range = self.code(range);
        if self.loops == MAX_LOOPS {
            let help = format!("at most {MAX_LOOPS} may stand inside each other");
            return self.refuse(place, "macros over lists nest too deeply", help);
        }
        self.loops += 1;
        let (filter, body) =
            self.bound(variable, |compiler| (filter.map(|filter| compiler.code(filter)), compiler.code(body)));
        self.loops -= 1;
        Code::Loop(Box::new(Loop { kind, range, filter, body }))
    }

    /// Compiles what sees a macro's variable.
    fn bound<T>(&mut self, variable: &IdedExpr, inner: impl FnOnce(&mut Self) -> T) -> T {
        let name = if let Expr::Ident(name) = &variable.expr {
            name.clone()
        } else {
            let place = self.place(variable);
            self.refuse(place, "the first argument is a name for an item", "write list.map(x, x + 1)");
            String::new()
        };
        self.scope.push(name);
        let compiled = inner(self);
        self.scope.pop();
        compiled
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Modulo,
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::IN => Operator::In,
        _ => return None,
    })
}
