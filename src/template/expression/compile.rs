//! From CEL's text to [`Code`]: names resolved, functions found, patterns compiled, so that a request finds nothing wrong
//! but what depends on its values.

use std::ops::Range;

use super::code::{At, Code, Element, Loop, LoopKind, Select};
use super::data::{Data, Text};
use super::syntax::{self, Infix, Kind, REFERENCE, Syntax};
use super::{ExpressionError, Mentions, Names, Variable, functions, scan};
use crate::nearest::did_you_mean;
use crate::template::parameter::{Pattern, quoted};

/// How deep macros over lists may nest: each level multiplies the work by the length of a list.
const MAX_LOOPS: usize = 2;

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
    let syntax = syntax::parse(source).map_err(|error| vec![error])?;
    let mut compiler =
        Compiler { names, scope: Vec::new(), loops: 0, mentions: Mentions::default(), errors: Vec::new() };
    let code = compiler.code(&syntax);
    compiler.mentions.parameters.sort_unstable();
    compiler.mentions.parameters.dedup();
    if compiler.errors.is_empty() { Ok((code, compiler.mentions)) } else { Err(compiler.errors) }
}

struct Compiler<'t> {
    names: Names<'t>,
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

    fn code(&mut self, syntax: &Syntax<'_>) -> Code {
        let place = || syntax.place.clone();
        match &syntax.kind {
            Kind::Literal(literal) => Code::Constant(literal.clone()),
            Kind::Unsupported(what, help) => self.refuse(place(), *what, *help),
            Kind::Name(name) => self.name(name, place()),
            Kind::Select(select) => self.select(&select.of, select.name, select.optional, select.place.clone()),
            Kind::Index(index) => self.at(index),
            Kind::Call(call) => self.call(call, place()),
            Kind::Not(side) => Code::Not(Box::new(self.code(side))),
            Kind::Negate(side) => Code::Negate(Box::new(self.code(side))),
            Kind::Infix(infix, sides) => {
                let sides = Box::new(sides.each_ref().map(|side| self.code(side)));
                match infix {
                    Infix::And => Code::Logic(true, sides),
                    Infix::Or => Code::Logic(false, sides),
                    Infix::Operator(operator) => Code::Binary(*operator, sides),
                }
            }
            Kind::If(parts) => Code::If(Box::new(parts.each_ref().map(|part| self.code(part)))),
            Kind::List(elements) => Code::List(elements.iter().map(|element| self.element(element)).collect()),
            Kind::Map(entries) => {
                Code::Map(entries.iter().map(|(key, value)| (self.code(key), self.element(value))).collect())
            }
        }
    }

    fn element(&mut self, element: &syntax::Element<'_>) -> Element {
        Element { value: self.code(&element.value), optional: element.optional }
    }

    fn name(&mut self, name: &str, place: Range<usize>) -> Code {
        if let Some(slot) = self.scope.iter().rposition(|local| local == name) {
            return Code::Local(slot);
        }
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

    /// A name itself, and no variable of a macro.
    fn is_name(&self, syntax: &Syntax<'_>, name: &str) -> bool {
        matches!(syntax.kind, Kind::Name(found) if found == name) && !self.scope.iter().any(|local| local == name)
    }

    /// `of.field` and `of['field']`, with what is known of the names at load.
    fn select(&mut self, of: &Syntax<'_>, field: &str, optional: bool, place: Range<usize>) -> Code {
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

    fn at(&mut self, index: &syntax::Index<'_>) -> Code {
        let syntax::Index { of, at, optional } = index;
        let place = at.place.clone();
        if let Some(field) = constant_text(at) {
            return self.select(of, field, *optional, place);
        }
        if self.is_name(of, "params") {
            return self.refuse(place, "the name of a parameter must be constant", "write params.NAME");
        }
        Code::At(Box::new(At { of: self.code(of), index: self.code(at), optional: *optional }))
    }

    /// `sign` is the place of the bracket that opens the arguments.
    fn call(&mut self, call: &syntax::Call<'_>, sign: Range<usize>) -> Code {
        match (&call.target, call.arguments.as_slice()) {
            (None, [of]) if call.name == "has" => self.has(of, sign),
            (None, _) => self.function(call, call.name),
            (Some(Syntax { kind: Kind::Name(namespace), .. }), _) if self.is_namespace(namespace) => {
                self.function(call, &format!("{namespace}.{}", call.name))
            }
            (Some(target), _) => self.method(call, target),
        }
    }

    fn has(&mut self, of: &Syntax<'_>, sign: Range<usize>) -> Code {
        let select = match &of.kind {
            Kind::Select(select) if !select.optional => select,
            _ => return self.refuse(sign, "has() asks for a field", "write has(object.metadata.labels)"),
        };
        let place = select.place.clone();
        if self.is_name(&select.of, "params") {
            let help = "a parameter without a default must be set; compare its value instead";
            return self.refuse(place, "a parameter always has a value", help);
        }
        match self.select(&select.of, select.name, false, place) {
            Code::Select(select) => Code::Has(Box::new(select.of), select.field),
            other => other,
        }
    }

    /// The `lists` of `lists.range(...)`.
    fn is_namespace(&self, name: &str) -> bool {
        matches!(name, "lists" | "optional" | "strings") && !self.scope.iter().any(|local| local == name)
    }

    fn function(&mut self, call: &syntax::Call<'_>, name: &str) -> Code {
        match call.arguments.as_slice() {
            [text, pattern] if name == "matches" => self.matches(text, pattern),
            arguments => self.found(name, call.place.clone(), None, arguments),
        }
    }

    fn method(&mut self, call: &syntax::Call<'_>, target: &Syntax<'_>) -> Code {
        if let Some((_, kind)) = LOOPS.iter().find(|(known, _)| *known == call.name) {
            return self.each(call, target, *kind);
        }
        match (call.name, call.arguments.as_slice()) {
            ("matches", [pattern]) => self.matches(target, pattern),
            ("optMap" | "optFlatMap", [variable, body]) => {
                let of = self.code(target);
                let body = self.bound(variable, |compiler| compiler.code(body));
                Code::OptionalMap(Box::new([of, body]), call.name == "optFlatMap")
            }
            (name, arguments) => self.found(name, call.place.clone(), Some(target), arguments),
        }
    }

    /// A call of a function, or the mistake in its name or number of arguments.
    fn found(
        &mut self,
        name: &str,
        place: Range<usize>,
        target: Option<&Syntax<'_>>,
        arguments: &[Syntax<'_>],
    ) -> Code {
        let Some(function) = functions::find(name, target.is_some()) else {
            // What an unknown function does with its arguments is unknown too: it may be a macro that binds a name.
            target.map(|target| self.code(target));
            return self.unknown_function(name, target.is_some(), place);
        };
        let code = target.into_iter().chain(arguments).map(|argument| self.code(argument)).collect();
        let given = arguments.len();
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

    fn matches(&mut self, text: &Syntax<'_>, pattern: &Syntax<'_>) -> Code {
        let text = self.code(text);
        let place = pattern.place.clone();
        let Some(source) = constant_text(pattern) else {
            let help = "write the pattern as text, so that it is compiled once, when the template is loaded";
            return self.refuse(place, "the pattern of matches() is not constant", help);
        };
        match Pattern::compile(source, self.names.patterns) {
            Ok(pattern) => Code::Matches(Box::new(text), pattern),
            // Of those that are too much together, the first one of an expression is told.
            Err(message)
                if self.names.patterns.is_exceeded() && self.errors.iter().any(|error| error.message == message) =>
            {
                Code::Constant(Data::Null)
            }
            Err(message) => self.refuse(place, message, Pattern::HELP),
        }
    }

    fn each(&mut self, call: &syntax::Call<'_>, range: &Syntax<'_>, kind: LoopKind) -> Code {
        let syntax::Call { name, place, arguments, .. } = call;
        let place = place.clone();
        let (variable, filter, body) = match arguments.as_slice() {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if kind == LoopKind::Map => (variable, Some(filter), body),
            _ => {
                let message = format!("{name}() has {} arguments", arguments.len());
                return self.refuse(place, message, format!("write list.{name}(x, ...), where x names an item"));
            }
        };
        // Of all macros this one is held to it by CEL itself, whatever becomes of its value.
        if kind == LoopKind::SortBy && matches!(range.kind, Kind::Literal(_) | Kind::Map(_)) {
            return self.refuse(range.place.clone(), "sortBy() sorts a list", "write list.sortBy(x, x.name)");
        }
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
    fn bound<T>(&mut self, variable: &Syntax<'_>, inner: impl FnOnce(&mut Self) -> T) -> T {
        let name = if let Kind::Name(name) = variable.kind {
            name.to_owned()
        } else {
            let help = "write list.map(x, x + 1)";
            self.refuse(variable.place.clone(), "the first argument is a name for an item", help);
            String::new()
        };
        self.scope.push(name);
        let compiled = inner(self);
        self.scope.pop();
        compiled
    }
}

/// The text that a literal is.
fn constant_text<'l>(syntax: &'l Syntax<'_>) -> Option<&'l str> {
    match &syntax.kind {
        Kind::Literal(Data::Text(Text::Shared(text))) => Some(text),
        _ => None,
    }
}
