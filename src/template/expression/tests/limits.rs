use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// Runs hostile work on a thread with the stack of a server's worker, and fails if it takes longer than any request may.
fn guarded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    thread.spawn(move || sender.send(work())).unwrap();
    receiver.recv_timeout(Duration::from_secs(20)).expect("hostile input hangs or overflows the stack")
}

/// The number of bytes rendered, or the error.
fn attack(prepare: impl FnOnce(&mut World) + Send + 'static, source: impl Into<String>) -> Result<usize, String> {
    let source = source.into();
    guarded(move || {
        let mut world = World::new();
        prepare(&mut world);
        world.typed(&source).map(|json| json.len())
    })
}

fn refused_at_load(source: impl Into<String>) {
    let error = attack(|_| {}, source).unwrap_err();
    assert!(error.starts_with("at load: "), "{error}");
}

fn exhausts(prepare: impl FnOnce(&mut World) + Send + 'static, source: impl Into<String>) {
    let error = attack(prepare, source).unwrap_err();
    assert!(error.contains("steps") || error.contains("longer than") || error.contains("parts"), "{error}");
}

fn long_path(world: &mut World) {
    world.values[0] = Value::Text("a".repeat(256 * 1024));
}

#[test]
fn what_would_overflow_a_stack_is_refused() {
    refused_at_load(vec!["1"; 1500].join("+"));
    for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("size(", ")"), ("!", ""), ("-", ""), ("- ", "")] {
        refused_at_load(format!("{}1{}", open.repeat(1000), close.repeat(1000)));
        refused_at_load(format!("{}1{}", open.repeat(300), close.repeat(300)));
    }
    refused_at_load(format!("{}1", "true ? 1 : ".repeat(1000)));
    refused_at_load(format!("params.path{}", ".trim()".repeat(1000)));
    refused_at_load(format!("object{}", ".a".repeat(500)));
    refused_at_load("(".repeat(1_000_000));
    refused_at_load("'".repeat(1_000_001));
    let nested = (0..6).fold("1".to_owned(), |body, level| format!("params.hosts.map(x{level}, {body})"));
    refused_at_load(nested);
}

#[test]
fn the_deepest_expressions_that_are_allowed_fit_a_workers_stack() {
    // As many operators and brackets as there may be, in the shapes that recurse most.
    let (operators, nesting) = (scan::MAX_OPERATORS, scan::MAX_NESTING);
    for source in [
        vec!["1"; operators + 1].join("+"),
        format!("{}1{}", "(".repeat(nesting), ")".repeat(nesting)),
        format!("{}1{}", "[".repeat(nesting), "]".repeat(nesting)),
        format!("{}true{}", "{1:!".repeat(nesting), "}".repeat(nesting)),
        // Alternatives nest, and the parser takes 96 levels of anything.
        format!("{}1", "true?1:".repeat(90)),
        format!("{}true", "!".repeat(operators)),
        format!("{}1", "- ".repeat(operators)),
        format!("object{}", ".?a".repeat(operators)),
        format!("''{}", ".trim()".repeat(operators / 2)),
        format!("{}1{}", "[1+1+1+".repeat(nesting), "][0]".repeat(nesting)),
        format!("[1].map(x,[1].map(y,{}y{}))", "(".repeat(nesting - 2), ")".repeat(nesting - 2)),
        format!("{}''{}", "string(".repeat(nesting), ")".repeat(nesting)),
    ] {
        let result = attack(|_| {}, source.clone());
        if let Err(error) = result {
            assert!(!error.starts_with("at load: "), "{source}: {error}");
        }
    }
}

#[test]
fn loops_over_long_lists_are_bounded() {
    let hosts = |world: &mut World| world.values[6] = Value::List(vec!["host".to_owned(); 64]);
    let nested = "params.hosts.map(x, params.hosts.map(y, x + y))";
    assert_eq!(attack(hosts, nested), Ok(64 * (64 * 11 + 1) + 64 + 1));
    exhausts(hosts, "params.hosts.map(x, params.hosts.map(y, x + y + params.hosts.join(x)))");
    let pod = |world: &mut World| {
        let list = vec![json!({"name": "web"}); 5000];
        world.variables.insert(Variable::Object, json!({"spec": {"containers": list}}));
    };
    assert_eq!(attack(pod, "object.spec.containers.filter(c, c.name == 'x').size()"), Ok(1));
    assert_eq!(attack(pod, "object.spec.containers.exists(c, has(c.nope))"), Ok(5));
    exhausts(pod, "object.spec.containers.all(c, object.spec.containers.all(d, true))");
    exhausts(pod, "object.spec.containers.exists(c, object.spec.containers == [c]) || lists.range(1000000) == []");
    exhausts(
        pod,
        "object.spec.containers.distinct().size() + object.spec.containers.map(c, c.name).sort().sort().size()",
    );
    exhausts(pod, "object.spec.containers.all(c, object.spec.containers == object.spec.containers)");
    exhausts(pod, "object.spec.containers.map(c, c in object.spec.containers ? object.spec.containers : [])");
    exhausts(pod, "object");
}

