//! Rules.
#![warn(missing_docs)]
#![allow(dead_code)]
mod engine;
mod lint;

pub use lint::{Diagnostic, Severity, check};
