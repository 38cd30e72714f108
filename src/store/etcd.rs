//! The fleet's store: etcd keeps the order and refuses what is based on something old; each authority keeps a copy of
//! everything, sidecars keep nothing.
//!
//! It relies on two things of etcd alone: a transaction that writes sees the newest state, and what it wrote stays. A read
//! may be old, a watch may lose, repeat or tear what it shows: each commit carries its own number, and how many keys it
//! wrote.

mod batch;
mod commit;
mod connect;
mod copy;
mod errors;
mod feed;
mod keys;
mod log;
mod look;
mod members;
mod ranges;
mod records;
mod renew;
pub mod roles;
mod shared;
mod store;
#[cfg(test)]
mod tests;

pub use look::{FleetLook, SeenMember, look};
pub use store::{EtcdOptions, EtcdStore, Role};
