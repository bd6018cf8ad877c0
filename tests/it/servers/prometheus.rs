//! Prometheus, and promtool, which comes with it.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Server, Site, program};

/// A Prometheus that scrapes one target every second, and evaluates rules as often.
pub struct Prometheus(Site);

impl Prometheus {
    pub fn new() -> Option<Self> {
        Some(Self(Site::new(program("prometheus", "prometheus")?)))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.address().parse().unwrap()
    }

    /// Starts it with these rules.
    pub fn start(&self, target: SocketAddr, rules: &str) -> Server {
        let rules = self.0.write("rules.yaml", rules);
        let configuration = self.0.write(
            "prometheus.yaml",
            format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [{rules}]\n\
                 scrape_configs: [{{job_name: podgraft, static_configs: [{{targets: ['{target}']}}]}}]\n"
            ),
        );
        let mut command = self.0.command(&self.0.program);
        command
            .arg(format!("--config.file={configuration}"))
            .arg(format!("--storage.tsdb.path={}", self.0.dir.path().join("data").display()))
            .arg(format!("--web.listen-address={}", self.0.address()));
        self.0.start(&mut command, "TERM").listening()
    }
}

/// What promtool says, and whether it is content; `None`, loudly, if it is not installed.
pub fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program("promtool", "prometheus")?);
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What takes no input may have ended before it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    Some((done.status.success(), told))
}
