//! Our parser and the cel crate's read the same.

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators};

use super::*;
use crate::template::expression::data::Text;
use crate::template::expression::syntax::{self, Infix, Kind, Syntax};

/// A part of a tree, in the form that both trees have.
fn form(name: &str, parts: &[String]) -> String {
    let mut form = format!("({name}");
    for part in parts {
        form.push(' ');
        // The cel crate balances these chains, so both are told flat.
        match part.strip_prefix(&format!("({name} ")).and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) if matches!(name, operators::LOGICAL_AND | operators::LOGICAL_OR) => form.push_str(inner),
            _ => form.push_str(part),
        }
    }
    form + ")"
}

fn marked(optional: bool, element: String) -> String {
    if optional { format!("?{element}") } else { element }
}

fn ours(syntax: &Syntax<'_>) -> String {
    let all = |parts: &[Syntax<'_>]| parts.iter().map(ours).collect::<Vec<_>>();
    match &syntax.kind {
        Kind::Literal(Data::Text(Text::Shared(text))) => format!("{text:?}"),
        Kind::Literal(Data::Integer(integer)) => integer.to_string(),
        Kind::Literal(Data::Double(double)) => format!("{double:?}"),
        Kind::Literal(Data::Boolean(boolean)) => boolean.to_string(),
        Kind::Literal(_) => "null".to_owned(),
        Kind::Unsupported(..) => "unsupported".to_owned(),
        Kind::Name(name) => name.replace(' ', ""),
        Kind::Select(select) if select.optional => {
            form(operators::OPT_SELECT, &[ours(&select.of), format!("{:?}", select.name)])
        }
        Kind::Select(select) => form("select", &[ours(&select.of), select.name.to_owned()]),
        Kind::Index(index) => {
            let name = if index.optional { operators::OPT_INDEX } else { operators::INDEX };
            form(name, &[ours(&index.of), ours(&index.at)])
        }
        Kind::Call(call) => {
            let target = call.target.iter().map(|target| format!("on {}", ours(target)));
            form(&call.name.replace(' ', ""), &target.chain(all(&call.arguments)).collect::<Vec<_>>())
        }
        Kind::Not(side) => form(operators::LOGICAL_NOT, &[ours(side)]),
        Kind::Negate(side) => form(operators::NEGATE, &[ours(side)]),
        Kind::Infix(infix, sides) => {
            let name = match infix {
                Infix::And => operators::LOGICAL_AND.to_owned(),
                Infix::Or => operators::LOGICAL_OR.to_owned(),
                Infix::Operator(code::Operator::In) => operators::IN.to_owned(),
                Infix::Operator(operator) => format!("_{operator}_"),
            };
            form(&name, &all(&sides[..]))
        }
        Kind::If(parts) => form(operators::CONDITIONAL, &all(&parts[..])),
        Kind::List(elements) => {
            let element = |element: &syntax::Element<'_>| marked(element.optional, ours(&element.value));
            form("list", &elements.iter().map(element).collect::<Vec<_>>())
        }
        Kind::Map(entries) => {
            let entry = |(key, value): &(Syntax<'_>, syntax::Element<'_>)| {
                marked(value.optional, format!("{}:{}", ours(key), ours(&value.value)))
            };
            form("map", &entries.iter().map(entry).collect::<Vec<_>>())
        }
    }
}

fn theirs(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => format!("{:?}", text.inner()),
        Expr::Literal(LiteralValue::Int(integer)) => integer.inner().to_string(),
        Expr::Literal(LiteralValue::Double(double)) => format!("{:?}", double.inner()),
        Expr::Literal(LiteralValue::Boolean(boolean)) => boolean.inner().to_string(),
        Expr::Literal(LiteralValue::Null) => "null".to_owned(),
        Expr::Literal(LiteralValue::UInt(_) | LiteralValue::Bytes(_)) => "unsupported".to_owned(),
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => form("select", &[theirs(&select.operand), select.field.clone()]),
        Expr::Call(call) => {
            let target = call.target.iter().map(|target| format!("on {}", theirs(target)));
            form(&call.func_name, &target.chain(call.args.iter().map(theirs)).collect::<Vec<_>>())
        }
        Expr::List(list) => {
            let elements = list.elements.iter().enumerate();
            let element = |(index, element)| marked(list.optional_indices.contains(&index), theirs(element));
            form("list", &elements.map(element).collect::<Vec<_>>())
        }
        Expr::Map(map) => {
            let entry = |entry: &IdedEntryExpr| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    marked(entry.optional, format!("{}:{}", theirs(&entry.key), theirs(&entry.value)))
                }
                EntryExpr::StructField(_) => panic!("a message's field in a map"),
            };
            form("map", &map.entries.iter().map(entry).collect::<Vec<_>>())
        }
        Expr::Struct(_) => "message".to_owned(),
        other => panic!("what is {other:?}?"),
    }
}

