use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::node::Node;
use super::*;

const HEAD: &str = "apiVersion: podgraft.dev/v1alpha1\nkind: ClusterInjectionTemplate\nmetadata: {name: example}\n";

fn load_text(text: &str) -> Result<Loaded, LoadError> {
    load(Origin("file.yaml".into()), text, &LoadOptions::default())
}

/// The only template of a `spec`.
fn template(spec: &str) -> Template {
    let mut loaded = load_text(&format!("{HEAD}spec:\n{spec}")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.templates.len(), 1);
    loaded.templates.remove(0)
}

/// The messages about a `spec`.
fn messages(spec: &str) -> Vec<String> {
    let error = load_text(&format!("{HEAD}spec:\n{spec}")).expect_err("it loads");
    error.diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect()
}

/// It is looked for as after any other mistake: by the lines, as nothing else is known.
#[test]
fn what_a_file_would_declare_is_known_also_when_loading_it_fails_inside() {
    let text = format!("{HEAD}spec: {{}}\n---\n{}\nspec: {{}}\n", HEAD.replace("example", "other"));
    let error = failed_inside(Origin("file.yaml".into()), &text);
    assert_eq!(error.declares, ["example", "other"].map(|name| (Scope::Cluster, name.to_owned())));
    assert_eq!(error.summary(), "file.yaml:1:1: podgraft failed inside when it compiled this; its log says more");
    assert!(!error.passing);
}

/// Loads in another thread: a hang fails the test.
fn load_in_time(text: String) -> Result<Loaded, LoadError> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(load_text(&text)));
    receiver.recv_timeout(Duration::from_secs(30)).expect("loading takes too long")
}

