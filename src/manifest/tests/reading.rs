//! What a stream says: as kubectl reads it, or where it is wrong.

use super::*;

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let read = "{a: yes, b: 'yes', c: 0644, d: '0777', e: 1e3, f: 1.0, g: 0.5, h: ~, i: 1_000, j: off, k: 0x1F, \
                l: 2001-01-01, m: '5', o: 12345678901234567890}";
    assert_eq!(
        value(read),
        json!({"a": true, "b": "yes", "c": 420, "d": "0777", "e": 1000, "f": 1, "g": 0.5, "h": null, "i": 1000, "j": false,
               "k": 31, "l": "2001-01-01", "m": "5", "o": 12_345_678_901_234_567_890_u64})
    );
    assert_eq!(value("n: 1\n8080: 2\na: 3\na: 4\n"), json!({"false": 1, "8080": 2, "a": 4}));
    assert_eq!(
        value("base: &b {x: 1, z: 2}\nuse: *b\nmerged: {<<: *b, z: 3}\n"),
        json!({"base": {"x": 1, "z": 2}, "use": {"x": 1, "z": 2}, "merged": {"z": 3, "x": 1}})
    );
}

/// As yaml.v2 resolves them, by which kubectl reads.
#[test]
fn words_and_numbers_that_only_look_like_some_are_text() {
    for (spelled, wanted) in [
        ("12e4567", json!("12e4567")),
        ("+12e999", json!("+12e999")),
        ("-1E400", json!("-1E400")),
        ("12e3", json!(12000)),
        (".iNf", json!(".iNf")),
        ("Yes", json!(true)),
        ("OFF", json!(false)),
        ("y", json!(true)),
        ("N", json!(false)),
        ("tRUE", json!("tRUE")),
        ("nO", json!("nO")),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("!!bool yes", json!(true)),
        ("!!null ''", json!(null)),
        ("!!str yes", json!("yes")),
        ("!!str ''", json!("")),
    ] {
        let text = format!("# é\na: &x {spelled} # c\nb: [*x, {spelled}]\n? {spelled}\n: d\n");
        let text = if wanted.is_null() { text.split("? ").next().unwrap() } else { &text };
        let read = value(text);
        assert_eq!((&read["a"], &read["b"]), (&wanted, &json!([wanted, wanted])), "{spelled}");
        let key = wanted.as_str().map_or(wanted.to_string(), str::to_owned);
        assert_eq!(read.get(&key).is_some(), !wanted.is_null(), "{spelled}");
    }
    let marked = "\u{feff}a: yes # c\nb: [nO, 1]\n";
    assert_eq!(value(marked), json!({"a": true, "b": ["nO", 1]}));
    assert_eq!(added(marked, "/b/-", json!(2)), marked.replace("1]", "1, 2]"));
    assert_eq!(value("{a: , b, c: ~, ? d}"), json!({"a": null, "b": null, "c": null, "d": null}));
    for before in ["---\n", "# c\n---\r\n", "a: 1\n---\n# c\n\n"] {
        let joined = format!("{before}{marked}");
        let documents = read(&joined).unwrap();
        assert_eq!(documents.last().unwrap().value(), &value(marked), "{joined}");
        assert_eq!(documents.iter().map(Document::yaml).collect::<String>(), joined);
    }
    assert_eq!(added("---\n\u{feff}a: # c\n- 1\n", "/a/-", json!(2)), "---\n\u{feff}a: # c\n- 1\n- 2\n");
    assert_eq!(added("---\n\u{feff}{a: 1}\n", "/b", json!(2)), "---\n\u{feff}{a: 1, b: 2}\n");
    assert_eq!(value("--- |\n\u{feff}a\n"), json!("\u{feff}a\n"));
    assert_eq!(
        read("a: 1\n---\n\u{feff}b: c: d\n").unwrap_err()[0].to_string(),
        "3:5: mapping values are not allowed in this context"
    );
    read("a: 1\n\u{feff}b: 2\n").unwrap_err();
    for nothing in ["---\n", "# only\n", "---\n...\n", "---  # c\n", "\u{feff}\n"] {
        assert_eq!(value(nothing), json!(null), "{nothing:?}");
    }
    for none in [".inf", "-.Inf", "+.INF", ".nan", ".NaN", "!!float '1e999'"] {
        let errors = read(&format!("a: 1\nb: {none}\n")).unwrap_err();
        assert_eq!(errors[0].line, 2, "{none}");
        assert!(errors[0].message.contains("a number that JSON does not have"), "{errors:?}");
    }
}

