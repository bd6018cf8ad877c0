//! Documents that a patch is applied to, and what stays of their layout.

use serde_json::json;

use super::*;

#[test]
fn additions_leave_the_text_around_them_as_it_is() {
    let text = "# licence\n---\nspec:  # the pod\n  containers:\n  # the app\n  - name: 'web' # quoted\n    cpu: 1.0\n";
    let sidecar = json!({"name": "s", "args": ["0777"]});
    assert_eq!(
        added(text, "/spec/containers/-", sidecar.clone()),
        format!("{text}  - name: s\n    args:\n    - \"0777\"\n")
    );
    assert_eq!(
        added(text, "/spec/containers/0", sidecar),
        text.replace("  # the app", "  - name: s\n    args:\n    - \"0777\"\n  # the app")
    );
    assert_eq!(added(text, "/spec/containers/0/env", json!([])), format!("{text}    env: []\n"));
    assert_eq!(added(text, "/metadata", json!({"a": "y"})), format!("{text}metadata:\n  a: \"y\"\n"));
}

#[test]
fn additions_follow_the_layout_of_their_document() {
    let text = "a:\n    b:\n      - x\n      # last\nend: 1";
    assert_eq!(added(text, "/a/b/-", json!("n")), "a:\n    b:\n      - x\n      - \"n\"\n      # last\nend: 1");
    assert_eq!(added(text, "/a/c", json!([1])), "a:\n    b:\n      - x\n    c:\n      - 1\n      # last\nend: 1");
    assert_eq!(added(text, "/l", json!(["a"])), "a:\n    b:\n      - x\n      # last\nend: 1\nl:\n  - a");
    assert_eq!(
        added("a: 1\r\nb:\r\n- 1\r\n", "/b/0", json!({"c": "x\ny\n"})),
        "a: 1\r\nb:\r\n- c: |\r\n    x\r\n    y\r\n- 1\r\n"
    );
    assert_eq!(added("a: |\n  x\n\n# c\nb: 1\n", "/c", json!(null)), "a: |\n  x\n\n# c\nb: 1\nc: null\n");
    assert_eq!(
        added("a:\n  b:\n    - |\n      x\n  c: 1\n", "/a/b/-", json!(2)),
        "a:\n  b:\n    - |\n      x\n    - 2\n  c: 1\n"
    );
    assert_eq!(added("b: 1\na: |+\n  x\n\n", "/c", json!(1)), "b: 1\na: |+\n  x\n\nc: 1\n");
    assert_eq!(added("%YAML 1.1\n---\na: 1\n...\n", "/b", json!(2)), "%YAML 1.1\n---\na: 1\nb: 2\n...\n");
}

#[test]
fn flow_collections_stay_flow_collections() {
    assert_eq!(added("--- {a: 1}\n", "/b", json!(["x y"])), "--- {a: 1, b: [\"x y\"]}\n");
    assert_eq!(added("a: [ x, # c\n  y, ]\n", "/a/0", json!({"k": 1})), "a: [ {k: 1}, x, # c\n  y, ]\n");
    assert_eq!(added("a: [x,y]", "/a/-", json!("yes")), "a: [x,y, \"yes\"]");
    assert_eq!(added("{a: {}, b: null}", "/a/b", json!(1)), "{a: {b: 1}, b: null}");
    assert_eq!(added("{a: {}, b: null}", "/b", json!([1])), "{a: {}, b: [1]}");
    assert_eq!(added("a: {b: {c: 1}, d}\n", "/a/b/e", json!("x")), "a: {b: {c: 1, e: x}, d}\n");
}

#[test]
fn no_line_is_only_blanks_unless_that_says_something() {
    assert_eq!(added("a: 1\n", "/s", json!("x\n\ny\n")), "a: 1\ns: |\n  x\n\n  y\n");
    assert_eq!(added("a: 1\n", "/s", json!("x\n \ny\n")), "a: 1\ns: |\n  x\n   \n  y\n");
}

#[test]
fn a_flow_collection_that_grows_long_becomes_a_block() {
    let long = json!({"name": "b", "text": "x".repeat(100)});
    let block = format!("  name: b\n  text: {}\n", "x".repeat(100));
    assert_eq!(
        added("a: {m: 1} # c\nz: 1\n", "/a/b", long.clone()),
        format!("a: # c\n  m: 1\n  b:\n{}z: 1\n", block.replace("  ", "    "))
    );
    assert_eq!(
        added("- {m: 1}\n- 2\n", "/0/b", long.clone()),
        format!("- m: 1\n  b:\n{}- 2\n", block.replace("  ", "    "))
    );
    assert_eq!(added("# c\n{m: 1}\n", "/b", long.clone()), format!("# c\nm: 1\nb:\n{block}"));
    let commented = added("a: [m, # c\n  n]\n", "/a/-", long);
    assert!(commented.starts_with("a: [m, # c\n  n, {name: b, text: xxx"), "{commented}");
}

