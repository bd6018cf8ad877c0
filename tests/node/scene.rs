//! What a test works with: a namespace of its own in which podgraft is in force, seen through kubectl.

use std::fmt::Display;
use std::thread::{panicking, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Printed, RUN_LABEL, Run, kubectl, kubectl_and_warnings};
use crate::podgraft::{Podgraft, SERVED_BY};

/// How long anything may take on a busy machine before the test gives up; nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Where a test takes place. When the test fails, what a person would look at is printed; then the namespace goes.
pub struct Scene {
    pub run: &'static Run,
    /// The test's namespace.
    pub namespace: String,
    /// In place of the one that the run's tests share.
    own: Option<Podgraft>,
}

impl Scene {
    /// A namespace for this test; `None`, which is said, where no cluster may be used.
    pub fn set(test: &str) -> Option<Self> {
        Self::set_with(test, json!({}))
    }

    /// The same with more metadata (labels, annotations) for the namespace.
    pub fn set_with(test: &str, metadata: Value) -> Option<Self> {
        Some(Self::new(Run::get(test)?, test, metadata, None))
    }

    /// A namespace in which a podgraft of the test's own is in force, with these options.
    pub fn set_with_options(test: &str, options: &[&str]) -> Option<Self> {
        let run = Run::get(test)?;
        let own = Podgraft::put_in_force(run, &format!("for-{test}"), options);
        Some(Self::new(run, test, json!({}), Some(own)))
    }

    /// A namespace for what the test itself puts in force.
    pub fn set_for(test: &str, podgraft: impl FnOnce(&'static Run) -> Podgraft) -> Option<Self> {
        let run = Run::get(test)?;
        Some(Self::new(run, test, json!({}), Some(podgraft(run))))
    }

    fn new(run: &'static Run, test: &str, mut metadata: Value, own: Option<Podgraft>) -> Self {
        metadata["labels"][SERVED_BY] = own.as_ref().unwrap_or_else(|| run.podgraft()).name.as_str().into();
        let namespace = namespace(run, &format!("{}-{test}", run.name), &metadata);
        Self { run, namespace, own }
    }

    /// What is in force in the namespace.
    pub fn podgraft(&self) -> &Podgraft {
        self.own.as_ref().unwrap_or_else(|| self.run.podgraft())
    }

    /// Runs kubectl in the namespace and gives what it prints.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Runs kubectl in the namespace.
    ///
    /// # Errors
    ///
    /// It failed, and this is what it printed.
    pub fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        kubectl(&self.here(args), "")
    }

