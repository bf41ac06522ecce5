//! Cognito, the directory and the mailbox follow the membership, with faults at every step. Cognito is emulated by MiniStack.

use crate::fixture::*;
use aws_sdk_dynamodb::types::AttributeValue::S;
use common::base::{Role, UserId};
use serde_json::json;
use testing::{App, Deliveries, Fault};

#[tokio::test(flavor = "multi_thread")]
async fn invited_user_is_in_the_pool_and_gets_a_password_by_mail() {
    let app = App::with_cognito().await;
    let email = fresh(&app, "ada");
    let user = invited(&app, Acme, &email).await;
    assert!(in_pool(&app, user).await.is_none());
    settle(&app).await;
    let known = in_pool(&app, user).await.unwrap();
    assert_eq!((&known["Enabled"], &known["UserStatus"]), (&json!(true), &json!("FORCE_CHANGE_PASSWORD")), "{known}");
    assert_eq!(groups(&app, user).await, ["marketer"]);
    let mails = mails_to(&app, &email);
    assert_eq!((mails.len(), subject(&mails[0])), (1, "Your invitation"));
    let body = &mails[0]["Content"]["Simple"]["Body"];
    let password = password_in(&mails[0]);
    assert!(
        body["Html"]["Data"].as_str().unwrap().contains(&password)
            && body["Text"]["Data"].as_str().unwrap().contains("acme-health")
    );
    assert_eq!(challenge(&app, &email, &password).await, "NEW_PASSWORD_REQUIRED");

    // The password is stored nowhere, and the mail is audited.
    let mut kept = serde_json::to_string(&app.log_lines()).unwrap() + &serde_json::to_string(&app.audit(Acme).await).unwrap();
    for table in ["RecordsTable", "LedgerTable", "EphemeraTable", "KeysTable"] {
        kept += &format!("{:?}", app.dump(table).await);
    }
    assert!(!kept.contains(&password) && !kept.contains(&email));
    let log = app.audit(Acme).await;
    let event = log.iter().find(|event| event["type"] == "job.mirror_user").unwrap();
    assert_eq!(event["resources"][0], json!({"type": "User", "id": user}));
    assert_eq!(app.domain_events(Birch).await, [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_reordered_events_make_one_user_and_one_mail_each() {
    let app = App::with_cognito().await;
    for seed in 0..4 {
        let email = fresh(&app, &format!("ada{seed}"));
        let user = invited(&app, Acme, &email).await;
        grant(&app, user, "auditor", json!({})).await;
        about(&app, "disable_user", user).await;
        about(&app, "enable_user", user).await;
        revoke(&app, user, "marketer").await;
        let mut queues = queues(&app).copies(3).shuffled(seed);
        queues.settle().await;
        assert_eq!(queues.dead(), []);
        assert_eq!(mails_to(&app, &email).len(), 1, "seed {seed}");
        assert_eq!(
            (in_pool(&app, user).await.unwrap()["Enabled"].clone(), groups(&app, user).await),
            (json!(true), vec!["auditor".to_owned()])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_role_is_removed_from_the_pools_groups() {
    let app = App::with_cognito().await;
    let user = invited(&app, Acme, &fresh(&app, "ada")).await;
    settle(&app).await;
    assert_eq!(grant(&app, user, "auditor", json!({})).await.status, 200);
    settle(&app).await;
    assert_eq!(groups(&app, user).await, ["auditor", "marketer"]);
    assert_eq!(revoke(&app, user, "marketer").await.status, 204);
    settle(&app).await;
    assert_eq!(groups(&app, user).await, ["auditor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_killed_at_any_await_is_completed_by_the_next() {
    let app = App::with_cognito().await;
    let (mut twice, mut deaths) = (0, 0);
    for polls in (0..).map(|i| i * 4) {
        let email = fresh(&app, &format!("ada{polls}"));
        let user = invited(&app, Acme, &email).await;
        let mut queues = queues(&app);
        queues.collect().await;
        // The events of other users have been handled before.
        while queues.len() > 1 {
            queues.step().await;
        }
        let died = queues.step_killed(polls).await;
        queues.settle().await;
        assert_eq!(queues.dead(), [], "killed after {polls}");
        let mails = mails_to(&app, &email);
        assert!((1..=2).contains(&mails.len()), "killed after {polls}: {} mails", mails.len());
        twice += usize::from(mails.len() == 2);
        let newest = password_in(mails.last().unwrap());
        assert_eq!(challenge(&app, &email, &newest).await, "NEW_PASSWORD_REQUIRED", "killed after {polls}");
        assert_eq!(groups(&app, user).await, ["marketer"], "killed after {polls}");
        if !died {
            break;
        }
        deaths += 1;
        assert!(polls < 2_000, "the loop ends");
    }
    assert!(deaths > 3 && twice < deaths, "{deaths} were killed, {twice} sent two mails");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_call_anywhere_is_repaired_by_the_redelivery() {
    let app = App::with_cognito().await;
    for (nth, (to, fault)) in [
        ("AdminCreateUser", Fault::LostAnswer),
        ("AdminCreateUser", Fault::Gone),
        ("AdminAddUserToGroup", Fault::LostAnswer),
        ("AdminGetUser", Fault::Gone),
        ("SendEmail", Fault::Gone),
        ("TransactWriteItems", Fault::LostAnswer),
    ]
    .into_iter()
    .enumerate()
    {
        let email = fresh(&app, &format!("ada{nth}"));
        let user = invited(&app, Acme, &email).await;
        // One delivery makes this many tries.
        app.wire().fail(to, 0, 3, fault);
        let mut queues = queues(&app);
        queues.settle().await;
        app.wire().heal();
        assert_eq!(queues.dead(), [], "{to} {fault:?}");
        let mails = mails_to(&app, &email);
        assert_eq!(challenge(&app, &email, &password_in(mails.last().unwrap())).await, "NEW_PASSWORD_REQUIRED", "{to} {fault:?}");
        assert_eq!(groups(&app, user).await, ["marketer"], "{to} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pool_follows_the_account_until_it_is_deleted() {
    let app = App::with_cognito().await;
    let email = fresh(&app, "ada");
    let user = invited(&app, Acme, &email).await;
    settle(&app).await;
    about(&app, "disable_user", user).await;
    settle(&app).await;
    assert_eq!(in_pool(&app, user).await.unwrap()["Enabled"], false);
    about(&app, "enable_user", user).await;
    grant(&app, user, "analyst", json!({})).await;
    settle(&app).await;
    assert_eq!((in_pool(&app, user).await.unwrap()["Enabled"].clone(), groups(&app, user).await.len()), (json!(true), 2));

    assert_eq!(about(&app, "reset_user_password", user).await.status, 204);
    settle(&app).await;
    let mails = mails_to(&app, &email);
    assert_eq!((mails.len(), subject(&mails[1])), (2, "Your temporary password"));
    assert_ne!(password_in(&mails[0]), password_in(&mails[1]));
    assert_eq!(challenge(&app, &email, &password_in(&mails[1])).await, "NEW_PASSWORD_REQUIRED");

    assert_eq!(about(&app, "delete_user", user).await.status, 204);
    settle(&app).await;
    assert!(in_pool(&app, user).await.is_none());
    let left =
        |items: Vec<std::collections::HashMap<String, _>>| format!("{items:?}").matches(&format!("DIRECTORY#{user}")).count();
    assert_eq!(left(app.dump("RecordsTable").await), 0);
    // Events that arrive again afterwards do not restore the user.
    let mut again = queues(&app);
    again.settle().await;
    assert!(in_pool(&app, user).await.is_none());
    assert_eq!(mails_to(&app, &email).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_email_creates_no_pool_user_and_its_owner_gets_a_mail() {
    let app = App::with_cognito().await;
    let email = app.email(Acme, Role::Marketer);
    let (owner, ghost) = (app.user_id(Acme, Role::Marketer), invited(&app, Birch, &email).await);
    settle(&app).await;
    assert!(in_pool(&app, ghost).await.is_none());
    let mails = mails_to(&app, &email);
    assert_eq!((mails.len(), subject(&mails[0])), (1, "Somebody has invited you"));
    assert!(!mails[0].to_string().contains("birch"), "{}", mails[0]);
    assert_eq!(in_pool(&app, owner).await.unwrap()["Enabled"], true);
    assert_eq!(get(&app, Acme, owner).await.json["version"], 1);
    // For the inviting tenant it looks like an invitation that was not accepted, for every further action.
    assert_eq!(get(&app, Birch, ghost).await.json["status"], "invited");
    for name in ["resend_invitation", "reset_user_password", "disable_user", "enable_user", "delete_user"] {
        let answer = call(&app, Birch, Role::TenantAdmin, name).await.path("user_id", ghost).await;
        assert!([200, 204].contains(&answer.status), "{name}: {}", answer.text);
        settle(&app).await;
    }
    assert_eq!(mails_to(&app, &email).len(), 1, "the owner gets one mail");
    assert_eq!(in_pool(&app, owner).await.unwrap()["Enabled"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_log_of_the_inviting_tenant_is_the_same_for_a_taken_email() {
    let app = App::with_cognito().await;
    let mut seen = Vec::new();
    for email in [fresh(&app, "ada"), app.email(Acme, Role::Marketer), app.email(Birch, Role::Marketer)] {
        let user = invited(&app, Birch, &email).await;
        let mut log = Vec::new();
        settle(&app).await;
        for name in ["resend_invitation", "reset_user_password", "sign_out_user", "disable_user", "enable_user", "delete_user"] {
            let answer = call(&app, Birch, Role::TenantAdmin, name).await.path("user_id", user).await;
            log.push(json!([name, answer.status]));
            settle(&app).await;
        }
        let about = |event: &&serde_json::Value| event["resources"].to_string().contains(&user.to_string());
        let shown = |event: &serde_json::Value| {
            json!([
                event["type"],
                event["status"],
                event["outcome"],
                event["changes"],
                event["disclosed"],
                event["resources"].as_array().unwrap().len()
            ])
        };
        let mut events: Vec<_> = app.audit(Birch).await.iter().filter(about).map(shown).collect();
        // Ids within one millisecond may be in either order.
        events.sort_by_key(ToString::to_string);
        assert_eq!(events.iter().filter(|event| event[0] == "job.mirror_user").count(), 3, "{events:?}");
        seen.push((log, events));
    }
    assert_eq!((&seen[1], &seen[2]), (&seen[0], &seen[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn email_invited_by_two_tenants_at_once_belongs_to_one() {
    let app = App::with_cognito().await;
    for seed in 0..3 {
        let email = fresh(&app, &format!("ada{seed}"));
        // The same e-mail in two spellings belongs to one person.
        let (here, there) = (invited(&app, Acme, &email).await, invited(&app, Birch, &email.to_uppercase()).await);
        let mut queues = queues(&app).copies(2).shuffled(seed);
        queues.settle().await;
        assert_eq!(queues.dead(), []);
        let made = (in_pool(&app, here).await.is_some(), in_pool(&app, there).await.is_some());
        assert!(made.0 != made.1, "{made:?}");
        let subjects: Vec<_> = app
            .mails()
            .iter()
            .filter(|mail| to(mail).eq_ignore_ascii_case(&email))
            .map(|mail| subject(mail).to_owned())
            .collect();
        assert_eq!((subjects.len(), subjects.iter().filter(|s| *s == "Your invitation").count()), (2, 1), "{subjects:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn email_of_a_deleted_user_is_free_for_any_order_of_events() {
    let app = App::with_cognito().await;
    for seed in 0..3 {
        let email = fresh(&app, &format!("ada{seed}"));
        let before = invited(&app, Acme, &email).await;
        settle(&app).await;
        assert_eq!(about(&app, "delete_user", before).await.status, 204);
        let after = invited(&app, Birch, &email).await;
        let mut queues = queues(&app).copies(2).shuffled(seed);
        queues.settle().await;
        assert_eq!(queues.dead(), [], "seed {seed}");
        assert!(in_pool(&app, before).await.is_none(), "seed {seed}");
        assert!(in_pool(&app, after).await.is_some(), "seed {seed}");
        let mails = mails_to(&app, &email);
        assert_eq!(subject(mails.last().unwrap()), "Your invitation", "seed {seed}");
        assert_eq!(challenge(&app, &email, &password_in(mails.last().unwrap())).await, "NEW_PASSWORD_REQUIRED", "seed {seed}");
    }
}

/// A queue with one message: the event of this schema about this user.
async fn only<'a>(app: &'a App, schema: &str, user: UserId) -> Deliveries<'a> {
    let (mut all, mut one, user) = (queues(app), queues(app), user.to_string());
    all.collect().await;
    let bodies = std::iter::from_fn(|| all.take()).map(|(_, event)| event.records[0].body.clone().unwrap());
    one.send_text("mirror_user", &bodies.into_iter().find(|body| body.contains(schema) && body.contains(&user)).unwrap());
    one
}

/// Invites a user and disables them before any mail is sent.
async fn disabled_before_the_mail(app: &App, name: &str) -> (String, UserId) {
    let email = fresh(app, name);
    let user = invited(app, Acme, &email).await;
    about(app, "disable_user", user).await;
    settle(app).await;
    assert_eq!(mails_to(app, &email).len(), 0, "a disabled user gets no mail");
    (email, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn invitation_of_a_disabled_user_is_mailed_once_when_enabled() {
    let app = App::with_cognito().await;
    for seed in 0..3 {
        let (email, user) = disabled_before_the_mail(&app, &format!("ada{seed}")).await;
        about(&app, "enable_user", user).await;
        let mut queues = queues(&app).copies(3).shuffled(seed);
        queues.settle().await;
        assert_eq!(queues.dead(), [], "seed {seed}");
        let mails = mails_to(&app, &email);
        assert_eq!((mails.len(), subject(&mails[0])), (1, "Your invitation"), "seed {seed}");
        assert_eq!(challenge(&app, &email, &password_in(&mails[0])).await, "NEW_PASSWORD_REQUIRED", "seed {seed}");
        // No further mail follows, neither at the next enabling nor for a user who was mailed at first.
        for name in ["disable_user", "enable_user"] {
            about(&app, name, user).await;
            settle(&app).await;
        }
        assert_eq!(mails_to(&app, &email).len(), 1, "seed {seed}");
    }
    assert_eq!(app.domain_events(Birch).await, [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invitation_dropped_by_an_older_version_is_mailed_when_enabled() {
    let app = App::with_cognito().await;
    let (email, user) = disabled_before_the_mail(&app, "ada").await;
    let delete = app.raw().delete_item().table_name(&app.provisioned().tables["RecordsTable"]);
    let delete = delete.key("pk", S(format!("{}#MEMBER#{user}", app.tenant_id(Acme)))).key("sk", S("LETTER".to_owned()));
    delete.send().await.unwrap();
    about(&app, "enable_user", user).await;
    settle(&app).await;
    assert_eq!(mails_to(&app, &email).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_due_while_its_user_was_disabled_is_sent_when_enabled() {
    let app = App::with_cognito().await;
    for (name, expected) in [("resend_invitation", "Your invitation"), ("reset_user_password", "Your temporary password")] {
        let email = fresh(&app, &format!("ada.{name}").replace('_', "-"));
        let user = invited(&app, Acme, &email).await;
        settle(&app).await;
        assert_eq!(about(&app, name, user).await.status, 204);
        about(&app, "disable_user", user).await;
        settle(&app).await;
        assert_eq!(mails_to(&app, &email).len(), 1, "{name}");
        about(&app, "enable_user", user).await;
        settle(&app).await;
        let mails = mails_to(&app, &email);
        assert_eq!((mails.len(), subject(&mails[1])), (2, expected), "{name}");
        assert_eq!(challenge(&app, &email, &password_in(&mails[1])).await, "NEW_PASSWORD_REQUIRED", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_of_a_taken_email_gets_one_mail_when_the_invited_is_enabled() {
    let app = App::with_cognito().await;
    let email = app.email(Acme, Role::Viewer);
    let ghost = invited(&app, Birch, &email).await;
    for name in ["disable_user", "enable_user", "disable_user", "enable_user"] {
        call(&app, Birch, Role::TenantAdmin, name).await.path("user_id", ghost).await;
        settle(&app).await;
    }
    let mails = mails_to(&app, &email);
    assert_eq!((mails.len(), subject(&mails[0])), (1, "Somebody has invited you"));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_enabling_is_completed_with_at_most_one_more_mail() {
    let app = App::with_cognito().await;
    let (email, user) = disabled_before_the_mail(&app, "ada").await;
    about(&app, "enable_user", user).await;
    let mut told = only(&app, "user.enabled", user).await;
    app.reset_calls();
    told.step().await;
    assert_eq!(mails_to(&app, &email).len(), 1);
    let calls = app.calls();
    let (dynamodb, cognito) = (calls.dynamodb.len(), calls.cognito.len());
    assert!(dynamodb > 5 && cognito > 2, "{calls:?}");
    // The consumer is killed at each of its calls, before the call is carried out.
    for (service, count) in [("dynamodb", dynamodb), ("cognito", cognito)] {
        for call in 0..count {
            let at = format!("killed at call {call} of {service}");
            let (email, user) = disabled_before_the_mail(&app, &format!("ada.{service}{call}")).await;
            about(&app, "enable_user", user).await;
            let mut told = only(&app, "user.enabled", user).await;
            let mut held = app.wire().hold(service, call);
            tokio::select! {
                _ = told.step() => panic!("not {at}"),
                () = held.arrived() => {}
            }
            settle(&app).await;
            let mails = mails_to(&app, &email);
            assert!((1..=2).contains(&mails.len()), "{at}: {} mails", mails.len());
            assert_eq!(challenge(&app, &email, &password_in(mails.last().unwrap())).await, "NEW_PASSWORD_REQUIRED", "{at}");
        }
    }
    for (nth, (to, fault)) in [
        ("AdminEnableUser", Fault::LostAnswer),
        ("AdminSetUserPassword", Fault::LostAnswer),
        ("SendEmail", Fault::Gone),
        ("TransactWriteItems", Fault::LostAnswer),
        ("TransactWriteItems", Fault::Gone),
    ]
    .into_iter()
    .enumerate()
    {
        let (email, user) = disabled_before_the_mail(&app, &format!("bo{nth}")).await;
        about(&app, "enable_user", user).await;
        app.wire().fail(to, 0, 3, fault);
        let mut queues = queues(&app);
        queues.settle().await;
        app.wire().heal();
        assert_eq!(queues.dead(), [], "{to} {fault:?}");
        let mails = mails_to(&app, &email);
        assert_eq!(challenge(&app, &email, &password_in(mails.last().unwrap())).await, "NEW_PASSWORD_REQUIRED", "{to} {fault:?}");
    }
}

/// The consumer of the enabling finds nothing owed, so without the check no mail would be sent.
#[tokio::test(flavor = "multi_thread")]
async fn owed_mail_is_sent_if_its_user_is_enabled_concurrently() {
    let app = App::with_cognito().await;
    for (name, schema, expected) in [
        ("resend_invitation", "user.invitation_resent", "Your invitation"),
        ("reset_user_password", "user.password_reset_by_admin", "Your temporary password"),
    ] {
        let email = fresh(&app, &format!("ada.{name}").replace('_', "-"));
        let user = invited(&app, Acme, &email).await;
        settle(&app).await;
        assert_eq!(about(&app, name, user).await.status, 204);
        let mut told = only(&app, schema, user).await;
        about(&app, "disable_user", user).await;
        let mut held = app.wire().hold("TransactWriteItems", 0);
        {
            let mut owing = std::pin::pin!(told.step());
            tokio::select! {
                _ = &mut owing => panic!("not held: {name}"),
                () = held.arrived() => {}
            }
            about(&app, "enable_user", user).await;
            // The event is handled before the mail is owed, and does not arrive again.
            only(&app, "user.enabled", user).await.step().await;
            held.let_go();
            owing.await;
        }
        while told.step().await {}
        assert_eq!(told.dead(), [], "{name}");
        let mails = mails_to(&app, &email);
        assert_eq!((mails.len(), subject(mails.last().unwrap())), (2, expected), "{name}");
        assert_eq!(challenge(&app, &email, &password_in(&mails[1])).await, "NEW_PASSWORD_REQUIRED", "{name}");
    }
}