#[test]
fn empty_members_give_way_to_blocks() {
    assert_eq!(added("a: # c\nb: 1\n", "/a", json!({"x": 1})), "a: # c\n  x: 1\nb: 1\n");
    assert_eq!(added("a: ~\n", "/a", json!([1])), "a:\n- 1\n");
    assert_eq!(added("s:\n  a: []  # c\n  b: {}", "/s/a/-", json!({"m": 1})), "s:\n  a:  # c\n  - m: 1\n  b: {}");
    assert_eq!(added("s:\n  a: []\n  b: {\n  }", "/s/b/c", json!(1)), "s:\n  a: []\n  b:\n    c: 1");
}

#[test]
fn a_stale_status_is_replaced() {
    let added = |text: &str, new: &str| added(text, "/a/podgraft.dev~1status", json!(new));
    assert_eq!(
        added("a:\n  podgraft.dev/status: '{\"x\":1}' # c\n", "{\"x\":2}"),
        "a:\n  podgraft.dev/status: \"{\\\"x\\\":2}\" # c\n"
    );
    assert_eq!(added("a:\n  podgraft.dev/status: |\n    x\n", "y"), "a:\n  podgraft.dev/status: \"y\"\n");
}

#[test]
fn comments_beside_a_value_that_gives_way_stay() {
    let list = |text: &str| added(text, "/a", json!([1]));
    assert_eq!(list("a:\n    # none yet\n    []\nz: 1\n"), "a:\n    # none yet\n- 1\nz: 1\n");
    assert_eq!(list("a:\n  # c\n  null"), "a:\n  # c\n- 1");
    assert_eq!(list("a: # c\r\n  # d\r\n  [] # e\r\nz: 1\r\n"), "a: # c\r\n  # d\r\n   # e\r\n- 1\r\nz: 1\r\n");
    assert_eq!(list("a:   # c\n     # d\n\n# e\nz: 1\n"), "a:   # c\n- 1\n     # d\n\n# e\nz: 1\n");
    assert_eq!(list("{a: # c\n  null, z: 1}\n"), "{a: # c\n  [1], z: 1}\n");
    assert_eq!(list("a: &x [] # c\n"), "a: &x # c\n- 1\n");
    let inside = |text: &str| added(text, "/a/b", json!(1));
    assert_eq!(inside("a: {\n  # c\n}\n"), "a: {b: 1\n  # c\n}\n");
    assert_eq!(added("a: [\n  # c\n]\n", "/a/-", json!("x")), "a: [x\n  # c\n]\n");
    assert_eq!(added("a: [ # c\n]\n", "/a", json!([1, 2])), "a: [1, 2 # c\n]\n");
    assert_eq!(added("a: { # c\n}\n", "/a", json!({"b": 1, "d": 2})), "a: {b: 1, d: 2 # c\n}\n");
    let long = json!("x".repeat(120));
    assert_eq!(
        added("m: # c\n  {a: 1}\n", "/m/b", long.clone()),
        format!("m: # c\n  a: 1\n  b: {}\n", "x".repeat(120))
    );
    assert_eq!(
        added("m:\n- {a: 1} # c\n- 2\n", "/m/0/b", long),
        format!("m:\n- {{a: 1, b: {}}} # c\n- 2\n", "x".repeat(120))
    );
}

#[test]
fn a_dash_may_stand_on_a_line_of_its_own() {
    for (dash, indent) in
        ["- # first\n  # of all", "-", "- &a", "- !!map", "- &a # c\n"].iter().zip(["  ", "", "  ", ""].iter().cycle())
    {
        let text = format!("s: # c\n{indent}{dash}\n    name: i\n{indent}- x\nz: 1.0\n");
        let new = format!("{indent}- \"n\"\n");
        assert_eq!(
            added(&text, "/s/0", json!("n")),
            text.replacen(&format!("{indent}-"), &format!("{new}{indent}-"), 1)
        );
        assert_eq!(
            added(&text, "/s/1", json!("n")),
            text.replace(&format!("{indent}- x"), &format!("{new}{indent}- x"))
        );
        assert_eq!(added(&text, "/s/0/a", json!(1)), text.replace("name: i\n", "name: i\n    a: 1\n"));
        let last = text.replace(&format!("{indent}- x\n"), "");
        assert_eq!(added(&last, "/s/-", json!("n")), last.replace("name: i\n", &format!("name: i\n{new}")));
    }
    assert_eq!(added("s: &x # c\n# d\n- !!str a\n", "/s/-", json!("b")), "s: &x # c\n# d\n- !!str a\n- b\n");
    assert_eq!(added("s: # c\n- - a # d\n", "/s/0/-", json!("b")), "s: # c\n- - a # d\n  - b\n");
    assert_eq!(added("s: # c\n- - a\n", "/s/0/0", json!("b")), "s: # c\n- - b\n  - a\n");
}

