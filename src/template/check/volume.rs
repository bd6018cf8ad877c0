//! Rules for volumes: of which kind one is, and what that kind wants.

use std::collections::HashSet;

use super::together::divisor;
use super::value::{
    amount, api_version, certificate_lifetime, driver, item_path, medium, mode, one_of, positive_amount, present,
    resource_field, token_lifetime, volume_field_path, without_parents,
};
use super::{Broken, Rule, Shape, decides, is_made_beside, report_all, select, shapes, values};
use crate::template::diagnostic::{Place, Problems, shorten};
use crate::template::names;
use crate::template::rendered::{Content, Rendered};

/// Rules for the values in a volume's source.
const VOLUME_VALUES: &[(&str, Rule)] = &[
    ("emptyDir.sizeLimit", amount),
    ("emptyDir.medium", medium),
    ("configMap.name", present),
    ("secret.secretName", present),
    ("persistentVolumeClaim.claimName", |name| names::subdomain(name.text()?)),
    ("configMap.defaultMode", mode),
    ("configMap.items[].key", present),
    ("configMap.items[].path", item_path),
    ("configMap.items[].mode", mode),
    ("secret.defaultMode", mode),
    ("secret.items[].key", present),
    ("secret.items[].path", item_path),
    ("secret.items[].mode", mode),
    ("downwardAPI.defaultMode", mode),
    ("downwardAPI.items[].path", item_path),
    ("downwardAPI.items[].mode", mode),
    ("downwardAPI.items[].fieldRef.apiVersion", api_version),
    ("downwardAPI.items[].fieldRef.fieldPath", volume_field_path),
    ("downwardAPI.items[].resourceFieldRef.containerName", present),
    ("downwardAPI.items[].resourceFieldRef.resource", resource_field),
    ("projected.defaultMode", mode),
    ("projected.sources[].configMap.name", present),
    ("projected.sources[].configMap.items[].key", present),
    ("projected.sources[].configMap.items[].path", item_path),
    ("projected.sources[].configMap.items[].mode", mode),
    ("projected.sources[].secret.name", present),
    ("projected.sources[].secret.items[].key", present),
    ("projected.sources[].secret.items[].path", item_path),
    ("projected.sources[].secret.items[].mode", mode),
    ("projected.sources[].downwardAPI.items[].path", item_path),
    ("projected.sources[].downwardAPI.items[].mode", mode),
    ("projected.sources[].downwardAPI.items[].fieldRef.apiVersion", api_version),
    ("projected.sources[].downwardAPI.items[].fieldRef.fieldPath", volume_field_path),
    ("projected.sources[].downwardAPI.items[].resourceFieldRef.containerName", present),
    ("projected.sources[].downwardAPI.items[].resourceFieldRef.resource", resource_field),
    ("projected.sources[].clusterTrustBundle.path", item_path),
    ("projected.sources[].podCertificate.signerName", present),
    ("projected.sources[].podCertificate.keyType", |kind| one_of(kind, KEY_TYPES)),
    ("projected.sources[].podCertificate.maxExpirationSeconds", certificate_lifetime),
    ("projected.sources[].podCertificate.credentialBundlePath", certificate_path),
    ("projected.sources[].podCertificate.keyPath", certificate_path),
    ("projected.sources[].podCertificate.certificateChainPath", certificate_path),
    ("projected.sources[].serviceAccountToken.path", item_path),
    ("projected.sources[].serviceAccountToken.expirationSeconds", token_lifetime),
    ("hostPath.path", without_parents),
    ("hostPath.type", |kind| one_of(kind, HOST_PATHS).filter(|_| kind.text() != Some(""))),
    ("csi.driver", driver),
    ("csi.nodePublishSecretRef.name", |name| names::subdomain(name.text()?)),
    ("ephemeral.volumeClaimTemplate.spec.accessModes", |modes| {
        let none = matches!(&modes.content, Content::List(modes) if modes.is_empty());
        none.then(|| "a claim has at least one access mode".to_owned())
    }),
    ("ephemeral.volumeClaimTemplate.spec.accessModes[]", |mode| one_of(mode, ACCESS_MODES)),
    ("ephemeral.volumeClaimTemplate.spec.resources.requests.storage", positive_amount),
    ("ephemeral.volumeClaimTemplate.spec.storageClassName", |name| {
        names::subdomain(name.text().filter(|name| !name.is_empty())?)
    }),
    ("ephemeral.volumeClaimTemplate.spec.volumeMode", |mode| one_of(mode, &["Block", "Filesystem"])),
    ("image.reference", present),
    ("image.pullPolicy", |policy| one_of(policy, &["Always", "IfNotPresent", "Never"])),
    ("nfs.server", present),
    ("nfs.path", |path| (!path.text()?.starts_with('/')).then(|| "the path must be absolute".to_owned())),
];

