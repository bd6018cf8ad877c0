//! The order of init containers: `before`/`after` first, then by kind, then by name; what is there keeps its order.
//!
//! A topological sort that always takes the smallest container that may come next. The pod's own containers are one
//! chain. By default ours come after another mesh's native sidecar, native sidecars before init containers, and all of
//! them before the rest of the pod's own: so also before `istio-init`, behind which traffic is redirected to a proxy
//! that, as an ordinary container, does not run yet.
//!
//! Sidecars in the classic form are ordinary containers: behind the pod's own, and sorted among each other.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::asked::Asked;
use super::draft::{GraftIndex, Kind, NewContainer};
use super::pod::Container;
use super::reason::{Reason, some};

/// Proxies of meshes: as native sidecars, they have to run before anything of ours talks to the network.
const MESH_PROXIES: [&str; 4] = ["consul-dataplane", "istio-proxy", "kuma-sidecar", "linkerd-proxy"];

/// A place in the final list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The pod's own, by its index.
    Old(usize),
    /// A planned one, by its index in the draft.
    New(usize),
}

/// An order that can't be kept.
#[derive(Debug)]
pub struct Impossible {
    /// `a before b, b before a`.
    pub chain: String,
    /// The grafts in it.
    pub grafts: Vec<GraftIndex>,
}

impl Impossible {
    /// The reason, in the name of one of its grafts.
    #[must_use]
    pub fn reason(&self, graft: String) -> Reason {
        Reason::Order { graft, chain: self.chain.clone() }
    }
}

/// What is to be ordered.
#[derive(Debug)]
pub struct Ordering<'o, 'a> {
    /// The pod's init containers.
    pub old: &'o [Container<'a>],
    /// The pod's other containers: nothing among the init containers comes after one of these.
    pub ordinary: &'o [Container<'a>],
    /// The planned containers.
    pub new: &'o [NewContainer<'o, 'a>],
    /// The grafts.
    pub asked: &'o [Asked<'a>],
    /// Containers that grafts made in an earlier call, by template name.
    pub done: &'o [(&'o str, &'o [Cow<'o, str>])],
}

impl Ordering<'_, '_> {
    /// The final order of the init containers, and behind them the classic sidecars, as they are appended to the pod's
    /// ordinary containers.
    ///
    /// # Errors
    ///
    /// A cycle, or a container that would have to stand after one that starts later.
    pub fn sort(&self) -> Result<Vec<Slot>, Impossible> {
        let mut order = self.init_containers()?;
        order.append(&mut self.appended()?);
        Ok(order)
    }

    fn init_containers(&self) -> Result<Vec<Slot>, Impossible> {
        let mut nodes = self.nodes();
        let ordered = self.new.iter().any(|it| self.is_ordered(it));
        if nodes.len() == self.old.len() && !ordered {
            return Ok(nodes);
        }
        let mesh = self.mesh_ends();
        if !ordered {
            // The ranks alone keep the pod's own in their order, and ours after a mesh.
            nodes.sort_by(|a, b| self.rank(*a, mesh).cmp(&self.rank(*b, mesh)));
            return Ok(nodes);
        }
        let mut graph = Graph::new(nodes.len());
        for old in 1..self.old.len() {
            graph.add(old - 1, old);
        }
        self.asked_for(&nodes, &mut graph)?;
        self.after_mesh(mesh, &mut graph);
        graph
            .sort(|node| self.rank(nodes[node], mesh))
            .map(|order| order.into_iter().map(|node| nodes[node]).collect())
            .map_err(|cycle| self.impossible(&nodes, &cycle))
    }

