use std::sync::{Arc, LazyLock};

use super::*;

/// The cel crate's own interpreter, with the libraries that we support.
static CEL: LazyLock<Arc<cel::Env>> = LazyLock::new(|| {
    let mut env = cel::Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    env.add_extension(cel::extensions::lists).unwrap();
    Arc::new(env)
});

/// What cel gives for an expression, as JSON text; `Err` when it has no value.
fn cel(world: &World, source: &str) -> Result<serde_json::Value, String> {
    let program = CEL.compile(source).map_err(|error| error.to_string())?;
    let mut context = cel::Context::with_env(Arc::clone(&CEL));
    for (variable, value) in &world.variables {
        context.add_variable(variable.name(), value.clone()).unwrap();
    }
    let value = program.execute(&context).map_err(|error| error.to_string())?;
    value.json().map_err(|error| error.to_string())
}

/// Asserts that the two give the same value, or have none either, and tells whether there is one.
fn agrees(world: &World, source: &str) -> bool {
    let (ours, theirs) = (world.typed(source), cel(world, source));
    match (&ours, &theirs) {
        // A whole double is written without a fraction, and serde_json rounds when it reads one.
        (Ok(ours), Ok(serde_json::Value::Number(theirs))) => {
            assert_eq!(ours.parse::<f64>().ok(), theirs.as_f64(), "{source}");
        }
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(&serde_json::from_str::<serde_json::Value>(ours).unwrap(), theirs, "{source}");
        }
        (Err(_), Err(_)) => {}
        // cel adds the keys of a map to a list; the specification has no such +.
        (Err(ours), Ok(_)) if ours == "no + for list and map" => {}
        _ => panic!("{source}: ours {ours:?}, cel's {theirs:?}"),
    }
    ours.is_ok()
}

#[test]
fn the_language_is_cel() {
    let world = World::new();
    let expressions = include_str!("oracle.cel").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in expressions {
        let expression = line.strip_prefix("none: ").unwrap_or(line);
        assert_eq!(agrees(&world, expression), expression == line, "{line}");
    }
}

/// Made-up expressions, sensible and not.
fn expressions() -> impl Strategy<Value = String> {
    let atoms = [
        "0",
        "1",
        "-3",
        "2.5",
        "'a'",
        "'b,é'",
        "''",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[1, 2]",
        "['b', 'a']",
        "{'a': 1}",
        "{'b': [2]}",
        "object.spec.containers[0].ports",
        "object.spec.containers",
        "optional.none()",
        "x",
        "int",
    ];
    prop::sample::select(atoms.to_vec()).prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operators = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"];
        let functions = ["size", "string", "int", "double", "bool", "type", "dyn", "optional.of", "lists.range"];
        let methods = [
            "size()",
            "trim()",
            "reverse()",
            "sort()",
            "distinct()",
            "flatten()",
            "join(',')",
            "split(',')",
            "hasValue()",
            "value()",
            "orValue('z')",
            "upperAscii()",
            "contains('a')",
            "indexOf('a')",
            "substring(1)",
            "replace('a', 'bb')",
            "charAt(0)",
            "slice(0, 1)",
            "a",
            "?a",
            "metadata",
            "matches('^a')",
        ];
        let macros = ["map", "filter", "all", "exists", "exists_one", "sortBy", "optMap"];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators.to_vec()), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (prop::sample::select(functions.to_vec()), inner.clone()).prop_map(|(name, of)| format!("{name}({of})")),
            (inner.clone(), prop::sample::select(methods.to_vec())).prop_map(|(of, method)| format!("({of}).{method}")),
            (inner.clone(), prop::sample::select(macros.to_vec()), inner.clone())
                .prop_map(|(of, name, body)| format!("({of}).{name}(x, {body})")),
            (inner.clone(), inner.clone()).prop_map(|(of, index)| format!("({of})[{index}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            // One key only: cel's maps have a random order.
            inner.clone().prop_map(|of| format!("{{'k': {of}}}")),
            inner.clone().prop_map(|of| format!("!({of})")),
            inner.prop_map(|of| format!("-({of})")),
        ]
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn made_up_expressions_agree(expression in expressions()) {
        // Names that no macro binds are refused at load, as is too much of anything.
        let world = World::new();
        if Expression::compile(&expression, world.names()).is_ok() {
            // As text: all of a value counts, and optionals are neither's to write.
            agrees(&world, &format!("'%s'.format([{expression}])"));
        }
    }

    #[test]
    fn sums_and_comparisons_agree(
        left in prop_oneof!["-?[0-9]{1,3}", "-?[0-9]{1,2}\\.[0-9]", "'[ab]{0,2}'", "true", "false", "\\[1, 2\\]"],
        right in prop_oneof!["-?[0-9]{1,3}", "-?[0-9]{1,2}\\.[0-9]", "'[ab]{0,2}'", "true", "false", "\\[1\\]"],
        operator in prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"]),
    ) {
        agrees(&World::new(), &format!("{left} {operator} {right}"));
    }
}
