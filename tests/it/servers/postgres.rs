use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use super::{Helper, Server, Site, program, run};

/// A PostgreSQL cluster.
pub struct Postgres(Site);

impl Postgres {
    /// A new one with these lines of `postgresql.conf` and `pg_hba.conf`. Its superuser is `postgres`.
    pub fn new(conf: &str, hba: &str) -> Option<Self> {
        let site = Site::new(program("postgres", "postgresql")?);
        // `postgres` may be on the path as a link, without its siblings.
        let initdb = program("initdb", "postgresql")?;
        run(site.command(&initdb).args(["-D", "data", "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"]));
        let (port, place) = (site.port, site.dir.path().display());
        let fixed = format!("listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{place}'\n");
        site.write("data/postgresql.conf", format!("{fixed}fsync = off\n{conf}\n"));
        site.write("data/pg_hba.conf", hba);
        Some(Self(site))
    }

    pub fn address(&self) -> String {
        self.0.address()
    }

    /// Lets it start as a standby, of nobody.
    pub fn make_standby(&self) {
        self.0.write("data/standby.signal", "");
    }

    /// Gives it a certificate.
    pub fn certify(&self, cert: &[u8], key: &[u8]) {
        self.0.write("data/server.crt", cert);
        let key = self.0.write("data/server.key", key);
        fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    }

    pub fn start(&self) -> Server {
        // SIGQUIT: its backends are in sessions of their own, and leave with it.
        self.0.start(self.0.command(&self.0.program).args(["-D", "data"]), "QUIT")
    }

    pub fn start_and_listen(&self) -> Server {
        self.start().listening()
    }

    /// Ends the standby's life as one.
    pub fn promote(&self) {
        run(self.0.command(&program("pg_ctl", "postgresql").unwrap()).args(["promote", "-D", "data"]));
    }

    /// A session of the superuser, for as long as it is kept. The server may still hold the place of the one before.
    pub fn session(&self) -> Helper {
        for _ in 0..100 {
            let mut psql = self.0.command(&program("psql", "postgresql").unwrap());
            psql.args(["-h", "127.0.0.1", "-p", &self.0.port.to_string(), "-U", "postgres", "-XAt"]);
            let mut session = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // Its standard input stays open.
            let _ = session.stdin.as_mut().unwrap().write_all(b"select 'here';\n");
            let begun = session.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).is_ok();
            let session = Helper(session);
            if begun {
                return session;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no session")
    }
}
