//! `--image-mirror`: a registry that has the images of the built-in templates, for clusters that reach no other.

use std::fmt;
use std::str::FromStr;

/// A registry, and perhaps a path in it: `registry.example:5000/mirror`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMirror(String);

/// A text that names no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no registry; write HOST[:PORT][/PATH], such as registry.example:5000/mirror, without scheme, tag or slash at \
     the end; a host without dot and port, other than localhost, would be a path on docker.io"
)]
pub struct NoRegistry(String);

impl ImageMirror {
    /// The image's name here: tag and digest stay, and all but the registry of its normalised name.
    #[must_use]
    pub fn of(&self, image: &str) -> String {
        let (registry, path) = match image.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (DOCKER_HUB[0], image),
        };
        let library = if DOCKER_HUB.contains(&registry) && !path.contains('/') { "library/" } else { "" };
        format!("{}/{library}{path}", self.0)
    }
}

/// The registry of names that have none; where a name is one word it is in `library`.
const DOCKER_HUB: [&str; 2] = ["docker.io", "index.docker.io"];

/// Whether the first part of a name is a registry (distribution's `reference`, "splitDockerDomain"): Docker Hub's paths
/// have neither dot nor colon, and no capitals.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.contains(|c: char| c.is_ascii_uppercase())
}

impl FromStr for ImageMirror {
    type Err = NoRegistry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let registry = parts.next().unwrap_or_default();
        if is_registry(registry) && is_host_and_port(registry) && parts.all(is_path_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoRegistry(text.to_owned()))
        }
    }
}

impl fmt::Display for ImageMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// distribution's `domain`: a host name or an IP address, and perhaps a port.
fn is_host_and_port(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = port.strip_prefix(':').map_or(port.is_empty(), is_port);
        return address.parse::<core::net::Ipv6Addr>().is_ok() && port;
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

/// distribution's `path-component`: lower-case letters and digits, between them a dot, one or two underscores, or dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = text.split(alphanumeric).filter(|separator| !separator.is_empty());
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && separators.into_iter().all(|it| matches!(it, "." | "_" | "__") || it.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_of_an_image_is_replaced() {
        let mirror: ImageMirror = "mirror.example:5000/hub".parse().unwrap();
        let digest = "@sha256:0123456789012345678901234567890123456789012345678901234567890123";
        for (image, path) in [
            ("busybox", "library/busybox"),
            ("busybox:1.36", "library/busybox:1.36"),
            (&format!("busybox:1.36{digest}"), &*format!("library/busybox:1.36{digest}")),
            (&format!("busybox{digest}"), &format!("library/busybox{digest}")),
            ("curlimages/curl:8.10.1", "curlimages/curl:8.10.1"),
            ("docker.io/busybox:1", "library/busybox:1"),
            ("index.docker.io/library/busybox", "library/busybox"),
            ("docker.io/curlimages/curl", "curlimages/curl"),
            ("registry.k8s.io/a/b:1", "a/b:1"),
            ("registry.k8s.io/pause:3.10", "pause:3.10"),
            ("localhost/x:1", "x:1"),
            ("host:5000/x:1", "x:1"),
            ("[::1]:5000/x", "x"),
            ("Host/x", "x"),
            ("localhost", "library/localhost"),
        ] {
            assert_eq!(mirror.of(image), format!("mirror.example:5000/hub/{path}"), "{image}");
        }
    }

    #[test]
    fn a_mirror_is_a_registry_and_a_path() {
        for good in [
            "registry.example",
            "registry.example:5000",
            "localhost",
            "host:5000/a",
            "10.0.0.1/a/b",
            "docker.io/team",
            "[::1]:5000/a",
            "[::1]",
            "r.example/a.b_c__d---e",
        ] {
            assert_eq!(good.parse::<ImageMirror>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "/",
            "mirror",
            "mirror/path",
            "https://registry.example",
            "registry.example/",
            "registry.example//a",
            "registry.example/A",
            "registry.example/a:1",
            "registry.example/a___b",
            "registry.example/-a",
            "registry.example/a.",
            "registry.example:0",
            "registry.example:",
            "registry.example:http",
            "registry..example",
            ".example",
            "-a.example",
            "[::1",
            "[x]:5000",
            "[::1]a",
            "registry.example ",
        ] {
            assert_eq!(bad.parse::<ImageMirror>(), Err(NoRegistry(bad.to_owned())));
        }
    }
}
