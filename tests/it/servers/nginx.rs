use std::fs;

use super::{Server, Site, program};

/// An nginx that serves a directory.
pub struct Nginx(Site);

impl Nginx {
    pub fn new() -> Option<Self> {
        Some(Self(Site::new(program("nginx", "nginx-light")?)))
    }

    pub fn address(&self) -> String {
        self.0.address()
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.0.write(name, content)
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.0.dir.path().join("access.log")).unwrap()
    }

    /// Starts it with these directives of a `server`, beside `listen`, which may take parameters such as `ssl`.
    pub fn start(&self, listen: &str, directives: &str) -> Server {
        let (port, place) = (self.0.port, self.0.dir.path().display());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {place}/{kind};")).concat();
        self.0.write(
            "nginx.conf",
            format!(
                "daemon off; worker_processes 1; pid {place}/pid; error_log stderr info; events {{}}\n\
                 http {{ {temporary} access_log {place}/access.log;\n\
                 server {{ listen 127.0.0.1:{port} {listen}; root {place}; {directives} }} }}\n"
            ),
        );
        let conf = self.0.dir.path().join("nginx.conf");
        self.0.start(self.0.command(&self.0.program).arg("-c").arg(conf), "KILL").listening()
    }
}
