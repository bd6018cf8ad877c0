//! Tests of the program from the outside, in one binary.

mod template_diagnostics;
