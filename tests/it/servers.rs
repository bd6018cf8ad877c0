//! Real servers, from Debian's packages: on free ports, in directories of their own, ended with the test.
//!
//! Where one is not installed, its tests say so and pass; with `CI=true` they fail.

mod mariadb;
mod nginx;
mod postgres;
mod prometheus;
mod redis;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use std::{env, iter, thread};

use tempfile::TempDir;

pub use mariadb::MariaDb;
pub use nginx::Nginx;
pub use postgres::Postgres;
pub use prometheus::{Prometheus, promtool};
pub use redis::Redis;

/// How long anything may take before a test says that it hangs.
const HANG: Duration = Duration::from_mins(1);

/// Waits until `done` gives something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = done() {
            return done;
        }
        assert!(start.elapsed() < HANG, "it hangs: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody listens on: none of those that the system gives away by itself (from 32768 on), which it might
/// give to somebody else before its server starts.
pub fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Other runs of these tests begin elsewhere.
    let first = process::id() as u16;
    let mut ports = iter::repeat_with(|| 10_000 + first.wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed)) % 20_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A program of a Debian package; `None`, loudly, if it is not installed.
fn program(name: &str, package: &str) -> Option<PathBuf> {
    // Debian keeps several versions of PostgreSQL side by side, none of them on the path.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.map(|version| version.unwrap().path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = versions.chain(env::split_paths(&path)).chain(["/usr/sbin".into()]);
    let found = places.find_map(|place| Some(place.join(name)).filter(|file| file.is_file()));
    if found.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "{name} is missing; apt-get install {package}");
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(io::stderr(), "SKIPPED: there is no {name} on this machine; apt-get install {package}");
    }
    found
}

/// A server that may run: its program, its port, and a directory for its files.
struct Site {
    program: PathBuf,
    port: u16,
    dir: Rc<TempDir>,
    /// As whom it runs: as nobody where we are root, as PostgreSQL refuses root.
    user: Option<(u32, u32)>,
}

impl Site {
    fn new(program: PathBuf) -> Self {
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = root.then(|| {
            let users = fs::read_to_string("/etc/passwd").unwrap();
            let nobody = users.lines().find_map(|line| line.strip_prefix("nobody:x:")).unwrap();
            let mut ids = nobody.split(':').map(|id| id.parse().unwrap());
            (ids.next().unwrap(), ids.next().unwrap())
        });
        let site = Self { program, port: free_port(), dir: Rc::new(TempDir::new().unwrap()), user };
        site.give(site.dir.path());
        site
    }

    /// Lets the server have a file.
    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// Writes a file, and gives its path.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        self.give(&path);
        path.display().to_string()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A program, as the server's user in its directory.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env("LC_ALL", "C").env("HOME", self.dir.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts the server, its output in the file `log`; signal `end` ends it and its children.
    fn start(&self, command: &mut Command, end: &'static str) -> Server {
        let log = self.dir.path().join("log");
        let output = File::create(&log).unwrap();
        let child = command.stdout(output.try_clone().unwrap()).stderr(output).process_group(0).spawn().unwrap();
        Server { child, address: self.address(), log, end, _dir: Rc::clone(&self.dir) }
    }
}

/// Runs a command to its end, and gives what it writes.
fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let output = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {output}");
    output
}

/// A running server, the leader of a process group.
pub struct Server {
    child: Child,
    address: String,
    log: PathBuf,
    end: &'static str,
    _dir: Rc<TempDir>,
}

impl Server {
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until it accepts connections.
    fn listening(mut self) -> Self {
        until("a server that starts", || {
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended: {}", self.log());
            TcpStream::connect(&self.address).ok()
        });
        self
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(self.end);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < HANG {
            thread::sleep(Duration::from_millis(10));
        }
        self.signal("KILL");
        let _ = self.child.wait();
    }
}

/// Another process of a test, killed when dropped.
pub struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
