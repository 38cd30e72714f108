//! The shipped policies in Cedar's JSON form, and bundles made of them with one policy broken.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;

use cedar_policy::{Policy, PolicySet, Schema};
use consentry::policy::BundleSource;
use serde_json::Value;

use super::breaks::breaks;

/// A shipped policy.
#[derive(Debug)]
pub struct Shipped {
    pub id: String,
    /// `policies/reading.cedar`.
    pub file: String,
    pub is_permit: bool,
    pub json: Value,
    /// The kinds of question it can apply to.
    kinds: BTreeSet<Kind>,
}

/// Types of principal and resource, and the action between them.
pub type Kind = (String, String, String);

/// One policy of all, broken in one way.
#[derive(Debug)]
pub struct Mutant {
    /// `reading.own-tenant.consent: without ...`
    pub name: String,
    /// The kinds of question to which it can make a difference.
    pub kinds: BTreeSet<Kind>,
    /// The broken policy's place among the shipped ones.
    policy: usize,
    /// None: it is removed.
    broken: Option<Value>,
}

/// Which policies a bundle is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Those that are shipped.
    All,
    /// The permits, without a forbid beside them.
    PermitsAlone,
    /// The forbids, beside one permit for everything.
    ForbidsAlone,
    /// Of these the guardrails.
    GuardrailsAlone,
}

const EVERYTHING: &str = r#"
@id("everything") @rule("R1") @reason("whatever anybody does")
permit (principal, action, resource);
"#;

/// The shipped policies, in the bundle's order.
pub fn shipped() -> Vec<Shipped> {
    let mut all = Vec::new();
    for file in BundleSource::shipped().policies {
        let set = PolicySet::from_str(&file.text).unwrap();
        let mut policies: Vec<&Policy> = set.policies().collect();
        policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap());
        all.extend(policies.into_iter().map(|policy| Shipped {
            id: policy.annotation("id").unwrap().to_owned(),
            file: file.name.clone(),
            is_permit: policy.effect() == cedar_policy::Effect::Permit,
            kinds: kinds(policy),
            json: policy.to_json().unwrap(),
        }));
    }
    all
}

/// Everything that can be broken in this one of the policies. A wider scope that the schema narrows again to the same
/// kinds of question breaks nothing, and is left out.
pub fn mutants(all: &[Shipped], policy: usize) -> Vec<Mutant> {
    let Shipped { id, json, kinds: before, .. } = &all[policy];
    let mut found = Vec::new();
    for broken in breaks(json) {
        let after = broken.json.as_ref().map(|json| kinds(&Policy::from_json(None, json.clone()).unwrap()));
        if broken.only_kinds && after.as_ref() == Some(before) {
            continue;
        }
        found.push(Mutant {
            name: format!("{id}: {}", broken.what),
            kinds: before.iter().cloned().chain(after.into_iter().flatten()).collect(),
            policy,
            broken: broken.json,
        });
    }
    found
}

/// The kinds of question that the schema knows and to which this policy can apply: Cedar's own answer.
fn kinds(policy: &Policy) -> BTreeSet<Kind> {
    thread_local!(static SCHEMA: Schema = Schema::from_cedarschema_str(&BundleSource::shipped().schema.text).unwrap().0);
    SCHEMA.with(|schema| {
        let kind = |env: cedar_policy::RequestEnv| {
            (env.principal().to_string(), env.action().id().unescaped().to_owned(), env.resource().to_string())
        };
        policy.get_valid_request_envs(schema).map(kind).collect()
    })
}

/// Writes a bundle into this folder: a layer of the policies, with this one broken.
pub fn write(folder: &Path, all: &[Shipped], layer: Layer, mutant: Option<&Mutant>) {
    let source = BundleSource::shipped();
    for folder in ["policies", "schemas"].map(|name| folder.join(name)) {
        std::fs::create_dir_all(folder).unwrap();
    }
    for file in [&source.schema, &source.roles] {
        std::fs::write(folder.join(&file.name), &file.text).unwrap();
    }
    for file in &source.policies {
        let permits_all = matches!(layer, Layer::ForbidsAlone | Layer::GuardrailsAlone);
        let is_first = *file == source.policies[0];
        let mut text = if permits_all && is_first { EVERYTHING.to_owned() } else { String::new() };
        for (place, policy) in all.iter().enumerate().filter(|(_, policy)| policy.file == file.name) {
            let is_part = match layer {
                Layer::All => true,
                Layer::PermitsAlone => policy.is_permit,
                Layer::ForbidsAlone => !policy.is_permit,
                Layer::GuardrailsAlone => policy.id.starts_with("guardrails."),
            };
            let json = match mutant.filter(|mutant| mutant.policy == place) {
                Some(mutant) => mutant.broken.as_ref(),
                None => Some(&policy.json),
            };
            if let (true, Some(json)) = (is_part, json) {
                let policy = Policy::from_json(None, json.clone()).unwrap();
                writeln!(text, "{}\n", policy.to_cedar().unwrap()).unwrap();
            }
        }
        std::fs::write(folder.join(&file.name), text).unwrap();
    }
}
