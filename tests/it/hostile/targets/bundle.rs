//! Policy bundles: a bad one never takes the place of a good one, and a good one answers or denies.

use consentry::policy::{Bundle, BundleSource};

use super::front::{first_line, with_front};

const SCHEMA: &str = "schemas/support_access.cedarschema";
const ROLES: &str = "schemas/entra-roles.json";

/// The first line is the name of a file of the bundle, and the rest is what stands in it now; all other files are the
/// shipped ones.
pub fn run(bytes: &[u8]) {
    let Some((name, text)) = first_line(bytes) else { return };
    let shipped = BundleSource::shipped();
    let known = shipped.policies.iter().chain([&shipped.schema, &shipped.roles]).find(|file| file.name == name);
    if known.is_none() && name != "policies/more.cedar" {
        return;
    }
    with_front(|front| {
        let policies = &front.app().edge().policies;
        let path = front.folder.path().join("bundle").join(name);
        let before = policies.current().version().clone();
        std::fs::write(&path, text).unwrap();
        if let Err(error) = front.app().reload_policies() {
            assert_eq!(policies.current().version(), &before, "a bad bundle serves");
            assert!(front.ada_may_read(), "the good bundle was lost");
            assert!(policies.refused().is_some_and(|why| !why.to_string().trim().is_empty()));
            let told = error.to_string();
            assert!(!told.trim().is_empty() && told.len() <= 40 * 1024, "{} bytes", told.len());
        } else {
            assert!(policies.refused().is_none());
            let source = BundleSource::read(&front.folder.path().join("bundle")).unwrap();
            let good = Bundle::load(&source).expect("a bundle that serves is good");
            assert_eq!(policies.current().version(), good.version(), "another bundle serves");
            // Whatever it says: an answer or a denial, and no error of ours.
            front.ada_may_read();
            if [SCHEMA, ROLES].contains(&name) {
                let request = front.request("cyd", "GET", "/v1/consents?view=pending", Vec::new());
                front.call(request.unwrap());
            }
        }
        match known {
            Some(file) => std::fs::write(&path, &file.text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        if policies.current().version() != &before {
            front.app().reload_policies().expect("the shipped bundle is good");
            assert_eq!(policies.current().version(), &before);
        }
        assert!(front.ada_may_read(), "another bundle left something behind");
    });
}
