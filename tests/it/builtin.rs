//! The built-in templates' scripts, run by a real busybox.
