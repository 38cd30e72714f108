//! Guest models that are not good: each thing that is wrong is told with its place.

use super::super::source::SourceFile;
use super::*;

const SCHEMA: &str = "entity user = { \"role\"?: String };\nentity record = { \"owner\": user };\naction \"read\" appliesTo { \
                      principal: [user], resource: [record], context: { \"ip\"?: String, \"action\"?: { \"soft\"?: Bool } } };\n";
const POLICY: &str = "permit (principal, action == Action::\"read\", resource) when { resource.owner == principal };\n";
const ENTITIES: &str = "[\n  { \"uid\": { \"type\": \"user\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [] }\n]\n";
const MANIFEST: &str = "name = \"small\"\n";

fn source(manifest: &str, schema: &str, policy: &str, entities: &str) -> GuestSource {
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    GuestSource {
        manifest: file("m/model.toml", manifest),
        schemas: vec![file("m/schemas/s.cedarschema", schema)],
        policies: vec![file("m/policies/p.cedar", policy)],
        entities: Some(file("m/entities.json", entities)),
    }
}

fn refused(manifest: &str, schema: &str, policy: &str, entities: &str) -> String {
    GuestModel::load(&source(manifest, schema, policy, entities)).unwrap_err().to_string()
}

fn says(said: &str, place: &str, words: &str) {
    assert!(said.starts_with(place) && said.contains(words), "{said}");
}

#[test]
fn a_small_model_is_good_and_its_policies_need_no_annotations() {
    let model = GuestModel::load(&source(MANIFEST, SCHEMA, POLICY, ENTITIES)).unwrap();
    let policies: Vec<_> = model.policies().map(|policy| policy.id.clone()).collect();
    assert_eq!((model.name(), policies, model.explains()), ("small", vec!["p.cedar:1:1".to_owned()], true));
    assert_eq!(model.ids("user", None).collect::<Vec<_>>(), ["a"]);
    assert_eq!(model.actions("user", "record").collect::<Vec<_>>(), ["read"]);
    let other = GuestModel::load(&source(MANIFEST, SCHEMA, POLICY, &ENTITIES.replace("\"a\"", "\"b\""))).unwrap();
    assert_ne!(model.version(), other.version(), "entities are a part of the model");
}

#[test]
fn texts_that_are_none_are_refused_where_they_are_wrong() {
    says(&refused(MANIFEST, "entity user = {", POLICY, ENTITIES), "m/schemas/s.cedarschema:1:", "");
    says(
        &refused(MANIFEST, &SCHEMA.replace("\"owner\": user", "\"owner\": usr"), POLICY, ENTITIES),
        "m/schemas/s.cedarschema:",
        "usr",
    );
    says(&refused(MANIFEST, SCHEMA, "permit (principal", ENTITIES), "m/policies/p.cedar:1:", "");
    says(&refused(MANIFEST, SCHEMA, &POLICY.replace("owner", "keeper"), ENTITIES), "m/policies/p.cedar:1:", "keeper");
    says(
        &refused(MANIFEST, SCHEMA, "permit (principal == ?principal, action, resource);", ENTITIES),
        "m/policies/p.cedar:1:1",
        "template",
    );
    let twice = format!("@id(\"x\")\n{POLICY}@id(\"x\")\n{POLICY}");
    says(
        &refused(MANIFEST, SCHEMA, &twice, ENTITIES),
        "m/policies/p.cedar:3:1",
        "taken by the policy at m/policies/p.cedar:1:1",
    );
    says(&refused(MANIFEST, SCHEMA, POLICY, "[\n {\n]"), "m/entities.json:3:", "");
    says(&refused(MANIFEST, SCHEMA, POLICY, "{}"), "m/entities.json:1:", "");
    says(&refused("name = ", SCHEMA, POLICY, ENTITIES), "m/model.toml:1:", "");
    says(&refused("name = \"a\"\nnames = 1\n", SCHEMA, POLICY, ENTITIES), "m/model.toml:2:1", "names");
    let deep = format!("permit (principal, action, resource) when {{ {}true{} }};", "(".repeat(100), ")".repeat(100));
    says(&refused(MANIFEST, SCHEMA, &deep, ENTITIES), "m/policies/p.cedar:1:", "deep");
}

