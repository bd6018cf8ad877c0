//! Whether two objects say the same to Kubernetes.

use serde_json::Value;

/// Whether two values are the same: the order of keys says nothing, and what is null is not there.
pub(super) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.filter(|a| !a.is_null()), b.filter(|b| !b.is_null())) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            a.keys().chain(b.keys()).all(|key| same(a.get(key), b.get(key)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::same;

    #[test]
    fn order_and_null_say_nothing() {
        let a = json!({"x": 1, "y": {"z": null, "list": [{"a": 1, "b": 2}]}, "gone": null});
        let b = json!({"y": {"list": [{"b": 2, "c": null, "a": 1}]}, "x": 1});
        assert!(same(Some(&a), Some(&b)) && same(Some(&json!(null)), None));
    }

    #[test]
    fn everything_else_does() {
        for (a, b) in [
            (json!({"x": 1}), json!({"x": 2})),
            (json!({"x": 1}), json!({})),
            (json!({"x": {}}), json!({})),
            (json!([1, 2]), json!([2, 1])),
            (json!([1]), json!([1, null])),
            (json!("1"), json!(1)),
            (json!(null), json!(false)),
        ] {
            assert!(!same(Some(&a), Some(&b)) && !same(Some(&b), Some(&a)), "{a} {b}");
        }
    }
}
