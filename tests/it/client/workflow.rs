//! The client and the real service: the whole story of an approval, over TCP, the Unix domain socket and TLS.

use std::sync::Arc;

use consentry::client::{
    AccessRequestStatus, CallError, Change, Client, MissingConsent, NewSupportRequest, ScopeWanted, Semantic,
    SupportRequestStatus, View,
};
use consentry::model::{ActivityKind, Category, ConsentStatus, SubmittedIn};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{client_of, question};
use crate::support::House;

#[tokio::test]
async fn a_story_told_through_the_client_alone() {
    let house = House::start().await;
    let tooling = client_of(&house, &house.tooling());
    let ticketing = client_of(&house, &house.ticketing());
    let ada = client_of(&house, &house.engineer("ada"));
    let [cyd, dee] =
        [("contoso", "cyd"), ("fabrikam", "dee")].map(|(tenant, name)| client_of(&house, &house.admin(tenant, name)));
    let once = Change::default;

    let tenant = ticketing.register_tenant(&"contoso".parse().unwrap(), "Contoso Ltd", &once()).await.unwrap();
    assert_eq!((tenant.value.display_name.as_str(), tenant.version), ("Contoso Ltd", 2));
    let new = NewSupportRequest {
        id: "SR-1".parse().unwrap(),
        number: "2611220040001".to_owned(),
        summary: "Guests cannot sign in".to_owned(),
        tenant: "contoso".parse().unwrap(),
        submitted_in: SubmittedIn::AdminCenter,
        advanced_diagnostic_information: false,
        assignee: Some("vendor/ada".parse().unwrap()),
    };
    let opening = once();
    let opened = ticketing.open_support_request(&new, &opening).await.unwrap();
    assert_eq!((opened.value.status, opened.version), (SupportRequestStatus::Open, 1));
    // The same change again is the same change; another one is refused.
    assert_eq!(ticketing.open_support_request(&new, &opening).await.unwrap(), opened);
    let error = ticketing.open_support_request(&new, &once()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "support_request_exists");
    assert_eq!(ada.support_requests(None).await.unwrap().items, std::slice::from_ref(&opened.value));
    let id = &opened.value.id;

    let asked = ada.create_access_request(id, &"fabrikam".parse().unwrap(), "sign-in fails", &once()).await.unwrap();
    assert_eq!(asked.status, AccessRequestStatus::Pending);
    assert_eq!(asked.missing_consents, [MissingConsent::SupportRequestTenant, MissingConsent::ResourceTenant]);
    let decision = tooling.may_read(&question()).await;
    assert_eq!((decision.is_allowed(), decision.reason.code.as_str()), (false, "awaiting_consent"));
    assert_eq!(decision.reason.missing_consents.len(), 2);

    let scope = ScopeWanted {
        categories: Some(vec![Category::SignInLogs, Category::AuditLogs]),
        until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
    };
    for admin in [&cyd, &dee] {
        let page = admin.consents(View::Pending, None).await.unwrap();
        assert_eq!((page.pending_count, page.items.len()), (1, 1));
        let consent = admin.consent(&page.items[0].id).await.unwrap();
        let approved = admin.approve(&consent.value.id, &scope, &once().of_version(consent.version)).await.unwrap();
        assert_eq!((approved.value.status, approved.value.in_force), (ConsentStatus::Approved, true));
        assert_eq!(approved.value.scope.unwrap().until, scope.until);
        let outdated = admin.approve(&consent.value.id, &scope, &once().of_version(consent.version)).await.unwrap_err();
        assert_eq!(outdated.problem().map(|problem| problem.status), Some(412), "{outdated}");
    }
    let decision = tooling.may_read(&question()).await;
    assert!(decision.is_allowed(), "{decision:?}");
    assert_eq!(decision.policies[0].rules, ["R6", "R8"]);
    assert_eq!(ada.access_request(&asked.id).await.unwrap().status, AccessRequestStatus::Approved);
    assert_eq!(ada.access_requests_under(id).await.unwrap().len(), 1);
    assert_eq!(ada.access_requests(None).await.unwrap().items.len(), 1);

    let data = tooling.search_data(&question().engineer, "read", id).await.unwrap();
    assert_eq!(
        data.iter().map(|(_, category)| *category).collect::<Vec<_>>(),
        [Category::AuditLogs, Category::SignInLogs]
    );
    let fabrikam = "fabrikam".parse().unwrap();
    assert!(
        tooling
            .search_verbs(&question().engineer, &fabrikam, Category::SignInLogs, id)
            .await
            .unwrap()
            .contains(&"read".to_owned())
    );
    assert_eq!(
        tooling.search_engineers("read", &fabrikam, Category::SignInLogs, id).await.unwrap(),
        [question().engineer]
    );

    let approved = dee.consents(View::Approved, None).await.unwrap().items;
    let consent = &approved[0].id;
    let narrower = ScopeWanted { categories: Some(vec![Category::SignInLogs]), until: None };
    dee.narrow(consent, &narrower, &once()).await.unwrap();
    let mut questions = [question(), question(), question()];
    questions[1].category = Category::AuditLogs;
    let decisions = tooling.may_read_all(&questions, Semantic::DenyOnFirstDeny).await;
    let codes: Vec<&str> = decisions.iter().map(|decision| decision.reason.code.as_str()).collect();
    assert_eq!(codes, ["permitted", "category_not_granted", "not_asked"]);
    assert!(decisions[0].is_allowed() && !decisions[1].is_allowed() && !decisions[2].is_allowed());
    assert_eq!(dee.receipt(consent).await.unwrap_err().problem().unwrap().code, "not_found");

    let revoked = dee.revoke(consent, &once()).await.unwrap();
    assert_eq!(revoked.value.status, ConsentStatus::Revoked);
    assert_eq!(tooling.may_read(&question()).await.reason.code, "consent_revoked");
    let activities: Vec<ActivityKind> =
        dee.audit_log(None).await.unwrap().items.iter().map(|entry| entry.activity).collect();
    let expected = [ActivityKind::ApprovalRemoved, ActivityKind::ApprovalNarrowed, ActivityKind::ApprovalApproved];
    assert_eq!(activities, expected);
    let reads = dee.reads(None).await.unwrap().items;
    assert!(reads.len() == 2 && reads.iter().all(|read| read.consents.len() == 2), "{reads:?}");

    let again = ada.create_access_request(id, &fabrikam, "once more", &once()).await.unwrap();
    let pending = dee.consents(View::Pending, None).await.unwrap().items;
    assert!(dee.reject(&pending[0].id, &once()).await.unwrap().value.advice.is_some());
    assert_eq!(ada.cancel(&again.id, &once()).await.unwrap().status, AccessRequestStatus::Ended);
    assert_eq!(ada.cancel(&again.id, &once()).await.unwrap_err().problem().unwrap().code, "access_request_ended");
    let assigned = ticketing.assign(id, None, &once()).await.unwrap();
    assert_eq!(assigned.value.assignee, None);
    assert_eq!(ticketing.close(id, &once()).await.unwrap().value.status, SupportRequestStatus::Closed);
    assert_eq!(ticketing.reopen(id, &once()).await.unwrap().value.status, SupportRequestStatus::Open);
    assert_eq!(ticketing.support_request(id).await.unwrap().value.assignee, None);
    assert!(matches!(ada.support_request(id).await, Err(CallError::Refused(problem)) if problem.status == 404));
}