#[test]
fn texts_that_grow_are_bounded() {
    exhausts(long_path, "params.path");
    exhausts(long_path, "params.path.replace('a', params.path)");
    exhausts(long_path, "params.path.replace('', params.path)");
    exhausts(long_path, "params.path.split('').join(params.path)");
    exhausts(long_path, "params.path.split('a').size()");
    exhausts(long_path, "'%s%s%s'.format([params.path, params.path, params.path])");
    exhausts(long_path, "lists.range(64).map(x, params.path + params.path)");
    exhausts(long_path, "lists.range(64).all(x, !(params.path + 'b' in {params.path + 'a': 1}))");
    exhausts(long_path, "lists.range(90000).map(x, params.path)");
    exhausts(long_path, "[params.path].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)");
    exhausts(long_path, "lists.range(1000).all(x, params.path.matches('b$'))");
    exhausts(
        long_path,
        "lists.range(1000).all(x, params.path.contains('b') || params.path + 'a' != params.path + 'b')",
    );
    exhausts(long_path, "lists.range(99).map(x, params.path + string(x)).sort().size()");
    // A long text may be looked at, as long as what comes of it is short.
    assert_eq!(attack(long_path, "params.path.size()"), Ok(6));
    assert_eq!(attack(long_path, "params.path.replace('aaaa', '').size() + params.path.indexOf('b')"), Ok(2));
    assert_eq!(attack(long_path, "params.path.substring(0, 10)"), Ok(12));
}

#[test]
fn values_that_double_are_bounded() {
    // A billion laughs: each step doubles what is written, but not what is held.
    exhausts(|_| {}, format!("[['ha']]{}", ".map(x,[x,x])".repeat(29)));
    exhausts(|_| {}, format!("[[null]]{}", ".map(x,[x,x])".repeat(29)));
    exhausts(|_| {}, format!("'%s'.format([[['ha']]{}])", ".map(x,[x,x])".repeat(30)));
    exhausts(|_| {}, format!("[['ha']]{0} == [['ha']]{0}", ".map(x,[x,x])".repeat(16)));
    exhausts(|_| {}, format!("[['ha']]{}.flatten(99)", ".map(x,[x,x])".repeat(30)));
    let error = attack(|_| {}, format!("[1]{}", ".map(x,[[[[[[x]]]]]])".repeat(30))).unwrap_err();
    assert!(error.contains("nests more than"), "{error}");
}

#[test]
fn long_results_are_refused_and_long_items_too() {
    let world = |length: usize| move |world: &mut World| world.values[0] = Value::Text("x".repeat(length));
    let limit = crate::template::expression::MAX_LEAF;
    assert_eq!(attack(world(limit - 2), "params.path"), Ok(limit));
    exhausts(world(limit - 1), "params.path");
    exhausts(|world| world.values[0] = Value::Text("\u{1}".repeat(20_000)), "params.path");
    let list = Expression::compile("lists.range(65)", World::new().names()).unwrap();
    let error = list.items(&World::new(), None).unwrap_err();
    assert_eq!(error.message, "forEach goes over at most 64 items, not 65");
}

#[test]
fn patterns_are_bounded() {
    refused_at_load("'a'.matches('(a{1000}){1000}')");
    refused_at_load(r"'a'.matches('(\\w{100}){100}')");
    assert_eq!(attack(long_path, "params.path.substring(0, 50000).matches('^(a|a)*(a|b)*$')"), Ok(4));
    exhausts(long_path, "params.path.matches('^(a|a)*(a|b)*$')");
}

#[test]
fn patterns_of_many_expressions_are_bounded_together() {
    let world = World::new();
    let line = vec!["''.matches('(?:a?){4500}')"; 33].join(" && ");
    let errors = Expression::compile(&line, world.names()).unwrap_err();
    let told = "the patterns of the template take more than 2048 KiB when they are compiled";
    assert_eq!(errors.iter().map(|error| &*error.message).collect::<Vec<_>>(), [told]);
    // The next line is refused without being compiled.
    assert_eq!(Expression::compile("''.matches('a')", world.names()).unwrap_err()[0].message, told);
}

