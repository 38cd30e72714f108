//! Results in the formats that other programs read: `JUnit` XML, lcov, and a page of HTML.

mod html;
mod junit;
mod lcov;

pub use html::html;
pub use junit::junit;
pub use lcov::lcov;
