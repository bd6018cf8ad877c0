use super::{Server, Site, program, run};

/// A Redis with a directory for its data.
pub struct Redis(Site);

impl Redis {
    pub fn new() -> Option<Self> {
        Some(Self(Site::new(program("redis-server", "redis-server")?)))
    }

    pub fn address(&self) -> String {
        self.0.address()
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.0.write(name, content)
    }

    pub fn start(&self, options: &[&str]) -> Server {
        let mut command = self.0.command(&self.0.program);
        command.args(["--bind", "127.0.0.1", "--port", &self.0.port.to_string(), "--save", ""]).args(options);
        self.0.start(&mut command, "KILL").listening()
    }

    /// The same, over TLS alone.
    pub fn start_with_tls(&self, options: &[&str]) -> Server {
        let port = self.0.port.to_string();
        self.start(&[&["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"], options].concat())
    }

    /// Runs a command.
    pub fn cli(&self, words: &[&str]) -> String {
        let client = program("redis-cli", "redis-tools").unwrap();
        run(self.0.command(&client).args(["-p", &self.0.port.to_string()]).args(words))
    }
}
