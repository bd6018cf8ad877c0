use super::{Server, Site, program, run};

/// A MariaDB data directory.
pub struct MariaDb(Site);

impl MariaDb {
    /// A new one, whose root needs no password.
    pub fn new() -> Option<Self> {
        let site = Site::new(program("mariadbd", "mariadb-server")?);
        let install = program("mariadb-install-db", "mariadb-server")?;
        run(site
            .command(&install)
            .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"])
            .arg(format!("--datadir={}/data", site.dir.path().display())));
        Some(Self(site))
    }

    pub fn address(&self) -> String {
        self.0.address()
    }

    pub fn start(&self, options: &[&str]) -> Server {
        let place = self.0.dir.path().display();
        let mut command = self.0.command(&self.0.program);
        command.args(["--no-defaults", "--bind-address=127.0.0.1", &format!("--port={}", self.0.port)]);
        command.args([format!("--datadir={place}/data"), format!("--socket={place}/socket")]).args(options);
        self.0.start(&mut command, "KILL").listening()
    }

    /// Runs statements as root, past the network.
    pub fn sql(&self, statements: &str) -> String {
        let socket = format!("--socket={}/socket", self.0.dir.path().display());
        let client = program("mariadb", "mariadb-client").unwrap();
        run(self.0.command(&client).args(["--no-defaults", &socket, "--user=root", "--batch", "--execute", statements]))
    }
}
