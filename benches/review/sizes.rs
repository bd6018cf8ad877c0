//! The three pods of the benches.

use serde_json::{Value, json};

use crate::review::review;

/// A pod and the size that its review comes to.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// In figures.
    pub name: &'static str,
    /// Its containers.
    pub containers: usize,
    /// Environment variables of each, beside those that every container of the benches has.
    settings: usize,
    /// People wrote no more than name, image and ports.
    plain: bool,
}

/// About 2.5 kB.
pub const SMALL: Size = Size { name: "small", containers: 1, settings: 0, plain: true };
/// About 8 kB.
pub const MEDIUM: Size = Size { name: "medium", containers: 3, settings: 4, plain: false };
/// About 91 kB.
pub const LARGE: Size = Size { name: "large", containers: 20, settings: 39, plain: false };
pub const SIZES: [Size; 3] = [SMALL, MEDIUM, LARGE];

impl Size {
    /// The review of such a pod with these annotations.
    pub fn review(self, annotations: &Value) -> Vec<u8> {
        let mut review: Value = serde_json::from_slice(&review(self.containers, annotations)).unwrap_or_default();
        let containers = review.pointer_mut("/request/object/spec/containers").and_then(Value::as_array_mut);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            if self.plain
                && let Some(container) = container.as_object_mut()
            {
                for key in ["args", "env", "livenessProbe", "readinessProbe", "securityContext"] {
                    container.remove(key);
                }
            }
            let settings = (0..self.settings).map(|n| {
                json!({"name": format!("MORE_SETTINGS_{n}"), "value": format!("https://service-{n}.shop.svc/{index}")})
            });
            if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
                env.extend(settings);
            }
        }
        review.to_string().into_bytes()
    }
}
