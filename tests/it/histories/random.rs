//! Random histories: mostly what could really happen next, now and then what makes no sense.

use fastrand::Rng;

use super::step::{Deed, Step};
use crate::support::oracle::{
    CATEGORIES, Command, Consent, May, Millis, Opening, Oracle, PEOPLE, Person, Portal, Status, TENANTS, person,
};

/// How many support requests there are at most.
const SUPPORT_REQUESTS: usize = 3;

const HOUR: Millis = 3_600_000;

/// A history of so many steps. The oracle is told of each, so that the next one can go on from there.
pub fn history(random: &mut Rng, length: usize) -> Vec<Step> {
    let mut oracle = Oracle::new(0);
    let mut steps = Vec::new();
    for tenant in &TENANTS[2..] {
        if random.u8(..10) < 7 {
            steps.push(Step::Do(by("ticketing", Command::Register(tenant))));
        }
    }
    steps.push(Step::Do(by("ticketing", Command::Open(opening(random, 1)))));
    for step in &steps {
        happens(&mut oracle, step);
    }
    while steps.len() < length {
        let step = next(random, &oracle);
        happens(&mut oracle, &step);
        steps.push(step);
    }
    steps
}

/// Tells the oracle of a step, as playing it does. Gives its reply to a deed.
pub fn happens(oracle: &mut Oracle, step: &Step) -> Option<crate::support::oracle::Reply> {
    match step {
        Step::Do(deed) => {
            oracle.now += 1;
            return Some(oracle.carry_out(deed.who, &deed.command, deed.if_version));
        }
        Step::Pass(length) => oracle.now += length,
        Step::Reach { consent, days, offset } => {
            let moment = oracle.end_of(*consent).map(|end| end + days * 24 * HOUR + offset);
            oracle.now = moment.map_or(oracle.now, |moment| moment.max(oracle.now));
        }
        Step::Reload | Step::Break | Step::Restart => {}
    }
    None
}

fn by(name: &str, command: Command) -> Deed {
    Deed { who: person(name), command, twice: false, if_version: None }
}

fn next(random: &mut Rng, oracle: &Oracle) -> Step {
    match random.u8(..100) {
        0..8 => time(random, oracle),
        8..10 => Step::Reload,
        10 => Step::Break,
        11 => Step::Restart,
        _ => {
            let mut deed = deed(random, oracle);
            deed.twice = random.u8(..20) == 0;
            deed.if_version = (random.u8(..12) == 0).then(|| random.u64(1..4));
            // Somebody else tries it.
            if random.u8(..8) == 0 {
                deed.who = &PEOPLE[random.usize(..PEOPLE.len())];
            }
            Step::Do(deed)
        }
    }
}

fn time(random: &mut Rng, oracle: &Oracle) -> Step {
    let consents = oracle.all_consents();
    let ending: Vec<Consent> = consents.into_iter().filter(|consent| oracle.end_of(*consent).is_some()).collect();
    if ending.is_empty() || random.u8(..4) == 0 {
        let lengths = [1, 1_000, HOUR, 2 * HOUR, 24 * HOUR, 31 * 24 * HOUR];
        return Step::Pass(lengths[random.usize(..lengths.len())]);
    }
    let consent = ending[random.usize(..ending.len())];
    let days = if random.u8(..3) == 0 { 30 } else { 0 };
    // A deed takes place a millisecond later.
    Step::Reach { consent, days, offset: random.i64(-2..2) }
}

fn deed(random: &mut Rng, oracle: &Oracle) -> Deed {
    let known = oracle.support_requests();
    let unknown = (1..=SUPPORT_REQUESTS).find(|id| !known.contains(id));
    // Now and then one that is not there, or not open.
    let any = random.usize(1..=SUPPORT_REQUESTS);
    let open: Vec<usize> = known.iter().copied().filter(|id| oracle.is_open(*id)).collect();
    let id = if random.u8(..10) == 0 { any } else { random.choice(&open).copied().unwrap_or(any) };
    match random.u8(..100) {
        0..2 => by("ticketing", Command::Register(TENANTS[random.usize(..TENANTS.len())])),
        2..6 => {
            let new = if random.u8(..8) == 0 { id } else { unknown.unwrap_or(id) };
            by("ticketing", Command::Open(opening(random, new)))
        }
        6..10 => by("ticketing", Command::Allow(id, random.bool())),
        10..12 => by("ticketing", Command::Rename(id, ["printers", "guests"][random.usize(..2)].to_owned())),
        12..17 => by("ticketing", Command::Assign(id, engineer(random))),
        17..20 => by("ticketing", Command::Close(id)),
        // What is closed is of little use to the rest of the history.
        20..26 => {
            let closed = known.into_iter().find(|id| !oracle.is_open(*id));
            by("ticketing", closed.map_or(Command::Assign(id, Some(person("ada"))), Command::Reopen))
        }
        26..48 => asking(random, oracle, id),
        48..51 => {
            let requests = oracle.requests();
            let number = random.usize(1..=requests.len() + 1);
            let who = oracle.request(number).map_or("ada", |request| request.by.name);
            by(who, Command::Withdraw(number))
        }
        number => decision(random, oracle, number),
    }
}

