//! What is waited for, as people write it, checked.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::http::uri::PathAndQuery;
use rustls::pki_types::ServerName;

use crate::nearest::did_you_mean;

/// How a target is asked whether it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// It accepts a connection.
    Tcp,
    /// It answers PostgreSQL's startup message.
    Postgres,
    /// It answers a login of MySQL or MariaDB.
    Mysql,
    /// It answers Redis' PING.
    Redis,
    /// It answers a GET with a wanted status.
    Http,
    /// Its name has an address.
    Dns,
}

/// A URL's scheme, and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scheme {
    name: &'static str,
    protocol: Protocol,
    /// Where the protocol has one of its own.
    port: Option<u16>,
    tls: bool,
}

const fn scheme(name: &'static str, protocol: Protocol, port: Option<u16>, tls: bool) -> Scheme {
    Scheme { name, protocol, port, tls }
}

const TCP: Scheme = scheme("tcp", Protocol::Tcp, None, false);

const SCHEMES: [Scheme; 10] = [
    TCP,
    scheme("postgres", Protocol::Postgres, Some(5432), false),
    scheme("postgresql", Protocol::Postgres, Some(5432), false),
    scheme("mysql", Protocol::Mysql, Some(3306), false),
    scheme("mariadb", Protocol::Mysql, Some(3306), false),
    scheme("redis", Protocol::Redis, Some(6379), false),
    scheme("rediss", Protocol::Redis, Some(6379), true),
    scheme("http", Protocol::Http, Some(80), false),
    scheme("https", Protocol::Http, Some(443), true),
    scheme("dns", Protocol::Dns, None, false),
];

/// A DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name, to be looked up.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
        }
    }
}

/// Something that has to be ready: `SCHEME://HOST[:PORT]` or `HOST:PORT`.
///
/// A database's URL is taken as an application takes it, with user, password, database and options, of which nothing is
/// kept: none of it is needed, and what isn't kept can't be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    host: Host,
    /// 0 where the protocol has no use for one.
    port: u16,
    /// Of HTTP alone.
    path: PathAndQuery,
}

/// Why a text is no target. Tells the text without what may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}: {problem}")]
pub struct TargetError {
    text: String,
    problem: Problem,
}

/// What is wrong with a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("nothing is known to wait for by {name}://{near}; write one of {}", schemes())]
    Scheme { name: String, near: String },
    #[error(
        "a name alone can be waited for in two ways; write dns://{0} until it has an address, {0}:PORT until it accepts connections"
    )]
    NameAlone(String),
    #[error("an IPv6 address stands in brackets; write [{0}]:PORT")]
    Bare(Ipv6Addr),
    #[error("there is no host in it")]
    NoHost,
    #[error("the host is neither a DNS name nor an IP address")]
    Host,
    #[error("there are several hosts in it; give each a target of its own")]
    Hosts,
    #[error("the port is no number from 1 to 65535")]
    Port,
    #[error("there is no port in it; write tcp://HOST:PORT")]
    NoPort,
    #[error("a user or password holds / ? or #; write them %2F %3F %23")]
    Unescaped,
    #[error("{0} takes a host and a port, nothing else")]
    Tail(&'static str),
    #[error("a name is looked up without a port; write dns://NAME")]
    PortOfName,
    #[error("an address has no need to be looked up; write tcp://HOST:PORT")]
    AddressForName,
    #[error(
        "no user or password is sent over HTTP; leave them out, and name the status without them by --http-status 401"
    )]
    HttpUser,
    #[error("the path or query holds what a URL can't; percent-encode it")]
    Path,
    #[error("no certificate can be for this host")]
    ServerName,
    #[error("this is no URL; write {0}://HOST:PORT")]
    NoUrl(&'static str),
}

fn schemes() -> String {
    SCHEMES.map(|scheme| scheme.name).join(", ")
}

