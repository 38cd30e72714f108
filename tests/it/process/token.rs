//! `consentry token`: what it prints is good for a sidecar that trusts the key, and it is refused in production.

use consentry::identity::development::DevelopmentKey;

use crate::support::process::{Sidecar, Site, end_of};

fn printed(site: &Site, arguments: &[&str]) -> String {
    let output = site.command(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_printed_token_and_key_set_work_together() {
    let site = Site::new("");
    let key_set = printed(&site, &["token", "--jwks", "--key", "mine.key"]);
    std::fs::write(site.file("jwks.json"), key_set).unwrap();
    let sidecar: Sidecar = site.start();
    let mint = |more: &[&str]| {
        let issuer = "https://issuer.test.example/{tid}";
        let mut arguments = vec!["token", "--config", "consentry.toml", "--key", "mine.key", "--issuer", issuer];
        arguments.extend(more);
        printed(&site, &arguments)
    };
    let cyd = mint(&["--tenant", "contoso", "--object", "cyd", "--role", "Global Administrator"]);
    let nobody = mint(&["--tenant", "contoso", "--object", "eve"]);
    let ticketing =
        mint(&["--tenant", "vendor", "--object", "tickets", "--service", "--app-role", "SupportRequests.Manage"]);
    let anybody = site.person(&sidecar, "contoso", "anybody", &[], &[]);
    let with = |token: &str| anybody.with("authorization", &format!("Bearer {token}"));
    assert_eq!(with(&cyd).get("/v1/consents?view=pending").await.status, 200);
    let refused = with(&nobody).get("/v1/consents?view=pending").await;
    assert_eq!((refused.status, refused.code()), (403, "not_tenant_administrator"), "{refused:?}");
    let registered = serde_json::json!({ "display_name": "Northwind" });
    assert_eq!(with(&ticketing).put("/v1/tenants/northwind", &registered).await.status, 201);
    let own = with(&anybody.token()).get("/v1/consents?view=pending").await;
    assert_eq!(own.status, 401, "the key that the sidecar does not know: {own:?}");
    assert!(DevelopmentKey::load_or_create(&site.file("mine.key")).is_ok(), "the key was kept");
}

#[test]
fn no_token_for_production() {
    let site = Site::new("");
    site.settings(
        "store.path = \"store.db\"\ndecision_log.path = \"decisions\"\ndecision_log.signing_key = \"key.pem\"",
    );
    let token = ["token", "--config", "consentry.toml", "--tenant", "contoso", "--object", "cyd"];
    let (status, said) = end_of(site.command(&token));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("is for production"), "{said}");
    assert!(!site.file("consentry-development.key").exists(), "no key was made");
}
