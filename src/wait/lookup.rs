//! The addresses of a name, wherever the application would find them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;
use std::{fs, io};

use tokio::task::JoinSet;
use tokio::time::timeout;

/// The search list, among other things: resolv.conf(5).
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Longer than a look-up takes where every name server answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks a name up. May be dropped at any time.
///
/// glibc, which most applications have, goes through the whole search list of a name. musl, which our image has, leaves it
/// out for names with `ndots` dots, and ends at the first domain whose name server fails, after some seconds. What it may
/// have left out is asked for here, side by side.
///
/// # Errors
///
/// What the system says of the name.
pub(super) async fn addresses(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut lookups = Lookups::default();
    lookups.begin(name.to_owned(), port);
    let patience = if cfg!(target_env = "musl") { PATIENCE } else { Duration::MAX };
    let mut found = timeout(patience, lookups.first()).await.ok().flatten();
    if found.is_none() && cfg!(target_env = "musl") {
        let configuration = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        for name in candidates(name, &configuration) {
            lookups.begin(name, port);
        }
        found = lookups.first().await;
    }
    found.ok_or_else(|| lookups.error.unwrap_or_else(|| io::Error::other("it has no address")))
}

/// Look-ups under way. The system's resolver blocks its thread: dropped, the set forgets a look-up, and one that has not
/// begun never will.
#[derive(Default)]
struct Lookups {
    set: JoinSet<io::Result<Vec<SocketAddr>>>,
    /// What the first to fail said.
    error: Option<io::Error>,
}

impl Lookups {
    fn begin(&mut self, name: String, port: u16) {
        self.set.spawn_blocking(move || (name, port).to_socket_addrs().map(Vec::from_iter));
    }

    /// The addresses that are found first; none if all look-ups fail.
    async fn first(&mut self) -> Option<Vec<SocketAddr>> {
        while let Some(done) = self.set.join_next().await {
            match done {
                Ok(Ok(found)) if !found.is_empty() => return Some(found),
                Ok(Err(error)) => drop(self.error.get_or_insert(error)),
                _ => {}
            }
        }
        None
    }
}

/// The names that `name` may be short for, with the dot at their end that keeps them from being searched for.
fn candidates(name: &str, configuration: &str) -> Vec<String> {
    if name.ends_with('.') {
        return Vec::new();
    }
    // The last line of the kind counts.
    let search = configuration.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|key| ["search", "domain"].contains(key)).map(|_| words)
    });
    let domains = search.into_iter().flatten().map(|domain| domain.trim_end_matches('.'));
    let below = domains.filter(|domain| !domain.is_empty()).map(|domain| format!("{name}.{domain}."));
    below.chain([format!("{name}.")]).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_name_may_be_short_for_one_below_each_search_domain() {
        let pod = "search shop.svc.cluster.local svc.cluster.local. .\nnameserver 10.96.0.10\noptions ndots:1\n";
        let wanted = ["db.shop.shop.svc.cluster.local.", "db.shop.svc.cluster.local.", "db.shop."];
        assert_eq!(candidates("db.shop", pod), wanted);
        assert_eq!(candidates("db", "search a\ndomain b\n# search c\n"), ["db.b.", "db."]);
        assert_eq!(candidates("db", ""), ["db."]);
        assert!(candidates("db.shop.", pod).is_empty());
    }
}