impl Target {
    /// How it is asked.
    pub(super) fn protocol(&self) -> Protocol {
        self.scheme.protocol
    }

    /// Where it is.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Its port; 0 where only a name is looked up.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What HTTP asks for.
    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// HTTP's `Host` (RFC 9110, section 7.2): without the port that the scheme implies.
    pub(super) fn authority(&self) -> String {
        match self.scheme.port {
            Some(port) if port == self.port => self.host.to_string(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Whether it is asked over TLS.
    pub(super) fn tls(&self) -> bool {
        self.scheme.tls
    }

    /// The name that its certificate must be for.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            // The dot that ends an absolute name is none of a certificate's (RFC 6066, section 3).
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
            Host::Address(address) => Some(ServerName::from(*address)),
        }
    }
}

/// For people, without what may be a secret: `SCHEME://HOST:PORT` and HTTP's path.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name, self.host)?;
        if self.port != 0 {
            write!(f, ":{}", self.port)?;
        }
        match self.path.path() {
            "/" => Ok(()),
            path => f.write_str(path),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|problem| TargetError { text: without_secrets(text), problem })
    }
}

fn parse(text: &str) -> Result<Target, Problem> {
    let Some((name, rest)) = split_scheme(text) else { return parse_bare(text) };
    let scheme = find_scheme(name)?;
    let (authority, tail) = split_authority(rest);
    let (user, place) = authority.rsplit_once('@').map_or((None, authority), |(user, place)| (Some(user), place));
    match scheme.protocol {
        // Java's `//HOST:PORT;password=…`, where an `@` may be the password's.
        _ if place.contains('=') || user.is_some_and(|user| name.contains(':') && user.contains(';')) => {
            return Err(Problem::NoUrl(scheme.name));
        }
        // Where the first part of a password would be taken for a host.
        Protocol::Postgres | Protocol::Mysql | Protocol::Redis if user.is_none() && hides_user(name, tail) => {
            return Err(Problem::Unescaped);
        }
        Protocol::Tcp | Protocol::Dns if user.is_some() || !matches!(tail, "" | "/") => {
            return Err(Problem::Tail(scheme.name));
        }
        Protocol::Http if user.is_some() => return Err(Problem::HttpUser),
        _ => {}
    }
    let path = if scheme.protocol == Protocol::Http { path(tail)? } else { PathAndQuery::from_static("/") };
    let (host, port) = place_of(place)?;
    let port = match (scheme.protocol, port.or(scheme.port)) {
        (Protocol::Dns, Some(_)) => return Err(Problem::PortOfName),
        (Protocol::Dns, None) => 0,
        (_, port) => port.ok_or(Problem::NoPort)?,
    };
    if scheme.protocol == Protocol::Dns && matches!(host, Host::Address(_)) {
        return Err(Problem::AddressForName);
    }
    let target = Target { scheme, host, port, path };
    if scheme.tls && target.server_name().is_none() {
        return Err(Problem::ServerName);
    }
    Ok(target)
}

/// `HOST:PORT`.
fn parse_bare(text: &str) -> Result<Target, Problem> {
    if let Ok(address) = text.parse() {
        return Err(Problem::Bare(address));
    }
    // `host=db user=app` and the like.
    if text.contains('=') {
        return Err(Problem::NoUrl("postgres"));
    }
    let (host, port) = place_of(text)?;
    match (host, port) {
        (host, Some(port)) => Ok(Target { scheme: TCP, host, port, path: PathAndQuery::from_static("/") }),
        (Host::Name(name), None) => Err(Problem::NameAlone(name)),
        (Host::Address(_), None) => Err(Problem::NoPort),
    }
}

/// Takes the scheme off a URL: letters, digits and `+-.` (RFC 3986, section 3.1), and the colon of Java's `jdbc:`. What
/// has other characters before `://` may be anything, a password too.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"+-.:".contains(&b);
    scheme.bytes().all(letter).then_some((scheme, rest))
}

