use super::*;

/// Each mistake: what the leaf's text says where it is, the message, the help.
#[test]
fn mistakes_are_named_with_their_place() {
    let world = World::new();
    for (leaf, place, message) in [
        ("{{ prams.path }}", "prams", r#"unknown name "prams" (did you mean params?)"#),
        ("{{ params.pathh }}", "pathh", r#"unknown parameter "pathh" (did you mean path?)"#),
        ("{{ params['prot'] }}", "'prot'", r#"unknown parameter "prot" (did you mean port?)"#),
        ("{{ path }}", "path", "unknown name path"),
        ("{{ params }}", "params", "params is no value by itself"),
        ("{{ params[target.name] }}", ".", "the name of a parameter must be constant"),
        ("{{ has(params.path) }}", "path", "a parameter always has a value"),
        ("{{ params.?path }}", "path", "a parameter always has a value"),
        ("{{ request.userInfo.name }}", "userInfo", "request has no userInfo"),
        ("{{ request.operaton }}", "operaton", "request has no operaton (did you mean operation?)"),
        ("{{ request['uid'] }}", "'uid'", "request has no uid"),
        ("{{ podgraft.verison }}", "verison", "podgraft has no verison (did you mean version?)"),
        ("{{ item }}", "item", "item is bound by forEach alone"),
        ("{{ params.path.splt(',') }}", "splt", "unknown function splt() (did you mean split?)"),
        ("{{ sizee(params.path) }}", "sizee", "unknown function sizee() (did you mean size?)"),
        ("{{ params.hosts.mapp(x, x) }}", "mapp", "unknown function mapp() (did you mean map?)"),
        ("{{ lists.rang(3) }}", "rang", "unknown function lists.rang() (did you mean lists.range?)"),
        ("{{ string.format('x') }}", "format", "format() is not for (type, string)"),
        ("{{ trim(params.path) }}", "trim", "trim() is not called without a value"),
        ("{{ params.path.string() }}", "string", "string() is not called on a value"),
        ("{{ params.path.replace('a') }}", "replace", "replace() has 1 arguments"),
        ("{{ params.hosts.map(x) }}", "map", "map() has 1 arguments"),
        ("{{ params.hosts.map(1, 2) }}", "1", "the first argument is a name for an item"),
        ("{{ has(params) }}", "(", "has() asks for a field"),
        ("{{ params.path.matches(params.path) }}", ".", "the pattern of matches() is not constant"),
        ("{{ params.path.matches('(') }}", "'('", "unclosed group"),
        ("{{ 1u }}", "1u", "unsigned integers are not supported"),
        ("{{ b'x' }}", "b'x'", "bytes are not supported"),
        ("{{ Pod{name: 'x'} }}", "{", "Pod is a message"),
        ("{{ duration('1s') }}", "duration", "unknown function duration()"),
        ("{{ params.path = 'x' }}", "=", "unexpected '='"),
        ("{{ params.path params.port }}", "params", "unexpected 'params'"),
        ("{{ params.port + }}", "", "the expression ends too early"),
        ("{{ 'é' + * }}", "*", "unexpected '*'"),
        ("{{ }}", "", "the expression is empty"),
        ("{{ .object }}", "object", r#"unknown name ".object" (did you mean object?)"#),
        ("{{ params.path", "{{", "the expression is not closed"),
        (
            "{{ params.hosts.map(x, params.hosts.map(y, params.hosts.map(z, z))) }}",
            "map",
            "macros over lists nest too deeply",
        ),
        ("{{ 99999999999999999999 }}", "99999999999999999999", "99999999999999999999 is no number"),
        (r"{{ 'a' + '\q' }}", r"'\q'", r"\q is no escape"),
        ("{{ for.name }}", "for", "reserved identifier: for"),
    ] {
        let errors = match Leaf::parse(leaf, Style::Typed, world.names()) {
            Err(errors) => errors,
            // Wrong types are found by the trial rendering.
            Ok(found) => {
                let error = found.unwrap().render(&world, None, &mut String::new()).unwrap_err();
                assert_eq!(error.message, message, "{leaf}");
                continue;
            }
        };
        assert_eq!((&leaf[errors[0].range.clone()], errors[0].message.as_str()), (place, message), "{leaf}");
        assert_eq!(errors.len(), 1, "{leaf}: {errors:?}");
        assert!(errors[0].help.is_some(), "{leaf}");
    }
}

#[test]
fn all_mistakes_of_a_leaf_are_told_together() {
    let world = World::new();
    let leaf = "é {{ prams.x + 1 }} {{ params.port + params.nope.sizee() }}";
    let errors = Leaf::parse(leaf, Style::Typed, world.names()).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| &leaf[error.range.clone()]).collect();
    assert_eq!(found, ["prams", "nope", "sizee"]);
}

#[test]
fn values_that_expand_and_values_that_must_not_do_not_mix() {
    let world = World::new();
    for (leaf, style, refused) in [
        ("{{ params.command + params.path }}", Style::Expanded, true),
        ("{{ params.command + params.path }}", Style::Text, false),
        ("{{ params.command }}{{ params.path }}", Style::Expanded, false),
        ("{{ params.command + target.name }}", Style::Expanded, true),
        ("{{ params.flags + params.hosts }}", Style::ExpandedItems, true),
        ("{{ params.flags + target.args }}", Style::ExpandedItems, false),
        ("{{ params.command + string(params.port) }}", Style::Expanded, false),
        ("{{ params.hosts + target.args }}", Style::ExpandedItems, true),
        ("{{ params.hosts + object.spec.containers[0]['command'] }}", Style::ExpandedItems, true),
        ("{{ params.port > 1 ? target.args : [] }}", Style::ExpandedItems, false),
        ("{{ params.hosts + [target.name] }}", Style::ExpandedItems, false),
        ("{{ params.hosts + target.args }}", Style::Typed, false),
        ("{{ target.env + [{'name': 'A', 'value': params.path}] }}", Style::ExpandedIn("value"), true),
    ] {
        let parsed = Leaf::parse(leaf, style, world.names());
        assert_eq!(parsed.is_err(), refused, "{leaf}");
        if let Err(errors) = parsed {
            assert!(errors[0].message.starts_with("mixes params."), "{}", errors[0].message);
            assert_eq!(errors[0].range, 3..leaf.len() - 3);
        }
    }
    for (leaf, literal_items, refused) in [
        ("{{ target.args + [item] }}", true, true),
        ("{{ target.args + [item] }}", false, false),
        ("{{ item.args + [params.path] }}", false, true),
        ("{{ item.args + [string(params.port)] }}", false, false),
        ("{{ params.hosts + [item] }}", true, false),
    ] {
        let names = Names { in_for_each: true, literal_items, ..world.names() };
        let parsed = Leaf::parse(leaf, Style::ExpandedItems, names);
        assert_eq!(parsed.is_err(), refused, "{leaf}");
    }
}
