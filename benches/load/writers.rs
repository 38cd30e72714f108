//! Administrators who revoke while others read.

use std::time::{Duration, Instant};

use crate::client::{Address, Connection, Request};
use crate::fixture::{Failure, resource_tenant};
use crate::servers::People;

/// Revocations are begun this often in a second, whether or not those before are through.
const PER_SECOND: u32 = 100;

/// Cases of which each is revoked once. Every tenth is left out: its resource tenant has not decided.
pub(crate) struct Revocations {
    next: usize,
    cases: usize,
}

impl Revocations {
    pub(crate) fn over(cases: usize) -> Self {
        Self { next: 0, cases }
    }

    /// Revokes for so long; how long each took to be acknowledged, from when it was planned.
    pub(crate) async fn run(
        &mut self,
        address: &Address,
        people: &People,
        duration: Duration,
    ) -> Result<Vec<Duration>, Failure> {
        let count = usize::try_from(u64::from(PER_SECOND) * duration.as_secs())?;
        let mut requests = Vec::with_capacity(count);
        while requests.len() < count {
            let case = self.next;
            self.next += 1;
            if case >= self.cases {
                return Err("no consents left to revoke".into());
            }
            if case % 10 != 9 {
                let token = people.administrator(&resource_tenant(case))?;
                requests.push(Request::new(&format!("/v1/consents/co-{:032x}/revoke", 2 * case), &token, ""));
            }
        }
        let started = Instant::now();
        let mut under_way = tokio::task::JoinSet::new();
        for (number, mut request) in (0..).zip(requests) {
            let planned = started + Duration::from_secs(1) / PER_SECOND * number;
            tokio::time::sleep_until(planned.into()).await;
            let address = address.clone();
            under_way.spawn(async move {
                let mut connection = Connection::open(&address).await?;
                let (status, body) = connection.ask(request.bytes(0)).await?;
                if status != 200 {
                    return Err(Failure::from(format!("{status}: {}", String::from_utf8_lossy(body))));
                }
                Ok(planned.elapsed())
            });
        }
        let mut took = Vec::with_capacity(count);
        while let Some(done) = under_way.join_next().await {
            took.push(done??);
        }
        Ok(took)
    }
}