/// Both read the same, or both refuse. Says which.
fn agree(source: &str) -> bool {
    if scan::check(source).is_err() {
        return false;
    }
    // Without macros the cel crate leaves them as the calls that they were written as, like us.
    let expected = with_deep_stack(|| cel::Env::default().compile(source).map(|program| theirs(program.expression())));
    match (syntax::parse(source), expected.unwrap()) {
        (Ok(found), Ok(expected)) => {
            assert_eq!(ours(&found), expected, "{source}");
            true
        }
        // Messages are not supported, and refused where they begin.
        (Err(error), _) if error.message.ends_with(" is a message") => false,
        (Err(_), Err(_)) => false,
        (found, expected) => panic!("{source}: ours {found:?}, theirs {expected:?}"),
    }
}

#[test]
fn what_is_cel_is_read_as_cel() {
    for source in include_str!("oracle.cel").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        agree(source);
    }
    for source in [
        "a.b.c(d, e.f)[g].?h[?i]",
        "a. ?b",
        ".a + .b(c)",
        "a ? b : c ? d : e",
        "a || b && c || d && e && f",
        "a + b * c - d / e % f == g",
        "a < b == c in d",
        "!!a && !a && !-1",
        "-1 - -1 - --1 - -a - --a - ---1",
        "-1.f() + -a.f() + (-1).f()",
        "- 3 + -.5 + -0x1f + .5e3",
        "[?a, b, ?c,] == {?a: b, 'c': d,}",
        "[].map(x, y, z) + {}",
        "1e9 + 1.5e-3 + 2E+4 + 1.5 + 0xFF + 1u + 0x1U + 9223372036854775807 + -9223372036854775808",
        "a // b\n + // c\n d",
        "a.as + a.void()",
        r#""a" + 'b' + """c"d""" + '''e'f''' + r"\g" + R'\h' + b"i" + br'\j' + '' + "" + '''''' "#,
        r#"'\a\b\f\n\r\t\v\\\?\x41\X4a\101\u00e9\U0001F600' + '\'' + '\"' + '\`'"#,
        "'''a\r\nb\rc'''",
    ] {
        assert!(agree(source), "{source}");
    }
}

#[test]
fn what_is_no_cel_is_refused() {
    for source in [
        "a b",
        "a +",
        "+ a",
        "a ? b",
        "a ? b ? c : d : e",
        "a..b",
        "a.",
        "a.1",
        "a.in",
        "a.true",
        "!",
        "-",
        "-!a",
        "!-a",
        "a[",
        "a[]",
        "f(,)",
        "f(a,)",
        "[a b]",
        "{a}",
        "{a: b c: d}",
        "{a: }",
        "true()",
        "null.?",
        "for",
        "if(a)",
        ".true",
        "in",
        "a in",
        "1.",
        "0x",
        "1abc",
        "1e",
        "99999999999999999999",
        "1e999",
        r"'\q'",
        r"'\x4'",
        r"'\u00'",
        r"'\uD800'",
        r"'\400'",
        r"'\é'",
        "rb'a'",
        "a = b",
        "a & b",
        "a | b",
        "@",
        "é",
        "a.?b(c)",
        "a; b",
        "'a' 'b'",
        "1 2",
        "..a",
        "?a",
        "a ?: b",
        "()",
        "(a, b)",
    ] {
        assert!(!agree(source), "{source}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_tokens_are_read_alike(
        tokens in prop::collection::vec((prop::sample::select(vec![
            "a", "b", "f(", "1", "2.5", ".5", "'s'", "r\"\\t\"", "true", "null", "in", "as", "(", ")", "[", "]", "{", "}",
            ",", ":", "?", ".", ".?", "-", "!", "+", "*", "==", "<", "&&", "||", "1u", "b''",
        ]), prop::sample::select(vec!["", " "])), 1..9)
    ) {
        let mut source = String::new();
        for (token, space) in tokens {
            // Nobody means 1in as 1 in; to us it is no number.
            let alphanumeric = |c: char| c.is_ascii_alphanumeric();
            let touches = source.ends_with(alphanumeric) && token.starts_with(alphanumeric);
            source.push_str(if touches { " " } else { space });
            source.push_str(token);
        }
        // The grammar lets a list be a comma alone, by what looks like an oversight.
        let packed = source.replace(' ', "");
        if !packed.contains("[,]") && !packed.contains("{,}") {
            agree(&source);
        }
    }
}