/// What the library makes of them is not what is wanted, but known.
#[test]
fn repeated_keys_behind_a_number_and_numbers_of_odd_underscores_are_as_documented() {
    for (map, wanted, told) in [
        ("{a: 1, a: 2, 1: b}", json!({"a": 2, "1": "b"}), 1),
        ("{1: b, a: 1, a: 2}", json!({"1": "b", "a": 2}), 0),
        ("{1: b, <<: {a: 1}, <<: {b: 2}}", json!({"1": "b", "b": 2}), 0),
    ] {
        let text = format!("kind: Pod\nspec: {map}\n");
        assert_eq!((&value(&text)["spec"], one(&text).oddities("inject").len()), (&wanted, told), "{map}");
    }
    assert_eq!(value("[1_, 2__3, 1_000]"), json!(["1_", "2__3", 1000]));
}

/// As yaml.v2 merges them, by which kubectl reads.
#[test]
fn a_merge_key_counts_where_it_stands() {
    let read = |text: &str| value(&format!("a: &a {{x: 1, v: 1}}\nb: &b {{v: 2, z: 2}}\n{text}\n"))["m"].clone();
    for (text, wanted) in [
        ("m: {<<: *a, x: 3}", json!({"x": 3, "v": 1})),
        ("m: {x: 3, <<: *a}", json!({"x": 1, "v": 1})),
        ("m: {x: 3, <<: *a, x: 4}", json!({"x": 4, "v": 1})),
        ("m: {<<: [*a, *b]}", json!({"x": 1, "v": 1, "z": 2})),
        ("m: {<<: *a, w: 3, <<: *b}", json!({"x": 1, "v": 2, "z": 2, "w": 3})),
        ("m: {<<: {<<: *a, x: 5}, v: 6}", json!({"x": 5, "v": 6})),
        ("m:\n  <<:\n    x: 3", json!({"x": 3})),
        ("m: {<<: , x: 3}", json!({"x": 3})),
        ("m: {'<<': *a}", json!({"<<": {"x": 1, "v": 1}})),
        ("m: {!!merge <<: *a}", json!({"x": 1, "v": 1})),
    ] {
        assert_eq!(read(text), wanted, "{text}");
    }
    let errors = super::read("a: 1\nb:\n  <<: 5\n").unwrap_err();
    assert_eq!(errors[0].to_string(), "3:7: `<<` takes a map, or a list of maps");

    let text = "x: &x {image: a}\nkind: Pod\nmetadata: {}\nspec:\n  image: b\n  <<: *x\n";
    let told: Vec<_> = one(text).oddities("inject").into_iter().map(|oddity| oddity.text).collect();
    assert_eq!(
        told,
        ["spec.image of line 5 is not read by kubectl, as the `<<` of line 6 says it again; put `<<` first"]
    );
    assert_eq!(added(text, "/spec/c", json!(1)), text.replace("*x\n", "*x\n  c: 1\n"));
}

#[test]
fn mistakes_have_their_place_in_the_stream() {
    let errors = read("a: 1\n---\n# c\nb: c: d\n---\n? [x]\n: 1\n").unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [4, 6], "{errors:?}");
    assert_eq!(errors[0].to_string(), "4:5: mapping values are not allowed in this context");
    let errors = read("{\"a\": 1}\n---\nb: c: d\n").unwrap_err();
    assert_eq!(errors[0].to_string(), "3:5: mapping values are not allowed in this context");
}

