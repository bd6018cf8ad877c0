//! Being told to stop.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, which the kubelet sends.
    Terminate,
    /// SIGINT, which a terminal sends for Ctrl-C.
    Interrupt,
}

impl Stop {
    /// The exit code of a process that ends at once because of the signal: 128 and its number.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Terminate => ExitCode::from(128 + 15),
            Self::Interrupt => ExitCode::from(128 + 2),
        }
    }
}

/// The signals that end the process. From the first on, they no longer do so by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}
