//! `podgraft certs`: a development certificate, for any names.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rustls::pki_types::DnsName;

use crate::tls::directory::{self, CA, CERT, Contents, DirectoryError, KEY};
use crate::tls::{Bundle, DEVELOPMENT_NAMES, authority};

/// The longest life in days that clients of every kind accept.
const MOST_DAYS: i64 = 825;

/// Options of `podgraft certs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory for ca.crt, tls.crt and tls.key; made if it isn't there.
    #[arg(long, value_name = "DIR", env = "PODGRAFT_TLS_DIR", default_value = "certs")]
    dir: PathBuf,
    /// DNS name or IP address of the server, repeatable: podgraft.podgraft.svc for a Service in a cluster.
    #[arg(long = "host", value_name = "NAME", env = "PODGRAFT_HOSTS", value_delimiter = ',',
          default_values = DEVELOPMENT_NAMES, value_parser = host)]
    hosts: Vec<String>,
    /// How many days it is valid.
    #[arg(long, value_name = "N", env = "PODGRAFT_CERT_DAYS", default_value = "365",
          value_parser = clap::value_parser!(u64).range(1..=MOST_DAYS.cast_unsigned()))]
    days: u64,
    /// The key's mode, octal: 0440 for a server that is in the group of whoever runs this.
    #[arg(long, value_name = "MODE", env = "PODGRAFT_KEY_MODE", default_value = "0600", value_parser = mode)]
    key_mode: u32,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

/// Permissions that a key may have.
fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        // Nobody runs a key.
        Ok(mode) if mode & !0o666 == 0 => Ok(mode),
        _ => Err("write an octal mode without rights to execute, such as 0440".to_owned()),
    }
}

/// A name that a certificate can hold, as it reads in one: of an address there are many ways to write it, and DNS names are
/// compared without regard to case.
pub(super) fn host(text: &str) -> Result<String, String> {
    let dns = || DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)).is_ok();
    if let Ok(address) = text.parse::<IpAddr>() {
        Ok(address.to_string())
    } else if dns() {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write a DNS name, such as podgraft.podgraft.svc, or an IP address".to_owned())
    }
}

/// Makes a certificate authority, which is forgotten, and a certificate that it signed.
///
/// # Errors
///
/// There are files already, or they can't be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { dir, hosts, days, key_mode, force } = args;
    if !force {
        let there = match directory::read(dir) {
            Ok(Contents::Empty) => None,
            Ok(Contents::Complete(_)) => Some([CA, CERT, KEY].join(", ")),
            Err(DirectoryError::Partial { there, .. }) => Some(there.join(", ")),
            Err(error) => return Err(error.into()),
        };
        if let Some(there) = there {
            anyhow::bail!("{}: holds {there} already; --force replaces what is there", dir.display());
        }
    }
    let now = SystemTime::now();
    let files = authority::make(hosts.clone(), Duration::from_hours(24 * days), now).context("making a certificate")?;
    directory::write_for(dir, &files, *key_mode)?;
    // What was written is read the way a server will read it.
    let bundle = Bundle::parse(&files.cert, &files.key, now).map_err(|flaws| anyhow::anyhow!("{flaws:?}"))?;
    let text = format!(
        "{}  the authority, for clients to trust; its key is not kept\n{}  for {}, until {}\n{}  its key\n",
        dir.join(CA).display(),
        dir.join(CERT).display(),
        bundle.names.join(", "),
        bundle.valid_until(),
        dir.join(KEY).display(),
    );
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_one_that_its_certificate_has() {
        let typed = ["FD00:0:0:0::1", "::ffff:192.0.2.1", "192.0.2.1", "Web.Example.ORG", "*.Example.org", "::1"];
        let names: Vec<_> = typed.iter().map(|text| host(text).unwrap()).collect();
        assert_eq!(names, ["fd00::1", "::ffff:192.0.2.1", "192.0.2.1", "web.example.org", "*.example.org", "::1"]);
        let now = SystemTime::now();
        let files = authority::make(names.clone(), Duration::from_hours(1), now).unwrap();
        assert_eq!(Bundle::parse(&files.cert, &files.key, now).unwrap().names, names);
        for bad in ["", "a b", "fd00:::1", "*.", "256.0.0.1.example/"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
