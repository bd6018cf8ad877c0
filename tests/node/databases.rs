//! Databases of this machine, which pods reach at the run's host address.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::Run;
use crate::process::Process;

/// Kinds of databases, from Debian's packages postgresql-15, mariadb-server and redis-server.
#[derive(Clone, Copy)]
pub enum Kind {
    Postgres,
    MariaDb,
    Redis,
}

/// A database with a port of its own; it ends with the test.
pub struct Database {
    kind: Kind,
    host: String,
    port: u16,
    directory: PathBuf,
    process: Option<Process>,
}

impl Database {
    /// Makes an empty database, which does not listen yet. PostgreSQL lets everybody in, MariaDB the user `app` with the
    /// password `secret`.
    pub fn make(run: &Run, kind: Kind) -> Self {
        let listener = TcpListener::bind((run.host.as_str(), 0)).expect("an address of this machine");
        let port = listener.local_addr().expect("an address").port();
        let directory = run.directory.join(format!("{}-{port}", kind.user()));
        // The servers refuse to run as root, and have to get here.
        fs::set_permissions(&run.directory, Permissions::from_mode(0o711)).expect("our directory");
        succeed(Command::new("install").args(["-d", "-m", "700"]).args(kind.owner()).arg(&directory));
        let database = Self { kind, host: run.host.clone(), port, directory, process: None };
        let data = database.directory.to_str().expect("text");
        match kind {
            Kind::Postgres => {
                let initdb = ["/usr/lib/postgresql/15/bin/initdb", "--no-sync", "--auth=trust", "--pgdata", data];
                database.succeed(&initdb);
                let rules = File::options().append(true).open(database.directory.join("pg_hba.conf"));
                writeln!(rules.expect("PostgreSQL's rules"), "host all all all trust").expect("a line more");
            }
            Kind::MariaDb => {
                let datadir = format!("--datadir={data}");
                let own = ["--auth-root-authentication-method=normal", "--skip-test-db"];
                database.succeed(&[&["mariadb-install-db", "--no-defaults", &datadir], &own[..]].concat());
                // Hosts of which no user may come are refused before they log in.
                let user = "CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY 'secret';\n";
                fs::write(database.directory.join("init.sql"), user).expect("a file");
            }
            Kind::Redis => {}
        }
        database
    }

    /// What `wait-for-db` and its like take.
    pub fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MariaDb => "mysql",
            Kind::Redis => "redis",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Starts it; when it accepts sessions is its own affair.
    pub fn start(&mut self) {
        let Self { host, port, .. } = self;
        let directory = self.directory.to_str().expect("text");
        let server = match self.kind {
            Kind::Postgres => format!(
                "/usr/lib/postgresql/15/bin/postgres -D {directory} -h {host} -p {port} -F -c unix_socket_directories="
            ),
            Kind::MariaDb => format!(
                "mariadbd --no-defaults --datadir={directory} --socket={directory}/socket --bind-address={host} \
                 --port={port} --init-file={directory}/init.sql"
            ),
            Kind::Redis => format!("redis-server --dir {directory} --bind {host} --port {port} --protected-mode no"),
        };
        let words: Vec<_> = self.kind.as_user().into_iter().chain(server.split(' ')).collect();
        let log = self.directory.with_extension("log");
        self.process = Some(Process::spawn(Path::new("env"), words, log).expect("the server starts"));
    }

    /// Runs a command as the server's user.
    fn succeed(&self, words: &[&str]) {
        succeed(Command::new("env").args(self.kind.as_user()).args(words).current_dir(&self.directory));
    }
}

impl Kind {
    /// Whom Debian has it run as.
    fn user(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mysql",
            Self::Redis => "redis",
        }
    }

    /// Options of `install` for what belongs to it.
    fn owner(self) -> Vec<&'static str> {
        if root() { vec!["-o", self.user(), "-g", self.user()] } else { Vec::new() }
    }

    /// What comes before a command that it is to run, if we are root.
    fn as_user(self) -> Vec<&'static str> {
        if root() {
            vec!["setpriv", "--reuid", self.user(), "--regid", self.user(), "--clear-groups"]
        } else {
            Vec::new()
        }
    }
}

fn root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