#[test]
fn each_entity_that_is_not_as_the_schema_wants_it_is_told_where_it_stands() {
    let entity = |kind: &str, id: &str, attrs: &str, parents: &str| {
        format!(
            "  {{ \"uid\": {{ \"type\": \"{kind}\", \"id\": \"{id}\" }}, \"attrs\": {{{attrs}}}, \"parents\": [{parents}] }}"
        )
    };
    let owner = "\"owner\": { \"type\": \"user\", \"id\": \"a\" }";
    let entities = [
        entity("user", "a", "", ""),
        entity("user", "b", "\"role\": 7", ""),
        entity("record", "r", "", ""),
        entity("car", "c", "", ""),
        entity("record", "s", &format!("{owner}, \"colour\": 1"), ""),
        entity("user", "a", "\"role\": \"x\"", ""),
        entity("user", "", "", ""),
        entity("user", "u", "", "{ \"type\": \"record\", \"id\": \"s\" }"),
        entity("user", "v", "\"role\": { \"__extn\": { \"fn\": \"unknown\", \"arg\": \"x\" } }", ""),
    ];
    let said = refused(MANIFEST, SCHEMA, POLICY, &format!("[\n{}\n]", entities.join(",\n")));
    let lines: Vec<_> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let at = |line: usize| format!("m/entities.json:{line}:3:");
    assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10].map(at), "{said}");
    let cycle = "entity group in [group];\n";
    let [one, two] = [("g", "h"), ("h", "g")]
        .map(|(id, parent)| entity("group", id, "", &format!("{{ \"type\": \"group\", \"id\": \"{parent}\" }}")));
    let said = refused(MANIFEST, &format!("{cycle}{SCHEMA}"), POLICY, &format!("[{one},{two}]"));
    says(&said, "m/entities.json:1:1", "cycle");
}

#[test]
fn a_manifest_names_what_the_schema_has_and_every_action_can_be_asked_for() {
    let manifest = |more: &str| format!("{MANIFEST}[from_requests]\n{more}\n");
    let load = |text: &str| GuestModel::load(&source(text, SCHEMA, POLICY, ENTITIES));
    let good = "context = [\"ip\"]\naction = [\"soft\"]\nproperties = { user = [\"role\"], record = [\"owner\"] }";
    assert!(load(&manifest(good)).is_ok());
    for (wrong, word) in [
        ("context = [\"port\"]", "`port`"),
        ("context = [\"action\"]", "`action`"),
        ("action = [\"hard\"]", "`action.hard`"),
        ("properties = { user = [\"colour\"] }", "`colour`"),
        ("properties = { car = [\"role\"] }", "`car`"),
        ("everything = true", "everything"),
    ] {
        says(&load(&manifest(wrong)).unwrap_err().to_string(), "m/model.toml:3:", word);
    }
    for name in ["", "support-access", "Mine", "a b", &"x".repeat(65)] {
        says(&load(&format!("name = \"{name}\"")).unwrap_err().to_string(), "m/model.toml:1:", "");
    }
    for needs in ["\"ip\": String", "\"action\": { \"soft\": Bool }"] {
        let schema = SCHEMA.replace("\"ip\"?: String, \"action\"?: { \"soft\"?: Bool }", needs);
        let said = GuestModel::load(&source(MANIFEST, &schema, POLICY, ENTITIES)).unwrap_err().to_string();
        says(&said, "m/model.toml:1:1", "the action `read` needs");
    }
}

