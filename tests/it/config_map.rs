//! A directory that the kubelet would mount a ConfigMap to.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The directory: its files are links into `..data`, itself a link.
pub struct ConfigMap {
    dir: PathBuf,
    version: usize,
}

impl ConfigMap {
    /// Mounts it, with these names and texts.
    pub fn mount(dir: PathBuf, files: &[(impl AsRef<str>, impl AsRef<str>)]) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let mut this = Self { dir, version: 0 };
        this.update(files);
        this
    }

    /// One that is there, and was never updated.
    pub fn mounted(dir: PathBuf) -> Self {
        Self { dir, version: 1 }
    }

    /// As the kubelet's AtomicWriter does: a new directory, a rename of `..data`, links, the old directory removed.
    pub fn update(&mut self, files: &[(impl AsRef<str>, impl AsRef<str>)]) {
        let (old, new) = (format!("..2026_{}", self.version), format!("..2026_{}", self.version + 1));
        self.version += 1;
        fs::create_dir(self.dir.join(&new)).unwrap();
        for (name, text) in files {
            fs::write(self.dir.join(&new).join(name.as_ref()), text.as_ref()).unwrap();
        }
        symlink(&new, self.dir.join("..data_tmp")).unwrap();
        fs::rename(self.dir.join("..data_tmp"), self.dir.join("..data")).unwrap();
        for (name, _) in files {
            let link = self.dir.join(name.as_ref());
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(name.as_ref()), link).unwrap();
            }
        }
        for entry in self.dir.read_dir().unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !name.starts_with("..") && !files.iter().any(|(kept, _)| kept.as_ref() == name) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        let _ = fs::remove_dir_all(self.dir.join(old));
    }
}
