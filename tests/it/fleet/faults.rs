//! Faults at random: processes and members that are frozen, lines that stall in whole or in part, and everything put right
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::proxy::{Line, Part};
use super::stage::Stage;

/// Something that can be broken and put right.
#[derive(Clone)]
pub enum Target {
    /// A member of etcd.
    Member(Pid),
    /// A process of the fleet.
    Process(Pid, Line),
}

impl Target {
    /// Every process of the fleet; then the members of etcd.
    pub fn all(stage: &Stage) -> (Vec<Self>, Vec<Self>) {
        let processes =
            stage.processes.iter().map(|process| Self::Process(process.process().pid(), process.line.clone()));
        (processes.collect(), stage.cluster.pids().into_iter().map(Self::Member).collect())
    }

    /// Breaks it in some way; gives what was done.
    fn fail(&self, rng: &mut fastrand::Rng, longest_delay: Duration) -> &'static str {
        match self {
            Self::Member(pid) => {
                kill_process(*pid, Signal::STOP).unwrap();
                "a member frozen"
            }
            Self::Process(pid, line) => match rng.u8(..7) {
                0 | 1 => {
                    kill_process(*pid, Signal::STOP).unwrap();
                    "a process frozen"
                }
                2 => {
                    line.stall(true);
                    "a line stalled"
                }
                3 => {
                    line.cut(true);
                    "a line cut"
                }
                4 => {
                    line.hold(Part::Watch, true);
                    "a watch held up"
                }
                5 => {
                    line.delay(Part::Write, longest_delay.mul_f64(rng.f64()));
                    "renewals delayed"
                }
                _ => {
                    line.hold(Part::Watch, true);
                    line.hold(Part::Write, true);
                    "watch and renewals held up"
                }
            },
        }
    }

    fn heal(&self) {
        match self {
            Self::Member(pid) => kill_process(*pid, Signal::CONT).unwrap(),
            Self::Process(pid, line) => {
                line.heal();
                kill_process(*pid, Signal::CONT).unwrap();
            }
        }
    }
}

/// Faults that come and go until they are ended.
pub struct Faults {
    over: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Faults {
    /// Breaks one of the members now and then, and two of the processes at a time.
    pub fn begin(stage: &Stage, rng: &mut fastrand::Rng) -> Self {
        let lease = Duration::from_millis(stage.times.lease);
        let (processes, members) = Target::all(stage);
        let halves = processes.split_at(processes.len() / 2);
        let over = Arc::new(AtomicBool::new(false));
        let threads = [halves.0.to_vec(), halves.1.to_vec(), members].into_iter().filter(|targets| !targets.is_empty());
        let threads = threads.map(|targets| {
            let (over, mut rng) = (Arc::clone(&over), rng.fork());
            std::thread::spawn(move || {
                let mut count = 0;
                while !over.load(Ordering::Acquire) {
                    let target = &targets[rng.usize(..targets.len())];
                    let what = target.fail(&mut rng, lease / 2);
                    tracing::debug!(what);
                    count += 1;
                    std::thread::sleep(lease.mul_f64(rng.f64().powi(2) * 2.0));
                    target.heal();
                    std::thread::sleep(lease.mul_f64(rng.f64() * 0.3));
                }
                count
            })
        });
        let threads = threads.collect();
        Self { over, threads }
    }

    /// Puts everything right; gives how many faults there were.
    pub fn end(self) -> u64 {
        self.over.store(true, Ordering::Release);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }
}
