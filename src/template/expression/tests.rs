//! What expressions and leaves give; `mistakes`: what is refused at load; `limits`: that hostile ones are harmless;
//! `grammar` and `oracle`: that the language is CEL.

mod grammar;
mod limits;
mod mistakes;
mod oracle;

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::template::parameter::Declaration;

/// A test double: parameters and variables by name.
struct World {
    parameters: Vec<Parameter>,
    values: Vec<Value>,
    variables: HashMap<Variable, serde_json::Value>,
    budget: Budget,
    patterns: Patterns,
}

impl Variables for World {
    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn parameter(&self, index: usize) -> &Value {
        &self.values[index]
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        self.variables.get(&variable).map(Given::from).ok_or_else(|| format!("{} is not there", variable.name()))
    }
}

impl World {
    /// A pod with a container and labels, and a parameter of each type.
    fn new() -> Self {
        let pod = json!({
            "metadata": {
                "namespace": "shop",
                "labels": {"app": "web", "tier": "front", "a": "1", "z": "2"},
                "annotations": {"note": "costs $5 (or $(PRICE))"},
            },
            "spec": {
                "containers": [
                    {"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}], "args": ["$(MODE)", "x"]},
                    {"name": "api", "image": "api:2", "tty": null, "cpu": 1.5},
                ],
            },
        });
        let world = Self {
            parameters: Vec::new(),
            values: Vec::new(),
            variables: HashMap::new(),
            budget: Budget::new(),
            patterns: Patterns::default(),
        };
        world
            .with("path", Type::String, Value::Text("/var/log".to_owned()), false)
            .with("port", Type::Integer, Value::Integer(8080), false)
            .with("ratio", Type::Number, Value::Number(2.0), false)
            .with("on", Type::Boolean, Value::Boolean(true), false)
            .with("timeout", Type::Duration, Value::Text("1m30.5s".to_owned()), false)
            .with("memory", Type::Quantity, Value::Text("64Mi".to_owned()), false)
            .with("hosts", Type::List, Value::List(vec!["db".to_owned(), "cache:$1".to_owned()]), false)
            .with("flags", Type::List, Value::List(vec!["--mode=$(MODE)".to_owned()]), true)
            .with("command", Type::String, Value::Text("run $(MODE)".to_owned()), true)
            .bound(Variable::Target, pod["spec"]["containers"][0].clone())
            .bound(Variable::Targets, pod["spec"]["containers"].clone())
            .bound(Variable::Object, pod)
            .bound(Variable::NamespaceObject, json!({"metadata": {"name": "shop"}}))
            .bound(Variable::Request, json!({"namespace": "shop", "name": "", "operation": "CREATE", "dryRun": false}))
            .bound(Variable::Instance, json!(""))
            .bound(Variable::Podgraft, json!({"image": "podgraft:1", "version": "1"}))
    }

    fn with(mut self, name: &str, kind: Type, value: Value, expand: bool) -> Self {
        let declaration = Declaration {
            name: name.to_owned(),
            kind,
            description: None,
            default: None,
            example: None,
            one_of: None,
            pattern: None,
            minimum: None,
            maximum: None,
            min_length: None,
            max_length: None,
            sensitive: false,
            expand,
            line: 1,
        };
        self.parameters.push(Parameter::declare(declaration, &self.patterns).unwrap());
        self.values.push(value);
        self
    }

    fn bound(mut self, variable: Variable, value: serde_json::Value) -> Self {
        self.variables.insert(variable, value);
        self
    }

    fn names(&self) -> Names<'_> {
        Names { parameters: &self.parameters, in_for_each: false, literal_items: false, patterns: &self.patterns }
    }