#[test]
fn an_exhausted_budget_is_not_hidden_by_logic() {
    exhausts(|_| {}, "lists.range(1000000) == [] || true");
    exhausts(|_| {}, "lists.range(1000000).exists(x, true) || 1 == 1");
    exhausts(|_| {}, "[1, 2, 3].exists(x, x == 3 || lists.range(1000000) == [])");
}

#[test]
fn repetition_is_bounded_too() {
    guarded(|| {
        let world = World::new();
        let costly = Expression::compile("lists.range(40000).size() > 0", world.names()).unwrap();
        let evaluations = (0..1000).take_while(|_| costly.condition(&world, None) == Ok(true)).count();
        assert_eq!(evaluations, 24);
        let message = costly.condition(&world, None).unwrap_err().to_string();
        assert_eq!(message, "the expressions of this request take more than 1000000 steps together");
        // What was spent stays spent, for small expressions too.
        let cheap = Expression::compile("lists.range(40000).size() > 0 || true", world.names()).unwrap();
        assert!(cheap.condition(&world, None).is_err());
    });
    guarded(|| {
        let mut world = World::new();
        world.values[0] = Value::Text("x".repeat(60_000));
        let leaf = Leaf::parse("{{ params.path }}", Style::Text, world.names()).unwrap().unwrap();
        let rendered = (0..100_000).take_while(|_| leaf.render(&world, None, &mut String::new()) == Ok(true)).count();
        assert!((100..2000).contains(&rendered), "{rendered}");
    });
}

#[test]
fn what_is_written_costs_by_values_too_and_also_when_it_fails() {
    guarded(|| {
        let spent = |value: serde_json::Value, wanted: Result<bool, &str>| {
            let world = World::new().bound(Variable::Object, value);
            let leaf = Leaf::parse("{{ object }}", Style::Typed, world.names()).unwrap().unwrap();
            let rendered = leaf.render(&world, None, &mut String::new()).map_err(|error| error.message.clone());
            assert_eq!(rendered, wanted.map_err(str::to_owned));
            1_000_000 - world.budget.left()
        };
        // Of a null, nothing is written.
        assert!(spent(json!(vec![json!(null); 60_000]), Ok(true)) > 60_000);
        assert!(spent(json!(vec![json!(null); 70_000]), Err("the value has more than 65536 parts")) > 65_000);
        let too_long = json!(["x".repeat(60_000), "x".repeat(60_000)]);
        assert!(spent(too_long, Err("the value is longer than 64 KiB")) > 900);
    });
}

#[test]
fn nested_for_each_is_bounded() {
    guarded(|| {
        let world = World::new();
        let names = Names { in_for_each: true, ..world.names() };
        let deeper = Expression::compile("[[[[[[[[[[[[[[[[[[[[item]]]]]]]]]]]]]]]]]]]]", names).unwrap();
        let seed = json!(1);
        let first = Item::new(&seed, 0);
        let second = deeper.items(&world, Some(&first)).unwrap();
        let third = deeper.items(&world, Some(&second[0])).unwrap();
        let fourth = deeper.items(&world, Some(&third[0])).unwrap();
        let error = deeper.items(&world, Some(&fourth[0])).unwrap_err();
        assert_eq!(error.message, "forEach nests at most 4 deep");
    });
}

#[test]
fn deeply_nested_values_fit_a_workers_stack() {
    // Each step wraps the value in as many lists as brackets may nest.
    let wrap = format!(".map(x,{}x{})", "[".repeat(22), "]".repeat(22));
    let nested = format!("[1]{}", wrap.repeat(18));
    assert!(nested.len() < scan::MAX_SOURCE);
    assert_eq!(attack(|_| {}, format!("{nested}.flatten(9999) == [1]")), Ok(4));
    assert!(attack(|_| {}, format!("{nested}.size()")).is_ok());
    let deep = |world: &mut World| {
        let tree = (0..120).fold(json!(1), |inner, _| json!([{"a": inner}]));
        world.variables.insert(Variable::Object, tree);
    };
    assert_eq!(attack(deep, "object == object && '%s'.format([object]).size() > 0"), Ok(4));
    assert!(attack(deep, "object").unwrap_err().contains("nests more than"));
}
