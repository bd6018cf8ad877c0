//! The graft's volumes: shared ones located or made and mounted into the targets, private ones made.

use std::borrow::Cow;

use super::{Grafting, ReadOnly, Site};
use crate::inject::draft::{GraftIndex, MAX_ADDED, NewMount, NewVolume};
use crate::inject::hardening::NO_TOKEN_VOLUME;
use crate::inject::json::{MapWriter, Raw, same, says_all};
use crate::inject::mounts::{self, Mounted};
use crate::inject::paths;
use crate::inject::pod::{self, Target};
use crate::inject::reason::{Reason, cut, some};
use crate::inject::rendering::{Shared, View, Volume, read};
use crate::inject::volumes;
use crate::template::expression::EvaluationError;
use crate::template::{Line, SharedVolume, VolumeTemplate};

impl<'p, 'a> Grafting<'_, 'p, 'a> {
    pub(super) fn volumes(&mut self) {
        let (template, rendering) = (self.template(), self.rendering());
        for (entry, ready) in template.shared_volumes.iter().zip(&rendering.shared_volumes) {
            let line = entry.line;
            let planned = match ready {
                Some(all) => self.each_ready(all, |this, Shared { path, volume }| {
                    let path = Cow::Borrowed(&**path);
                    this.shared_volume(&entry.value, path, line, |_| Ok(volume.as_ref().map(Cow::Borrowed)))
                }),
                None => self.each_open(entry, |this, shared, item| {
                    let path = |view: View<'_>, problems: &mut _| Shared::path(view, shared, item, problems);
                    let path = this.open("sharedVolumes", line, path);
                    if !matches!(path, Ok(Some(_))) {
                        this.missing.push(&shared.name);
                    }
                    let Some(path) = path? else { return Ok(()) };
                    this.shared_volume(shared, path.into(), line, |this| {
                        let volume = |view: View<'_>, problems: &mut _| Shared::volume(view, shared, item, problems);
                        let volume = this.open(&format!("volume {}", shared.name), line, volume)?;
                        Ok(volume.map(Cow::Owned))
                    })
                }),
            };
            if let Err(error) = planned {
                self.evaluation("sharedVolumes", line, &error);
            }
        }
        for (entry, ready) in template.volumes.iter().zip(&rendering.volumes) {
            let line = entry.line;
            let planned = match ready {
                Some(all) => {
                    self.each_ready(all, |this, volume| this.private_volume(&entry.value, Cow::Borrowed(volume), line))
                }
                None => self.each_open(entry, |this, private, item| {
                    let volume = this.open(&format!("volume {}", private.name), line, |view, problems| {
                        Volume::render(view, &private.name, &private.source, private.verify, item, problems)
                    })?;
                    this.private_volume(private, Cow::Owned(volume), line)
                }),
            };
            if let Err(error) = planned {
                self.evaluation("volumes", line, &error);
            }
        }
    }

    fn private_volume(
        &mut self,
        private: &'a VolumeTemplate,
        volume: Cow<'p, Volume>,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let volume = self.make_volume(volume, line)?;
        self.sites.push(Site { name: &private.name, volume, sub_path: "".into(), path: None, read_only: None });
        Ok(())
    }

    /// Locates or makes a shared volume; one that can't be had is missing.
    fn shared_volume(
        &mut self,
        shared: &'a SharedVolume,
        path: Cow<'p, str>,
        line: Line,
        own: impl FnOnce(&mut Self) -> Result<Option<Cow<'p, Volume>>, EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let sites = self.sites.len();
        let planned = if self.draft.is_too_much() || self.compares_too_much() {
            Ok(())
        } else {
            self.locate(shared, path, line, own)
        };
        if self.sites.len() == sites {
            self.missing.push(&shared.name);
        }
        planned
    }

    fn locate(
        &mut self,
        shared: &'a SharedVolume,
        path: Cow<'p, str>,
        line: Line,
        own: impl FnOnce(&mut Self) -> Result<Option<Cow<'p, Volume>>, EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let site = match volumes::locate(self.context.asked, self.index, &path, self.targets, self.draft) {
            Ok(site) => site,
            Err((reason, with)) => {
                self.clash(reason, with);
                return Ok(());
            }
        };
        let (volume, sub_path, read_only) = match site {
            volumes::Site::Existing { volume, sub_path, read_only: mounted } => {
                let mounted = mounted.filter(|_| !shared.read_only);
                let mounted = || mounted.map(|(container, with)| self.mounts_read_only(&container, with));
                let read_only = self.read_only(&volume).or_else(mounted);
                (volume.into(), sub_path.into(), read_only)
            }
            volumes::Site::New => {
                let Some(volume) = own(self)? else {
                    let (graft, path) = (self.name(), path.into_owned());
                    let reason = Reason::NothingMounted { graft, path, mounts: self.mounted() };
                    self.refuse(reason);
                    return Ok(());
                };
                let volume = self.make_volume(volume, line)?;
                let read_only = self.read_only(&volume);
                (volume, Cow::Borrowed(""), read_only)
            }
        };
        // A pod's sub path may be long, and each target would get it: what has no room is refused in the end.
        let mut room = MAX_ADDED.saturating_sub(self.draft.bytes());
        for target in self.targets {
            if volumes::sees(target, self.draft, &path, &volume, &sub_path) {
                if self.makes(&volume) {
                    self.record.mount(target.name(), path.clone());
                }
            } else if room > 0 {
                room = room.saturating_sub(volume.len() + sub_path.len());
                self.mount(*target, volume.clone(), path.clone(), sub_path.clone(), shared.read_only, line);
            }
        }
        let path = Some(path);
        self.sites.push(Site { name: &shared.name, volume, sub_path, path, read_only });
        Ok(())
    }

    /// Plans a mount that a target does not have yet; what is at the path, if anything, is another volume.
    pub(super) fn mount(
        &mut self,
        target: Target<'a>,
        volume: Cow<'p, str>,
        path: Cow<'p, str>,
        sub_path: Cow<'p, str>,
        read_only: bool,
        line: Line,
    ) {
        let mut json = MapWriter::with_capacity(128);
        json.text("name", &volume);
        json.text("mountPath", &path);
        if !sub_path.is_empty() {
            json.text("subPath", &sub_path);
        }
        if read_only {
            json.json("readOnly", "true");
        }
        let json = json.finish();
        self.add_mount(NewMount {
            graft: self.index,
            line,
            target,
            volume,
            path,
            sub_path,
            computed: false,
            read_only,
            json,
        });
    }

    /// Plans a mount, unless something else is at its path.
    pub(super) fn add_mount(&mut self, mount: NewMount<'p, 'a>) {
        let target = mount.target;
        // A container has a volume as a file system or as devices (core/v1 validation).
        let device = target.container.volume_devices.get().iter().find_map(|device| {
            let path = paths::clean(&device.device_path);
            let volume =
                || (device.name == *mount.volume).then(|| format!("the same volume, as device {},", cut(&path)));
            if path == mount.path { Some("a device".to_owned()) } else { volume() }
        });
        let taken = device.map(|device| (device, None)).or_else(|| {
            let there = mounts::mounts(&target, self.draft).find(|there| there.path == mount.path)?;
            Some((format!("volume {}", cut(&there.volume)), there.graft))
        });
        if let Some((by, with)) = taken {
            let reason = Reason::MountPath {
                graft: self.name(),
                container: target.name().to_owned(),
                volume: cut(&mount.volume).to_owned(),
                path: mount.path.into_owned(),
                by,
            };
            self.clash(reason, with);
            return;
        }
        self.record.mount(target.name(), mount.path.clone());
        self.draft.mounts.push(mount);
    }

    /// Whether a target has this mount already.
    pub(super) fn has_mount(&self, target: &Target<'a>, wanted: &Mounted<'_>) -> bool {
        mounts::mounts(target, self.draft).any(|there| {
            (&there.path, &there.volume, there.computed) == (&wanted.path, &wanted.volume, wanted.computed)
                && mounts::same_sub_path(&there.sub_path, &wanted.sub_path)
        })
    }

    /// Whether this graft's volume is meant: by its name, or because a status says so.
    pub(super) fn makes(&self, volume: &str) -> bool {
        self.record.volumes.iter().any(|own| own == volume) || self.claims(volume)
    }

    /// Whether a status says that a volume is this graft's.
    fn claims(&self, volume: &str) -> bool {
        self.recorded.is_some_and(|recorded| recorded.volumes.iter().any(|own| **own == *volume))
    }

    /// Adds a volume of the template unless the pod has it, and tells its name.
    fn make_volume(&mut self, volume: Cow<'p, Volume>, line: Line) -> Result<Cow<'p, str>, EvaluationError> {
        let (name, read_only, json) = match volume {
            Cow::Borrowed(Volume { name, read_only, json }) => (name.into(), *read_only, json.into()),
            Cow::Owned(Volume { name, read_only, json }) => (Cow::Owned(name), read_only, Cow::Owned(json)),
        };
        if name == NO_TOKEN_VOLUME {
            let problem =
                format!("the name {name} in the pod is kept for the empty volume over the service account token");
            self.rendered("volumes", line, problem + "; rename the template or its volume");
        } else {
            self.add_volume(name.clone(), read_only, &json, line)?;
        }
        self.record.volumes.push(name.clone());
        Ok(name)
    }

    /// Plans a volume unless one of its name is there.
    pub(super) fn add_volume(
        &mut self,
        name: Cow<'p, str>,
        read_only: bool,
        json: &str,
        line: Line,
    ) -> Result<(), EvaluationError> {
        let mut of_pod = self.context.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if let Some(there) = of_pod.find(|volume| volume.name == *name) {
            let ours = read::<pod::Volume<'_>>(json, "volume")?.source;
            let says = |(kind, source): (&str, &Raw<'_>)| {
                there.source.get(kind).is_some_and(|theirs| says_all(theirs.get(), source.get()))
            };
            if !self.claims(&name) && !ours.iter().all(says) {
                let (graft, volume) = (self.name(), name.into_owned());
                self.refuse(if volume == NO_TOKEN_VOLUME {
                    Reason::KeptVolume { graft, volume }
                } else {
                    Reason::VolumeName { graft, volume }
                });
            }
        } else if let Some(planned) = self.draft.volumes.iter().find(|volume| volume.name == name) {
            let with = planned.graft;
            // Only what is empty for all is nobody's own.
            let common = with == self.index || name == NO_TOKEN_VOLUME;
            if common && same(&planned.json, json) {
                return Ok(());
            }
            if with == self.index {
                self.rendered("volumes", line, format!("volume {name} is made twice, with different contents"));
            } else {
                let (graft, other, volume) = (self.name(), self.graft_name(with), name.into_owned());
                self.clash(Reason::VolumeTwice { graft, other, volume }, Some(with));
            }
        } else {
            let json = json.to_owned();
            self.draft.volumes.push(NewVolume { graft: self.index, line, name, read_only, json });
        }
        Ok(())
    }

    /// Why a volume can't be written, if it can't.
    fn read_only(&self, volume: &str) -> Option<ReadOnly> {
        let mut of_pod = self.context.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        if of_pod.any(|it| it.name == *volume && it.read_only) {
            return Some(ReadOnly { by: format!("volume {volume} is read-only"), with: None });
        }
        let planned = self.draft.volumes.iter().find(|it| it.name == volume && it.read_only)?;
        let of =
            if planned.graft == self.index { String::new() } else { format!(" of {}", self.graft_name(planned.graft)) };
        Some(ReadOnly { by: format!("volume {volume}{of} is read-only"), with: Some(planned.graft) })
    }

    /// That a container, or an earlier graft in it, mounts a volume read-only.
    fn mounts_read_only(&self, container: &str, with: Option<GraftIndex>) -> ReadOnly {
        let by = match with.filter(|with| *with != self.index) {
            Some(with) => format!("{} mounts it read-only into container {container:?}", self.graft_name(with)),
            None => format!("container {container:?} mounts it read-only"),
        };
        ReadOnly { by, with }
    }

    /// What the targets mount, in a sentence.
    fn mounted(&self) -> String {
        some(self.targets.iter(), "; ", |target| {
            let paths = some(mounts::mounts(target, self.draft), ", ", |mount| cut(&mount.path).to_owned());
            format!("{:?} mounts {}", target.name(), if paths.is_empty() { "nothing" } else { &paths })
        })
    }
}