    /// Runs kubectl in the namespace with a standard input, and gives what it prints.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> String {
        kubectl(&self.here(args), input).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Asks what the API server would make of objects.
    ///
    /// # Errors
    ///
    /// It refuses some, for these reasons.
    pub fn dry_run(&self, objects: &[Value]) -> Result<Vec<Value>, String> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let create = self.here(&["create", "--dry-run=server", "-o", "json", "-f", "-"]);
        let answers = kubectl(&create, &list.to_string())?;
        let answers: Result<_, _> = serde_json::Deserializer::from_str(&answers).into_iter().collect();
        Ok(answers.expect("JSON"))
    }

    /// Applies manifests (YAML text, or a [`Value`]) and gives the warnings that came back.
    ///
    /// # Panics
    ///
    /// If one is refused.
    pub fn apply(&self, manifests: impl Display) -> String {
        let printed = self.try_apply(manifests).unwrap_or_else(|why| panic!("{why}"));
        printed.errors
    }

    /// Applies manifests that are to be refused, and gives the reason.
    ///
    /// # Panics
    ///
    /// If they are accepted.
    pub fn refused(&self, manifests: impl Display) -> String {
        match self.try_apply(manifests) {
            Ok(printed) => panic!("this was to be refused: {}", printed.output),
            Err(why) => why,
        }
    }

    fn try_apply(&self, manifests: impl Display) -> Result<Printed, String> {
        kubectl_and_warnings(&self.here(&["apply", "-f", "-"]), &manifests.to_string())
    }

    /// Waits for a condition as `kubectl wait --for` knows them: `condition=Ready`, `delete`, `jsonpath={.status.phase}=Failed`.
    pub fn wait(&self, object: &str, condition: &str) {
        self.kubectl(&["wait", object, &format!("--for={condition}"), &format!("--timeout={}s", PATIENCE.as_secs())]);
    }

    /// Waits until there is something, and gives it. Asks a few times a second.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "{}: not in time: {what}", self.namespace);
            sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a container's log holds a text, and gives the log.
    pub fn until_logged(&self, pod: &str, container: &str, text: &str) -> String {
        let mut last = String::new();
        let what = format!("{text:?} in the log of {container} in {pod}");
        self.until(&what, || {
            // Until the container has started there is no log, which is an error.
            last = self.try_kubectl(&["logs", pod, "-c", container]).ok()?;
            last.contains(text).then(|| last.clone())
        })
    }

    /// A field of an object, by JSONPath (`{.status.qosClass}`); empty where there is none.
    pub fn get(&self, object: &str, path: &str) -> String {
        self.kubectl(&["get", object, "-o", &format!("jsonpath={path}")])
    }

    /// An object in whole.
    pub fn object(&self, object: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", object, "-o", "json"])).expect("JSON")
    }

    /// The column STATUS of `kubectl get pod`: `Init:0/1`, `Running`, `Completed`…
    pub fn status(&self, pod: &str) -> String {
        let row = self.kubectl(&["get", "pod", pod, "--no-headers"]);
        row.split_whitespace().nth(2).unwrap_or_default().to_owned()
    }

    /// Waits until the column STATUS is this: the kubelet tells what it has done a moment after it has done it.
    pub fn until_status(&self, pod: &str, wanted: &str) {
        self.until(&format!("{pod} {wanted}"), || (self.status(pod) == wanted).then_some(()));
    }

    /// A container's log so far.
    pub fn logs(&self, pod: &str, container: &str) -> String {
        self.kubectl(&["logs", pod, "-c", container])
    }

    /// Runs a command in a container and gives what it prints.
    pub fn exec(&self, pod: &str, container: &str, command: &[&str]) -> String {
        self.try_exec(pod, container, command).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Runs a command in a container.
    ///
    /// # Errors
    ///
    /// It failed, and this is what it printed.
    pub fn try_exec(&self, pod: &str, container: &str, command: &[&str]) -> Result<String, String> {
        self.try_kubectl(&[&["exec", pod, "-c", container, "--"], command].concat())
    }

    fn here<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["-n", self.namespace.as_str()], args].concat()
    }

    /// What a person would look at who wonders why a pod does not do what it should.
    fn picture(&self) -> String {
        let show = |args: &[&str]| {
            let shown = self.try_kubectl(args).unwrap_or_else(|why| why);
            format!("\n$ kubectl {}\n{shown}", args.join(" "))
        };
        let mut text = show(&["get", "pods,jobs,deployments,statefulsets", "-o", "wide"]);
        text += &show(&["describe", "pods"]);
        for pod in self.try_kubectl(&["get", "pods", "-o", "name"]).unwrap_or_default().lines() {
            text += &show(&["logs", pod, "--all-containers", "--prefix", "--tail=50", "--ignore-errors"]);
        }
        text += &show(&["get", "events", "--sort-by=.metadata.creationTimestamp"]);
        text
    }
}

impl Drop for Scene {
    #[expect(clippy::print_stderr, reason = "shown with the failed test")]
    fn drop(&mut self) {
        if panicking() {
            let podgraft = self.podgraft();
            eprintln!("{}:\n{}\n{podgraft}:\n{}", self.namespace, self.picture(), podgraft.picture());
        }
        if !self.run.keep {
            // Nobody waits for what these pods would still like to do.
            let _ = self.try_kubectl(&["delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"]);
            let _ = kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "");
        }
    }
}

/// Makes a namespace of this run with more metadata, ready to hold pods, and gives its name.
pub fn namespace(run: &Run, name: &str, metadata: &Value) -> String {
    let name = format!("podgraft-{name}");
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    namespace["metadata"]["name"] = name.as_str().into();
    namespace["metadata"]["labels"][RUN_LABEL] = run.name.as_str().into();
    kubectl(&["create", "-f", "-"], &namespace.to_string()).unwrap_or_else(|why| panic!("{why}"));
    // A controller makes it a moment later, and pods are refused until then.
    kubectl(&["wait", "serviceaccount/default", "--for=create", "-n", &name], "").unwrap_or_else(|why| panic!("{why}"));
    name
}
