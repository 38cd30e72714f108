//! The library's client, against the real service and against servers that are none.

mod adrift;
mod impostor;
mod others;
mod several;
mod workflow;

use consentry::client::{Client, ReadQuestion};
use consentry::model::Category;

use crate::support::{House, Person};

/// May `vendor/ada` read fabrikam's sign-in logs under `SR-1`?
fn question() -> ReadQuestion {
    ReadQuestion {
        engineer: "vendor/ada".parse().unwrap(),
        verb: "read".to_owned(),
        tenant: "fabrikam".parse().unwrap(),
        category: Category::SignInLogs,
        item: None,
        support_request: "SR-1".parse().unwrap(),
    }
}

/// A client that calls as this person.
fn client_of(house: &House, person: &Person) -> Client {
    let person = person.clone();
    Client::tcp(&house.url).tokens(move || person.token()).timeout(std::time::Duration::from_secs(20)).build().unwrap()
}
