//! Invariants: what must hold of every answer that a bundle can give, each a named Cedar policy with a sentence.
//!
//! They stand beside the policies in `policies/invariants/` and are never asked anything: they are not part of what is
//! served, nor of the bundle's version. An invariant speaks of the kinds of question that its scope names.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::nesting;
use super::place::{LoadError, Place, Problem, problems};
use super::source::{SourceFile, read_folder};
use crate::signing::{beginning, sha256_of_texts};

/// What an invariant claims of the answers to the questions it speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A permit: nothing is allowed but what it allows.
    AtMost,
    /// A forbid: nothing that it matches is ever allowed.
    Never,
    /// `@form("at-least")`: everything that it matches is allowed.
    AtLeast,
    /// `@form("disjoint")`: no two of the policies in `@of` hold at once.
    Disjoint(Vec<String>),
    /// `@form("unreadable")`: no policy can read an entity of the type in `@of` but the one that is asked about.
    Unreadable(String),
    /// `@form("assumption")`: no claim; a claim that names it in `@assuming` is proved only where this forbid does not
    /// hold.
    Assumption,
    /// `@form("realistic")`: no claim; says what facts look like, so that counterexamples do.
    Realistic,
}

impl Form {
    /// Its word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AtMost => "at-most",
            Self::Never => "never",
            Self::AtLeast => "at-least",
            Self::Disjoint(_) => "disjoint",
            Self::Unreadable(_) => "unreadable",
            Self::Assumption => "assumption",
            Self::Realistic => "realistic",
        }
    }

    /// Whether it is a claim that can be proved, not a help for others.
    #[must_use]
    pub const fn is_claim(&self) -> bool {
        !matches!(self, Self::Assumption | Self::Realistic)
    }
}

/// One invariant.
#[derive(Debug, Clone)]
pub struct Invariant {
    /// Its `@id`.
    pub id: String,
    /// The numbers in its `@rule`.
    pub rules: Vec<String>,
    /// Its `@says`: the sentence that it states.
    pub says: String,
    /// What it claims.
    pub form: Form,
    /// The assumptions that it rests on: `@assuming`, ids with spaces between.
    pub assuming: Vec<String>,
    /// Where it stands.
    pub place: Place,
    /// A digest of what it means: neither comments nor line breaks are in it.
    pub digest: String,
    policy: Policy,
}

impl Invariant {
    /// The policy that states it, under its `@id`, for tools.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// All invariants of a bundle.
#[derive(Debug, Clone, Default)]
pub struct Invariants {
    all: Vec<Invariant>,
}

macro_rules! shipped {
    ($($name:literal),*) => {
        [$(SourceFile { name: $name.to_owned(), text: include_str!(concat!("../../", $name)).to_owned() }),*]
    };
}

impl Invariants {
    /// The invariants that ship with the program.
    ///
    /// # Errors
    /// None in a program that was tested.
    pub fn shipped() -> Result<Self, LoadError> {
        Self::parse(&shipped![
            "policies/invariants/reading.cedar",
            "policies/invariants/realistic.cedar",
            "policies/invariants/requests.cedar",
            "policies/invariants/services.cedar",
            "policies/invariants/visibility.cedar"
        ])
    }

    /// Reads `policies/invariants/*.cedar` of a bundle's directory. A bundle without that folder is held to the
    /// invariants that ship with the program.
    ///
    /// # Errors
    /// [`LoadError`] naming every file that cannot be read, and what is wrong in the others.
    pub fn read(directory: &Path) -> Result<Self, LoadError> {
        if directory.join("policies/invariants").is_dir() {
            Self::parse(&read_folder(directory, "policies/invariants")?)
        } else {
            Self::shipped()
        }
    }

    /// Reads the texts of invariants.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong and where.
    pub fn parse(files: &[SourceFile]) -> Result<Self, LoadError> {
        let mut found = Vec::new();
        let mut named: BTreeMap<(usize, usize), Invariant> = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            if let Some(problem) = nesting::too_deep(file, b"([{", b")]}") {
                found.push(problem);
                continue;
            }
            let set = match PolicySet::from_str(&file.text) {
                Ok(set) => set,
                Err(errors) => {
                    found.extend(errors.iter().flat_map(|error| problems(&file.name, &file.text, error)));
                    continue;
                }
            };
            for policy in set.policies() {
                let core: &cedar_policy_core::ast::Policy = policy.as_ref();
                let offset = core.loc().map_or(0, |loc| loc.span.offset());
                let place = Place::of(&file.name, &file.text, offset);
                match invariant(policy, place.clone()) {
                    Ok(invariant) if named.values().any(|known| known.id == invariant.id) => {
                        found.push(wrong(place, format!("the id `{}` is taken", invariant.id)));
                    }
                    Ok(invariant) => {
                        named.insert((number, offset), invariant);
                    }
                    Err(message) => found.push(wrong(place, message)),
                }
            }
            if set.templates().next().is_some() {
                found.push(wrong(Place::of(&file.name, &file.text, 0), "an invariant has no slots".to_owned()));
            }
        }
        let all: Vec<_> = named.into_values().collect();
        for invariant in &all {
            for name in &invariant.assuming {
                if !all.iter().any(|other| other.id == *name && other.form == Form::Assumption) {
                    let message = format!("`{name}` in `@assuming` is no assumption: write `@form(\"assumption\")`");
                    found.push(wrong(invariant.place.clone(), message));
                }
            }
        }
        if found.is_empty() { Ok(Self { all }) } else { Err(LoadError { problems: found }) }
    }

