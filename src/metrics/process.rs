//! The process itself, from `/proc/self` (proc(5)), under the names of Prometheus' client libraries.
//!
//! The prometheus crate's own collector would bring a second procfs and rustix into the tree. Elsewhere than on Linux
//! the files are missing, and so are these metrics.

use std::fs;
use std::time::{Duration, SystemTime};

use prometheus::core::Desc;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};

/// Ticks a second in which the kernel tells times to processes: `USER_HZ`, 100 on every architecture that we build for.
const USER_HZ: f64 = 100.0;

/// Reads `/proc/self` whenever it is collected.
pub(super) struct Collector {
    cpu: Counter,
    resident: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
    start: Gauge,
}

impl Collector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "User and system CPU time")?,
            resident: Gauge::new("process_resident_memory_bytes", "Resident memory")?,
            open_fds: Gauge::new("process_open_fds", "Open file descriptors")?,
            max_fds: Gauge::new("process_max_fds", "Most file descriptors that may be open")?,
            threads: Gauge::new("process_threads", "Threads")?,
            start: Gauge::new("process_start_time_seconds", "When the process started")?,
        })
    }

    fn parts(&self) -> [&dyn prometheus::core::Collector; 6] {
        [&self.cpu, &self.resident, &self.open_fds, &self.max_fds, &self.threads, &self.start]
    }

    /// What can't be read keeps its last value.
    fn update(&self) {
        if let Some((cpu, start)) = times() {
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
            self.start.set(start);
        }
        if let Some(kibibytes) = number_after("/proc/self/status", "VmRSS:") {
            self.resident.set(kibibytes * 1024.0);
        }
        if let Some(threads) = number_after("/proc/self/status", "Threads:") {
            self.threads.set(threads);
        }
        if let Some(limit) = number_after("/proc/self/limits", "Max open files") {
            self.max_fds.set(limit);
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // Not counting the one that reads the directory.
            self.open_fds.set(u32::try_from(entries.count().saturating_sub(1)).unwrap_or(u32::MAX).into());
        }
    }
}

impl prometheus::core::Collector for Collector {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(prometheus::core::Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update();
        self.parts().into_iter().flat_map(prometheus::core::Collector::collect).collect()
    }
}

/// CPU time in seconds, and the start in seconds since 1970.
fn times() -> Option<(f64, f64)> {
    let fields = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, which may hold anything; the third follows its last parenthesis.
    let (_, rest) = fields.rsplit_once(')')?;
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<f64>().ok();
    let (user, system, start) = (field(14)?, field(15)?, field(22)?);
    let uptime: f64 = fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    Some(((user + system) / USER_HZ, now - uptime + start / USER_HZ))
}

/// The first number after a line's beginning.
fn number_after(path: &str, beginning: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