/// What may have to be at a path of the node.
const HOST_PATHS: &[&str] =
    &["DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// The keys that the kubelet makes for a certificate (KEP-4317).
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// Where the files of a pod's certificate may lie.
const CERTIFICATE_PATHS: &[&str] = &["credentialBundlePath", "keyPath", "certificateChainPath"];

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

const VOLUME_SHAPES: &[(&str, Shape)] = &[
    ("configMap", Shape::All(&["name"])),
    ("secret", Shape::All(&["secretName"])),
    ("hostPath", Shape::All(&["path"])),
    ("persistentVolumeClaim", Shape::All(&["claimName"])),
    ("csi", Shape::All(&["driver"])),
    ("image", Shape::All(&["reference"])),
    ("nfs", Shape::All(&["server", "path"])),
    ("csi.nodePublishSecretRef", Shape::All(&["name"])),
    ("ephemeral", Shape::All(&["volumeClaimTemplate"])),
    ("ephemeral.volumeClaimTemplate", Shape::All(&["spec"])),
    ("ephemeral.volumeClaimTemplate.metadata", Shape::Other(claim_metadata)),
    ("ephemeral.volumeClaimTemplate.spec", Shape::All(&["accessModes", "resources"])),
    ("ephemeral.volumeClaimTemplate.spec", Shape::Other(access_modes)),
    ("ephemeral.volumeClaimTemplate.spec.resources", Shape::All(&["requests"])),
    ("ephemeral.volumeClaimTemplate.spec.resources.requests", Shape::All(&["storage"])),
    ("configMap.items[]", Shape::All(&["key", "path"])),
    ("secret.items[]", Shape::All(&["key", "path"])),
    ("downwardAPI.items[]", Shape::All(&["path"])),
    ("downwardAPI.items[]", Shape::ExactlyOne(&["fieldRef", "resourceFieldRef"])),
    ("downwardAPI.items[].fieldRef", Shape::All(&["fieldPath"])),
    ("downwardAPI.items[].resourceFieldRef", Shape::All(&["containerName", "resource"])),
    ("downwardAPI.items[].resourceFieldRef", Shape::Other(divisor)),
    ("projected", Shape::Other(projected_paths)),
    (
        "projected.sources[]",
        Shape::AtMostOne(&[
            "clusterTrustBundle",
            "configMap",
            "downwardAPI",
            "podCertificate",
            "secret",
            "serviceAccountToken",
        ]),
    ),
    ("projected.sources[].configMap", Shape::All(&["name"])),
    ("projected.sources[].secret", Shape::All(&["name"])),
    ("projected.sources[].configMap.items[]", Shape::All(&["key", "path"])),
    ("projected.sources[].secret.items[]", Shape::All(&["key", "path"])),
    ("projected.sources[].downwardAPI.items[]", Shape::All(&["path"])),
    ("projected.sources[].downwardAPI.items[]", Shape::ExactlyOne(&["fieldRef", "resourceFieldRef"])),
    ("projected.sources[].downwardAPI.items[].fieldRef", Shape::All(&["fieldPath"])),
    ("projected.sources[].downwardAPI.items[].resourceFieldRef", Shape::All(&["containerName", "resource"])),
    ("projected.sources[].downwardAPI.items[].resourceFieldRef", Shape::Other(divisor)),
    ("projected.sources[].podCertificate", Shape::All(&["signerName", "keyType"])),
    ("projected.sources[].podCertificate", Shape::Other(certificate_paths)),
    ("projected.sources[].serviceAccountToken", Shape::All(&["path"])),
    ("projected.sources[].clusterTrustBundle", Shape::All(&["path"])),
    ("projected.sources[].clusterTrustBundle", Shape::ExactlyOne(&["name", "signerName"])),
];

/// The paths of a projected volume that no two of its sources may have.
const PROJECTED_PATHS: &[&str] = &[
    "configMap.items[].path",
    "secret.items[].path",
    "downwardAPI.items[].path",
    "clusterTrustBundle.path",
    "podCertificate.credentialBundlePath",
    "podCertificate.keyPath",
    "podCertificate.certificateChainPath",
];

/// Checks the source of a volume; `place` is the volume's.
pub(in crate::template) fn volume_source(volume: &Rendered<'_>, place: &Place, problems: &mut Problems<'_>) {
    report_all(volume_rules(volume, place), problems);
}

/// What the rules for any volume have against one; `place` is the volume's.
pub(in crate::template) fn volume_rules<'r>(volume: &'r Rendered<'r>, place: &'r Place) -> Vec<Broken<'r>> {
    let mut broken = Vec::from_iter(one_source(volume, place));
    values(volume, "", VOLUME_VALUES, &mut broken);
    shapes(volume, "", VOLUME_SHAPES, &mut broken);
    broken
}

