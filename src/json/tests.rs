use std::collections::HashMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::tape::is_too_much;
use super::*;

/// What is taken here, serde_json takes as well, and both read the same.
fn hold_against_serde_json(text: &str) {
    let wanted = serde_json::from_str::<IgnoredAny>(text);
    let Some(json) = Json::read(text) else {
        return assert!(wanted.is_err(), "{text}");
    };
    assert!(wanted.is_ok(), "{text}");
    // Not all that it passes over it can read: half of a surrogate pair, 1e999, more than 127 levels.
    let value = serde_json::from_str::<Value>(text).ok();
    assert!(Value::deserialize(json.root()).ok() == value || text.contains("[[[["), "{text}");
    assert_eq!(<&RawValue>::deserialize(json.root()).unwrap().get(), text.trim_ascii());
    if let Some(value) = value {
        hold_each(json.root(), &value);
    }
}

/// The same across the border of two chunks.
fn hold_anywhere_against_serde_json(text: &str) {
    hold_against_serde_json(text);
    for blanks in [1, 30, 62, 63] {
        hold_against_serde_json(&format!("{}{text}", " ".repeat(blanks)));
        hold_against_serde_json(&format!("[\"{}\",{text}]", "z".repeat(blanks)));
    }
}

/// The ways into a value lead to what is there.
fn hold_each(node: Node<'_, '_>, value: &Value) {
    assert_eq!(serde_json::from_str::<Value>(node.text()).unwrap(), *value);
    match value {
        Value::Object(members) => {
            assert!(node.len() >= members.len() && node.members().count() == node.len(), "{value}");
            for (name, member) in members {
                hold_each(node.get(name).unwrap(), member);
            }
            assert!(node.get("no such name").is_none());
        }
        Value::Array(items) => {
            assert_eq!((node.len(), node.items().count()), (items.len(), items.len()));
            node.items().zip(items).for_each(|(node, item)| hold_each(node, item));
        }
        Value::String(text) => assert_eq!(node.string().unwrap(), *text),
        _ => assert!(node.string().is_none() && node.is_empty() && node.get("a").is_none()),
    }
}

#[test]
fn what_is_no_json_is_refused_and_all_else_read_as_serde_json_reads_it() {
    let long = format!("{{\"{}\\\"\": [\"{}\\\\\", 1]}}", "x".repeat(61), "y".repeat(60));
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"a\":{}}",
        " [ ] ",
        "[1]",
        "[1 ]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "1",
        " 1\n",
        "1 2",
        "-1",
        "-",
        "01",
        "1.",
        ".5",
        "1.5e-3",
        "1e",
        "1E+",
        "-0",
        "1e999",
        "123456789012345678901",
        "true",
        "tru",
        "nulll",
        "\"a\"",
        "\"a",
        "\"a\" \"b\"",
        "\"\\n\"",
        "\"\\x\"",
        "\"\\u00e9\"",
        "\"\\u00g9\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\t\"",
        "[\"\u{1}\"]",
        "\u{1}[]",
        "{\"a\":1}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"a\":2}",
        "{\"\\u0061\":1}",
        "[}",
        "{]",
        "[1}",
        "{\"a\":1]",
        "[1]]",
        "[]{}",
        "[],",
        ":",
        "[:]",
        "{\"a\"::1}",
        "{:1}",
        "\\\"",
        "[\\\"a]",
        "\"\\\\\"",
        "\"\\\\\\\"\"",
        "\u{feff}[]",
        "[\"é\u{1f600}\"]",
        "\u{7f}",
        "[1\u{0}]",
        "\"a\"b",
        "{\"a\"b:1}",
        "[nul l]",
        "[true false]",
        "\r\n\t []",
        &long,
        &deep(127),
        &deep(128),
        &"[".repeat(4000),
        &"\\".repeat(130),
        &format!("\"{}\"", "\\\\".repeat(64)),
        &format!("\"a{}\"", "\\\\".repeat(64)),
        &format!("\"{}", "\\".repeat(64)),
    ] {
        hold_anywhere_against_serde_json(text);
    }
    // As deep as it likes, since nothing recurses.
    assert!(Json::read(&deep(100_000)).is_some());
}

