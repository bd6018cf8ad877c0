//! The graft's volumes: shared ones located or made and mounted into the targets, private ones made.

use super::{Grafting, Site, names, read, render, text};
use crate::inject::draft::{NewMount, NewVolume};
use crate::inject::json::{MapWriter, Raw, says_all};
use crate::inject::paths;
use crate::inject::pod::Volume;
use crate::inject::reason::Reason;
use crate::inject::targets::Target;
use crate::inject::volumes::{self, Mounted};
use crate::template::expression::{EvaluationError, Item};
use crate::template::node::Node;
use crate::template::{self, Line, SharedVolume};

impl<'a> Grafting<'_, 'a> {
    pub(super) fn volumes(&mut self) {
        let template = self.template();
        self.each("sharedVolumes", &template.shared_volumes, |this, shared, item, line| {
            let sites = this.sites.len();
            let done = this.shared_volume(shared, item, line);
            if this.sites.len() == sites {
                this.missing.push(&shared.name);
            }
            done
        });
        self.each("volumes", &template.volumes, |this, private, item, line| {
            let volume = this.make_volume(&private.name, &private.source, private.verify, item, line)?;
            this.sites.push(Site {
                name: private.name.clone(),
                volume,
                sub_path: String::new(),
                path: None,
                read_only: None,
            });
            Ok(())
        });
    }

    fn shared_volume(
        &mut self,
        shared: &'a SharedVolume,
        item: Option<&Item>,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let path = text(&shared.mount_path, self.bindings, item, "mountPath")?.unwrap_or_default();
        let path = match paths::check(&path) {
            Ok(path) => path,
            Err(problem) => {
                self.rendered("sharedVolumes", line, problem);
                return Ok(());
            }
        };
        let site = match volumes::locate(&self.name(), self.index, &path, self.targets, self.draft) {
            Ok(site) => site,
            Err(reason) => {
                let with = self.planned_mount(&path);
                self.clash(reason, with);
                return Ok(());
            }
        };
        let (volume, sub_path, read_only) = match (site, &shared.volume) {
            (volumes::Site::Existing { by, volume, sub_path, read_only }, _) => {
                let because = if self.is_read_only(&volume) {
                    Some(format!("volume {volume} is read-only"))
                } else if read_only && !shared.read_only {
                    Some(format!("container {by:?} mounts it read-only"))
                } else {
                    None
                };
                (volume, sub_path, because)
            }
            (volumes::Site::New, Some(source)) => {
                let volume = self.make_volume(&shared.name, source, shared.verify, item, line)?;
                let read_only = self.is_read_only(&volume).then(|| format!("volume {volume} is read-only"));
                (volume, String::new(), read_only)
            }
            (volumes::Site::New, None) => {
                let reason = Reason::NothingMounted { graft: self.name(), path, mounts: self.mounted() };
                self.refuse(reason);
                return Ok(());
            }
        };
        for target in self.targets {
            if volumes::sees(target, self.draft, &path, &volume, &sub_path) {
                if self.makes(&volume) {
                    self.record.mount(target.name(), &path);
                }
            } else {
                self.mount(*target, volume.clone(), path.clone(), sub_path.clone(), shared.read_only, line);
            }
        }
        self.sites.push(Site { name: shared.name.clone(), volume, sub_path, path: Some(path), read_only });
        Ok(())
    }

    /// Plans a mount that a target does not have yet; what is at the path, if anything, is another volume.
    pub(super) fn mount(
        &mut self,
        target: Target<'a>,
        volume: String,
        path: String,
        sub_path: String,
        read_only: bool,
        line: Line,
    ) {
        let mut json = MapWriter::with_capacity(96);
        json.text("name", &volume);
        json.text("mountPath", &path);
        if !sub_path.is_empty() {
            json.text("subPath", &sub_path);
        }
        if read_only {
            json.json("readOnly", "true");
        }
        let json = json.finish();
        self.add_mount(NewMount { graft: self.index, line, target, volume, path, sub_path, read_only, json });
    }

    /// Plans a mount, unless something else is at its path.
    pub(super) fn add_mount(&mut self, mount: NewMount<'a>) {
        let target = mount.target;
        let device = target.container.volume_devices.get().iter();
        let taken = device
            .map(|device| paths::clean(&device.device_path))
            .find(|path| *path == mount.path)
            .map(|_| "a device".to_owned())
            .or_else(|| {
                let there = volumes::mounts(&target, self.draft).find(|there| there.path == mount.path)?;
                Some(format!("volume {}", there.volume))
            });
        if let Some(by) = taken {
            let with = self.planned_mount(&mount.path);
            let reason = Reason::MountPath {
                graft: self.name(),
                container: target.name().to_owned(),
                volume: mount.volume,
                path: mount.path,
                by,
            };
            self.clash(reason, with);
            return;
        }
        self.record.mount(target.name(), &mount.path);
        self.draft.mounts.push(mount);
    }

    /// Whether a target has this mount already.
    pub(super) fn has_mount(&self, target: &Target<'a>, wanted: &Mounted<'_>) -> bool {
        volumes::mounts(target, self.draft).any(|there| {
            (&there.path, &there.volume, &there.sub_path) == (&wanted.path, &wanted.volume, &wanted.sub_path)
        })
    }

    /// The graft that planned a mount at the path.
    fn planned_mount(&self, path: &str) -> Option<usize> {
        self.draft.mounts.iter().rev().find(|mount| mount.path == path).map(|mount| mount.graft)
    }

    /// Whether this graft's volume is meant: by its name, or because a status says so.
    pub(super) fn makes(&self, volume: &str) -> bool {
        self.record.volumes.iter().any(|own| own == volume) || self.claims(volume)
    }

    /// Whether a status says that a volume is this graft's.
    fn claims(&self, volume: &str) -> bool {
        self.recorded.is_some_and(|recorded| recorded.volumes.iter().any(|own| **own == *volume))
    }

    /// Adds a volume of the template unless the pod has it, and gives its name in the pod.
    fn make_volume(
        &mut self,
        name: &str,
        source: &'a Node,
        verify: bool,
        item: Option<&Item>,
        line: Line,
    ) -> Result<String, EvaluationError> {
        let volume = names::joined([&*self.template().name, self.asked.name.instance.unwrap_or_default(), name]);
        let Some(source) = render(Some(source), self.bindings, item, "volume")? else {
            return Err(EvaluationError::new(format!("volume {name} has no source")));
        };
        let Volume { source, read_only, .. } = read(&source, "volume")?;
        let mut json = MapWriter::with_capacity(128);
        json.text("name", &volume);
        for (key, value) in source.iter() {
            json.json(key, value.get());
        }
        let json = json.finish();
        if verify {
            self.all_rendered(&format!("volume {name}"), line, template::verify::volume(&json));
        }
        self.add_volume(volume.clone(), json, read_only, line)?;
        self.record.volumes.push(volume.clone());
        Ok(volume)
    }

    /// Plans a volume unless one of its name is there.
    pub(super) fn add_volume(
        &mut self,
        name: String,
        json: String,
        read_only: bool,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let volumes = &self.draft.volumes;
        let mut of_pod = self.context.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if let Some(there) = of_pod.find(|volume| volume.name == *name) {
            let ours = read::<Volume<'_>>(&json, "volume")?.source;
            let says = |(kind, source): (&str, &Raw<'_>)| {
                there.source.get(kind).is_some_and(|theirs| says_all(theirs.get(), source.get()))
            };
            if !self.claims(&name) && !ours.iter().all(says) {
                self.refuse(Reason::VolumeName { graft: self.name(), volume: name });
            }
        } else if volumes.iter().all(|volume| volume.name != name) {
            self.draft.volumes.push(NewVolume { graft: self.index, line, name, read_only, json });
        }
        Ok(())
    }

    fn is_read_only(&self, volume: &str) -> bool {
        let of_pod = self.context.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        of_pod.filter(|it| it.name == *volume).any(|it| it.read_only)
            || self.draft.volumes.iter().any(|it| it.name == volume && it.read_only)
    }

    /// What the targets mount, in a sentence.
    fn mounted(&self) -> String {
        let each = self.targets.iter().map(|target| {
            let paths: Vec<String> = volumes::mounts(target, self.draft).map(|mount| mount.path.into_owned()).collect();
            let paths = if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") };
            format!("{:?} mounts {paths}", target.name())
        });
        each.collect::<Vec<_>>().join("; ")
    }
}