/// Whether it has one source, as far as that is known.
fn one_source<'r>(volume: &'r Rendered<'r>, place: &'r Place) -> Option<Broken<'r>> {
    if volume.members().iter().any(|(.., source)| matches!(source.content, Content::Hole)) {
        return None;
    }
    let mut sources = volume.members().iter().filter(|(key, ..)| key != "name");
    let (place, problem) = match (sources.next(), sources.next()) {
        (None, _) => {
            let problem = "this volume has no source, one such as `emptyDir: {}`; a key without a value is nothing";
            (place, problem.to_owned())
        }
        (Some(_), None) => return None,
        (_, Some((second, place, _))) => (*place, format!("a volume has one source, and `{second}` is another")),
    };
    Some(Broken { path: String::new(), value: volume, place, problem })
}

/// What of a claim's metadata a pod does not decide.
fn claim_metadata<'r>(metadata: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    let others = metadata.members().iter().filter(|(key, ..)| !matches!(&**key, "annotations" | "labels"));
    others.map(|(key, place, _)| (*place, format!("the claim's `{key}` can't be set here"))).collect()
}

/// A claim for one pod is for no others.
fn access_modes<'r>(spec: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    let modes = select(spec, "accessModes[]");
    let alone = modes.iter().find(|mode| decides(mode) && mode.text() == Some("ReadWriteOncePod"));
    let alone = alone.filter(|_| modes.iter().any(|mode| mode.text() != Some("ReadWriteOncePod")));
    alone
        .map(|mode| (mode.place, "ReadWriteOncePod can't stand beside other access modes".to_owned()))
        .into_iter()
        .collect()
}

/// The path of a certificate's file, which there need not be.
fn certificate_path(path: &Rendered<'_>) -> Option<String> {
    item_path(path).filter(|_| path.text() != Some(""))
}

/// A certificate that lies nowhere.
fn certificate_paths<'r>(certificate: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    let mut paths = CERTIFICATE_PATHS.iter().filter_map(|name| certificate.get(name));
    let none = paths.all(|path| decides(path) && path.text() == Some(""));
    let problem = || (certificate.place, format!("one of {} is missing here", CERTIFICATE_PATHS.join(", ")));
    none.then(problem).into_iter().collect()
}

/// Paths that two files of a projected volume have.
fn projected_paths<'r>(projected: &'r Rendered<'r>) -> Vec<(&'r Place, String)> {
    let mut seen = HashSet::new();
    let mut twice = Vec::new();
    for source in select(projected, "sources[]").into_iter().filter(|source| !source.conditional) {
        for path in PROJECTED_PATHS.iter().flat_map(|path| certain(source, path)) {
            if let Some(text) = path.text().filter(|text| !text.is_empty() && decides(path) && !seen.insert(*text)) {
                twice.push((path.place, format!("`{}` is another file's path, too", shorten(text))));
            }
        }
    }
    twice
}

/// The values on a path that are there whatever a pod says.
fn certain<'r>(source: &'r Rendered<'r>, path: &str) -> Vec<&'r Rendered<'r>> {
    let Some((items, field)) = path.split_once("[].") else { return select(source, path) };
    let items = select(source, items).into_iter().flat_map(Rendered::items);
    items.filter(|item| !item.conditional).filter_map(|item| item.get(field)).collect()
}

/// Whether an expression makes something of a volume, which the rules here have to look at when a pod has given it its
/// value. A parameter that is a quantity is a size already.
pub(in crate::template) fn is_open_volume(volume: &Rendered<'_>) -> bool {
    is_made_beside(volume, "", &|path, value| path.is_empty() || (path == "emptyDir.sizeLimit" && value.quantity))
}