    /// Checks them against a bundle's schema, in strict mode: words that it does not know, and conditions that can
    /// never hold.
    ///
    /// # Errors
    /// [`LoadError`] with everything that is wrong and where.
    pub fn check(&self, schema: &Schema) -> Result<(), LoadError> {
        let policies = self.all.iter().map(|invariant| invariant.policy.clone());
        let set = PolicySet::from_policies(policies).map_err(|error| LoadError::of(error.to_string()))?;
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let errors = result.validation_errors().map(|error| (error.policy_id().clone(), error.to_string()));
        let warnings = result.validation_warnings().map(|warning| (warning.policy_id().clone(), warning.to_string()));
        let problems: Vec<_> = errors
            .chain(warnings)
            .map(|(id, message)| {
                let of = self.all.iter().find(|invariant| invariant.policy.id() == &id);
                Problem { place: of.map(|invariant| invariant.place.clone()), message, help: None }
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(LoadError { problems }) }
    }

    /// All of them, in the order of files and places.
    #[must_use]
    pub fn all(&self) -> &[Invariant] {
        &self.all
    }

    /// Those that claim something.
    pub fn claims(&self) -> impl Iterator<Item = &Invariant> {
        self.all.iter().filter(|invariant| invariant.form.is_claim())
    }

    /// Names what is claimed: a digest of every claim and every assumption.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut meant: Vec<_> =
            self.all.iter().filter(|invariant| invariant.form != Form::Realistic).map(|one| &one.digest).collect();
        meant.sort();
        digest_of(meant.into_iter().map(String::as_str))
    }
}

fn invariant(policy: &Policy, place: Place) -> Result<Invariant, String> {
    let annotation = |key: &str| policy.annotation(key).map(str::trim).filter(|text| !text.is_empty());
    let needed = |key: &str| {
        annotation(key).map(ToOwned::to_owned).ok_or_else(|| format!("the invariant has no `@{key}(\"...\")`"))
    };
    let (id, rule, says) = (needed("id")?, needed("rule")?, needed("says")?);
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    let form = match (annotation("form"), policy.effect()) {
        (None | Some("at-most"), cedar_policy::Effect::Permit) => Form::AtMost,
        (None | Some("never"), cedar_policy::Effect::Forbid) => Form::Never,
        (Some("at-least"), cedar_policy::Effect::Permit) => Form::AtLeast,
        (Some("disjoint"), cedar_policy::Effect::Permit) => Form::Disjoint(words(&needed("of")?)),
        (Some("unreadable"), cedar_policy::Effect::Permit) => Form::Unreadable(needed("of")?),
        (Some("assumption"), cedar_policy::Effect::Forbid) => Form::Assumption,
        (Some("realistic"), cedar_policy::Effect::Forbid) => Form::Realistic,
        (Some(other), effect) => {
            return Err(format!(
                "a {effect} has no `@form(\"{other}\")`: a permit is at-most, at-least, disjoint or unreadable, a forbid \
                 is never, assumption or realistic"
            ));
        }
    };
    let assuming = annotation("assuming").map(words).unwrap_or_default();
    let of = policy.annotation("of").unwrap_or_default();
    let core: &cedar_policy_core::ast::Policy = policy.as_ref();
    let condition = core.condition().to_string();
    let digest = digest_of([id.as_str(), form.as_str(), of, &assuming.join(" "), &condition]);
    let rules = words(&rule);
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(Invariant { id, rules, says, form, assuming, place, digest, policy })
}

fn digest_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    beginning(&sha256_of_texts(texts))
}

fn wrong(place: Place, message: String) -> Problem {
    Problem { place: Some(place), message, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Bundle, BundleSource};

    fn parse(text: &str) -> Result<Invariants, String> {
        Invariants::parse(&[SourceFile { name: "x.cedar".to_owned(), text: text.to_owned() }])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_invariants_speak_the_shipped_schema() {
        let invariants = Invariants::shipped().unwrap();
        let bundle = Bundle::load(&BundleSource::shipped()).unwrap();
        assert_eq!(invariants.check(bundle.schema()), Ok(()));
        assert!(invariants.claims().count() > 20);
        let files = read_folder(Path::new(env!("CARGO_MANIFEST_DIR")), "policies/invariants").unwrap();
        assert_eq!(Invariants::parse(&files).unwrap().digest(), invariants.digest(), "a file is not shipped");
    }

    #[test]
    fn a_digest_names_the_meaning_and_not_the_layout() {
        let text = |condition: &str| {
            format!("@id(\"i\") @rule(\"R4\") @says(\"x\")\nforbid (principal, action, resource) {condition};")
        };
        let digest = |condition: &str| parse(&text(condition)).unwrap().digest();
        assert_eq!(digest("when { 1 == 2 }"), digest("when {\n  // why\n  1 == 2\n}"));
        assert_ne!(digest("when { 1 == 2 }"), digest("when { 1 == 3 }"));
    }

    #[test]
    fn what_is_no_invariant_is_refused_with_its_place() {
        let head = "@id(\"i\") @rule(\"R4\") @says(\"x\")";
        let scope = "(principal, action, resource);";
        assert!(parse(&format!("permit {scope}")).unwrap_err().contains("x.cedar:1:1: the invariant has no `@id"));
        assert!(parse(&format!("{head} permit {scope}\n{head} permit {scope}")).unwrap_err().contains("is taken"));
        assert!(parse(&format!("{head} @form(\"at-least\") forbid {scope}")).unwrap_err().contains("has no `@form"));
        assert!(parse(&format!("{head} @form(\"disjoint\") permit {scope}")).unwrap_err().contains("no `@of"));
        assert!(parse(&format!("{head} @assuming(\"a\") permit {scope}")).unwrap_err().contains("is no assumption"));
        assert!(parse("permit (").unwrap_err().starts_with("x.cedar:1:"));
        assert!(parse(&"(".repeat(10_000)).unwrap_err().contains("deep in one another"));
    }
}