    /// The classic sidecars: in the order that they ask for, else in that of their planning.
    fn appended(&self) -> Result<Vec<Slot>, Impossible> {
        let appended = || self.new.iter().enumerate().filter(|(_, it)| it.kind == Kind::ClassicSidecar);
        let nodes: Vec<_> = appended().map(|(index, _)| Slot::New(index)).collect();
        if !appended().any(|(_, it)| self.is_ordered(it)) {
            return Ok(nodes);
        }
        let (named, there) = (self.named(&nodes), self.ordinary_there());
        let mut graph = Graph::new(nodes.len());
        for (own, (_, it)) in appended().enumerate() {
            let order = &self.asked[it.graft].template.order;
            if let Some(earlier) = order.before.iter().find_map(|name| there.get(name.as_str())) {
                return Err(Impossible {
                    chain: format!("{}, which comes behind the pod's ordinary containers, before {earlier}", it.name),
                    grafts: vec![it.graft],
                });
            }
            self.ask(own, it.graft, &nodes, &named, &mut graph)?;
        }
        graph
            .sort(|node| node)
            .map(|order| order.into_iter().map(|node| nodes[node]).collect())
            .map_err(|cycle| self.impossible(&nodes, &cycle))
    }

    fn impossible(&self, nodes: &[Slot], cycle: &[usize]) -> Impossible {
        // The pod's own keep their order, and there may be thousands: of those in a row, the first and the last tell enough.
        let of_pod = |node: &usize| self.graft(nodes[*node]).is_none();
        let in_a_row = |at: usize| at > 0 && cycle.get(at - 1..=at + 1).is_some_and(|three| three.iter().all(of_pod));
        let told: Vec<_> = (0..cycle.len()).filter(|at| !in_a_row(*at)).map(|at| cycle[at]).collect();
        Impossible {
            chain: some(told.windows(2), ", ", |pair| self.shown(nodes, pair)),
            grafts: cycle.iter().filter_map(|node| self.graft(nodes[*node])).collect(),
        }
    }

    /// The pod's own first, by index, so that a node below `old.len()` is that container.
    fn nodes(&self) -> Vec<Slot> {
        let new = self.new.iter().enumerate().filter(|(_, it)| it.kind != Kind::ClassicSidecar);
        (0..self.old.len()).map(Slot::Old).chain(new.map(|(index, _)| Slot::New(index))).collect()
    }

    fn graft(&self, slot: Slot) -> Option<GraftIndex> {
        match slot {
            Slot::Old(_) => None,
            Slot::New(index) => Some(self.new[index].graft),
        }
    }

    fn name(&self, slot: Slot) -> &str {
        match slot {
            Slot::Old(index) => &self.old[index].name,
            Slot::New(index) => &self.new[index].name,
        }
    }

    fn shown(&self, nodes: &[Slot], pair: &[usize]) -> String {
        format!("{} before {}", self.name(nodes[pair[0]]), self.name(nodes[pair[1]]))
    }

    /// What comes first where nothing else decides; `mesh` is where a mesh ends.
    fn rank(&self, slot: Slot, mesh: Option<usize>) -> (u8, &str, Option<&str>, usize) {
        match slot {
            Slot::Old(index) if mesh.is_some_and(|end| index < end) => (0, "", None, index),
            Slot::Old(index) => (3, "", None, index),
            Slot::New(index) => {
                let new = &self.new[index];
                let name = self.asked[new.graft].name;
                (if new.kind == Kind::NativeSidecar { 1 } else { 2 }, name.template, name.instance, index)
            }
        }
    }

    /// The index after the last native sidecar of a mesh.
    fn mesh_ends(&self) -> Option<usize> {
        let proxy = |it: &Container<'_>| it.is_sidecar() && MESH_PROXIES.contains(&&*it.name);
        self.old.iter().rposition(proxy).map(|last| last + 1)
    }

