//! The rules for single values: what is wrong with one, in words.

use core::net::IpAddr;

use crate::template::diagnostic::shorten;
use crate::template::names;
use crate::template::parameter::quantity;
use crate::template::paths::{self, Fault};
use crate::template::rendered::{Content, Rendered};

pub(super) fn one_of(value: &Rendered<'_>, allowed: &[&str]) -> Option<String> {
    let value = value.text()?;
    (!allowed.contains(&value)).then(|| format!("`{}` is none of {}", shorten(value), allowed.join(", ")))
}

/// The signals that a container may be stopped with (core/v1 `Signal`, KEP-4960).
pub(super) fn signal(value: &Rendered<'_>) -> Option<String> {
    const NAMES: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS \
                         TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX";
    let value = value.text()?;
    let is_known = |name: &str| {
        let beside = |sign: &str, most: u8| {
            name.strip_prefix(sign).is_some_and(|number| (1..=most).any(|it| it.to_string() == number))
        };
        NAMES.split(' ').any(|it| it == name) || beside("RTMIN+", 15) || beside("RTMAX-", 14)
    };
    (!value.strip_prefix("SIG").is_some_and(is_known))
        .then(|| format!("`{}` is no signal; write one like SIGTERM, SIGUSR1 or SIGRTMIN+3", shorten(value)))
}

pub(super) fn port(port: &Rendered<'_>) -> Option<String> {
    let number = port.integer()?;
    (!(1..=65535).contains(&number)).then(|| format!("{number} is no port: 1 to 65535"))
}

pub(super) fn port_or_name(value: &Rendered<'_>) -> Option<String> {
    value.text().map_or_else(|| port(value), names::port)
}

pub(super) fn present(value: &Rendered<'_>) -> Option<String> {
    value.text()?.is_empty().then(|| "a name is missing here".to_owned())
}

pub(super) fn id(value: &Rendered<'_>) -> Option<String> {
    let number = value.integer()?;
    (!(0..=i64::from(i32::MAX)).contains(&number)).then(|| format!("{number} is no id: 0 to {}", i32::MAX))
}

pub(super) fn mode(value: &Rendered<'_>) -> Option<String> {
    let number = value.integer()?;
    (!(0..=0o777).contains(&number)).then(|| format!("{number} is no mode: 0 to 511, which is 0777"))
}

/// The version that a field's path is of; without one, it is the same.
pub(super) fn api_version(value: &Rendered<'_>) -> Option<String> {
    let version = value.text()?;
    (!matches!(version, "" | "v1"))
        .then(|| format!("`{}` is not the version of a pod's fields, which is v1", shorten(version)))
}

/// The fields of a pod that a variable can have (Kubernetes documentation, "Downward API").
pub(super) fn field_path(value: &Rendered<'_>) -> Option<String> {
    one_field(
        value,
        &[
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
            "spec.nodeName",
            "spec.serviceAccountName",
            "status.hostIP",
            "status.hostIPs",
            "status.podIP",
            "status.podIPs",
        ],
    )
}

/// The fields of a pod that a file can have.
pub(super) fn volume_field_path(value: &Rendered<'_>) -> Option<String> {
    let fields = ["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations"];
    one_field(value, &fields)
}

fn one_field(value: &Rendered<'_>, fields: &[&str]) -> Option<String> {
    let path = value.text()?;
    let mut keys =
        ["metadata.labels['", "metadata.annotations['"].into_iter().filter_map(|start| path.strip_prefix(start));
    let keyed = keys.any(|key| key.strip_suffix("']").is_some_and(|key| names::qualified(key).is_none()));
    let right = fields.contains(&path) || keyed;
    (!right).then(|| {
        format!(
            "`{}` is none of {}, metadata.labels['KEY'] and metadata.annotations['KEY']",
            shorten(path),
            fields.join(", ")
        )
    })
}

/// A resource of a container that a variable or file can have.
pub(super) fn resource_field(value: &Rendered<'_>) -> Option<String> {
    let resource = value.text()?;
    let of = resource.strip_prefix("limits.").or_else(|| resource.strip_prefix("requests."));
    let right = of.is_some_and(|name| matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(name));
    (!right).then(|| {
        format!("`{}` is none of a container's: limits. or requests., then cpu, memory, ephemeral-storage or hugepages-SIZE", shorten(resource))
    })
}

fn is_huge_pages(name: &str) -> bool {
    name.strip_prefix("hugepages-").is_some_and(|size| !size.is_empty())
}

/// The name of what a container asks of its node.
pub(super) fn resource_name(name: &str) -> Option<String> {
    let right = match name.split_once('/') {
        None => matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_pages(name),
        Some(_) => names::qualified(name).is_none() && !name.starts_with("requests."),
    };
    (!right).then(|| {
        format!("`{}` is no resource: cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME", shorten(name))
    })
}

pub(super) fn header(value: &Rendered<'_>) -> Option<String> {
    let name = value.text()?;
    let right = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (!right).then(|| format!("`{}` is no name of a header: letters, digits and `-`", shorten(name)))
}

