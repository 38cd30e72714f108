//! The fleet as processes: a real etcd, sidecars and authorities, and every fault that a network and a machine can have
//! (G1, G2, G4).

mod backup;
mod certificates;
mod clocks;
mod cluster;
mod faults;
mod harness;
mod history;
mod member;
mod outages;
mod peers;
mod protocol;
mod proxy;
mod revokers;
mod rights;
mod rollouts;
mod stage;
mod status;
mod told;