#[test]
fn nothing_nests_too_deeply_for_the_stack() {
    let main_thread = std::thread::Builder::new().stack_size(8 << 20);
    let hostile = || {
        for text in ["[", "a: {", "{\"a\":", "- ", "? "] {
            let errors = read(&text.repeat(100_000)).unwrap_err();
            assert!(errors[0].message.starts_with("it nests too deeply"), "{errors:?}");
        }
        let deeper = read(&format!("{}1{}", "[".repeat(101), "]".repeat(101))).unwrap_err();
        assert_eq!(deeper[0].message, "it nests too deeply: more than 100 levels");
        let deep = "{a: ".repeat(99) + "1" + &"}".repeat(99);
        assert_eq!(pods::find(one(&deep).value()), []);
    };
    main_thread.spawn(hostile).unwrap().join().unwrap();
}

#[test]
fn a_document_may_be_large_but_not_by_aliases() {
    let list = "- 1\n".repeat(300_000);
    assert_eq!(value(&list).as_array().unwrap().len(), 300_000);
    let line = |(this, last)| format!("{this}: &{this} [{}]", vec![format!("*{last}"); 10].join(", "));
    let bomb = ('b'..='j').zip('a'..).map(line).collect::<Vec<_>>().join("\n");
    let error = read(&format!("a: &a [x]\n{bomb}")).unwrap_err();
    assert_eq!(error[0].message, "its aliases repeat more than 100000 scalars and brackets");

    let often = format!("a: &a {{x: 1}}\nl: [{}]\n", vec!["*a"; 150].join(", "));
    assert_eq!(value(&often)["l"].as_array().unwrap().len(), 150);
    let mib = "x".repeat(1 << 20);
    let large = format!("- {mib}\n").repeat(70);
    assert_eq!(value(&large).as_array().unwrap().len(), 70);
    let repeated = |times| format!("a: &a {mib}\nl: [{}]\n", vec!["*a"; times].join(", "));
    assert_eq!(value(&repeated(10))["l"][9], json!(mib));
    let errors = read(&repeated(1000)).unwrap_err();
    assert_eq!(errors[0].message, "its aliases repeat more than 67108864 bytes");
}

#[test]
fn what_is_too_much_is_said_with_what_is_allowed() {
    let often = format!("a: &a 1\nl: [{}]", vec!["*a"; 100_001].join(", "));
    let large = format!("a: &a [{}]\nb: &b [{}]\nl: [*b, *b]", "1, ".repeat(999), "*a, ".repeat(99));
    for (document, told) in [
        (&*often, "it has more than 100000 aliases"),
        (&large, "its aliases repeat more than 100000 scalars and brackets"),
        ("a: &a {b: *a}", "an alias stands within what it repeats"),
    ] {
        let errors = read(&format!("a: 1\n---\n{document}\n")).unwrap_err();
        assert_eq!(errors[0].message, told);
        assert!(errors[0].line > 2, "{errors:?}");
    }
    assert_eq!(read("---\na: &a !!int x\nb: *a\n").unwrap_err()[0].message, "invalid u64");
}

#[test]
fn json_is_a_stream_of_objects_or_a_flow_mapping() {
    let documents = read("\u{feff}{\"a\": 1}\n{\"b\": \"yes\"} ").unwrap();
    let values: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"b": "yes"})]);
    assert_eq!(documents.iter().map(Document::yaml).collect::<String>(), "a: 1\n---\nb: \"yes\"\n");
    assert_eq!(value("{\"a\": b}"), json!({"a": "b"}));
    assert_eq!(one("{\"a\": b}").yaml(), "{\"a\": b}");
    assert_eq!(read("{\"a\":\n 1,}x").unwrap_err()[0].to_string(), "2:4: trailing comma");
    assert_eq!(read("{\"a\": \"éééé\" x}").unwrap_err()[0].to_string(), "1:14: expected `,` or `}`");
    assert_eq!(read("\u{feff}{\"é\": \"").unwrap_err()[0].to_string(), "1:7: EOF while parsing a string");
}