#[test]
fn the_services_own_model_is_no_guest() {
    let shipped = crate::policy::BundleSource::shipped();
    let guest = GuestSource {
        manifest: SourceFile { name: "model.toml".to_owned(), text: MANIFEST.to_owned() },
        schemas: vec![shipped.schema],
        policies: shipped.policies,
        entities: None,
    };
    says(&GuestModel::load(&guest).unwrap_err().to_string(), "", "the service's own model");
}

#[test]
fn actions_of_one_name_in_two_namespaces_are_refused() {
    let space = |name: &str| format!("namespace {name} {{ {SCHEMA} }}\n");
    let policy = "permit (principal is A::user, action == A::Action::\"read\", resource);";
    let said = refused(MANIFEST, &format!("{}{}", space("A"), space("B")), policy, "[]");
    says(&said, "", "two actions are called `read`");
    let entities = "[{ \"uid\": { \"type\": \"A::user\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [] }]";
    let model = GuestModel::load(&source(MANIFEST, &space("A"), policy, entities)).unwrap();
    assert_eq!(model.ids("A::user", None).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_policy_that_fails_denies_whatever_others_permit() {
    let policies = format!("{POLICY}permit (principal, action, resource);\n");
    let entities = "[{ \"uid\": { \"type\": \"record\", \"id\": \"r\" }, \"attrs\": { \"owner\": { \"type\": \"user\", \"id\": \
                    \"b\" } }, \"parents\": [] }]";
    let model = GuestModel::load(&source(MANIFEST, SCHEMA, &policies, entities)).unwrap();
    let nothing = Said::new();
    let facts = model.facts(&[]).unwrap();
    let act = model.act("read", &nothing, &nothing).unwrap().unwrap();
    let known = facts.ask(("user", "a"), &act, ("record", "r"));
    assert!(known.allowed && known.failed.is_empty());
    let unknown = facts.ask(("user", "a"), &act, ("record", "s"));
    assert_eq!((unknown.allowed, unknown.failed.len()), (false, 1), "nobody knows who owns it");
}

#[test]
fn what_is_believed_of_an_entity_leaves_its_tags_and_its_place_among_others_as_they_are() {
    let schema = "entity group in [group] = { \"note\"?: String } tags String;\nentity user in [group];\naction \"see\" appliesTo { \
                  principal: [user], resource: [group] };\n";
    let policies = "permit (principal, action, resource) when { resource.hasTag(\"open\") && resource.getTag(\"open\") == \"yes\" };\n\
                    forbid (principal in group::\"top\", action, resource) unless { resource has note && resource.note == \"ours\" \
                    };\n";
    let entities = "[{ \"uid\": { \"type\": \"group\", \"id\": \"top\" }, \"attrs\": {}, \"parents\": [] },
        { \"uid\": { \"type\": \"group\", \"id\": \"low\" }, \"attrs\": {}, \"tags\": { \"open\": \"yes\" },
          \"parents\": [{ \"type\": \"group\", \"id\": \"top\" }] },
        { \"uid\": { \"type\": \"user\", \"id\": \"a\" }, \"attrs\": {}, \"parents\": [{ \"type\": \"group\", \"id\": \"low\" }] },
        { \"uid\": { \"type\": \"user\", \"id\": \"b\" }, \"attrs\": {}, \"parents\": [] }]";
    let manifest = format!("{MANIFEST}[from_requests.properties]\ngroup = [\"note\"]\n");
    let model = GuestModel::load(&source(&manifest, schema, policies, entities)).unwrap();
    let nothing = Said::new();
    let act = model.act("see", &nothing, &nothing).unwrap().unwrap();
    let may = |user: &str, note: &str| {
        let properties: Said = [("note".to_owned(), note.into())].into_iter().collect();
        let low = Named { part: "resource", kind: "group", id: "low", properties: &properties };
        model.facts(&[low]).unwrap().ask(("user", user), &act, ("group", "low")).allowed
    };
    assert!(!may("a", "theirs"), "still in the group above");
    assert!(may("a", "ours") && may("b", "theirs"), "still open");
}
