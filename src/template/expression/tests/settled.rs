//! What defaults decide is the same in a request, and costs the same.

use super::*;

/// The same parameters, with their values as defaults that nobody has set.
struct Unset<'w>(&'w World, u64);

impl Variables for Unset<'_> {
    fn budget(&self) -> &Budget {
        self.0.budget()
    }

    fn parameter(&self, index: usize) -> &Value {
        self.0.parameter(index)
    }

    fn variable(&self, variable: Variable) -> Result<Given<'_>, String> {
        self.0.variable(variable)
    }

    fn set(&self) -> u64 {
        self.1
    }
}

fn world() -> World {
    let mut world = World::new();
    for (parameter, value) in world.parameters.iter_mut().zip(&world.values) {
        parameter.default = Some(value.clone());
    }
    world
}

/// The leaf's JSON, and what is left of a budget of so much.
fn rendered(leaf: &Leaf, world: &World, set: u64, budget: usize) -> (Result<(bool, String), String>, usize) {
    world.budget.0.set(budget);
    let mut json = String::new();
    let rendered = leaf.render(&Unset(world, set), None, &mut json);
    (rendered.map(|there| (there, json)).map_err(|error| error.message), world.budget.left())
}

#[test]
fn what_defaults_decide_is_the_same_at_the_same_price() {
    let world = world();
    let parse = |text, style| Leaf::parse(text, style, world.names()).unwrap().unwrap();
    for (text, style, settles) in [
        ("{{ params.path }}", Style::Typed, true),
        ("{{ params.hosts }}", Style::ExpandedItems, true),
        ("{{ params.hosts[1] }} at {{ params.port + 1 }}", Style::Expanded, true),
        ("{{ params.on ? null : 1 }}", Style::Text, true),
        ("{{ lists.range(200).map(x, x * 2) }}", Style::Typed, true),
        ("{{ params.port / 0 }}", Style::Typed, false),
        ("{{ params.path + object.metadata.namespace }}", Style::Typed, false),
    ] {
        let (plain, mut leaf) = (parse(text, style), parse(text, style));
        leaf.settle(&world.parameters, &Budget::new());
        assert_eq!(leaf.settled.is_some(), settles, "{text}");
        for budget in [Budget::TOTAL, 1000, 20, 5, 3, 2, 1, 0] {
            let wanted = rendered(&plain, &world, u64::MAX, budget);
            assert_eq!(rendered(&leaf, &world, 0, budget), wanted, "{text}");
            assert_eq!(rendered(&leaf, &world, u64::MAX, budget), wanted, "{text}");
        }
    }
}

#[test]
fn a_parameter_that_is_set_counts() {
    let mut world = world();
    let mut leaf = Leaf::parse("{{ params.path }}", Style::Typed, world.names()).unwrap().unwrap();
    let mut condition = Expression::compile("params.port > 80", world.names()).unwrap();
    leaf.settle(&world.parameters, &Budget::new());
    condition.settle(&world.parameters, &Budget::new());
    (world.values[0], world.values[1]) = (Value::Text("/set".to_owned()), Value::Integer(1));
    for (set, path, holds) in [(0, "\"/var/log\"", true), (1, "\"/set\"", true), (2, "\"/var/log\"", false)] {
        assert_eq!(rendered(&leaf, &world, set, Budget::TOTAL).0, Ok((true, path.to_owned())));
        world.budget.0.set(Budget::TOTAL);
        assert_eq!(condition.condition(&Unset(&world, set), None), Ok(holds));
    }
}

#[test]
fn what_a_request_has_to_look_at_is_not_settled() {
    let mut world = world();
    world.parameters[0].sensitive = true;
    world.parameters[1].default = None;
    let spent = Budget(Cell::new(1));
    let mut leaf = Leaf::parse("{{ params.ratio + 1.0 }}", Style::Text, world.names()).unwrap().unwrap();
    leaf.settle(&world.parameters, &spent);
    assert!(leaf.settled.is_none());
    for text in ["{{ params.path }}", "{{ params.port }}", "{{ params.ratio }} {{ params.port }}", "{{ target.name }}"]
    {
        let mut leaf = Leaf::parse(text, Style::Text, world.names()).unwrap().unwrap();
        leaf.settle(&world.parameters, &Budget::new());
        assert!(leaf.settled.is_none(), "{text}");
    }
}
