//! The rows and what is printed of them.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Address, Request, Round};
use crate::servers::Server;

/// One way of asking.
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) server: &'a Server,
    pub(crate) address: &'a Address,
    pub(crate) requests: Arc<Vec<Request>>,
    /// Questions in each request.
    pub(crate) size: usize,
    /// Whether consents are revoked meanwhile.
    pub(crate) revoking: bool,
    pub(crate) rounds: Vec<Round>,
    /// How long each revocation took.
    pub(crate) revoked: Vec<Duration>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        name: &'static str,
        connections: usize,
        server: &'a Server,
        address: &'a Address,
        requests: &Arc<Vec<Request>>,
    ) -> Self {
        let requests = Arc::clone(requests);
        Self { name, connections, server, address, requests, size: 1, revoking: false, rounds: vec![], revoked: vec![] }
    }

    /// The median over the rounds of this row's figure divided by that of the other row in the same round.
    fn ratio(&self, to: &Self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().zip(&to.rounds).map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints the table: figures are medians of the rounds, ratios the medians of the rounds' ratios. Every row is compared
/// with the floor at as many connections; what is over the socket, in batches or beside revocations also with `tcp`.
pub(crate) fn report(rows: &[Row<'_>]) {
    println!(
        "| row | connections | decisions/s | p50 us | p99 us | server cpu us | x floor | p99 x floor | x tcp | p99 x tcp |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for row in rows {
        let size = f64::from(u32::try_from(row.size).unwrap_or(u32::MAX));
        let of = |value: fn(&Round) -> f64| median(row.rounds.iter().map(value));
        let beside = |name: &str| {
            let other = rows.iter().find(|other| other.name == name && other.connections == row.connections);
            other.map_or(<(String, String)>::default(), |other| {
                let rate = row.ratio(other, |round| round.per_second) * size;
                (format!("{rate:.2}"), format!("{:.2}", row.ratio(other, |round| round.p99_us)))
            })
        };
        let (floor, tcp) = (beside("floor"), beside("tcp"));
        let name = if row.size > 1 { format!("{} of {}", row.name, row.size) } else { row.name.to_owned() };
        println!(
            "| {name} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {} | {} | {} | {} |",
            row.connections,
            of(|round| round.per_second) * size,
            of(|round| round.p50_us),
            of(|round| round.p99_us),
            of(|round| round.cpu_us) / size,
            floor.0,
            floor.1,
            tcp.0,
            tcp.1,
        );
        if let Some(at) = row.revoked.len().checked_sub(1) {
            let mut took = row.revoked.clone();
            took.sort_unstable();
            let share = |share: usize| took.get(at * share / 100).map_or(0.0, |took| took.as_secs_f64() * 1e3);
            println!("| - revocations ({}) | | | {:.1} ms | {:.1} ms | | | | | |", took.len(), share(50), share(99));
        }
    }
}