#[tokio::test]
async fn the_local_socket_needs_no_token() {
    let folder = tempfile::TempDir::new().unwrap();
    let socket = folder.path().join("consentry.sock");
    let house = House::start_with(&format!("server.unix_socket = \"{}\"", socket.display())).await;
    house.grant().await;
    let client = Client::unix(&socket).build().unwrap();
    assert!(client.may_read(&question()).await.is_allowed());
    let mut question = question();
    question.item = Some("user/42?a=b \"c\"".to_owned());
    assert!(client.may_read(&question).await.is_allowed());
    let reads = client_of(&house, &house.admin("fabrikam", "dee")).reads(None).await.unwrap().items;
    assert_eq!(reads[0].item, question.item);
}

#[tokio::test]
async fn over_tls_who_answers_must_prove_to_be_who_was_called() {
    let house = House::granted().await;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, der) = (certified.cert.pem(), certified.cert.der().clone());
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![der], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, acceptor) = (listener.local_addr().unwrap().port(), TlsAcceptor::from(Arc::new(config)));
    let behind = house.app().address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    let to = |host: &str| Client::tcp(&format!("https://{host}:{port}")).token(house.tooling().token());
    let allowed = to("localhost").certificates(pem.clone()).build().unwrap().may_read(&question()).await;
    assert!(allowed.is_allowed(), "{allowed:?}");
    // Another name, or a certificate that nobody has said to trust.
    for untrusted in [to("127.0.0.1").certificates(pem), to("localhost")] {
        let decision = untrusted.build().unwrap().may_read(&question()).await;
        assert_eq!((decision.is_allowed(), decision.reason.code.as_str()), (false, "unavailable"));
    }
}
