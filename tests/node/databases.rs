//! Databases of this machine, which pods reach at the run's host address.

use crate::cluster::Run;
use crate::it::servers::{MariaDb, Postgres, Redis, Server};

/// Kinds of databases, from Debian's packages postgresql, mariadb-server and redis-server.
#[derive(Clone, Copy)]
pub enum Kind {
    Postgres,
    MariaDb,
    Redis,
}

/// A database with a port of its own; it ends with the test.
pub struct Database {
    site: Site,
    host: String,
    server: Option<Server>,
}

enum Site {
    Postgres(Postgres),
    MariaDb(MariaDb),
    Redis(Redis),
}

impl Database {
    /// Makes an empty database, which does not listen yet. PostgreSQL lets everybody in, MariaDB the user `app`, who has
    /// the password `secret`.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    pub fn make(run: &Run, kind: Kind) -> Self {
        let host = run.host.clone();
        let site = match kind {
            Kind::Postgres => {
                let everywhere = format!("listen_addresses = '127.0.0.1,{host}'");
                Postgres::new(&everywhere, "host all all all trust\n").map(Site::Postgres)
            }
            Kind::MariaDb => MariaDb::new().map(Site::MariaDb),
            Kind::Redis => Redis::new().map(Site::Redis),
        };
        Self { site: site.expect("the database is installed"), host, server: None }
    }

    /// What `wait-for-db` and its like take.
    pub fn url(&self) -> String {
        let (scheme, here) = match &self.site {
            Site::Postgres(postgres) => ("postgres", postgres.address()),
            Site::MariaDb(mariadb) => ("mysql", mariadb.address()),
            Site::Redis(redis) => ("redis", redis.address()),
        };
        format!("{scheme}://{}", here.replace("127.0.0.1", &self.host))
    }

    /// Starts it; when it accepts sessions is its own affair.
    pub fn start(&mut self) {
        let host = self.host.as_str();
        self.server = Some(match &self.site {
            Site::Postgres(postgres) => postgres.start(),
            Site::MariaDb(mariadb) => {
                let server = mariadb.start(&[&format!("--bind-address=127.0.0.1,{host}")]);
                // It says no to hosts of which no user may come, before they can log in.
                mariadb.sql("CREATE USER app@'%' IDENTIFIED BY 'secret'");
                server
            }
            Site::Redis(redis) => redis.start(&["--bind", "127.0.0.1", host, "--protected-mode", "no"]),
        });
    }
}
