//! What is compared: calls about what is absent and what is not theirs, and calls in which only the other tenant's doings
//! differ.

use fastrand::Rng;

use crate::stage::{Case, Failure, Observed, Other, Stage, Unit, request_of};

/// The requests of each unit of a group.
type Group = Vec<Vec<Vec<u8>>>;

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody should be able to tell the groups apart.
    Alike,
    /// The second group's calls are made longer on purpose.
    Longer,
}

/// Two groups of requests whose answers have the same bytes.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ours: Group,
    pub(crate) theirs: Group,
    pub(crate) kind: Kind,
}

/// The groups that are compared with the first one of the same observed tenant, which did not see the other do anything.
const GROUPS: [(Observed, Other, &str); 8] = [
    (Observed::SupportRequestTenant, Other::Waits, ""),
    (Observed::SupportRequestTenant, Other::Waits, "control: the resource tenant did nothing, twice"),
    (Observed::SupportRequestTenant, Other::Approves, "the resource tenant approved"),
    (Observed::SupportRequestTenant, Other::Rejects, "the resource tenant rejected"),
    (Observed::SupportRequestTenant, Other::ApprovesAndRevokes, "the resource tenant approved and revoked"),
    (Observed::ResourceTenant, Other::Waits, ""),
    (Observed::ResourceTenant, Other::Approves, "the support request tenant approved"),
    (Observed::ResourceTenant, Other::Rejects, "the support request tenant rejected"),
];

/// The group whose first cases allow a read of the resource tenant's data, to be looked at by the support request tenant.
const BOTH_APPROVED: usize = 2;

/// The units of each group.
pub(crate) struct Units(Vec<Vec<Unit>>);

impl Units {
    /// Sets so many units of each group up, in an order that is drawn by lot.
    pub(crate) fn settle(stage: &mut Stage, of_each: usize) -> Result<Self, Failure> {
        let mut lots: Vec<usize> = (0..GROUPS.len()).flat_map(|group| vec![group; of_each]).collect();
        Rng::new().shuffle(&mut lots);
        let mut units: Vec<Vec<Unit>> = GROUPS.iter().map(|_| Vec::new()).collect();
        for lot in lots {
            let (observed, other, _) = GROUPS.get(lot).ok_or("no group")?;
            let unit = stage.unit(*observed, *other)?;
            units.get_mut(lot).ok_or("no group")?.push(unit);
        }
        Ok(Self(units))
    }

    fn of(&self, group: usize) -> &[Unit] {
        self.0.get(group).map(Vec::as_slice).unwrap_or_default()
    }
}

/// One request for each case of each unit.
fn requests(units: &[Unit], mut of: impl FnMut(&Unit, &Case) -> Vec<u8>) -> Group {
    units.iter().map(|unit| unit.cases.iter().map(|case| of(unit, case)).collect()).collect()
}

fn get(path: &str, token: &str) -> Vec<u8> {
    request_of("GET", path, token, None)
}

fn post(path: &str, token: &str, body: &str) -> Vec<u8> {
    request_of("POST", path, token, Some(body))
}

/// A question of AuthZEN.
fn may(unit: &Unit, action: &str, kind: &str, id: &str) -> String {
    let admin = &unit.admin_id;
    format!(
        r#"{{"subject":{{"type":"User","id":"{admin}"}},"action":{{"name":"{action}"}},"resource":{{"type":"{kind}","id":"{id}"}}}}"#
    )
}

