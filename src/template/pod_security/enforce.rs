//! The standard that a namespace enforces by its labels (Kubernetes documentation, "Pod Security Admission"), and what
//! it makes of an injected container: completed where something is missing, and otherwise as it is.

use serde_json::{Map, Value};

use super::{Asked, Broken, PodSecurity, Version};
use crate::template::diagnostic::Place;
use crate::template::rendered::{Basis, Rendered};

/// The label of the standard, and of its version.
const LABELS: [&str; 2] = ["pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"];

/// No file holds what is looked at here.
static NOWHERE: Place = Place { line: 0, column: 0, range: 0..0 };

/// A standard that a namespace enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enforced {
    standard: PodSecurity,
    version: Version,
}

/// What the standards look at around a container.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// It is a Windows pod.
    pub windows: bool,
    /// The pod has a user namespace of its own.
    pub user_namespace: bool,
    /// The user that its containers run as.
    pub user: Option<i64>,
}

/// An injected container under a standard.
#[derive(Debug, PartialEq, Eq)]
pub struct Hardened {
    /// The container with what was missing, if that is all it takes. Another one breaks the standard whatever is added:
    /// it stays as its template says, for it runs only where podgraft can't see that it is exempt.
    pub completed: Option<String>,
    /// What is left, each rule once.
    pub broken: Vec<String>,
}

impl Enforced {
    /// What a namespace's labels say; `None` where that is nothing.
    ///
    /// The API server takes a standard that it doesn't know for `restricted`, and a version that it doesn't know for the
    /// newest.
    #[must_use]
    pub fn of_labels(labels: &Map<String, Value>) -> Option<Self> {
        let [standard, version] = LABELS.map(|label| labels.get(label).and_then(Value::as_str));
        let known = |name: &str| PodSecurity::NAMES.iter().find(|(known, _)| *known == name).map(|(_, it)| *it);
        let standard = known(standard?).unwrap_or(PodSecurity::Restricted);
        let minor = version.and_then(|version| version.strip_prefix("v1.")?.parse().ok());
        let enforced = Self { standard, version: minor.map_or(Version::LATEST, Version) };
        (standard > PodSecurity::Privileged).then_some(enforced)
    }

    /// Holds a rendered container to the standard.
    ///
    /// # Errors
    ///
    /// It is no JSON.
    pub fn container(self, json: &str, around: Around) -> Result<Hardened, serde_json::Error> {
        let Around { windows, user_namespace, user } = around;
        let asked = Asked { standard: self.standard, version: self.version, windows, user_namespace };
        let mut container: Value = serde_json::from_str(json)?;
        let mut changed = false;
        for control in asked.controls() {
            if let Some(written) = control.required {
                changed |= complete(&mut container, control.path, serde_json::from_str(written)?);
            }
        }
        // That is the pod's own mistake, and a container that may not be root would never start there.
        let inherits_root = user == Some(0) && container.pointer("/securityContext/runAsUser").is_none();
        let completed = container.to_string();
        let container = Rendered::from_json(container, &NOWHERE, Basis::Constant, false);
        let standard = self.standard.name();
        // The place first: what is allowed may be long, and a warning is cut.
        let rule = |Broken { path, allowed, .. }: Broken<'_, '_>| format!("{path}: {standard} allows {allowed}");
        let mut broken: Vec<_> = asked.broken(&container).into_iter().map(rule).collect();
        broken.dedup();
        let completed = (changed && broken.is_empty() && !inherits_root).then_some(completed);
        Ok(Hardened { completed, broken })
    }

    /// What the standard has against a volume of this kind.
    #[must_use]
    pub fn volume(self, source: &str) -> Option<String> {
        self.standard.against_volume(source)
    }
}

