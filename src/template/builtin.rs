//! The templates that are part of the program: data, written in the public template language.

use std::cmp::Reverse;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::expression::{joined, spawn_deep};
use super::{LoadError, LoadOptions, Origin, Template, load};

/// File name and text of each.
const FILES: &[(&str, &str)] = &[
    ("backup.yaml", include_str!("builtin/backup.yaml")),
    ("cache.yaml", include_str!("builtin/cache.yaml")),
    ("config-reloader.yaml", include_str!("builtin/config-reloader.yaml")),
    ("content-sync.yaml", include_str!("builtin/content-sync.yaml")),
    ("db-migrate.yaml", include_str!("builtin/db-migrate.yaml")),
    ("fetch-config.yaml", include_str!("builtin/fetch-config.yaml")),
    ("fix-permissions.yaml", include_str!("builtin/fix-permissions.yaml")),
    ("generate-secret.yaml", include_str!("builtin/generate-secret.yaml")),
    ("log-shipper.yaml", include_str!("builtin/log-shipper.yaml")),
    ("metrics-exporter.yaml", include_str!("builtin/metrics-exporter.yaml")),
    ("proxy.yaml", include_str!("builtin/proxy.yaml")),
    ("seed-volume.yaml", include_str!("builtin/seed-volume.yaml")),
    ("set-env.yaml", include_str!("builtin/set-env.yaml")),
    ("validate-env.yaml", include_str!("builtin/validate-env.yaml")),
    ("wait-for-db.yaml", include_str!("builtin/wait-for-db.yaml")),
    ("wait-for-service.yaml", include_str!("builtin/wait-for-service.yaml")),
];

/// The most threads that compile them: the largest holds a sixth of their text.
const MOST_THREADS: usize = 4;

/// The templates that are part of the program, compiled.
///
/// # Errors
///
/// A built-in does not compile: a mistake of ours, which a test finds.
pub fn builtin(options: &LoadOptions) -> Result<Vec<Template>, Vec<LoadError>> {
    // They are most of what the program does before its first answer.
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    // The largest first, so that no thread is left alone with one in the end.
    let mut files = FILES.to_vec();
    files.sort_by_key(|(_, text)| Reverse(text.len()));
    let next = AtomicUsize::new(0);
    let compile = || {
        let files = std::iter::from_fn(|| files.get(next.fetch_add(1, Ordering::Relaxed)));
        files
            .map(|(name, text)| (name, load(Origin(format!("built-in/{name}").into()), text, options)))
            .collect::<Vec<_>>()
    };
    let mut loaded = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).filter_map(|_| spawn_deep(scope, compile).ok()).collect();
        // Where no thread is to be had, each file says so itself.
        let here = if started.is_empty() { compile() } else { Vec::new() };
        started.into_iter().flat_map(joined).chain(here).collect::<Vec<_>>()
    });
    loaded.sort_by_key(|(name, _)| *name);
    let (mut templates, mut errors) = (Vec::new(), Vec::new());
    for (_, loaded) in loaded {
        match loaded {
            Ok(loaded) => templates.extend(loaded.templates.into_iter().map(|it| Template { built_in: true, ..it })),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(templates) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_template_loads_without_a_warning() {
        for (name, text) in FILES {
            let origin = Origin((*name).into());
            let loaded = load(origin.clone(), text, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
            let warnings = super::super::render_warnings(&origin, text, &loaded.warnings, false);
            assert!(loaded.warnings.is_empty(), "{warnings}");
            let [template] = &loaded.templates[..] else { panic!("{name} holds one template") };
            assert_eq!(format!("{}.yaml", template.name), *name);
            assert!(!template.description.is_empty());
        }
    }
}