#[test]
fn a_sign_stands_before_what_it_belongs_to_however_many_blanks_are_between() {
    for text in [
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":"b":}"#,
        r#"{"a":1:}"#,
        r#"{"a","b":1}"#,
        r#"{"a" : 1 , "b" : "c" }"#,
        "{[]:1}",
        "[1,,2]",
        "[1:2]",
        "[1 , ]",
        r#"["a":1]"#,
        "\u{0}[]",
        &format!("[1,{}2]", " ".repeat(150)),
        &format!("[1{}2]", " ".repeat(150)),
        &format!("{{1{}:2}}", " ".repeat(150)),
        &format!("[{}{{}}]", " ".repeat(150)),
        &format!("[{}1.5]", "[1,2],{},".repeat(200)),
        &format!("[1,{}]", "\n".repeat(150)),
        &format!("[]{},", " ".repeat(150)),
        &format!(r#"["{}",{}]"#, "a".repeat(150), "1".repeat(150)),
    ] {
        hold_anywhere_against_serde_json(text);
    }
}

#[test]
fn nothing_stands_behind_a_value_but_a_sign_or_what_closes() {
    for text in
        [r#""a""b""#, r#"1"a""#, r#"[1"a",2]"#, "1[]", "[1{}]", "[]1", "[^]", "[_]", "~", "1,2", "[1],[2]", "]", "[[]"]
    {
        hold_anywhere_against_serde_json(text);
    }
}

#[test]
fn keys_are_strings_and_have_values() {
    for text in [
        r#"{"a":{}:1}"#,
        r#"{"a":[]:1}"#,
        "{[]}",
        "{{}:1}",
        "{true:1}",
        "{true :1}",
        r#"{"a":1,null:2}"#,
        r#"{"a",1}"#,
        r#"{"a":1,"b"}"#,
        r#"{"a":[1,{"b":[]}],"c":{}}"#,
    ] {
        hold_anywhere_against_serde_json(text);
    }
}

#[test]
fn of_names_that_stand_twice_the_last_counts() {
    let json = Json::read(r#"{"a":1,"\u0061":2,"b":{"a":3}}"#).unwrap();
    assert_eq!(json.root().get("a").unwrap().text(), "2");
    assert_eq!(json.root().members().count(), 3);
}

#[test]
fn a_name_is_what_a_key_says_and_not_how_it_is_written() {
    let json = Json::read(r#"{"a\nb":1,"a\u0062c":2,"d":3,"\\":4,"last":"\""}"#).unwrap();
    let at = |name: &str| json.root().get(name).map(Node::text);
    for (name, value) in [("a\nb", "1"), ("abc", "2"), ("d", "3"), (r"\", "4"), ("last", r#""\"""#)] {
        assert_eq!(at(name), Some(value), "{name:?}");
    }
    for name in [r"a\nb", r"a\u0062c", r"\\", "", "a", "las", "lasts"] {
        assert_eq!(at(name), None, "{name:?}");
    }
}

#[test]
fn no_more_values_are_read_than_a_bound() {
    // Of a list two entries, and one of each of its items.
    let list = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
    assert_eq!(Json::read(&list(MAX_VALUES - 2)).map(|json| json.values()), Some(MAX_VALUES));
    assert!(!is_too_much(&list(MAX_VALUES - 2)));
    for text in [list(MAX_VALUES - 1), list(2 * MAX_VALUES), "[".repeat(MAX_VALUES)] {
        assert!(Json::read(&text).is_none() && is_too_much(&text));
    }
    assert!(!is_too_much("[1,"), "it is no JSON, however short");
}

#[test]
fn what_is_not_what_is_wanted_says_where_and_what() {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Wanted {
        _lists: Vec<Vec<i64>>,
        _maps: HashMap<String, Option<bool>>,
        #[serde(borrow)]
        _text: &'static str,
    }

    for (text, said) in [
        ("7", "invalid type: integer `7`, expected struct Wanted"),
        ("null", "invalid type: null, expected struct Wanted"),
        (r#"{"_lists":{}}"#, "_lists: invalid type: map, expected a sequence"),
        (r#"{"_lists":[[],null]}"#, "_lists[1]: invalid type: null, expected a sequence"),
        (r#"{"_lists":[[],[1,{"a":[2]}]]}"#, "_lists[1][1]: invalid type: map, expected an integer"),
        (r#"{"_lists":[[1.5]]}"#, "_lists[0][0]: invalid type: floating point `1.5`, expected an integer"),
        (r#"{"_lists":[[1e999]]}"#, "_lists[0][0]: the number is out of range"),
        (
            r#"{"_lists":[[9223372036854775808]]}"#,
            "_lists[0][0]: invalid value: integer `9223372036854775808`, expected an integer of 64 bits",
        ),
        (r#"{"_maps":{"b":null,"\u0061":-1}}"#, "_maps.a: invalid type: integer `-1`, expected a boolean"),
        (r#"{"_maps":{"a":"b\n"}}"#, r#"_maps.a: invalid type: string "b\n", expected a boolean"#),
        (r#"{"_text":"\ud800"}"#, "_text: the string holds half a surrogate pair"),
    ] {
        let json = Json::read(text).unwrap();
        assert_eq!(Wanted::deserialize(json.root()).unwrap_err().to_string(), said, "{text}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\"\\\\\n]{0,90}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-c\"\\\\]{0,3}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_read_alike(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        prop_assert!(Json::read(&text).is_some());
        hold_against_serde_json(&text);
    }

    #[test]
    fn values_with_a_sign_changed_are_read_alike(
        value in value(),
        pretty in any::<bool>(),
        place in any::<prop::sample::Index>(),
        sign in "[ -~\n]",
    ) {
        let mut text = if pretty { format!("{value:#}") } else { value.to_string() };
        let place = text.floor_char_boundary(place.index(text.len()));
        let length = text[place..].chars().next().map_or(0, char::len_utf8);
        text.replace_range(place..place + length, &sign);
        hold_against_serde_json(&text);
    }

    #[test]
    fn signs_in_a_row_are_read_alike(text in r#"[\[\]{}:,"\\ 1a\n]{0,80}"#) {
        hold_against_serde_json(&text);
    }
}