/// Schemes are of any letter case. Applications' database URLs may name a driver after a plus,
/// `postgresql+asyncpg://`, and Java's begin with `jdbc:`.
fn find_scheme(name: &str) -> Result<Scheme, Problem> {
    let word = name.to_ascii_lowercase();
    let word = word.strip_prefix("jdbc:").unwrap_or(&word).split('+').next().unwrap_or_default();
    SCHEMES.into_iter().find(|scheme| scheme.name == word).ok_or_else(|| Problem::Scheme {
        name: printable(name),
        near: did_you_mean(word, SCHEMES.iter().map(|scheme| scheme.name)),
    })
}

/// A host, and its port if there is one.
fn place_of(place: &str) -> Result<(Host, Option<u16>), Problem> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(Problem::Host)?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(Problem::Host)?) };
            (Host::Address(IpAddr::V6(address.parse().map_err(|_| Problem::Host)?)), port)
        }
        None if place.contains(',') => return Err(Problem::Hosts),
        None => match place.split_once(':') {
            Some((host, port)) => (named(host)?, Some(port)),
            None => (named(place)?, None),
        },
    };
    Ok((host, port.map(number).transpose()?))
}

fn number(port: &str) -> Result<u16, Problem> {
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|number| digits && *number > 0).ok_or(Problem::Port)
}

/// An IPv4 address or a DNS name: labels of at most 63 letters, digits, dashes and underscores, 253 characters in all
/// (RFC 1035, section 2.3.4). Underscores are in no host's name, but resolvers take them, and so do people.
fn named(host: &str) -> Result<Host, Problem> {
    if host.is_empty() {
        return Err(Problem::NoHost);
    }
    if let Ok(address) = host.parse() {
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    if name.len() <= 253 && name.split('.').all(label) { Ok(Host::Name(host.to_owned())) } else { Err(Problem::Host) }
}

/// What HTTP asks for: path and query, without the fragment, which is never sent.
fn path(tail: &str) -> Result<PathAndQuery, Problem> {
    let sent = tail.split('#').next().unwrap_or_default();
    let sent = if sent.starts_with('/') { sent.to_owned() } else { format!("/{sent}") };
    sent.parse().map_err(|_| Problem::Path)
}

/// Takes a URL's authority off its path, query and fragment.
fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// Whether what stands behind the authority of a database's URL has an `@` that may end a user or password. One in the
/// value of an option, `?user=admin@srv`, does not; but PostgreSQL's own library looks for users up to the first slash,
/// which Java's does not.
fn hides_user(name: &str, tail: &str) -> bool {
    let Some((path, options)) = tail.split_once('?').filter(|(path, _)| !path.is_empty() || name.contains(':')) else {
        return tail.contains('@');
    };
    let of_value = |option: &str| option.split_once('@').is_none_or(|(before, _)| before.contains('='));
    path.contains('@') || !options.split('&').all(of_value)
}

/// A text that is no target, as far as it may be printed: scheme, host and port, up to the first character that is in
/// neither. What follows may be a password: `cache:6380,password=…`.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = split_scheme(text).map_or(("", text), |(scheme, rest)| (&text[..scheme.len() + 3], rest));
    let (authority, tail) = split_authority(rest);
    let (hidden, place) = authority.rsplit_once('@').map_or(("", authority), |(_, place)| ("...@", place));
    // An `@` ends what is secret only in a URL, before path and query, and where no `;` began options.
    let may_be_secret = !hidden.is_empty() && (scheme.is_empty() || authority.contains(';'));
    if may_be_secret || tail.contains('@') {
        return printable(&format!("{scheme}..."));
    }
    let end = place.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.:[]".contains(c));
    let (place, cut) = end.map_or((place, ""), |end| (&place[..end], "..."));
    printable(&format!("{scheme}{hidden}{place}{cut}"))
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests;
