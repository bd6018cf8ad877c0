//! Rules for volumes: of which kind one is, and what that kind wants.

use super::together::divisor;
use super::value::{
    amount, host_path, item_path, medium, mode, one_of, present, resource_field, token_lifetime, volume_field_path,
};
use super::{Broken, Rule, Shape, is_made, report_all, select, shapes, values};
use crate::template::diagnostic::{Place, Problems};
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
    ("downwardAPI.items[].fieldRef.fieldPath", volume_field_path),
    ("downwardAPI.items[].resourceFieldRef.resource", resource_field),
    ("projected.defaultMode", mode),
    ("projected.sources[].configMap.items[].path", item_path),
    ("projected.sources[].secret.items[].path", item_path),
    ("projected.sources[].downwardAPI.items[].path", item_path),
    ("projected.sources[].downwardAPI.items[].fieldRef.fieldPath", volume_field_path),
    ("projected.sources[].serviceAccountToken.path", item_path),
    ("projected.sources[].serviceAccountToken.expirationSeconds", token_lifetime),
    ("hostPath.path", host_path),
    ("hostPath.type", |kind| one_of(kind, HOST_PATHS).filter(|_| kind.text() != Some(""))),
    ("image.pullPolicy", |policy| one_of(policy, &["Always", "IfNotPresent", "Never"])),
    ("nfs.path", |path| (!path.text()?.starts_with('/')).then(|| "the path must be absolute".to_owned())),
];

/// What may have to be at a path of the node.
const HOST_PATHS: &[&str] =
    &["DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

const VOLUME_SHAPES: &[(&str, Shape)] = &[
    ("configMap", Shape::All(&["name"])),
    ("secret", Shape::All(&["secretName"])),
    ("hostPath", Shape::All(&["path"])),
    ("persistentVolumeClaim", Shape::All(&["claimName"])),
    ("csi", Shape::All(&["driver"])),
    ("image", Shape::All(&["reference"])),
    ("nfs", Shape::All(&["server", "path"])),
    ("ephemeral", Shape::All(&["volumeClaimTemplate"])),
    ("configMap.items[]", Shape::All(&["key", "path"])),
    ("secret.items[]", Shape::All(&["key", "path"])),
    ("downwardAPI.items[]", Shape::All(&["path"])),
    ("downwardAPI.items[]", Shape::ExactlyOne(&["fieldRef", "resourceFieldRef"])),
    ("downwardAPI.items[].resourceFieldRef", Shape::All(&["containerName", "resource"])),
    ("downwardAPI.items[].resourceFieldRef", Shape::Other(divisor)),
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
    ("projected.sources[].serviceAccountToken", Shape::All(&["path"])),
];

/// Checks the source of a volume; `place` is the volume's.
pub(in crate::template) fn volume_source(volume: &Rendered<'_>, place: &Place, problems: &mut Problems<'_>) {
    if volume.members().iter().any(|(.., source)| matches!(source.content, Content::Hole)) {
        return;
    }
    let sources: Vec<_> = volume.members().iter().filter(|(key, ..)| key != "name").collect();
    match sources[..] {
        [] => {
            problems
                .error(place, "this volume has no source")
                .help("one such as `emptyDir: {}`; a key without a value is nothing");
        }
        [_] => {}
        [_, (second, place, _), ..] => {
            problems.error(place, format!("a volume has one source, and `{second}` is another"));
        }
    }
    report_all(volume_rules(volume), problems);
}

/// What the rules for any volume have against one.
pub(in crate::template) fn volume_rules<'r>(volume: &'r Rendered<'r>) -> Vec<Broken<'r>> {
    let mut broken = Vec::new();
    values(volume, "", VOLUME_VALUES, &mut broken);
    shapes(volume, "", VOLUME_SHAPES, &mut broken);
    broken
}

/// Whether an expression makes something of a volume that only the rules here look at. A parameter that is a quantity needs no second look.
pub(in crate::template) fn is_open_volume(volume: &Rendered<'_>) -> bool {
    let ruled = VOLUME_VALUES.iter().flat_map(|(path, _)| select(volume, path));
    ruled.into_iter().any(|value| is_made(value) && !value.quantity)
}
