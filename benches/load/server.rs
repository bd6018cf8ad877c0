//! Servers as processes of their own, looked at from outside: `/proc`, so this is for Linux.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// It would be a broken pipe without a reader.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// `podgraft serve` by this command, with the built-in templates and these options. Its log goes nowhere.
    pub fn podgraft(mut command: Command, certificates: &Path, options: &[&str]) -> Result<Self> {
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--tls-dir"]);
        command.arg(certificates).args(options);
        Self::start(command)
    }

    /// The echo by this command, which runs this program.
    pub fn echo(mut command: Command, certificates: &Path, answer: &Path) -> Result<Self> {
        command.arg("--echo").args([certificates, answer]);
        Self::start(command)
    }

    /// Starts a server that prints where it is.
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
            command.env_remove(name);
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("there is no pipe")?);
        let mut greeting = String::new();
        while !greeting.contains("/mutate") {
            ensure!(stdout.read_line(&mut greeting)? > 0, "the server did not start: {greeting}");
        }
        let address = greeting.split("https://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.context("no address is printed")?.parse()?;
        Ok(Self { child, address, _stdout: stdout })
    }

    /// The processor time that it has spent, in user and kernel mode, to the nanosecond: the first field of each thread's
    /// schedstat (Documentation/scheduler/sched-stats.rst). Its threads live as long as it does.
    pub fn processor_time(&self) -> Result<Duration> {
        let mut spent = 0;
        for thread in fs::read_dir(self.path("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            spent += schedstat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(spent))
    }

    /// What of its memory is resident: all of it, and of that its own, which is in no file; in MiB.
    pub fn resident(&self) -> Result<(f64, f64)> {
        let rollup = fs::read_to_string(self.path("smaps_rollup"))?;
        Ok((mebibytes(&rollup, "Rss:")?, mebibytes(&rollup, "Anonymous:")?))
    }

    /// The most that ever was resident, in MiB.
    pub fn peak(&self) -> Result<f64> {
        mebibytes(&fs::read_to_string(self.path("status"))?, "VmHWM:")
    }

    /// Asks it to end, and waits until it has.
    pub fn end(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "the server has ended before");
        self.child.wait()?;
        Ok(())
    }

    fn path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line such as `Rss:   1234 kB`.
fn mebibytes(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