/// The same question five times at once.
fn may_five(unit: &Unit, action: &str, kind: &str, id: &str) -> String {
    let question = may(unit, action, kind, id);
    format!(r#"{},"evaluations":[{}]}}"#, question.trim_end_matches('}').to_owned() + "}", ["{}"; 5].join(","))
}

pub(crate) fn rows(stage: &mut Stage, units: &Units) -> Vec<Row> {
    let mut rows = controls(units.of(0));
    rows.extend(not_found(stage, units.of(0)));
    rows.extend(explanations(stage, units.of(BOTH_APPROVED)));
    rows.extend(the_other_tenant(units));
    rows
}

fn controls(units: &[Unit]) -> Vec<Row> {
    let own = || requests(units, |unit, case| get(&format!("/v1/consents/{}", case.own), &unit.admin));
    let row = |name: &str, kind| Row { name: name.to_owned(), ours: own(), theirs: own(), kind };
    vec![row("control: GET consent, the same", Kind::Alike), row("control: GET consent, 50 us more", Kind::Longer)]
}

/// How a request is made of an id.
type Asks = fn(&Unit, &str) -> Vec<u8>;
/// The id of something that is not theirs.
type Theirs = fn(&Case) -> &str;

const CONSENT: Theirs = |case| &case.others;
const OWN_CONSENT: Theirs = |case| &case.own;
const ACCESS_REQUEST: Theirs = |case| &case.access_request;
const SUPPORT_REQUEST: Theirs = |case| &case.support_request;

/// What is asked about something absent, and about something of another's.
const NOT_FOUND: [(&str, Theirs, Asks); 11] = [
    ("GET consent", CONSENT, |unit, id| get(&format!("/v1/consents/{id}"), &unit.admin)),
    ("GET consent, own tenant, no role", OWN_CONSENT, |unit, id| get(&format!("/v1/consents/{id}"), &unit.nobody)),
    ("POST approve", CONSENT, |unit, id| post(&format!("/v1/consents/{id}/approve"), &unit.admin, "{}")),
    ("POST revoke", CONSENT, |unit, id| post(&format!("/v1/consents/{id}/revoke"), &unit.admin, "{}")),
    ("GET access request", ACCESS_REQUEST, |unit, id| get(&format!("/v1/access-requests/{id}"), &unit.admin)),
    ("GET support request", SUPPORT_REQUEST, |unit, id| get(&format!("/v1/support-requests/{id}"), &unit.admin)),
    ("GET access requests under", SUPPORT_REQUEST, |unit, id| {
        get(&format!("/v1/access-requests?support_request={id}"), &unit.admin)
    }),
    ("POST access request", SUPPORT_REQUEST, |unit, id| {
        let tenant = &unit.resource_tenant;
        let body = format!(r#"{{"support_request":"{id}","resource_tenant":"{tenant}","reason":"why"}}"#);
        post("/v1/access-requests", &unit.admin, &body)
    }),
    ("POST close (403)", SUPPORT_REQUEST, |unit, id| {
        post(&format!("/v1/support-requests/{id}/close"), &unit.admin, "")
    }),
    ("may I view", CONSENT, |unit, id| {
        post("/access/v1/evaluation", &unit.admin, &may(unit, "viewConsent", "Consent", id))
    }),
    ("may I view, 5 at once", CONSENT, |unit, id| {
        post("/access/v1/evaluations", &unit.admin, &may_five(unit, "viewConsent", "Consent", id))
    }),
];

fn not_found(stage: &mut Stage, units: &[Unit]) -> Vec<Row> {
    // As long, and of the same kind, as an id that there is.
    let mut absent = |theirs: Theirs, asks: Asks| {
        requests(units, |unit, case| {
            let id = theirs(case);
            let prefix = id.find('-').and_then(|end| id.get(..=end)).unwrap_or_default();
            let name = format!("{}{}", stage.name(), stage.name());
            asks(unit, &format!("{prefix}{}", name.get(..id.len() - prefix.len()).unwrap_or_default()))
        })
    };
    let there = |theirs: Theirs, asks: Asks| requests(units, |unit, case| asks(unit, theirs(case)));
    let mut rows = Vec::new();
    if let Some((_, theirs, asks)) = NOT_FOUND.into_iter().next() {
        let row = |name: &str, ours, theirs| Row { name: format!("control: {name}"), ours, theirs, kind: Kind::Alike };
        rows.push(row("GET consent, absent and absent", absent(theirs, asks), absent(theirs, asks)));
        rows.push(row("GET consent, not yours and not yours", there(theirs, asks), there(theirs, asks)));
    }
    for (name, theirs, asks) in NOT_FOUND {
        rows.push(Row {
            name: format!("absent or not yours: {name}"),
            ours: absent(theirs, asks),
            theirs: there(theirs, asks),
            kind: Kind::Alike,
        });
    }
    rows
}

/// Decisions that are not the caller's to know of: the other tenant's of the same case, and those of tenants that they have
/// nothing to do with. Half of them are allowed reads, which their own tenant is told of.
fn explanations(stage: &mut Stage, units: &[Unit]) -> Vec<Row> {
    let asks = |unit: &Unit, id: &str| get(&format!("/v1/decisions/{id}/explanation"), &unit.admin);
    let others = requests(units, |unit, case| asks(unit, &case.read));
    let neighbours = units.iter().cycle().skip(1);
    let strangers = units.iter().zip(neighbours).map(|(unit, neighbour)| {
        let reads = neighbour.cases.iter().map(|case| asks(unit, &case.read));
        reads.collect()
    });
    let strangers = strangers.collect();
    [("the other tenant's", others), ("a stranger's", strangers)]
        .into_iter()
        .map(|(whose, theirs)| Row {
            name: format!("absent or not yours: GET explanation, {whose}"),
            ours: requests(units, |unit, _| asks(unit, &format!("{}{}", stage.name(), stage.name()))),
            theirs,
            kind: Kind::Alike,
        })
        .collect()
}

/// What an administrator looks at, and tries where it changes nothing.
const LOOKS: [(&str, Asks); 8] = [
    ("GET consent", |unit, id| get(&format!("/v1/consents/{id}"), &unit.admin)),
    ("pending", |unit, _| get("/v1/consents?view=pending", &unit.admin)),
    ("approved", |unit, _| get("/v1/consents?view=approved", &unit.admin)),
    ("audit log", |unit, _| get("/v1/audit-log", &unit.admin)),
    ("reads", |unit, _| get("/v1/audit-log/reads", &unit.admin)),
    ("may I approve", |unit, id| {
        post("/access/v1/evaluation", &unit.admin, &may(unit, "approveConsent", "Consent", id))
    }),
    ("may I revoke", |unit, id| post("/access/v1/evaluation", &unit.admin, &may(unit, "revokeConsent", "Consent", id))),
    ("POST narrow (refused)", |unit, id| {
        post(&format!("/v1/consents/{id}/narrow"), &unit.admin, r#"{"until":"2020-01-01T00:00:00Z"}"#)
    }),
];

fn the_other_tenant(units: &Units) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut base = 0;
    for (group, (_, _, did)) in GROUPS.into_iter().enumerate() {
        if did.is_empty() {
            base = group;
            continue;
        }
        for (look, asks) in LOOKS {
            let of = |group| requests(units.of(group), |unit, case| asks(unit, &case.own));
            rows.push(Row { name: format!("{did}: {look}"), ours: of(base), theirs: of(group), kind: Kind::Alike });
        }
    }
    rows
}