    /// A leaf's JSON; `null` when it is dropped.
    fn render(&self, leaf: &str, style: Style) -> Result<String, String> {
        let leaf = match Leaf::parse(leaf, style, self.names()) {
            Ok(leaf) => leaf.ok_or("no expression")?,
            Err(errors) => return Err(format!("at load: {errors:?}")),
        };
        let mut out = String::from("before ");
        let rendered = leaf.render(self, None, &mut out).map_err(|error| error.to_string())?;
        let json = out.strip_prefix("before ").unwrap();
        if rendered {
            Ok(json.to_owned())
        } else {
            assert_eq!(json, "", "a dropped leaf leaves nothing behind");
            Ok("null".to_owned())
        }
    }

    fn typed(&self, expression: &str) -> Result<String, String> {
        self.render(&format!("{{{{ {expression} }}}}"), Style::Typed)
    }
}

#[test]
fn one_expression_keeps_its_type_and_text_makes_text() {
    let world = World::new();
    for (leaf, typed, text) in [
        ("{{ params.path }}", r#""/var/log""#, r#""/var/log""#),
        ("{{ params['path'] }}", r#""/var/log""#, r#""/var/log""#),
        ("{{params.port}}", "8080", r#""8080""#),
        ("{{ params.port + 1 }}", "8081", r#""8081""#),
        ("{{ params.ratio }}", "2", r#""2""#),
        ("{{ params.ratio / 4.0 }}", "0.5", r#""0.5""#),
        ("{{ params.on }}", "true", r#""true""#),
        ("{{ params.memory }}", r#""64Mi""#, r#""64Mi""#),
        ("{{ seconds(params.timeout) }}", "91", r#""91""#),
        ("{{ units(params.memory) }}", "67108864", r#""67108864""#),
        (
            "{{ params.path }}/{{ params.port }}-{{ !params.on }}",
            r#""/var/log/8080-false""#,
            r#""/var/log/8080-false""#,
        ),
        (" {{ params.port }}", r#"" 8080""#, r#"" 8080""#),
        ("\"\\{{ '\"' }}\n", r#""\"\\\"\n""#, r#""\"\\\"\n""#),
        ("{{ '{{' }}{{ '}}' }}", r#""{{}}""#, r#""{{}}""#),
        ("{{ null }}", "null", "null"),
        ("{{ object.metadata.?labels.?none }}", "null", "null"),
        ("{{ targets[1].?tty }}", "null", "null"),
        ("{{ object.metadata.?labels.?app }}", r#""web""#, r#""web""#),
        ("{{ object.metadata.labels.app }}", r#""web""#, r#""web""#),
        ("{{ target.ports[0].containerPort + 1 }}", "81", r#""81""#),
        ("{{ request.operation }}", r#""CREATE""#, r#""CREATE""#),
        ("{{ podgraft.image }}", r#""podgraft:1""#, r#""podgraft:1""#),
        ("{{ instance == '' ? 'main' : instance }}", r#""main""#, r#""main""#),
        ("{{ params.hosts.map(h, h.split(':')[0]).join(' ') }}", r#""db cache""#, r#""db cache""#),
    ] {
        assert_eq!(world.render(leaf, Style::Typed).as_deref(), Ok(typed), "{leaf}");
        assert_eq!(world.render(leaf, Style::Text).as_deref(), Ok(text), "{leaf}");
    }
    for (leaf, typed) in [
        ("{{ params.hosts }}", r#"["db","cache:$1"]"#),
        ("{{ [] }}", "[]"),
        ("{{ {} }}", "{}"),
        ("{{ [1, null, {'b': null, 'a': 2}] }}", r#"[1,{"a":2}]"#),
        ("{{ {'z': 1, 'a': [true], 'm': 1.5} }}", r#"{"z":1,"a":[true],"m":1.5}"#),
        ("{{ targets[1] }}", r#"{"name":"api","image":"api:2","cpu":1.5}"#),
        ("{{ targets.map(t, t.name) }}", r#"["web","api"]"#),
        ("{{ object.metadata.labels.map(k, k) }}", r#"["app","tier","a","z"]"#),
    ] {
        assert_eq!(world.render(leaf, Style::Typed).as_deref(), Ok(typed), "{leaf}");
        assert!(world.render(leaf, Style::Text).is_err(), "{leaf}");
    }
}

#[test]
fn an_expression_without_a_value_says_why() {
    let world = World::new();
    for (leaf, message) in [
        ("{{ object.metadata.labels.ap }}", "no such key: ap (did you mean app?); known keys: app, tier, a, z"),
        ("{{ object.metadata.name }}", "no such key: name; known keys: namespace, labels, annotations"),
        ("{{ targets[5].name }}", "there is no item 5 in a list of 2"),
        (
            "{{ params.path + params.port }}",
            "no + for string and int; string(...) makes text of a value, int(...) a number of text",
        ),
        ("{{ params.port + params.ratio }}", "no + for int and double; double(...) or int(...) makes them alike"),
        ("{{ params.port / 0 }}", "division by zero"),
        ("{{ 9223372036854775807 + params.port }}", "the result of + does not fit a 64-bit integer"),
        ("{{ params.port.foo }}", "int has no keys, so no foo"),
        ("{{ int(params.path) }}", r#"int(): "/var/log" is no 64-bit integer"#),
        ("{{ seconds(params.path) }}", r#"seconds(): "/var/log" is no duration such as 1h30m"#),
        ("{{ units(params.path) }}", r#"units(): "/var/log" is no 64-bit quantity such as 16Mi"#),
        ("{{ params.port.size() }}", "size() is not for (int)"),
        ("x{{ null }}", "found null in the middle of text; orValue('') gives a value"),
        ("x{{ params.hosts }}", "found a list where text is wanted; join(',') makes text of it"),
        ("{{ params.port ? 1 : 2 }}", "? wants a bool, not int"),
        ("{{ {1: 2} }}", "a key of the map is int, not a string"),
        ("{{ 1.0 / 0.0 }}", "the number inf is not finite"),
        ("{{ type(1) }}", "the type int is no value for a field"),
        ("{{ {'a': 1, 'a': 2} }}", "the key a is there twice"),
        (
            "{{ object.metadata.?labels + 'x' }}",
            "no + for optional_type and string; orValue(...) gives an optional's value",
        ),
    ] {
        assert_eq!(world.render(leaf, Style::Typed), Err(message.to_owned()), "{leaf}");
    }
    let bare = World { variables: HashMap::new(), ..World::new() };
    assert_eq!(bare.typed("target.name"), Err("target is not there".to_owned()));
}

#[test]
fn messages_do_not_show_sensitive_values() {
    let mut world = World::new().with("secret", Type::String, Value::Text("hunter2".to_owned()), false);
    world.parameters.last_mut().unwrap().sensitive = true;
    for expression in [
        "int(params.secret)",
        "double(params.secret)",
        "bool(params.secret)",
        "seconds(params.secret)",
        "units(params.secret)",
        "object.metadata.labels[params.secret]",
        "{params.secret: 1}.x",
        "{params.secret: 1, params.secret: 2}",
        "1[params.secret]",
        "int([params.secret].map(x, x)[0])",
        "params.secret + 1",
    ] {
        let error = world.typed(expression).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let list = Expression::compile("[params.secret]", world.names()).unwrap();
    let names = Names { in_for_each: true, ..world.names() };
    let condition = Expression::compile("int(item) > 0", names).unwrap();
    let items = list.items(&world, None).unwrap();
    let error = condition.condition(&world, Some(&items[0])).unwrap_err();
    assert_eq!(error.message, "int(): the value (not shown) is no 64-bit integer");
}

/// Whatever a function is called with, its message has nothing of what is not to be shown.
#[test]
fn no_message_of_a_function_shows_a_sensitive_value() {
    let mut world = World::new()
        .with("secretText", Type::String, Value::Text("qz%Q7".to_owned()), false)
        .with("secretNumber", Type::Integer, Value::Integer(-987_654), false)
        .with("secretDouble", Type::Number, Value::Number(9.876e22), false)
        .with("secretList", Type::List, Value::List(vec!["qz".to_owned(); 33]), false);
    for parameter in world.parameters.iter_mut().filter(|parameter| parameter.name.starts_with("secret")) {
        parameter.sensitive = true;
    }
    let values =
        ["params.secretText", "params.secretNumber", "params.secretDouble", "params.secretList", "'abc'", "['a']", "7"];
    let pairs = || values.iter().flat_map(|first| values.iter().map(move |second| format!("{first}, {second}")));
    let calls = |method: bool| functions::names(method).map(move |name| (name, method));
    let mut failed = 0;
    for (name, method) in calls(false).chain(calls(true)) {
        for count in functions::find(name, method).unwrap().arguments.clone() {
            let lists: Vec<String> = match count {
                0 => vec![String::new()],
                1 => values.iter().map(ToString::to_string).collect(),
                2 => pairs().collect(),
                _ => pairs().map(|pair| format!("{pair}, 7")).collect(),
            };
            let targets = if method { &values[..] } else { &[""] };
            for (target, list) in targets.iter().flat_map(|target| lists.iter().map(move |list| (target, list))) {
                let call = if method { format!("({target}).{name}({list})") } else { format!("{name}({list})") };
                let Some(Err(message)) = call.contains("secret").then(|| world.typed(&call)) else { continue };
                failed += 1;
                let shown = ["qz", "Q", "987654", "9876", "33"].into_iter().find(|part| message.contains(part));
                assert_eq!(shown, None, "{call}: {message}");
            }
        }
    }
    for expression in ["params.secretList[987]", "params.secretList[params.secretNumber]", "['a'][params.secretNumber]"]
    {
        let message = world.typed(expression).unwrap_err();
        assert!(!message.contains("33") && !message.contains("987654"), "{message}");
    }
    assert!(failed > 1000, "{failed}");
}

#[test]
fn dollars_of_literal_values_are_doubled_where_the_kubelet_expands() {
    let world = World::new();
    let note = r#""costs $5 (or $(PRICE))""#;
    let doubled = r#""costs $$5 (or $$(PRICE))""#;
    for (leaf, style, json) in [
        ("{{ object.metadata.annotations.note }}", Style::Typed, note),
        ("{{ object.metadata.annotations.note }}", Style::Text, note),
        ("{{ object.metadata.annotations.note }}", Style::Expanded, doubled),
        ("{{ params.hosts[1] }}", Style::Expanded, r#""cache:$$1""#),
        // The author's own text is the author's affair, in an expression or not.
        ("$(A){{ '$(B)' }}{{ params.hosts[1] }}", Style::Expanded, r#""$(A)$(B)cache:$$1""#),
        ("{{ params.command }}", Style::Expanded, r#""run $(MODE)""#),
        ("{{ params.command }}", Style::Text, r#""run $(MODE)""#),
        ("{{ params.command }} {{ params.hosts[1] }}", Style::Expanded, r#""run $(MODE) cache:$$1""#),
        ("{{ params.hosts }}", Style::ExpandedItems, r#"["db","cache:$$1"]"#),
        ("{{ params.flags }}", Style::ExpandedItems, r#"["--mode=$(MODE)"]"#),
        ("{{ target.args }}", Style::ExpandedItems, r#"["$(MODE)","x"]"#),
        ("{{ [target.name] + params.hosts }}", Style::ExpandedItems, r#"["web","db","cache:$$1"]"#),
        // A number has no dollars, so nothing is doubled for it.
        ("{{ target.args + [string(params.port)] }}", Style::ExpandedItems, r#"["$(MODE)","x","8080"]"#),
        ("{{ params.port > 1 ? '$(A)' : '' }}", Style::Expanded, r#""$(A)""#),
        ("{{ target.args + params.flags }}", Style::ExpandedItems, r#"["$(MODE)","x","--mode=$(MODE)"]"#),
        (
            "{{ params.hosts.map(h, {'name': h, 'value': h, 'valueFrom': {'value': h}}) }}",
            Style::ExpandedIn("value"),
            concat!(
                r#"[{"name":"db","value":"db","valueFrom":{"value":"db"}},"#,
                r#"{"name":"cache:$1","value":"cache:$$1","valueFrom":{"value":"cache:$1"}}]"#,
            ),
        ),
        (
            "{{ {'name': 'v', 'mountPath': params.hosts[1], 'subPathExpr': params.hosts[1]} }}",
            Style::ExpandedIn("subPathExpr"),
            r#"{"name":"v","mountPath":"cache:$1","subPathExpr":"cache:$$1"}"#,
        ),
    ] {
        assert_eq!(world.render(leaf, style).as_deref(), Ok(json), "{leaf}");
    }
}

#[test]
fn for_each_binds_items_and_remembers_where_they_came_from() {
    let world = World::new();
    let names = Names { in_for_each: true, ..world.names() };
    let leaf = Leaf::parse("{{ index }}:{{ item }}", Style::Expanded, names).unwrap().unwrap();
    for (list, rendered) in [
        ("params.hosts", vec![r#""0:db""#, r#""1:cache:$$1""#]),
        ("params.flags", vec![r#""0:--mode=$(MODE)""#]),
        ("target.args", vec![r#""0:$$(MODE)""#, r#""1:x""#]),
        ("['$(A)']", vec![r#""0:$(A)""#]),
        ("[]", vec![]),
    ] {
        let list = Expression::compile(list, world.names()).unwrap();
        let items = list.items(&world, None).unwrap();
        let render = |item| {
            let mut out = String::new();
            leaf.render(&world, Some(item), &mut out).map(|_| out)
        };
        let found: Result<Vec<String>, _> = items.iter().map(render).collect();
        assert_eq!(found.unwrap(), rendered, "{}", list.source);
    }
    let nested = Expression::compile("[item, item]", names).unwrap();
    let outer = Expression::compile("params.hosts", names).unwrap();
    let items = outer.items(&world, None).unwrap();
    let inner = nested.items(&world, Some(&items[1])).unwrap();
    let mut out = String::new();
    assert_eq!(leaf.render(&world, Some(&inner[1]), &mut out), Ok(true));
    assert_eq!(out, r#""1:cache:$$1""#);
    let map = Expression::compile("object.metadata", names).unwrap();
    assert_eq!(map.items(&world, None).unwrap_err().message, "forEach goes over a list, not map");
}

#[test]
fn conditions_are_booleans() {
    let world = World::new();
    let condition = |source| Expression::compile(source, world.names()).unwrap().condition(&world, None);
    assert_eq!(condition("true"), Ok(true));
    assert_eq!(condition("has(object.metadata.labels) && object.metadata.labels.app == 'web'"), Ok(true));
    assert_eq!(condition("has(object.metadata.labels.none) || params.port < 80"), Ok(false));
    assert_eq!(condition("object.metadata.labels.none == '' || params.on"), Ok(true));
    assert_eq!(condition("params.port").unwrap_err().message, "a condition is a bool, not int");
}

#[test]
fn what_an_expression_names_is_known() {
    let world = World::new();
    let source = "params.port > 1 && params.on && has(object.metadata.labels.x) && params.port < 9";
    let expression = Expression::compile(source, world.names()).unwrap();
    assert_eq!(expression.parameters(), [1, 3]);
    assert!(expression.names(Variable::Object) && !expression.names(Variable::Target) && !expression.names_item());
    let leaf = |text| Leaf::parse(text, Style::Typed, world.names()).unwrap().unwrap();
    assert_eq!(leaf("{{ params.port }}").is_plain_parameter(), Some(1));
    assert_eq!(leaf("{{ params.port + 0 }}").is_plain_parameter(), None);
    assert_eq!(leaf("{{ params.port }}!").is_plain_parameter(), None);
    assert!(leaf("a{{ params.port }}{{ target.name }}").names(Variable::Target));
    for (text, kind) in [
        ("{{ params.port }}", Some(Type::Integer)),
        ("{{ params.timeout }}", Some(Type::String)),
        ("{{ params.port }}s", Some(Type::String)),
        ("{{ params.port + target.x }}", Some(Type::Integer)),
        ("{{ seconds(params.timeout) }}", Some(Type::Integer)),
        ("{{ units(params.memory) }}", Some(Type::Integer)),
        ("{{ params.on ? 'a' : params.path }}", Some(Type::String)),
        ("{{ params.on ? 'a' : null }}", None),
        ("{{ target.name }}", None),
        ("{{ has(target.name) }}", Some(Type::Boolean)),
        ("{{ params.hosts }}", Some(Type::List)),
    ] {
        assert_eq!(leaf(text).known_type(&world.parameters), kind, "{text}");
    }
    assert!(Leaf::parse("no expression", Style::Typed, world.names()).unwrap().is_none());
    assert!(Leaf::parse("", Style::Typed, world.names()).unwrap().is_none());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let world = World::new();
    let expressions = [
        "object.metadata.labels.map(k, k + object.metadata.labels[k])",
        "{'b': 1, 'a': 2, 'd': 3, 'c': 4, 'f': 5, 'e': 6}",
        "{'b': 1, 'a': 2, 'd': 3, 'c': 4}.map(k, k)",
        "{'b': 1, 'a': 2, 'd': 3, 'c': 4}.filter(k, k > 'a')",
        "'%s'.format([object])",
        "object",
    ];
    for expression in expressions {
        let first = world.typed(expression).unwrap();
        for _ in 0..50 {
            assert_eq!(World::new().typed(expression).unwrap(), first);
        }
    }
    assert_eq!(world.typed("{'b': 1, 'a': 2, 'd': 3}.map(k, k)").unwrap(), r#"["b","a","d"]"#);
}

#[test]
fn a_deep_stack_gives_back_what_the_work_gives() {
    let local = String::from("borrowed");
    assert_eq!(with_deep_stack(|| with_deep_stack(|| local.len()).unwrap()).unwrap(), 8);
    let panicked = std::panic::catch_unwind(|| with_deep_stack(|| assert_eq!(local.len(), 0)));
    assert!(panicked.is_err());
}

/// As many cases as the environment asks for; failures go into tests by hand.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_text_stays_one_json_string(text in any::<String>(), around in "[^{]*") {
        let mut world = World::new();
        world.values[0] = Value::Text(text.clone());
        let json = world.render("{{ params.path }}", Style::Text).unwrap();
        prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
        let json = world.render(&format!("{around}{{{{ params.path }}}}"), Style::Typed).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), format!("{around}{text}"));
        let json = world.render("{{ params.path }}", Style::Expanded).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text.replace('$', "$$"));
    }

    #[test]
    fn no_annotation_changes_the_structure(note in any::<String>(), host in any::<String>()) {
        let mut world = World::new();
        world.values[6] = Value::List(vec![host.clone()]);
        world.variables.insert(Variable::Object, json!({"metadata": {"annotations": {"note": note}}}));
        let leaf = "{{ [{'name': params.hosts[0], 'value': object.metadata.annotations.note}] }}";
        let json: serde_json::Value = serde_json::from_str(&world.render(leaf, Style::Typed).unwrap()).unwrap();
        prop_assert_eq!(json, json!([{"name": host, "value": note}]));
    }

    #[test]
    fn no_leaf_panics(text in r#"[a-z0-9{}\[\]()'"\\+*/.?:!&|<>= \nrbé$]{0,60}"#) {
        let world = World::new();
        for style in [Style::Typed, Style::Expanded] {
            let _ = world.render(&text, style);
            let _ = world.render(&format!("{{{{ {text} }}}}"), style);
        }
    }
}