    /// The nodes that each name in `before` or `after` stands for: a template's containers, or one container of the pod. Of
    /// those that are there, the first and the last: they keep their order.
    fn named<'n>(&'n self, nodes: &[Slot]) -> HashMap<&'n str, Vec<usize>> {
        let done = self.done.iter().flat_map(|(template, made)| made.iter().map(|name| (&**name, *template)));
        let done: HashMap<&str, &str> = done.collect();
        let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
        for (node, slot) in nodes.iter().enumerate() {
            match *slot {
                Slot::Old(index) => {
                    let name = &*self.old[index].name;
                    let template = done.get(name).copied().filter(|template| *template != name);
                    for name in template.into_iter().chain([name]) {
                        let found = named.entry(name).or_default();
                        if let [_, last] = &mut found[..] {
                            *last = node;
                        } else {
                            found.push(node);
                        }
                    }
                }
                Slot::New(index) => {
                    named.entry(self.asked[self.new[index].graft].name.template).or_default().push(node);
                }
            }
        }
        named
    }

    /// What a name in `before` or `after` stands for among the ordinary containers: one of them, and whose it is, if it is
    /// planned.
    fn ordinary_named(&self) -> HashMap<&str, (&str, Option<GraftIndex>)> {
        let mut named: HashMap<&str, _> =
            self.ordinary_there().into_iter().map(|(said, name)| (said, (name, None))).collect();
        for it in self.new.iter().filter(|it| it.kind == Kind::ClassicSidecar) {
            named.insert(self.asked[it.graft].name.template, (&it.name, Some(it.graft)));
        }
        named
    }

    /// What a name in `before` or `after` stands for among the ordinary containers that are there: one of them.
    fn ordinary_there(&self) -> HashMap<&str, &str> {
        let mut there: HashMap<&str, &str> = self.ordinary.iter().map(|it| (&*it.name, &*it.name)).collect();
        let first = |made: &[Cow<'_, str>]| made.iter().find_map(|name| there.get(&**name).copied());
        let done: Vec<_> = self.done.iter().filter_map(|(template, made)| Some((*template, first(made)?))).collect();
        there.extend(done);
        there
    }

    /// Whether its template asks for a place.
    fn is_ordered(&self, container: &NewContainer<'_, '_>) -> bool {
        let order = &self.asked[container.graft].template.order;
        !order.before.is_empty() || !order.after.is_empty()
    }

    fn asked_for(&self, nodes: &[Slot], graph: &mut Graph) -> Result<(), Impossible> {
        let (named, ordinary) = (self.named(nodes), self.ordinary_named());
        for (own, slot) in nodes.iter().enumerate().skip(self.old.len()) {
            let Some(graft) = self.graft(*slot) else { continue };
            let order = &self.asked[graft].template.order;
            self.ask(own, graft, nodes, &named, graph)?;
            let mut late = order.after.iter().filter_map(|name| ordinary.get(name.as_str()));
            if let Some((late, whose)) = late.find(|(_, whose)| *whose != Some(graft)) {
                return Err(Impossible {
                    chain: format!(
                        "{} after {late}, which is an ordinary container and starts when all init containers have",
                        self.name(*slot)
                    ),
                    grafts: std::iter::once(graft).chain(*whose).collect(),
                });
            }
        }
        // What starts when all init containers have comes after them anyway, and before none.
        for own in self.new.iter().filter(|it| it.kind == Kind::ClassicSidecar) {
            let before = &self.asked[own.graft].template.order.before;
            if let Some(other) = self.others(before, nodes, &named, own.graft).next() {
                return Err(Impossible {
                    chain: format!(
                        "{}, which is an ordinary container and starts when all init containers have, before {}",
                        own.name,
                        self.name(nodes[other])
                    ),
                    grafts: std::iter::once(own.graft).chain(self.graft(nodes[other])).collect(),
                });
            }
        }
        Ok(())
    }

    /// Adds what the template of a node asks for, looking at the bound before each edge: one name may stand for thousands.
    fn ask(
        &self,
        own: usize,
        graft: GraftIndex,
        nodes: &[Slot],
        named: &HashMap<&str, Vec<usize>>,
        graph: &mut Graph,
    ) -> Result<(), Impossible> {
        let order = &self.asked[graft].template.order;
        let later = self.others(&order.before, nodes, named, graft).map(|other| (own, other));
        let earlier = self.others(&order.after, nodes, named, graft).map(|other| (other, own));
        for (from, to) in later.chain(earlier) {
            if graph.asked >= MAX_EDGES {
                let chain = format!("it orders more than {MAX_EDGES} pairs of containers");
                return Err(Impossible { chain, grafts: vec![graft] });
            }
            graph.asked += 1;
            graph.add(from, to);
        }
        Ok(())
    }

    /// The nodes that these names stand for, but the graft's own.
    fn others<'o>(
        &'o self,
        said: &'o [String],
        nodes: &'o [Slot],
        named: &'o HashMap<&str, Vec<usize>>,
        graft: GraftIndex,
    ) -> impl Iterator<Item = usize> + 'o {
        let found = said.iter().filter_map(|name| named.get(name.as_str())).flatten().copied();
        found.filter(move |other| self.graft(nodes[*other]) != Some(graft))
    }

    /// Ours come after a mesh's native sidecar unless they are asked to come before.
    fn after_mesh(&self, mesh: Option<usize>, graph: &mut Graph) {
        let Some(end) = mesh else { return };
        let before = graph.reaching(end - 1);
        for (own, _) in before.iter().enumerate().skip(self.old.len()).filter(|(_, before)| !**before) {
            graph.add(end - 1, own);
        }
    }
}

