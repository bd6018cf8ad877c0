//! The view of a volume: what it is called, whether it can be written, and its source as it stands.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::inject::json::{Members, Raw, Text};

/// An entry of `volumes`.
#[derive(Debug, Clone, Default)]
pub struct Volume<'a> {
    /// `name`.
    pub name: Text<'a>,
    /// Nothing can be written into it: its kind says so, or its source has `readOnly: true`.
    pub read_only: bool,
    /// Its source, by kind: all members but the name.
    pub source: Members<'a, Raw<'a>>,
}

/// Volume sources that the kubelet always mounts read-only (Kubernetes documentation, "Volumes").
const READ_ONLY_SOURCES: [&str; 5] = ["configMap", "secret", "downwardAPI", "projected", "image"];

/// A volume source that says whether it can be written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadOnly {
    // Most have none, and an error that says so would be made for nothing.
    #[serde(default)]
    read_only: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VolumeVisitor;

        impl<'de> Visitor<'de> for VolumeVisitor {
            type Value = Volume<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a volume")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut volume = Volume::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if &*key == "name" {
                        volume.name = map.next_value()?;
                    } else {
                        // A source of a newer version may be anything; it says readOnly as all the others do, or not at all.
                        let source: Raw<'de> = map.next_value()?;
                        volume.read_only |= if READ_ONLY_SOURCES.contains(&&*key) {
                            source.get() != "null"
                        } else {
                            serde_json::from_str::<ReadOnly>(source.get()).is_ok_and(|source| source.read_only)
                        };
                        volume.source.0.push((key, source));
                    }
                }
                Ok(volume)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Volume::default())
            }
        }

        deserializer.deserialize_any(VolumeVisitor)
    }
}
