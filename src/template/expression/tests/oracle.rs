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

fn agrees(world: &World, source: &str) {
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
        _ => panic!("{source}: ours {ours:?}, cel's {theirs:?}"),
    }
}

#[test]
fn the_language_is_cel() {
    let world = World::new();
    let expressions = include_str!("oracle.cel").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for expression in expressions {
        agrees(&world, expression);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn sums_and_comparisons_agree(
        left in prop_oneof!["-?[0-9]{1,3}", "-?[0-9]{1,2}\\.[0-9]", "'[ab]{0,2}'", "true", "false", "\\[1, 2\\]"],
        right in prop_oneof!["-?[0-9]{1,3}", "-?[0-9]{1,2}\\.[0-9]", "'[ab]{0,2}'", "true", "false", "\\[1\\]"],
        operator in prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"]),
    ) {
        agrees(&World::new(), &format!("{left} {operator} {right}"));
    }
}
