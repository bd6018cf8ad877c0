//! Who runs on which processor: the servers on one, the client on the others, so that neither waits for the other.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The processors of this machine, as `taskset` names them.
#[derive(Debug, Clone)]
pub struct Cpus {
    /// The servers'.
    server: String,
    /// The client's; empty where there is one processor for all.
    client: String,
    /// All of them.
    all: String,
}

impl Cpus {
    /// Divides what this process may use.
    pub fn divide() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no processors")?;
        let mut all = Vec::new();
        for range in list.trim().split(',') {
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            all.extend(from.parse::<u32>()?..=to.parse()?);
        }
        let name = |cpus: &[u32]| cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        Ok(Self { server: name(&all[..1]), client: name(&all[1..]), all: name(&all) })
    }

    /// Holds this process to the client's processors.
    pub fn hold_client(&self) -> Result<()> {
        if self.client.is_empty() {
            return Ok(());
        }
        let own = std::process::id().to_string();
        let done = Command::new("taskset")
            .args(["--all-tasks", "--pid", "--cpu-list", &self.client, &own])
            .stdout(Stdio::null())
            .status()
            .context("taskset, of util-linux")?;
        ensure!(done.success(), "taskset failed");
        Ok(())
    }

    /// A command that runs a program on the servers' processor.
    pub fn server(&self, program: &Path) -> Command {
        Self::on(&self.server, program)
    }

    /// A command that runs a program as anybody starts it, on any processor.
    pub fn anywhere(&self, program: &Path) -> Command {
        Self::on(&self.all, program)
    }

    fn on(cpus: &str, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", cpus]).arg(program);
        command
    }
}
