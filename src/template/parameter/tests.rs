use serde_json::json;

use super::*;
use crate::template::parameter::declare::Declaration;

fn declaration(kind: Type) -> Declaration {
    Declaration {
        name: "name".to_owned(),
        description: None,
        kind,
        default: None,
        example: None,
        one_of: None,
        pattern: None,
        minimum: None,
        maximum: None,
        min_length: None,
        max_length: None,
        sensitive: false,
        expand: false,
        line: 1,
    }
}

fn declare(declaration: Declaration) -> Result<Parameter, Vec<DeclarationError>> {
    Parameter::declare(declaration, &Patterns::default())
}

fn parameter(kind: Type) -> Parameter {
    declare(declaration(kind)).unwrap()
}

impl Parameter {
    /// What it makes of the only value of a request.
    fn said(&self, text: &str) -> Result<Value, ParameterError> {
        self.parse(text, &Steps::default())
    }
}

fn refused(declaration: Declaration) -> Vec<(&'static str, Option<usize>, String)> {
    let errors = declare(declaration).unwrap_err();
    errors.into_iter().map(|error| (error.field, error.index, error.message)).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn values_are_read_by_their_type() {
    for (kind, written, value) in [
        (Type::String, " any  text\n", text(" any  text\n")),
        (Type::String, "", text("")),
        (Type::Integer, "8080", Value::Integer(8080)),
        (Type::Integer, " -1\n", Value::Integer(-1)),
        (Type::Integer, "9223372036854775807", Value::Integer(i64::MAX)),
        (Type::Number, "0.5", Value::Number(0.5)),
        (Type::Number, "-2e3", Value::Number(-2000.0)),
        (Type::Boolean, "true", Value::Boolean(true)),
        (Type::Boolean, "FALSE\n", Value::Boolean(false)),
        (Type::Duration, " 1h30m\n", text("1h30m")),
        (Type::Duration, "0", text("0")),
        (Type::Quantity, "128Mi", text("128Mi")),
    ] {
        assert_eq!(parameter(kind).said(written), Ok(value), "{written:?}");
    }
    for (kind, written, message) in [
        (Type::Integer, "abc", r#""abc" is not an integer; allowed: an integer"#),
        (Type::Integer, "1.0", r#""1.0" is not an integer; allowed: an integer"#),
        (Type::Integer, "", r#""" is not an integer; allowed: an integer"#),
        (
            Type::Integer,
            "9223372036854775808",
            r#""9223372036854775808" does not fit a 64-bit integer; allowed: an integer"#,
        ),
        (Type::Number, "NaN", r#""NaN" is not a number; allowed: a number"#),
        (Type::Number, "inf", r#""inf" is not a number; allowed: a number"#),
        (Type::Number, "1e999", r#""1e999" is not a number; allowed: a number"#),
        (Type::Boolean, "yes", r#""yes" is not true or false; allowed: true or false"#),
        (
            Type::Duration,
            "5 minutes",
            r#""5 minutes" is not a duration such as 1h30m or 500ms; allowed: a duration such as 1h30m or 500ms"#,
        ),
        (Type::Duration, "-1s", r#""-1s" is negative; allowed: a duration such as 1h30m or 500ms"#),
        (Type::Quantity, "-1Mi", r#""-1Mi" is negative; allowed: a quantity such as 500m or 128Mi"#),
    ] {
        assert_eq!(parameter(kind).said(written).unwrap_err().to_string(), message);
    }
}

#[test]
fn lists_have_three_notations() {
    let list = parameter(Type::List);
    for (written, items) in [
        ("a", vec!["a"]),
        ("a, b ,c", vec!["a", "b", "c"]),
        ("a,b\n", vec!["a", "b"]),
        ("a, b\n  c\n", vec!["a, b", "c"]),
        (" [\"a,b\", \" c\\n\"]\n", vec!["a,b", " c\n"]),
        ("[]", vec![]),
    ] {
        let items = items.into_iter().map(str::to_owned).collect();
        assert_eq!(list.said(written), Ok(Value::List(items)), "{written:?}");
    }
    for (written, problem) in [
        ("", "item 1 of the list is empty; an empty list is []"),
        ("a,,b", "item 2 of the list is empty; an empty list is []"),
        ("a,", "item 2 of the list is empty; an empty list is []"),
        ("a\n\nb", "item 2 of the list is empty; an empty list is []"),
        (r#"["a", ""]"#, "item 2 of the list is empty; an empty list is []"),
        (r#"["a", 1]"#, "begins with [ but is no JSON array of strings (column 7)"),
        ("[a]", "begins with [ but is no JSON array of strings (column 2)"),
        ("[\"a\"", "begins with [ but is no JSON array of strings (column 4)"),
    ] {
        assert_eq!(list.said(written).unwrap_err().problem, problem, "{written:?}");
    }
    assert!(list.said(&vec!["x"; 64].join(",")).is_ok());
    let error = list.said(&vec!["x"; 65].join(",")).unwrap_err();
    assert_eq!(error.to_string(), "the list has 65 items; allowed: a list of at most 64 items");
}

#[test]
fn constraints_hold_for_values_and_for_items() {
    let declared = |change: &dyn Fn(&mut Declaration), kind| {
        let mut declaration = declaration(kind);
        change(&mut declaration);
        declare(declaration).unwrap()
    };
    let port = declared(&|d| (d.minimum, d.maximum) = (Some(json!(1)), Some(json!(65535))), Type::Integer);
    assert_eq!(port.said("65535"), Ok(Value::Integer(65535)));
    assert_eq!(
        port.said("70000").unwrap_err().to_string(),
        r#""70000" is greater than 65535; allowed: an integer from 1 to 65535"#
    );
    assert_eq!(port.said("0").unwrap_err().problem, r#""0" is less than 1"#);
    let engine = declared(&|d| d.one_of = Some(vec![json!("postgres"), json!("redis")]), Type::String);
    assert_eq!(
        engine.said("mysql").unwrap_err().to_string(),
        r#""mysql" is not allowed; allowed: one of postgres, redis"#
    );
    let timeout = declared(&|d| (d.minimum, d.maximum) = (Some(json!("1s")), Some(json!("1h"))), Type::Duration);
    assert_eq!(timeout.said("60m"), Ok(text("60m")));
    assert_eq!(timeout.said("61m").unwrap_err().problem, r#""61m" is greater than 1h"#);
    assert_eq!(timeout.said("500ms").unwrap_err().problem, r#""500ms" is less than 1s"#);
    let offset = declared(&|d| d.minimum = Some(json!("-1h")), Type::Duration);
    assert_eq!(offset.said("-30m"), Ok(text("-30m")));
    let memory = declared(&|d| (d.maximum, d.default) = (Some(json!("1Gi")), Some(json!(5))), Type::Quantity);
    assert_eq!(memory.said("1024Mi"), Ok(text("1024Mi")));
    assert_eq!(memory.said("1025Mi").unwrap_err().problem, r#""1025Mi" is greater than 1Gi"#);
    assert_eq!(memory.default, Some(text("5")));
    let path = declared(&|d| (d.pattern, d.max_length) = (Some("^/".to_owned()), Some(5)), Type::String);
    assert_eq!(path.said("/é/éé"), Ok(text("/é/éé")));
    assert_eq!(path.said("/12345").unwrap_err().problem, r#""/12345" is longer than 5 characters"#);
    assert_eq!(
        path.said("x").unwrap_err().to_string(),
        r#""x" does not match its pattern; allowed: text of at most 5 characters matching ^/"#
    );
    let names = declared(&|d| d.pattern = Some("^[A-Z]+=".to_owned()), Type::List);
    assert_eq!(
        names.said("A=1,b=2,C,D=").unwrap_err().to_string(),
        r#"item 2, "b=2", does not match its pattern; item 3, "C", does not match its pattern; allowed: a list of at most 64 items, each text matching ^[A-Z]+="#
    );
}

#[test]
fn messages_show_values_safely() {
    let error = parameter(Type::Integer).said("a\n\u{1b}[31m\"'").unwrap_err();
    assert_eq!(error.problem, r#""a\n\u{1b}[31m\"'" is not an integer"#);
    let error = parameter(Type::Integer).said(&"é".repeat(300)).unwrap_err();
    assert_eq!(error.problem, format!("\"{}\"... (600 bytes) is not an integer", "é".repeat(80)));
    for (kind, written) in [(Type::Integer, "hunter2"), (Type::List, "hunter2,"), (Type::List, "[hunter2")] {
        let secret = declare(Declaration { sensitive: true, ..declaration(kind) }).unwrap();
        let error = secret.said(written).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn mistakes_of_a_declaration_do_not_show_what_is_sensitive() {
    let secret = |kind, change: fn(&mut Declaration)| {
        let mut declaration = Declaration { sensitive: true, ..declaration(kind) };
        change(&mut declaration);
        format!("{:?}", declare(declaration).unwrap_err())
    };
    for shown in [
        secret(Type::Integer, |d| d.default = Some(json!("hunter2"))),
        secret(Type::String, |d| d.default = Some(json!({"hunter2": 1}))),
        secret(Type::String, |d| (d.default, d.max_length) = (Some(json!("hunter2")), Some(1))),
        secret(Type::List, |d| (d.default, d.max_length) = (Some(json!(["hunter2"])), Some(1))),
        secret(Type::String, |d| d.one_of = Some(vec![json!("hunter2"), json!("hunter2")])),
        secret(Type::Integer, |d| d.minimum = Some(json!("hunter2"))),
        secret(Type::String, |d| (d.default, d.one_of) = (Some(json!("x")), Some(vec![json!("hunter2")]))),
        secret(Type::Duration, |d| (d.default, d.minimum) = (Some(json!("1s")), Some(json!("hunter2")))),
    ] {
        assert!(!shown.contains("hunter2") && shown.contains("(not shown)"), "{shown}");
    }
}

#[test]
fn what_a_sensitive_value_may_be_is_not_told_to_whoever_guesses() {
    let secret = |kind, change: fn(&mut Declaration)| {
        let mut declaration = Declaration { sensitive: true, ..declaration(kind) };
        change(&mut declaration);
        declare(declaration).unwrap()
    };
    for (parameter, guess, told) in [
        (
            secret(Type::String, |d| d.one_of = Some(vec![json!("hunter2"), json!("hunter3")])),
            "hunter",
            "the value (not shown) is not allowed; allowed: one of 2 values (not shown)",
        ),
        (
            secret(Type::List, |d| d.one_of = Some(vec![json!("hunter2")])),
            "hunter",
            "item 1, the value (not shown), is not allowed; allowed: a list of at most 64 items, each one of 1 values (not shown)",
        ),
        (
            secret(Type::Integer, |d| (d.minimum, d.maximum) = (Some(json!(70)), Some(json!(72)))),
            "1",
            "the value (not shown) is outside of its range (not shown); allowed: an integer in a range (not shown)",
        ),
        (
            secret(Type::Quantity, |d| d.maximum = Some(json!("7Mi"))),
            "8Mi",
            "the value (not shown) is outside of its range (not shown); allowed: a quantity such as 500m or 128Mi in a range (not shown)",
        ),
    ] {
        assert_eq!(parameter.said(guess).unwrap_err().to_string(), told);
        assert!(told.ends_with(&parameter.allowed()), "what is missing is told by the same words");
    }
}

#[test]
fn an_enum_is_as_long_as_a_list_may_be() {
    let of =
        |values| Declaration { one_of: Some((0..values).map(|n| json!(n)).collect()), ..declaration(Type::Integer) };
    assert!(declare(of(64)).is_ok());
    assert_eq!(refused(of(65)), [("enum", None, "enum has 65 values".to_owned())]);
}

#[test]
fn declarations_are_checked() {
    let base = declaration;
    let with = |kind, change: fn(&mut Declaration)| {
        let mut declaration = base(kind);
        change(&mut declaration);
        refused(declaration)
    };
    let one = |field, message: &str| vec![(field, None, message.to_owned())];
    for (declaration, expected) in [
        (with(Type::String, |d| d.name = "Path".into()), one("name", r#""Path" is no name of a parameter"#)),
        (with(Type::String, |d| d.name = "a-b".into()), one("name", r#""a-b" is no name of a parameter"#)),
        (with(Type::String, |d| d.name = "containers".into()), one("name", "containers is reserved")),
        (with(Type::String, |d| d.default = Some(json!(5))), one("default", "found the number 5, not text")),
        (with(Type::String, |d| d.default = Some(json!(true))), one("default", "found the boolean true, not text")),
        (
            with(Type::String, |d| d.default = Some(json!("{{ params.x }}"))),
            one("default", "an expression in a declaration, which takes literals"),
        ),
        (
            with(Type::Integer, |d| d.default = Some(json!("80"))),
            one("default", r#"found the text "80", not an integer"#),
        ),
        (with(Type::Integer, |d| d.default = Some(json!(1.5))), one("default", "found the number 1.5, not an integer")),
        (
            with(Type::Boolean, |d| d.default = Some(json!("true"))),
            one("default", r#"found the text "true", not true or false"#),
        ),
        (
            with(Type::Duration, |d| d.default = Some(json!(5))),
            one("default", "found the number 5, not a duration such as 1h30m or 500ms"),
        ),
        (with(Type::List, |d| d.default = Some(json!("a,b"))), one("default", r#"found the text "a,b", not a list"#)),
        (
            with(Type::List, |d| d.default = Some(json!(["a", 1, ""]))),
            vec![
                ("default", Some(1), "found the number 1, not text".to_owned()),
                ("default", Some(2), "the item is empty".to_owned()),
            ],
        ),
        (
            with(Type::Integer, |d| (d.minimum, d.maximum) = (Some(json!(5)), Some(json!(1)))),
            one("minimum", "minimum 5 is greater than maximum 1"),
        ),
        (
            with(Type::String, |d| (d.min_length, d.max_length) = (Some(5), Some(1))),
            one("minLength", "minLength 5 is greater than maxLength 1"),
        ),
        (
            with(Type::Integer, |d| {
                (d.maximum, d.default, d.example) = (Some(json!(5)), Some(json!(6)), Some(json!(7)));
            }),
            vec![
                ("default", None, r#""6" is greater than 5"#.to_owned()),
                ("example", None, r#""7" is greater than 5"#.to_owned()),
            ],
        ),
        (
            with(Type::Integer, |d| {
                (d.maximum, d.one_of) = (Some(json!(5)), Some(vec![json!(1), json!(6), json!("x")]));
            }),
            vec![("enum", Some(2), r#"found the text "x", not an integer"#.to_owned())],
        ),
        (
            with(Type::Integer, |d| (d.maximum, d.one_of) = (Some(json!(5)), Some(vec![json!(1), json!(6)]))),
            vec![("enum", Some(1), r#""6" is greater than 5"#.to_owned())],
        ),
        (
            with(Type::Quantity, |d| d.one_of = Some(vec![json!("1"), json!("1000m")])),
            vec![("enum", Some(1), "1000m is there twice".to_owned())],
        ),
        (with(Type::String, |d| d.one_of = Some(vec![])), one("enum", "enum is empty")),
        (with(Type::String, |d| d.pattern = Some("(".into())), one("pattern", "unclosed group")),
        (
            with(Type::String, |d| d.pattern = Some("(a{1000}){1000}".into())),
            one("pattern", "the pattern is too large when it is compiled"),
        ),
        (
            with(Type::Integer, |d| (d.pattern, d.min_length, d.expand) = (Some("x".into()), Some(1), true)),
            vec![
                ("pattern", None, "pattern means nothing for type integer".to_owned()),
                ("minLength", None, "minLength means nothing for type integer".to_owned()),
                ("expand", None, "expand means nothing for type integer".to_owned()),
            ],
        ),
        (
            with(Type::Boolean, |d| d.one_of = Some(vec![json!(true)])),
            vec![("enum", None, "enum means nothing for type boolean".to_owned())],
        ),
        (with(Type::String, |d| d.maximum = Some(json!("x"))), one("maximum", "maximum means nothing for type string")),
    ] {
        assert_eq!(declaration, expected);
    }
}

#[test]
fn trials_fit_where_something_can_be_made_to_fit() {
    let trial = |kind, change: fn(&mut Declaration)| {
        let mut declaration = declaration(kind);
        change(&mut declaration);
        let parameter = declare(declaration).unwrap();
        let trial = parameter.trial();
        (trial.to_string(), parameter.said(&trial.to_string()).is_ok())
    };
    for (found, expected) in [
        (trial(Type::String, |d| (d.default, d.example) = (Some(json!("a")), Some(json!("b")))), "a"),
        (trial(Type::String, |d| d.example = Some(json!("b"))), "b"),
        (trial(Type::String, |d| d.one_of = Some(vec![json!("c"), json!("d")])), "c"),
        (trial(Type::Integer, |d| d.minimum = Some(json!(1024))), "1024"),
        (trial(Type::Integer, |d| d.maximum = Some(json!(0))), "0"),
        (trial(Type::Number, |_| {}), "1"),
        (trial(Type::Boolean, |_| {}), "true"),
        (trial(Type::Duration, |d| d.maximum = Some(json!("500ms"))), "500ms"),
        (trial(Type::Quantity, |_| {}), "1"),
        (trial(Type::String, |d| d.min_length = Some(4)), "xxxx"),
        (trial(Type::String, |d| d.pattern = Some("^/".into())), "/x"),
        (trial(Type::List, |d| d.pattern = Some("^[A-Z_]+=".into())), "X=1"),
        (trial(Type::List, |_| {}), "x"),
    ] {
        assert_eq!(found, (expected.to_owned(), true));
    }
    assert_eq!(trial(Type::String, |d| d.pattern = Some("^[0-9]{4}-[0-9]{2}$".into())), ("x".to_owned(), false));
}

#[test]
fn values_are_written_as_json_and_as_text() {
    for (value, json, shown) in [
        (text("a\"b"), r#""a\"b""#, "a\"b"),
        (Value::Integer(-5), "-5", "-5"),
        (Value::Number(2.0), "2", "2"),
        (Value::Number(0.25), "0.25", "0.25"),
        (Value::Boolean(true), "true", "true"),
        (Value::List(vec!["a".to_owned(), "b\n".to_owned()]), r#"["a","b\n"]"#, "a,b\n"),
        (Value::List(vec![]), "[]", ""),
    ] {
        let mut out = String::new();
        value.write_json(&mut out);
        assert_eq!((out.as_str(), value.to_string().as_str()), (json, shown));
    }
}
