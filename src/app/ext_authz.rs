//! The mapping of requests to questions, read from its file at the start and held against the bundle and the settings.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use super::StartError;
use crate::config::{Config, ExtAuthzSettings};
use crate::mapping::{EngineerSource, InvalidMapping, MAX_FILE_BYTES, Mapping, Route};
use crate::policy::Bundle;

/// Methods that change what they are sent to (RFC 9110, section 9.2.1, has the ones that do not).
const CHANGING: [&str; 3] = ["PUT", "PATCH", "DELETE"];

/// The mapping that the settings name.
///
/// # Errors
/// [`StartError::Mapping`] naming file, line and cause.
pub(super) fn read(config: &Config, bundle: &Bundle) -> Result<Option<Arc<Mapping>>, StartError> {
    let Some(settings) = &config.ext_authz else { return Ok(None) };
    let mapping = parse(settings)?;
    let file = settings.mapping.display().to_string();
    if let Some((line, message)) = contradiction(&mapping, config, bundle) {
        return Err(StartError::Mapping(InvalidMapping::at(&file, line, message)));
    }
    Ok(Some(Arc::new(mapping)))
}

fn parse(settings: &ExtAuthzSettings) -> Result<Mapping, StartError> {
    let file = settings.mapping.display().to_string();
    let mut text = String::new();
    // One byte more than may be there: then it is known that there is too much.
    File::open(&settings.mapping)
        .and_then(|opened| opened.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text))
        .map_err(|error| InvalidMapping::at(&file, 1, format!("cannot be read: {error}")))?;
    Ok(Mapping::parse(&file, &text)?)
}

/// What the mapping says that cannot be meant, with its line.
fn contradiction(mapping: &Mapping, config: &Config, bundle: &Bundle) -> Option<(usize, String)> {
    if let EngineerSource::Certificate(pattern) = mapping.engineer()
        && !config.identity.vendor_tenants.contains(pattern.tenant())
    {
        let message = format!("`tenant`: `{}` is none of `identity.vendor_tenants`", pattern.tenant());
        return Some((1, message));
    }
    mapping.routes().iter().find_map(|route| Some((route.line(), wrong_action(route, bundle)?)))
}

fn wrong_action(route: &Route, bundle: &Bundle) -> Option<String> {
    let action = route.action()?;
    let Some(known) = bundle.verbs().find(|verb| *verb == action).and_then(|verb| bundle.action(verb)) else {
        let known: Vec<&str> = bundle.verbs().collect();
        return Some(format!(
            "`action`: `{action}` is no verb of the policies' schema; those are {}",
            known.join(", ")
        ));
    };
    let changing = route.methods().iter().find(|method| CHANGING.contains(&method.as_str()))?;
    // What is called a read is allowed as one, and this would be none (R2).
    bundle.is_read(known).then(|| format!("`action`: `{changing}` does not only read, but `{action}` says so"))
}