#[test]
fn what_no_expression_touches_is_serialised_once() {
    let template = template(
        "  sidecars:\n  - name: a\n    image: b\n    args: [x, '{{ target.name }}']\n    securityContext: {runAsUser: 0644, \
         capabilities: {drop: [ALL]}}\n    tty: true\n    stdin:\n",
    );
    let sidecar = &template.sidecars[0].value;
    assert!(matches!(&sidecar.name, Node::Json(json) if **json == *"\"a\""));
    let security = sidecar.security_context.as_ref().unwrap();
    assert!(matches!(security, Node::Json(json) if **json == *r#"{"runAsUser":420,"capabilities":{"drop":["ALL"]}}"#));
    assert_eq!(&*sidecar.fixed, r#""tty":true"#);
    let [(args, Node::List(words))] = &sidecar.rest[..] else { panic!("{:?}", sidecar.rest) };
    assert_eq!(&**args, "args");
    assert!(matches!(&words[..], [Entry { value: Node::Json(_), .. }, Entry { value: Node::Leaf(_), .. }]));
    assert_eq!(template.sidecars[0].line, 6);
}

#[test]
fn absent_fields_have_their_defaults() {
    let template = template("  {}\n");
    assert_eq!((template.name.as_str(), template.scope), ("example", Scope::Cluster));
    assert_eq!((template.targets, template.failure_policy), (Targets::First, FailurePolicy::Fail));
    assert_eq!((template.os.as_str(), template.host_network), ("linux", false));
    assert!(template.description.is_empty() && template.parameters.is_empty() && template.when.is_none());
}

#[test]
fn a_container_is_verified_where_a_type_shows_only_in_a_request() {
    let parameters = "  parameters: {p: {type: integer, default: 1}, s: {type: string}}\n";
    for (image, verify) in [
        ("b", false),
        ("'{{ params.s }}'", false),
        ("'x:{{ params.p }}'", false),
        // It is read as text, whatever it is.
        ("'{{ target.image }}'", false),
        ("b, workingDir: '{{ target.workingDir }}'", true),
        ("b, workingDir: '{{ params.s == \"\" ? target.workingDir : params.s }}'", true),
        ("b, args: '{{ target.args }}'", true),
        ("b, args: ['{{ target.name }}']", false),
    ] {
        let template = template(&format!("{parameters}  sidecars: [{{name: a, image: {image}}}]\n"));
        assert_eq!(template.sidecars[0].value.verify, verify, "{image}");
    }
}

#[test]
fn variables_are_of_files_only_where_the_text_or_an_expression_may_say_so() {
    for (env, may) in [
        ("[{name: A, value: '{{ target.name }}'}]", false),
        ("[{name: A, valueFrom: {fieldRef: {fieldPath: '{{ target.name }}'}}}]", false),
        ("[{forEach: target.env, name: 'A{{ index }}', value: '{{ item.name }}'}]", false),
        ("[{name: A, valueFrom: {fileKeyRef: {volumeName: a, path: a, key: A}}}]", true),
        ("[{name: A, valueFrom: {\"file\\x4beyRef\": {volumeName: a, path: a, key: A}}}]", true),
        ("'{{ target.env }}'", true),
        ("'{{ object.spec.containers[0].env }}'", true),
        ("['{{ target.env[0] }}']", true),
        ("[{name: A, valueFrom: '{{ target.env[0].valueFrom }}'}]", true),
        (
            "[{name: A, valueFrom: '{{ {\"file\" + \"KeyRef\": {\"volumeName\": \"a\", \"path\": \"a\", \"key\": \"A\"}} }}'}]",
            true,
        ),
    ] {
        for spec in
            [format!("  target: {{env: {env}}}\n"), format!("  initContainers: [{{name: a, image: a, env: {env}}}]\n")]
        {
            assert_eq!(template(&spec).may_name_files, may, "{spec}");
        }
    }
    assert!(builtin(&LoadOptions::default()).unwrap().iter().all(|template| !template.may_name_files));
}

#[test]
fn all_templates_of_a_file_have_one_allowance_for_patterns() {
    let parameter = |index| format!("    p{index}: {{type: string, pattern: '(?:a?){{4500}}', default: a}}\n");
    let parameters: String = (0..3).map(parameter).collect();
    let document = |index| HEAD.replace("example", &format!("t{index}")) + "spec:\n  parameters:\n" + &parameters;
    let file = |many: usize| (0..many).map(document).collect::<Vec<_>>().join("---\n");
    load_text(&file(10)).unwrap_or_else(|error| panic!("{error}"));
    let error = load_text(&file(40)).expect_err("it loads");
    let told = "the patterns of the file take more than 16384 KiB when they are compiled";
    assert!(error.diagnostics.iter().all(|diagnostic| diagnostic.message == told), "{error}");
}

#[test]
fn the_hash_is_of_the_document_alone() {
    let first = format!("{HEAD}spec: {{}}\n");
    let second = first.replace("example", "other");
    let hash = |text: &str, index: usize| load_text(text).unwrap().templates[index].hash.clone();
    assert_eq!(hash(&first, 0), hash(&format!("---\n{first}"), 0));
    assert_eq!(hash(&second, 0), hash(&format!("{first}---\n{second}"), 1));
    assert_ne!(hash(&first, 0), hash(&second, 0));
    assert_ne!(hash(&first, 0), hash(&first.replace("{}", "{os: linux}"), 0));
    // 64-bit FNV-1a: stays the same from release to release.
    assert_eq!(hash(&first, 0), "d1c9bbbbf540e978");
}

#[test]
fn every_document_has_its_line_and_text() {
    let text = format!("# a comment\n{HEAD}spec: {{}}\n---\n\n{}spec: {{}}\n\n", HEAD.replace("example", "other"));
    let templates = load_text(&text).unwrap().templates;
    assert_eq!(templates.iter().map(|template| template.line).collect::<Vec<_>>(), [2, 8]);
    assert!(templates[0].text.starts_with("# a comment\napi") && templates[1].text.ends_with("spec: {}"));
}

#[test]
fn a_bad_file_says_which_templates_it_would_have_declared() {
    let cluster = |name: &str| (Scope::Cluster, name.to_owned());
    let shop = |name: &str| (Scope::Namespace("shop".to_owned()), name.to_owned());
    for (text, declares) in [
        (format!("{HEAD}spec: {{os: [}}\n"), vec![cluster("example")]),
        (format!("{HEAD}spec: {{oss: linux}}\n"), vec![cluster("example")]),
        (
            format!("{HEAD}spec: [\n---\n{}spec: {{}}\n", HEAD.replace("example", "b")),
            vec![cluster("example"), cluster("b")],
        ),
        (
            "kind: InjectionTemplate\nmetadata:\n  labels: {a: b}\n  name: \"c\"\n  namespace: shop\nspec: [\n"
                .to_owned(),
            vec![shop("c")],
        ),
        ("kind: InjectionTemplate\nmetadata: {namespace: shop, name: d}\nspec: [\n".to_owned(), vec![shop("d")]),
        ("kind: Pod\nmetadata: {name: d}\nspec: [\n".to_owned(), vec![]),
        ("{".to_owned(), vec![]),
    ] {
        assert_eq!(load_text(&text).expect_err("it loads").declares, declares, "{text}");
    }
}

#[test]
fn fields_that_core_does_not_know_may_be_let_through() {
    let text = format!("{HEAD}spec:\n  sidecars: [{{name: a, image: b, fromTheFuture: {{x: 1}}}}]\n");
    assert!(load_text(&text).is_err());
    let options = LoadOptions { allow_unknown_fields: true, ..LoadOptions::default() };
    let loaded = load(Origin("file.yaml".into()), &text, &options).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(&*loaded.templates[0].sidecars[0].value.fixed, r#""fromTheFuture":{"x":1}"#);
}

#[test]
fn templates_may_not_set_keys_of_another_annotation_prefix() {
    let text = format!("{HEAD}spec:\n  pod: {{annotations: {{graft.example/x: y, inject/x: y}}}}\n");
    let options = LoadOptions { annotation_prefix: "graft.example".to_owned(), ..LoadOptions::default() };
    let error = load(Origin("file.yaml".into()), &text, &options).expect_err("it loads");
    assert_eq!(error.diagnostics.len(), 1, "{error}");
    assert!(error.diagnostics[0].message.contains("graft.example/x"));
}

#[test]
fn what_depends_on_a_pod_is_not_held_against_the_author() {
    template(
        "  parameters: {x: {type: string}, list: {type: list, default: []}}
  sidecars:
  - name: '{{ object.metadata.labels.nobody }}'
    image: '{{ target.envFrom[0].configMapRef.name }}'
    imagePullPolicy: '{{ params.x }}'
    workingDir: '{{ int(params.x) > 5 ? \"/a\" : \"/b\" }}'
    args: ['{{ params.list[0] }}']
    when: size(params.list) > 0
    env:
    - {name: '{{ params.x }}', value: '{{ target.ports[7].name }}'}
    - {name: 'A{{ index }}', value: '{{ item.value }}', forEach: 'target.env'}
    - {name: B, value: '{{ item.nothing.here }}', forEach: 'object.spec.tolerations'}
    ports: [{containerPort: '{{ target.ports[0].containerPort + 1 }}'}]
  - {name: a, image: b, when: params.x == 'a', ports: [{containerPort: 80}]}
  - {name: a, image: c, when: params.x != 'a', ports: [{containerPort: 80}]}
",
    );
}

#[test]
fn diagnostics_point_into_every_kind_of_text() {
    let places = [
        ("image: '{{ nope }}'", "nope"),
        ("image: \"\\t{{ nope }}\"", "nope"),
        ("image: a{{ nope }}", "nope"),
        ("image: |\n      first\n      {{ nope }}", "nope"),
        ("image: >-\n      {{ 'nope' }}\n      {{ nope }}", "nope"),
        ("image: 'ä日{{ nope }}'", "nope"),
    ];
    for (image, wrong) in places {
        let text = format!("{HEAD}spec:\n  sidecars:\n  - name: a\n    {image}\n");
        let error = load_text(&text).expect_err("it loads");
        let [diagnostic] = &error.diagnostics[..] else { panic!("{error}") };
        assert_eq!(&text[diagnostic.range.clone()], wrong, "{image}");
        let line = text.lines().nth(diagnostic.line as usize - 1).unwrap();
        let column: String = line.chars().skip(diagnostic.column as usize - 1).take(wrong.len()).collect();
        assert_eq!(column, wrong, "{image}");
    }
}

#[test]
fn a_file_with_a_thousand_mistakes_shows_some() {
    let fields = (0..1000).map(|index| format!("  unknown{index}: x\n")).collect::<Vec<_>>().concat();
    assert_eq!(messages(&fields).len(), 50);
}

#[test]
fn hostile_files_are_refused_in_bounded_time() {
    let spec = |spec: &str| format!("{HEAD}spec:\n{spec}");
    let bomb: String = (0..20).fold("  a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let next = level + 1;
        text + &format!("  a{next}: &a{next} [{}]\n", vec![format!("*a{level}"); 9].join(","))
    });
    let large = "x".repeat(500_000);
    for text in [
        "[".repeat(MAX_FILE),
        "{".repeat(MAX_FILE),
        "- ".repeat(MAX_FILE / 2),
        "? ".repeat(MAX_FILE / 2),
        "a: ".repeat(MAX_FILE / 3),
        "x".repeat(MAX_FILE + 1),
        "--- {}\n".repeat(MAX_FILE / 7),
        "---\n".repeat(MAX_FILE / 4),
        "\"".repeat(MAX_FILE),
        "&a ".repeat(MAX_FILE / 3),
        "!!x ".repeat(MAX_FILE / 4),
        "#\n".repeat(MAX_FILE / 2),
        "{{".repeat(MAX_FILE / 2),
        "\u{0}".repeat(1000),
        spec(&bomb),
        spec(&format!("  description: &d {large}\n  order: {{before: [{}]}}\n", vec!["*d"; 1000].join(","))),
        spec(&format!("  {large}: x\n")),
        spec(&format!("  sidecars: [{{name: {large}, image: b}}]\n")),
        spec(&format!("  sidecars: {}{}\n", "[".repeat(10_000), "]".repeat(10_000))),
        spec(&format!("  sidecars: [{{name: a, image: '{{{{ {large} }}}}'}}]\n")),
        spec(&format!("  sidecars: [{{name: a, image: '{}'}}]\n", "{{ 1 + }}".repeat(50_000))),
        spec(&format!("  sidecars: [{{name: a, image: '{}'}}]\n", "{{".repeat(200_000))),
        spec(&(0..20_000).map(|index| format!("  u{index}: x\n")).collect::<Vec<_>>().concat()),
        spec(&format!("  sidecars: [{}]\n", "{name: a, image: b},".repeat(5_000))),
        spec(&format!("  sidecars: [{{name: a, image: b, args: [{}]}}]\n", "'{{ x }}',".repeat(20_000))),
        spec(&format!("  sidecars: [{{name: a, image: b, env: [{}]}}]\n", "{name: [1], value: 2},".repeat(5_000))),
        spec(&format!(
            "  sidecars: [{{name: a, image: b, volumeMounts: [{}]}}]\n",
            "{name: x, mountPath: y},".repeat(5_000)
        )),
    ] {
        let start: String = text.chars().take(200).collect();
        let error = load_in_time(text).expect_err(&start);
        assert!(!error.diagnostics.is_empty() && error.diagnostics.len() <= 50);
        assert!(error.to_string().len() < 200_000, "{start}");
    }
}

#[test]
fn empty_documents_are_passed_over() {
    for text in [String::new(), "# nothing\n".to_owned(), "---\n".repeat(1000), "---\n~\n---\n".to_owned()] {
        assert!(load_in_time(text).unwrap().templates.is_empty());
    }
}

#[test]
fn large_files_of_ordinary_templates_load_in_bounded_time() {
    let document = |index: usize| {
        HEAD.replace("example", &format!("t{index}"))
            + "spec:
  parameters: {path: {type: string, default: /x}}
  sidecars: [{name: a, image: '{{ params.path }}', args: ['a {{ params.path }}', '{{ size(object.spec.containers) + 1 }}']}]
---
"
    };
    let loaded = load_in_time((0..1000).map(document).collect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.templates.len(), 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_broken_file_gets_an_answer_that_fits_it(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, "[]{}\\[:,&*!|>%#'\"\n\t a0é日$.-]{0,4}"), 1..4)
    ) {
        let mut text = include_str!("../../tests/fixtures/templates/good/everything.yaml").to_owned();
        for (at, removed, inserted) in edits {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.floor_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, &inserted);
        }
        if let Err(error) = load_text(&text) {
            prop_assert!(!error.diagnostics.is_empty());
            for diagnostic in &error.diagnostics {
                let before = &text[..diagnostic.range.start];
                prop_assert_eq!(diagnostic.line as usize, before.matches('\n').count() + 1, "{}", error);
                prop_assert!(!text[diagnostic.range.clone()].contains('\n'));
            }
            prop_assert!(error.to_string().starts_with("error: "));
        }
    }
}