/// The most pairs of containers that an order may name: each container of one template before each of another's.
const MAX_EDGES: usize = 64 * 1024;

/// A directed graph over `0..len`. An edge may stand twice.
#[derive(Debug)]
struct Graph {
    next: Vec<Vec<usize>>,
    /// How many of its edges templates ask for.
    asked: usize,
}

impl Graph {
    fn new(len: usize) -> Self {
        Self { next: vec![Vec::new(); len], asked: 0 }
    }

    fn add(&mut self, from: usize, to: usize) {
        self.next[from].push(to);
    }

    /// From which nodes `to` can be reached.
    fn reaching(&self, to: usize) -> Vec<bool> {
        let mut previous = vec![Vec::new(); self.next.len()];
        for (from, next) in self.next.iter().enumerate() {
            for to in next {
                previous[*to].push(from);
            }
        }
        let mut found = vec![false; self.next.len()];
        let mut open = vec![to];
        while let Some(node) = open.pop() {
            for &from in &previous[node] {
                if !std::mem::replace(&mut found[from], true) {
                    open.push(from);
                }
            }
        }
        found
    }

    /// A topological order that takes the lowest rank first, or a cycle: its first node stands again at its end.
    fn sort<R: Ord>(&self, rank: impl Fn(usize) -> R) -> Result<Vec<usize>, Vec<usize>> {
        let mut waiting = vec![0_usize; self.next.len()];
        self.next.iter().flatten().for_each(|to| waiting[*to] += 1);
        let ready = (0..self.next.len()).filter(|node| waiting[*node] == 0);
        let mut ready: BinaryHeap<_> = ready.map(|node| Reverse((rank(node), node))).collect();
        let mut order = Vec::with_capacity(self.next.len());
        while let Some(Reverse((_, node))) = ready.pop() {
            order.push(node);
            for &to in &self.next[node] {
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    ready.push(Reverse((rank(to), to)));
                }
            }
        }
        if order.len() == self.next.len() { Ok(order) } else { Err(self.cycle(&waiting)) }
    }

    /// A cycle among the nodes that still wait: walking backwards from any of them never leaves them.
    fn cycle(&self, waiting: &[usize]) -> Vec<usize> {
        let stuck = |node: usize| waiting[node] > 0;
        let mut previous = vec![None; waiting.len()];
        for from in (0..waiting.len()).rev().filter(|node| stuck(*node)) {
            for &to in &self.next[from] {
                previous[to] = Some(from);
            }
        }
        let mut walked = Vec::new();
        // Where each node stands in it: a cycle may be as long as the pod, and is looked for once for each graft in it.
        let mut places = vec![None; waiting.len()];
        let mut at = (0..waiting.len()).find(|node| stuck(*node));
        while let Some(node) = at {
            if let Some(start) = places[node].replace(walked.len()) {
                let mut cycle = walked.split_off(start);
                cycle.push(node);
                cycle.reverse();
                return cycle;
            }
            walked.push(node);
            at = previous[node];
        }
        walked
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Graph;
    use crate::inject::request::PodRequest;
    use crate::inject::tests::snapshot;
    use crate::inject::{Outcome, inject};

    /// A template with this many sidecars.
    fn template(name: &str, sidecars: usize, order: &Value) -> Value {
        let sidecars: Vec<_> =
            (0..sidecars).map(|index| json!({"name": format!("{name}{index}"), "image": "a"})).collect();
        json!({"order": order, "sidecars": sidecars})
    }

    #[test]
    fn pairs_are_counted_in_either_form_of_sidecars_and_not_those_of_the_pod() {
        let init: Vec<_> = (0..1000).map(|it| json!({"name": format!("own{it}"), "image": "a"})).collect();
        let pod = json!({
            "metadata": {"annotations": {"inject/a": "true", "inject/b": "true"}},
            "spec": {"initContainers": init, "containers": [{"name": "app", "image": "a"}]},
        });
        let pod = pod.to_string();
        for native_sidecars in [true, false] {
            for (sidecars, fits) in [(256, true), (257, false)] {
                let (a, b) = (template("a", 256, &json!({})), template("b", sidecars, &json!({"after": ["a"]})));
                let mut snapshot = snapshot(&[("a", &a), ("b", &b)]);
                snapshot.policy.native_sidecars = native_sidecars;
                let request = PodRequest::create(&pod, "default").unwrap();
                match inject(&request, &snapshot) {
                    Outcome::Inject(_) => assert!(fits, "{sidecars}"),
                    Outcome::Reject(reasons, _) => {
                        let said = reasons[0].to_string();
                        assert!(!fits && said.contains("more than 65536 pairs of containers"), "{said}");
                    }
                    outcome @ Outcome::Skip(..) => panic!("{outcome:?}"),
                }
            }
        }
    }

    #[test]
    fn a_long_cycle_is_found_step_by_step() {
        let nodes = 300_000;
        let mut graph = Graph::new(nodes);
        for node in 0..nodes {
            graph.add(node, (node + 1) % nodes);
        }
        assert_eq!(graph.sort(|node| node).unwrap_err().len(), nodes + 1);
    }

    #[test]
    fn of_a_long_cycle_is_told_what_closes_it() {
        let snapshot = snapshot(&[("a", &template("a", 1, &json!({"before": ["first"], "after": ["last"]})))]);
        let asked: Value = (0..8).map(|it| (format!("i{it}.inject/a"), json!("true"))).collect();
        let between = (0..2000).map(|it| format!("{it:063}"));
        let names = std::iter::once("first".to_owned()).chain(between).chain(["last".to_owned()]);
        let init: Vec<_> = names.map(|name| json!({"name": name, "image": "a"})).collect();
        let spec = json!({"initContainers": init, "containers": [{"name": "app", "image": "a"}]});
        let pod = json!({"metadata": {"annotations": asked}, "spec": spec}).to_string();
        let request = PodRequest::create(&pod, "default").unwrap();
        let Outcome::Reject(reasons, _) = inject(&request, &snapshot) else { panic!("it is not kept") };
        let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        for (index, reason) in reasons.iter().enumerate() {
            let chain = format!("first before last, last before a0-i{index}, a0-i{index} before first");
            assert_eq!(*reason, format!("i{index}.a: the order can't be kept: {chain}"));
        }
        assert_eq!(reasons.len(), 8);
    }
}