/// Writes a value where there is none. Whether it did.
fn complete(container: &mut Value, path: &str, written: Value) -> bool {
    let mut at = container;
    for step in path.split('.') {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        let Some(map) = at.as_object_mut() else { return false };
        at = map.entry(step).or_insert(Value::Null);
    }
    let missing = at.is_null();
    if missing {
        *at = written;
    }
    missing
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are passed")]
mod tests {
    use serde_json::json;

    use super::*;

    fn enforced(labels: Value) -> Option<Enforced> {
        Enforced::of_labels(labels.as_object().unwrap())
    }

    fn of(standard: &str, version: &str) -> Enforced {
        enforced(json!({(LABELS[0]): standard, (LABELS[1]): version})).unwrap()
    }

    const AROUND: Around = Around { windows: false, user_namespace: false, user: None };

    fn completed(enforced: Enforced, context: Value, around: Around) -> Option<Value> {
        let container = json!({"name": "a", "securityContext": context}).to_string();
        let Hardened { completed, broken } = enforced.container(&container, around).unwrap();
        assert_eq!(broken, [""; 0]);
        let mut container: Value = serde_json::from_str(&completed?).unwrap();
        Some(container["securityContext"].take())
    }

    fn broken(enforced: Enforced, container: Value) -> Vec<String> {
        let Hardened { completed, broken } = enforced.container(&container.to_string(), AROUND).unwrap();
        assert_eq!(completed, None);
        broken
    }

    #[test]
    fn labels_are_read_as_the_api_server_reads_them() {
        assert_eq!(enforced(json!({})), None);
        assert_eq!(enforced(json!({(LABELS[0]): "privileged"})), None);
        assert_eq!(enforced(json!({(LABELS[1]): "v1.30"})), None);
        assert_eq!(of("baseline", "v1.24"), Enforced { standard: PodSecurity::Baseline, version: Version(24) });
        for (standard, version) in [("restricted", "latest"), ("strict", "1.24"), ("restricted", "v2.1"), ("", "")] {
            let newest = Enforced { standard: PodSecurity::Restricted, version: Version::LATEST };
            assert_eq!(of(standard, version), newest, "{standard} {version}");
        }
    }

    #[test]
    fn what_is_missing_is_added_and_what_is_said_stays() {
        let all = json!({
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"]},
        });
        let restricted = of("restricted", "latest");
        assert_eq!(completed(restricted, Value::Null, AROUND), Some(all.clone()));
        assert_eq!(completed(restricted, all.clone(), AROUND), None);
        let said = json!({
            "runAsUser": 1000,
            "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"},
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": null},
        });
        let with = completed(restricted, said, AROUND).unwrap();
        assert_eq!(with["seccompProfile"], json!({"type": "Localhost", "localhostProfile": "a.json"}));
        assert_eq!(with["capabilities"], json!({"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}));
        assert_eq!((&with["runAsUser"], &with["runAsNonRoot"]), (&1000.into(), &true.into()));
        assert_eq!(completed(of("baseline", "latest"), Value::Null, AROUND), None);
    }

    #[test]
    fn versions_ask_for_what_they_knew() {
        let keys = |version: &str, around: Around| -> Vec<String> {
            let context = completed(of("restricted", version), Value::Null, around);
            context.iter().filter_map(Value::as_object).flat_map(Map::keys).cloned().collect()
        };
        let (flag, escalation, seccomp, caps) =
            ("runAsNonRoot", "allowPrivilegeEscalation", "seccompProfile", "capabilities");
        assert_eq!(keys("v1.7", AROUND), [flag]);
        assert_eq!(keys("v1.18", AROUND), [flag, escalation]);
        assert_eq!(keys("v1.21", AROUND), [flag, escalation, seccomp]);
        assert_eq!(keys("v1.22", AROUND), [flag, escalation, seccomp, caps]);
        let windows = Around { windows: true, ..AROUND };
        assert_eq!(keys("v1.24", windows), [flag, escalation, seccomp, caps]);
        assert_eq!(keys("v1.25", windows), [flag]);
        let user_namespace = Around { user_namespace: true, ..AROUND };
        assert_eq!(keys("v1.34", user_namespace).len(), 4);
        assert_eq!(keys("v1.35", user_namespace), [escalation, seccomp, caps]);

        let engine = json!({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}});
        assert_eq!(broken(of("baseline", "v1.30"), engine.clone()).len(), 1);
        assert_eq!(broken(of("baseline", "v1.31"), engine), [""; 0]);
        let probe = json!({"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}});
        assert_eq!(broken(of("baseline", "v1.33"), probe.clone()), [""; 0]);
        assert_eq!(broken(of("baseline", "v1.34"), probe), ["livenessProbe.*.host: baseline allows nothing"]);
    }

    #[test]
    fn what_can_not_be_helped_stays_and_is_named_once() {
        let root = json!({"securityContext": {"runAsUser": 0, "capabilities": {"add": ["CHOWN", "FOWNER"]}}});
        assert_eq!(
            broken(of("restricted", "latest"), root),
            [
                "securityContext.runAsUser: restricted allows any user but 0",
                "securityContext.capabilities.add[]: restricted allows only NET_BIND_SERVICE"
            ]
        );
        // The pod's own mistake; with runAsNonRoot the container would not even start.
        assert_eq!(completed(of("restricted", "latest"), Value::Null, Around { user: Some(0), ..AROUND }), None);
        assert_eq!(of("restricted", "latest").volume("hostPath").unwrap(), "restricted allows no hostPath volume");
        assert_eq!(of("baseline", "latest").volume("nfs"), None);
    }
}
