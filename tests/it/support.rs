//! The harness: a real server on a real store in a temporary folder, people with real tokens, and a clock turned by hand.

mod documented;
pub mod effort;
mod house;
pub mod oracle;
mod person;
pub mod process;
mod raw;
mod shape;
pub mod trace;

pub use house::{House, config, question, settings};
pub use person::{Person, Reply};
pub use raw::{Connection, request};
