//! A random history of everybody but the other tenant: what happens in both worlds, at the same times.
//!
//! The engineer's acts are a function of nothing that the other tenant did: who wants to ask again withdraws first, which
//! is possible whatever became of the request before.

use fastrand::Rng;
use serde_json::{Value, json};

/// The tenant that opened `SR-1` and `SR-2`.
pub const CONTOSO: &str = "contoso";
/// The tenant whose data is asked for under them.
pub const FABRIKAM: &str = "fabrikam";

/// The support requests: id, tenant, whose data is asked for under it. The third turns the roles round, and of the last two
/// each has one tenant alone.
pub const SUPPORT_REQUESTS: [(&str, &str, &str); 5] = [
    ("SR-1", CONTOSO, FABRIKAM),
    ("SR-2", CONTOSO, FABRIKAM),
    ("SR-3", FABRIKAM, CONTOSO),
    ("SR-4", CONTOSO, CONTOSO),
    ("SR-5", FABRIKAM, FABRIKAM),
];

const CATEGORIES: [&str; 3] = ["signInLogs", "auditLogs", "directoryObjects"];

/// Something that happens in both worlds.
#[derive(Debug, Clone)]
pub enum Act {
    /// The ticketing system: method, path, body.
    Ticketing(&'static str, String, Value),
    /// An engineer withdraws the last access request under this support request, if there was one, and asks anew.
    AskAnew { engineer: &'static str, support_request: &'static str, resource: &'static str },
    /// An engineer withdraws the last access request under this support request.
    Withdraw { engineer: &'static str, support_request: &'static str },
    /// The tooling, or the engineer, asks whether a read is allowed: engineer, verb, resource, support request.
    Read { by_tooling: bool, engineer: &'static str, verb: &'static str, resource: String, support_request: String },
    /// The observed tenant decides.
    Decide(Decision),
}

/// What an administrator tries with a consent of theirs.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Which administrator of the tenant.
    pub who: usize,
    /// Which of the consents that there were so far; the access requests count from the first.
    pub nth: usize,
    pub command: &'static str,
    pub body: Value,
    pub if_match: Option<u32>,
    pub key: Option<u8>,
}

/// What became of a support request so far.
struct Shadow {
    open: bool,
    assignee: Option<&'static str>,
    asked: bool,
}

/// A history in which this tenant is observed.
pub fn history(random: &mut Rng, observed: &str, length: usize) -> Vec<Act> {
    let mut shadows: Vec<Shadow> =
        SUPPORT_REQUESTS.iter().map(|_| Shadow { open: true, assignee: Some("ada"), asked: false }).collect();
    let mut acts = Vec::new();
    let mut requests = 0;
    while acts.len() < length {
        let which = random.usize(..SUPPORT_REQUESTS.len());
        let (id, tenant, resource) = SUPPORT_REQUESTS[which];
        let shadow = &mut shadows[which];
        let path = format!("/v1/support-requests/{id}");
        let act = match random.u8(..20) {
            0 => {
                let command = if shadow.open { "close" } else { "reopen" };
                shadow.open = !shadow.open;
                Act::Ticketing("POST", format!("{path}/{command}"), Value::Null)
            }
            1 => {
                shadow.assignee = *random.choice(&[Some("ada"), Some("bob"), None]).unwrap();
                let assignee = shadow.assignee.map(|name| format!("vendor/{name}"));
                Act::Ticketing("PUT", format!("{path}/assignee"), json!({ "assignee": assignee }))
            }
            2 => {
                let setting = random.bool();
                Act::Ticketing("PATCH", path, json!({ "advanced_diagnostic_information": setting }))
            }
            3 => Act::Ticketing("PATCH", path, json!({ "summary": format!("summary {}", random.u8(..)) })),
            4 if shadow.asked => Act::Withdraw { engineer: shadow.assignee.unwrap_or("ada"), support_request: id },
            5..=8 => {
                let (true, Some(engineer)) = (shadow.open, shadow.assignee) else { continue };
                shadow.asked = true;
                requests += 1;
                Act::AskAnew { engineer, support_request: id, resource }
            }
            9..=11 => read(random, observed, id, tenant),
            _ if requests > 0 => Act::Decide(decision(random, requests)),
            _ => continue,
        };
        acts.push(act);
    }
    acts
}

/// A read that is answered alike in both worlds, or of which the observed tenant must not see anything: R22 shows an
/// allowed read to the tenant whose data it is, and what is allowed across tenants is up to both.
fn read(random: &mut Rng, observed: &str, support_request: &str, tenant: &str) -> Act {
    let of = *random.choice(&[CONTOSO, FABRIKAM, "northwind"]).unwrap();
    let shown_across = of == observed && tenant != observed;
    let engineer = if shown_across { "eve" } else { *random.choice(&["ada", "ada", "bob", "eve"]).unwrap() };
    Act::Read {
        by_tooling: random.bool(),
        engineer,
        verb: if random.u8(..4) == 0 { "delete" } else { "read" },
        resource: format!("{of}/{}", random.choice(&CATEGORIES).unwrap()),
        support_request: if random.u8(..8) == 0 { "SR-none".to_owned() } else { support_request.to_owned() },
    }
}

/// Anything that an administrator can try with one of so many consents.
pub fn decision(random: &mut Rng, requests: usize) -> Decision {
    let command = *random.choice(&["approve", "approve", "reject", "narrow", "revoke"]).unwrap();
    let categories = {
        let count = random.usize(1..=3);
        random.choose_multiple(CATEGORIES, count)
    };
    let until = ["2026-11-22T10:30:00Z", "2026-11-22T12:00:00Z", "2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z"];
    let until = random.choice(until).unwrap();
    let scope = match random.u8(..4) {
        0 => json!({ "categories": categories }),
        1 => json!({ "until": until }),
        2 => json!({ "categories": categories, "until": until }),
        _ => json!({}),
    };
    let takes_scope = matches!(command, "approve" | "narrow");
    Decision {
        who: random.usize(..2),
        nth: requests - 1 - random.usize(..requests.min(4)),
        command,
        body: if takes_scope || random.u8(..8) == 0 { scope } else { json!({}) },
        if_match: (random.u8(..4) == 0).then(|| random.u32(1..4)),
        key: (random.u8(..3) == 0).then(|| random.u8(..4)),
    }
}
