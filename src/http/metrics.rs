//! `/metrics`: numbers for whoever runs the service, on a listener of their own.
//!
//! They count what the whole service does, and so are nothing for tenants (R19): no other listener has them. No label
//! names a person, a tenant or a request, and each has few values.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{CheckCounts, Edge, operator};
use crate::outbox::EndpointStatus;
use crate::replica::LeaseStatus;

/// How many of a refused bundle's problems are shown.
const MOST_PROBLEMS: usize = 10;
/// How many characters of a problem are shown.
const LONGEST_PROBLEM: usize = 200;

/// `OpenMetrics` 1.0, which Prometheus reads.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The routes of the metrics listener.
pub(super) fn router(edge: Arc<Edge>) -> Router {
    let mut registry = Registry::with_prefix("consentry");
    registry.register_collector(Box::new(House(Arc::clone(&edge))));
    Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry)).merge(operator::router(edge))
}

/// `GET /metrics`
async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads the parts of the house whenever somebody asks.
#[derive(Debug)]
struct House(Arc<Edge>);

impl Collector for House {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let edge = &self.0;
        let reloads = edge.guest.as_ref().map_or(edge.policies.reloads(), |guest| guest.models().reloads());
        let refused = edge.refused_policies();
        let version = edge.policy_version();
        let is = |condition: bool| i64::from(condition);
        info(&mut encoder, "policy_info", "The bundle in force", &[[("version", version)]])?;
        let outcomes = [("taken", reloads.taken), ("refused", reloads.refused)];
        counters(&mut encoder, "policy_reloads", "Reloads, by how they ended", "outcome", &outcomes)?;
        let good = [("", is(refused.is_none()))];
        gauges(&mut encoder, "policy_last_reload_good", "Whether the last reload was good", "", &good)?;
        let problems: Vec<_> = refused.iter().flat_map(|error| &error.problems).take(MOST_PROBLEMS).collect();
        let told: Vec<[(&str, String); 2]> = problems
            .iter()
            .map(|problem| {
                let place = problem.place.as_ref().map(ToString::to_string).unwrap_or_default();
                [("place", place), ("problem", problem.message.chars().take(LONGEST_PROBLEM).collect())]
            })
            .collect();
        info(&mut encoder, "policy_refused_info", "What is wrong with the bundle that was refused, and where", &told)?;
        let decisions = edge.guest.as_ref().map_or_else(|| edge.decisions.counts(), |guest| guest.counts());
        let answers = [("allow", decisions.allowed), ("deny", decisions.denied)];
        counters(&mut encoder, "decisions", "Decisions about reads, by their answer", "decision", &answers)?;
        let cached = [("", decisions.remembered)];
        counters(&mut encoder, "decisions_remembered", "Decisions that were answered from the cache", "", &cached)?;
        let lost = [("", edge.log.lost())];
        counters(&mut encoder, "decision_log_lost_records", "Records lost in best_effort", "", &lost)?;
        encode_trail(&mut encoder, &edge.log.trail())?;
        let ready = [
            ("replica", is(edge.replica.fresh().is_ok())),
            ("store", is(edge.workflow.store_health().is_ok())),
            ("decision_log", is(edge.log.health().is_ok())),
        ];
        gauges(&mut encoder, "ready", "Whether a part works, as /readyz has it", "check", &ready)?;
        if let Some(lease) = edge.replica.lease() {
            encode_lease(&mut encoder, &lease)?;
        }
        encode_webhooks(&mut encoder, edge)?;
        encode_checks(&mut encoder, &edge.ext_authz)?;
        match edge.decisions.shadow() {
            Some(shadow) => encode_shadow(&mut encoder, &shadow.counts()),
            None => Ok(()),
        }
    }
}

fn encode_lease(encoder: &mut DescriptorEncoder<'_>, lease: &LeaseStatus) -> fmt::Result {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let remaining = lease.remaining.map_or(0, |remaining| i64::try_from(remaining.as_millis()).unwrap_or(i64::MAX));
    let help = "For how long facts may still be used without a renewal, in milliseconds";
    gauges(encoder, "lease_remaining_ms", help, "", &[("", remaining)])?;
    gauges(encoder, "lease_applied", "The newest change that is in force", "", &[("", number(lease.applied.0))])?;
    gauges(encoder, "lease_head", "The newest change that the store has told of", "", &[("", number(lease.head.0))])?;
    let outcomes = [("renewed", lease.renewals), ("failed", lease.failures)];
    counters(encoder, "lease_renewals", "Renewals of the lease, by how they ended", "outcome", &outcomes)
}