pub(super) fn positive(value: &Rendered<'_>) -> Option<String> {
    let number = value.integer()?;
    (number < 1).then(|| format!("{number} is less than 1"))
}

/// The seconds for which a service account token holds.
pub(super) fn token_lifetime(value: &Rendered<'_>) -> Option<String> {
    let seconds = value.integer()?;
    (!(600..=1 << 32).contains(&seconds)).then(|| format!("{seconds} is none of 600 to 4294967296"))
}

/// The seconds for which a pod's certificate may hold; how many are too many, its signer decides.
pub(super) fn certificate_lifetime(value: &Rendered<'_>) -> Option<String> {
    let seconds = value.integer()?;
    (seconds < 3600).then(|| format!("{seconds} is less than 3600"))
}

/// A path that leads nowhere up: of the node, or of a file in a volume.
pub(super) fn without_parents(value: &Rendered<'_>) -> Option<String> {
    let path = value.text()?;
    let wrong = path.is_empty() || path.split(['/', '\\']).any(|element| element == "..");
    wrong.then(|| format!("`{}` must be a path without `..`", shorten(path)))
}

/// The name of a driver for volumes, whose letters may be capitals.
pub(super) fn driver(value: &Rendered<'_>) -> Option<String> {
    let name = value.text()?;
    let right = name.len() <= names::MAX_LABEL && names::subdomain(&name.to_ascii_lowercase()).is_none();
    (!right).then(|| format!("`{}` is no driver: a DNS name of at most {} letters", shorten(name), names::MAX_LABEL))
}

pub(super) fn not_negative(value: &Rendered<'_>) -> Option<String> {
    let number = value.integer()?;
    (number < 0).then(|| format!("{number} is less than 0"))
}

/// One, as [`parse_amount`] counts.
pub(super) const ONE: i128 = 1_000_000_000;

pub(super) fn parse_amount(value: &Rendered<'_>) -> Option<i128> {
    match &value.content {
        Content::Text(text) => quantity(text),
        Content::Number(number) => quantity(&number.to_string()),
        _ => None,
    }
}

pub(super) fn amount(value: &Rendered<'_>) -> Option<String> {
    let shown = match &value.content {
        Content::Text(text) => shorten(text),
        Content::Number(number) => number.to_string(),
        _ => return None,
    };
    match parse_amount(value) {
        Some(amount) if amount >= 0 => None,
        Some(_) => Some(format!("{shown} is less than 0")),
        None => Some(format!("`{shown}` is no quantity: a number and a unit, such as 500m, 0.5, 128Mi or 1Gi")),
    }
}

/// How much a claim wants.
pub(super) fn positive_amount(value: &Rendered<'_>) -> Option<String> {
    amount(value).or_else(|| (parse_amount(value) == Some(0)).then(|| "0 is nothing to claim".to_owned()))
}

pub(super) fn medium(value: &Rendered<'_>) -> Option<String> {
    let medium = value.text()?;
    (!matches!(medium, "" | "Memory") && !medium.starts_with("HugePages"))
        .then(|| format!("`{}` is none of Memory, HugePages and nothing", shorten(medium)))
}

/// The API server takes any text, the container runtime only these.
pub(super) fn capability(value: &Rendered<'_>) -> Option<String> {
    let name = value.text()?;
    (name.starts_with("CAP_") || name.contains(|letter: char| letter.is_ascii_lowercase()))
        .then(|| format!("`{}` is no capability: capitals, without CAP_", shorten(name)))
}

pub(super) fn address(value: &Rendered<'_>) -> Option<String> {
    let text = value.text()?;
    let right = match text.parse() {
        Ok(IpAddr::V4(_)) => true,
        Ok(IpAddr::V6(address)) => address.to_ipv4_mapped().is_none(),
        Err(_) => false,
    };
    (!right).then(|| format!("`{}` is no IP address", shorten(text)))
}

pub(super) fn mount_path(value: &Rendered<'_>) -> Option<String> {
    let path = value.text()?;
    let problem = match paths::fault(path)? {
        Fault::Relative => "must be absolute",
        Fault::Parent => "can't hold `..`",
        Fault::Colon => "can't hold a colon",
        Fault::System => "is the system's own",
        Fault::Nul => "can't hold a NUL",
    };
    Some(format!("the path `{}` {problem}", shorten(path)))
}

/// The path of a file in a volume: unlike a sub path, it can't be missing.
pub(super) fn item_path(value: &Rendered<'_>) -> Option<String> {
    let path = value.text()?;
    let wrong = path.is_empty() || path.starts_with("..") || paths::leaves(path);
    wrong.then(|| format!("`{}` must be a relative path that does not begin with `..`", shorten(path)))
}

pub(super) fn sub_path(value: &Rendered<'_>) -> Option<String> {
    let path = value.text()?;
    paths::leaves(path).then(|| format!("`{}` must be a relative path without `..`", shorten(path)))
}
