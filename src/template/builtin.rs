//! The templates that are part of the program: data, written in the public template language.

use super::expression::with_deep_stack;
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

/// The templates that are part of the program, compiled.
///
/// # Errors
///
/// A built-in does not compile: a mistake of ours, which a test finds.
pub fn builtin(options: &LoadOptions) -> Result<Vec<Template>, Vec<LoadError>> {
    // One thread for all of them; without it, each says so itself.
    with_deep_stack(|| compile(options)).unwrap_or_else(|_| compile(options))
}

fn compile(options: &LoadOptions) -> Result<Vec<Template>, Vec<LoadError>> {
    let (mut templates, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in FILES {
        match load(Origin(format!("built-in/{name}").into()), text, options) {
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
