//! Volumes and mounts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::names::joined;
use super::target::list;
use super::{Problems, Size, View, items, read, render, text};
use crate::inject::json::{MapWriter, Members, Raw};
use crate::inject::mounts::Mounted;
use crate::inject::paths;
use crate::inject::pod::{self, VolumeMount};
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::Node;
use crate::template::{Part, SharedVolume, verify};

/// A volume that a graft makes.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name in the pod.
    pub name: String,
    /// It is of a kind that can't be written.
    pub read_only: bool,
    /// The volume.
    pub json: String,
}

impl Volume {
    /// Renders it.
    pub fn render(
        view: View<'_>,
        name: &str,
        source: &Node,
        verify: bool,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Self, EvaluationError> {
        let Some(source) = render(Some(source), view, item, "volume")? else {
            return Err(EvaluationError::new(format!("volume {name} has no source")));
        };
        let pod::Volume { source, read_only, .. } = read(&source, "volume")?;
        let volume = joined([&*view.template.name, view.instance, name]);
        let mut json = MapWriter::with_capacity(128);
        json.text("name", &volume);
        for (key, value) in source.iter() {
            json.json(key, value.get());
        }
        let json = json.finish();
        if verify {
            problems.extend(verify::volume(&json));
        }
        Ok(Self { name: volume, read_only, json })
    }
}

/// A volume that targets share.
#[derive(Debug)]
pub struct Shared {
    /// Where targets have it, cleaned.
    pub path: String,
    /// The template's own, where no target mounts one at the path.
    pub volume: Option<Volume>,
}

impl Shared {
    /// Renders it; `None` if it can't be at its path, which is a problem then.
    pub fn render(
        view: View<'_>,
        shared: &SharedVolume,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Option<Self>, EvaluationError> {
        let Some(path) = Self::path(view, shared, item, problems)? else { return Ok(None) };
        let volume = Self::volume(view, shared, item, problems)?;
        Ok(Some(Self { path, volume }))
    }

    /// Where targets have it; `None` if it can't be there, which is a problem then.
    pub fn path(
        view: View<'_>,
        shared: &SharedVolume,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Option<String>, EvaluationError> {
        let path = text(&shared.mount_path, view, item, "mountPath")?.unwrap_or_default();
        Ok(paths::check(&path).map_err(|problem| problems.push(problem)).ok())
    }

    /// The template's own volume, if it has one.
    pub fn volume(
        view: View<'_>,
        shared: &SharedVolume,
        item: Option<&Item<'_>>,
        problems: &mut Problems,
    ) -> Result<Option<Volume>, EvaluationError> {
        let own = shared.volume.as_ref();
        own.map(|source| Volume::render(view, &shared.name, source, shared.verify, item, problems)).transpose()
    }
}

/// A mount of one of the template's volumes.
#[derive(Debug)]
pub struct Mount {
    /// The volume's name in the template.
    pub volume: String,
    /// Where, cleaned.
    pub path: String,
    /// `subPath`: what of the volume.
    pub sub_path: String,
    /// `subPathExpr` says what of the volume.
    pub computed: bool,
    /// Not to be written.
    pub read_only: bool,
    /// All members of its JSON but `name` and `subPath`, without braces.
    members: String,
}

impl Mount {
    /// Renders what targets mount.
    pub fn render(view: View<'_>, part: Option<&Part>, problems: &mut Problems) -> Result<Vec<Self>, EvaluationError> {
        let field = "target.volumeMounts";
        list(view, "volumeMounts", part, problems, |item, problems| Self::read(item, field, problems))
    }

    /// All of a rendered list.
    pub(super) fn read_all(
        json: Option<&Cow<'_, str>>,
        field: &str,
        problems: &mut Problems,
    ) -> Result<Vec<Self>, EvaluationError> {
        let all = items(json, field)?.into_iter().map(|item| Self::read(item, field, problems));
        all.filter_map(Result::transpose).collect()
    }

    fn read(item: &RawValue, field: &str, problems: &mut Problems) -> Result<Option<Self>, EvaluationError> {
        let members: Members<'_, Raw<'_>> = read(item.get(), field)?;
        let mount = VolumeMount::of(&members);
        let sub_paths = [&mount.sub_path, &mount.sub_path_expr].map(|path| paths::check_sub_path(path));
        let path = paths::check(&mount.mount_path)
            .and_then(|path| sub_paths.into_iter().collect::<Result<(), _>>().map(|()| path));
        let path = match path {
            Ok(path) => path,
            Err(problem) => {
                problems.push(problem);
                return Ok(None);
            }
        };
        let mut json = MapWriter::with_capacity(item.get().len());
        for (key, value) in members.iter().filter(|(key, _)| !matches!(*key, "name" | "subPath")) {
            // The ServiceAccount plugin compares paths as they are written: it would mount the token over ours.
            if key == "mountPath" { json.text(key, &path) } else { json.json(key, value.get()) }
        }
        Ok(Some(Self {
            volume: mount.name.0.into_owned(),
            path,
            sub_path: mount.sub_path.0.into_owned(),
            computed: !mount.sub_path_expr.is_empty(),
            read_only: mount.read_only.unwrap_or_default(),
            members: json.into_members(),
        }))
    }

    /// Appends the JSON of this mount of a part of a volume of the pod.
    #[must_use]
    pub fn write(&self, mounted: &Mounted<'_>, out: String) -> String {
        let mut json = MapWriter::behind(out);
        json.text("name", &mounted.volume);
        json.members(&self.members);
        if !mounted.sub_path.is_empty() {
            json.text("subPath", &mounted.sub_path);
        }
        json.finish()
    }
}

impl Size for Volume {
    fn bytes(&self) -> usize {
        self.name.len() + self.json.len()
    }
}

impl Size for Shared {
    fn bytes(&self) -> usize {
        self.path.len() + self.volume.as_ref().map_or(0, Size::bytes)
    }
}

impl Size for Mount {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.volume.len() + self.path.len() + self.sub_path.len() + self.members.len()
    }
}