fn encode_checks(encoder: &mut DescriptorEncoder<'_>, counts: &CheckCounts) -> fmt::Result {
    let outcomes = [
        ("allowed", counts.allowed.load(Ordering::Relaxed)),
        ("passed", counts.passed.load(Ordering::Relaxed)),
        ("denied", counts.denied.load(Ordering::Relaxed)),
        ("failed", counts.failed.load(Ordering::Relaxed)),
    ];
    counters(
        encoder,
        "ext_authz_checks",
        "Requests that Envoy asked about, by what became of them",
        "outcome",
        &outcomes,
    )
}

fn encode_webhooks(encoder: &mut DescriptorEncoder<'_>, edge: &Edge) -> fmt::Result {
    let endpoints = edge.outbox.endpoints();
    let sum = |count: fn(&EndpointStatus) -> u64| endpoints.iter().map(count).sum::<u64>();
    let outcomes = [
        ("delivered", sum(|endpoint| endpoint.delivered)),
        ("failed", sum(|endpoint| endpoint.failed)),
        ("died", sum(|endpoint| endpoint.died)),
    ];
    counters(
        encoder,
        "webhook_tries",
        "Letters to endpoints of tenants, by what became of a try",
        "outcome",
        &outcomes,
    )?;
    let waiting = endpoints.iter().map(|endpoint| i64::try_from(endpoint.waiting).unwrap_or(i64::MAX)).sum();
    gauges(encoder, "webhook_waiting", "Letters that wait or are under way", "", &[("", waiting)])?;
    let gone = endpoints.iter().map(|endpoint| i64::from(endpoint.gone)).sum();
    gauges(encoder, "webhook_gone", "Endpoints that have said that they are no more", "", &[("", gone)])
}

fn encode_trail(encoder: &mut DescriptorEncoder<'_>, trail: &crate::audit::TrailState) -> fmt::Result {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let is = |condition: bool| i64::from(condition);
    gauges(encoder, "decision_log_lines", "Lines of the log that are in its tree", "", &[("", number(trail.size))])?;
    let signed = [("", number(trail.signed_size))];
    gauges(encoder, "decision_log_signed_lines", "Lines that the newest signed head covers", "", &signed)?;
    let behind = [("", number(trail.behind_bytes))];
    gauges(encoder, "decision_log_behind_bytes", "Bytes that are written and not in the tree yet", "", &behind)?;
    let works = [
        ("heads", is(trail.trouble.is_none())),
        ("publishing", is(trail.publish_trouble.is_none())),
        ("posting", is(trail.post_trouble.is_none())),
    ];
    gauges(encoder, "decision_log_trail", "Whether heads are signed, and published", "part", &works)?;
    let held = [("", is(trail.hold.is_some()))];
    gauges(encoder, "decision_log_held", "Whether a legal hold keeps segments from being removed", "", &held)
}

fn encode_shadow(encoder: &mut DescriptorEncoder<'_>, shadow: &crate::decision::ShadowCounts) -> fmt::Result {
    let version: Vec<_> = shadow.version.iter().map(|version| [("version", version.clone())]).collect();
    info(encoder, "shadow_policy_info", "The shadow bundle", &version)?;
    let outcomes = [
        ("same", shadow.same),
        ("newly_allowed", shadow.newly_allowed),
        ("newly_denied", shadow.newly_denied),
        ("other_reason", shadow.other_reason),
    ];
    counters(encoder, "shadow_decisions", "Decisions that the shadow bundle was asked too", "outcome", &outcomes)?;
    counters(encoder, "shadow_dropped", "Decisions for which it had no time", "", &[("", shadow.dropped)])
}

/// One series for each value of the label; one without a label where its name is empty.
fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let counter = ConstCounter::new(*count);
        counter.encode(family.encode_family(&labels(label, value))?)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, i64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, amount) in values {
        let gauge = ConstGauge::new(*amount);
        gauge.encode(family.encode_family(&labels(label, value))?)?;
    }
    Ok(())
}

fn labels<'a>(label: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    if label.is_empty() { Vec::new() } else { vec![(label, value)] }
}

/// A gauge that is always 1, and says what there is to say in its labels.
fn info<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: &[[(&str, String); N]],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for labels in series {
        let one = ConstGauge::new(1_i64);
        one.encode(family.encode_family(labels)?)?;
    }
    Ok(())
}