/// Who is assigned asks, mostly for what they may ask for.
fn asking(random: &mut Rng, oracle: &Oracle, id: usize) -> Deed {
    let Some(assignee) = oracle.assignee(id) else {
        return by("ticketing", Command::Assign(id, engineer(random)));
    };
    let may_ask = |tenant: &&'static str| oracle.may(assignee, May::CreateAccessRequest(id, tenant)).decision;
    let fitting: Vec<&str> = TENANTS.into_iter().filter(may_ask).collect();
    let any = TENANTS[random.usize(..TENANTS.len())];
    let resource_tenant = if random.u8(..6) == 0 { any } else { random.choice(fitting).unwrap_or(any) };
    Deed { who: assignee, ..by("ada", Command::Ask { support_request: id, resource_tenant }) }
}

fn opening(random: &mut Rng, id: usize) -> Opening {
    let owners = ["contoso", "contoso", "contoso", "contoso", "fabrikam", "vendor", "northwind", "tailspin"];
    Opening {
        id,
        tenant: owners[random.usize(..owners.len())],
        portal: if random.u8(..3) == 0 { Portal::Other } else { Portal::AdminCenter },
        allows: random.u8(..4) == 0,
        assignee: engineer(random),
    }
}

fn engineer(random: &mut Rng) -> Option<&'static Person> {
    let engineers = ["ada", "ada", "ada", "ada", "bob", "bob", "eva", "eva", "eva", "roy", "mallory", "nobody"];
    let name = engineers[random.usize(..engineers.len())];
    (name != "nobody").then(|| person(name))
}

/// Somebody decides about a consent, more often about one that waits, and more often one of its tenant's administrators.
fn decision(random: &mut Rng, oracle: &Oracle, number: u8) -> Deed {
    let consents = oracle.all_consents();
    let wanted = if number < 86 { Status::Pending } else { Status::Approved };
    let fitting: Vec<Consent> =
        consents.iter().copied().filter(|consent| oracle.life(*consent).status == wanted).collect();
    let among = if fitting.is_empty() || random.u8(..10) == 0 { &consents } else { &fitting };
    let none = Consent { request: 1, tenant: "fabrikam" };
    let consent = if among.is_empty() { none } else { among[random.usize(..among.len())] };
    let administrators: Vec<&Person> =
        PEOPLE.iter().filter(|person| person.tenant == consent.tenant && person.is_administrator()).collect();
    let who = administrators[random.usize(..administrators.len())];
    let command = match number {
        // A random approval is of everything half of the time, or else nothing would ever be read.
        ..82 => {
            let (categories, until) = if random.bool() { (None, None) } else { limits(random) };
            Command::Approve(consent, categories, until)
        }
        82..86 => Command::Reject(consent),
        86..96 => match limits(random) {
            (None, None) => Command::Narrow(consent, None, Some(HOUR)),
            (categories, until) => Command::Narrow(consent, categories, until),
        },
        _ => Command::Revoke(consent),
    };
    Deed { who, command, twice: false, if_version: None }
}

fn limits(random: &mut Rng) -> (Option<Vec<&'static str>>, Option<Millis>) {
    let some = |random: &mut Rng| CATEGORIES.into_iter().filter(|_| random.u8(..3) > 0).collect();
    let categories = random.bool().then(|| some(random));
    let until = [-HOUR, 0, 1, 2, 1_000, HOUR, HOUR, 3 * HOUR, 48 * HOUR];
    let until = random.bool().then(|| until[random.usize(..until.len())]);
    (categories, until)
}
