//! The policy author's and reviewer's tools: tests with coverage, explanations, checks, proofs and differences.
//!
//! What lives here: everything that looks at a bundle without serving it. It may name Cedar's types, because it is
//! about policies as texts. What does not: how answers are found (`policy`), and how results are printed (`cli`).

pub mod cedar_tests;
pub mod check;
pub mod coverage;
pub mod diff;
pub mod environments;
pub mod example;
pub mod explain;
pub mod pack;
pub mod prove;
pub mod recorded;
pub mod replay;
pub mod report;
pub mod review;
pub mod run;
pub mod shadow;
pub mod solver;
pub mod suite;
pub mod world;
