//! The templates that are part of the program: data, written in the public template language.

use super::{LoadError, LoadOptions, Origin, Template, load};

/// File name and text of each.
const FILES: &[(&str, &str)] = &[
    ("log-shipper.yaml", include_str!("builtin/log-shipper.yaml")),
    ("set-env.yaml", include_str!("builtin/set-env.yaml")),
    ("wait-for-db.yaml", include_str!("builtin/wait-for-db.yaml")),
    ("wait-for-service.yaml", include_str!("builtin/wait-for-service.yaml")),
];

/// The templates that are part of the program, compiled.
///
/// # Errors
///
/// A built-in does not compile: a mistake of ours, which a test finds.
pub fn builtin(options: &LoadOptions) -> Result<Vec<Template>, Vec<LoadError>> {
    let (mut templates, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in FILES {
        match load(Origin(format!("built-in/{name}").into()), text, options) {
            Ok(loaded) => templates.extend(loaded.templates),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(templates) } else { Err(errors) }
}