#[test]
fn of_a_key_that_is_repeated_the_last_one_counts() {
    assert_eq!(added("s:\n  a: 1\n  a: 2\n", "/s/b", json!(3)), "s:\n  a: 1\n  a: 2\n  b: 3\n");
    assert_eq!(added("s:\n  a: 1\ns:\n  b: 2\n", "/s/c", json!(3)), "s:\n  a: 1\ns:\n  b: 2\n  c: 3\n");
    let text = "# c\n---\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - image: b\n    image: c\n";
    let stream = format!("---\na: 1\n{text}");
    let told: Vec<_> = read(&stream).unwrap()[1].oddities("inject").into_iter().map(|oddity| oddity.text).collect();
    assert_eq!(told, ["spec.containers[0].image of line 9 is not read, as line 10 says it again; remove one of them"]);
    let merged = "x: &x {image: a}\nkind: Pod\nmetadata: {}\nspec: {<<: *x, image: b, a: *x, b: *x}\n";
    assert_eq!(one(merged).oddities("inject"), []);
}

#[test]
fn what_an_alias_stands_for_is_written_out_where_it_stands() {
    let text = "# head\n---\na: &x\n  b: 1 # c\nd: *x # d\nl: [*x, 1.0]\nm:\n- *x # e\n";
    assert_eq!(added(text, "/d/e", json!(2)), text.replace("d: *x # d\n", "d: # d\n  b: 1\n  e: 2\n"));
    assert_eq!(added(text, "/l/0/e", json!(2)), text.replace("[*x,", "[{b: 1, e: 2},"));
    assert_eq!(added(text, "/m/0/e", json!(2)), text.replace("- *x # e", "- {b: 1, e: 2} # e"));
    assert_eq!(added(text, "/f", json!(2)), format!("{text}f: 2\n"));
    let anew = "# head\n---\na:\n  b: 1\n  e: 2\nd:\n  b: 1\n";
    assert_eq!(added("# head\n---\na: &x\n  b: 1 # c\nd: *x\n", "/a/e", json!(2)), anew);
    let merged = "a: &x {b: 1, l: [1]}\nd:\n  <<: *x\n  c: 2\n  # c\nz: 1\n";
    assert_eq!(added(merged, "/d/e", json!(2)), merged.replace("c: 2\n", "c: 2\n  e: 2\n"));
    assert_eq!(added(merged, "/d/l/-", json!(2)), merged.replace("c: 2\n", "c: 2\n  l:\n  - 1\n  - 2\n"));
}

#[test]
fn a_document_written_anew_keeps_what_stands_around_it() {
    // What the anchor names changes, and what the alias stands for doesn't.
    let text = "%YAML 1.1\n--- # first\n# source\na: &x []\nb: *x\n...\n";
    assert_eq!(added(text, "/a/-", json!(1)), "%YAML 1.1\n--- # first\n# source\na:\n- 1\nb: []\n...\n");
    assert_eq!(added("--- &x\r\na: &y {}\r\nb: *y\r\n", "/a/c", json!(1)), "--- &x\r\na:\r\n  c: 1\r\nb: {}\r\n");
}

#[test]
fn json_keeps_its_layout() {
    let add = |text: &str| added(text, "/b", json!(["y"]));
    assert_eq!(add("{\"a\": 1.5}"), "{\"a\":1.5,\"b\":[\"y\"]}");
    assert_eq!(
        add("\u{feff}\n{\r\n \"a\": 1}\r\n"),
        "\u{feff}\n{\r\n \"a\": 1,\r\n \"b\": [\r\n  \"y\"\r\n ]\r\n}\r\n"
    );
    assert_eq!(add("{\n}\n"), "{\n\"b\": [\n\"y\"\n]\n}\n");
}

#[test]
fn lost_comments_are_noticed_and_nothing_else() {
    let lost = |text: &str, path: &str| {
        let document = one(text);
        let mut patched = document.value().clone();
        patched.pointer_mut(path).unwrap()["z"] = json!(1);
        document.rewrite(&patched).comments_lost
    };
    let anew = |text: &str| lost(&format!("{text}\nfirst: &x {{}}\nlast: *x\n"), "/first");
    assert!(anew("a: 1 # here"));
    assert!(anew("a: |  # here\n  text"));
    assert!(anew("a:\n- 1\n# here"));
    assert!(!anew("# kept\n---\n# kept\na: 1"));
    assert!(!anew("a: 'x # y'\nb: x#y\nc: |\n  # text\nd: \"\\\"#\""));
    // Only what an alias stands for is written anew.
    assert!(!lost("l: [1 # here\n  ]\na: &x {}\nb: *x # there", "/b"));
}
