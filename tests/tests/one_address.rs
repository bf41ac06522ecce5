//! A clinic whose users share one address with somebody who guesses passwords.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::{
    base::{Clock, Role},
    run::operator::NewUser,
};
use futures_util::{StreamExt, stream};
use serde_json::json;
use std::time::Duration;
use suite::people::{catch_up, endpoint, text};
use testing::{Answer, App, PASSWORD, Tenant};

const CLINIC: &str = "203.0.113.20";
const WRONG: &str = "Not-The-Passw0rd!";
const PEOPLE: usize = 1_000;
/// The number of users who sign in at the same moment.
const AT_ONCE: usize = 20;

async fn login(app: &App, email: &str, password: &str, ip: &str) -> Answer {
    app.anonymous().call(endpoint("login")).json(json!({"email": email, "password": password})).from_ip(ip).await
}

/// Users of two tenants in the same building.
async fn people(app: &App) -> Vec<String> {
    let operator = app.operator();
    let made = stream::iter(0..PEOPLE).map(async |n| {
        let (tenant, name) = if n % 4 == 0 { (Tenant::Birch, "birch") } else { (Tenant::Acme, "acme") };
        let email = format!("{name}.{n}.{}", app.email(tenant, Role::Viewer));
        let parsed = email.parse().unwrap();
        let new = NewUser { email: &parsed, password: PASSWORD, permanent: true, roles: &[Role::Viewer] };
        operator.create_user(app.tenant_id(tenant), &new).await.unwrap();
        email
    });
    app.as_administrator(made.buffered(AT_ONCE).collect()).await
}

/// Lets everybody sign in within ten minutes, in groups. `meanwhile` runs before each group.
async fn morning(app: &App, people: &[String], mut meanwhile: impl AsyncFnMut(usize)) {
    let began = app.clock().now();
    let pause = Duration::from_secs(600) / u32::try_from(people.len() / AT_ONCE).unwrap();
    for (nth, group) in people.chunks(AT_ONCE).enumerate() {
        meanwhile(nth).await;
        let all = stream::iter(group).map(|email| login(app, email, PASSWORD, CLINIC));
        let answers: Vec<_> = all.buffered(AT_ONCE).collect().await;
        for (answer, email) in answers.iter().zip(group) {
            assert_eq!(answer.status, 200, "{email}, of group {nth}: {}", answer.text);
        }
        app.clock().advance(pause);
    }
    assert!(app.clock().now().since(began) <= Duration::from_secs(600));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_people_behind_one_address_sign_in_while_one_there_guesses() {
    let app = App::with_cognito().await;
    catch_up(&app);
    let everybody = people(&app).await;
    let chief = app.email(Tenant::Acme, Role::TenantAdmin);

    // The first morning: no user is known at the address. Somebody guesses one account's password.
    let mut looked_at = 0;
    morning(&app, &everybody, async |_| {
        let guess = login(&app, &chief, WRONG, CLINIC).await;
        looked_at += usize::from(guess.status == 401);
    })
    .await;
    // Five at once, and one every three minutes. At most ten, since the account is locked then.
    assert!((5..=9).contains(&looked_at), "{looked_at} guesses were checked");

    // The next morning they try one password on many accounts, as fast as they can.
    app.clock().advance(Duration::from_secs(24 * 3600));
    let mut told = Vec::new();
    let targets = everybody.iter().take(150).map(|email| format!("x{email}"));
    for email in targets {
        told.push(login(&app, &email, WRONG, CLINIC).await.status);
    }
    assert_eq!(told.iter().filter(|status| **status == 401).count(), 100);
    assert!(told[100..].iter().all(|status| *status == 429));
    morning(&app, &everybody[..PEOPLE / 5], async |nth| {
        let guess = login(&app, &format!("y{nth}.{chief}"), WRONG, CLINIC).await;
        assert!([401, 429].contains(&guess.status));
        looked_at += usize::from(guess.status == 401);
    })
    .await;
    // One more every 36 seconds.
    assert!(looked_at <= 9 + 17, "{looked_at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_one_client_lock_out_nobody_behind_its_address() {
    let app = App::with_cognito().await;
    catch_up(&app);
    let mut tokens = Vec::new();
    for (tenant, role) in [(Tenant::Acme, Role::Marketer), (Tenant::Birch, Role::Viewer)] {
        tokens.push(text(&login(&app, &app.email(tenant, role), PASSWORD, CLINIC).await, "refresh_token"));
    }
    let temporary = app.email(Tenant::Acme, Role::Provider);
    let ask = |name: &str, body: serde_json::Value| app.anonymous().call(endpoint(name)).json(body).from_ip(CLINIC);
    app.clock().advance(Duration::from_secs(5));
    // Forged tokens: two with a changed character, and one that is malformed.
    let changed = |token: &String| {
        let (start, end) = token.split_at(token.len() - 5);
        let other = if end.starts_with('A') { 'B' } else { 'A' };
        format!("{start}{other}{}", &end[1..])
    };
    let mut forged: Vec<String> = tokens.iter().map(changed).collect();
    forged.push("invented".to_owned());
    app.reset_calls();
    let mut told = Vec::new();
    for n in 0..100 {
        told.push(ask("refresh", json!({"refresh_token": forged[n % 3]})).await.status);
    }
    assert_eq!((told.iter().position(|s| *s == 429), told.iter().filter(|s| **s == 401).count()), (Some(60), 60), "{told:?}");
    for _ in 0..20 {
        let body = json!({"challenge": "TOTP", "session": "invented", "code": "123456"});
        assert_eq!(ask("challenge", body).await.status, 429);
        let body = json!({"token": "invented", "new_password": "Chosen-Passw0rd-7!"});
        assert_eq!(ask("reset_password", body).await.status, 429);
    }
    // Valid tokens and passwords are accepted.
    for token in tokens {
        let next = ask("refresh", json!({"refresh_token": token})).await;
        assert_eq!(next.status, 200, "{}", next.text);
    }
    let again = login(&app, &temporary, PASSWORD, CLINIC).await;
    assert_eq!(again.status, 200, "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_refresh_token_requests_no_tenant_session() {
    let app = App::with_cognito().await;
    catch_up(&app);
    let token = text(&login(&app, &app.email(Tenant::Acme, Role::Marketer), PASSWORD, CLINIC).await, "refresh_token");
    // The first sixteen bytes are the tenant's id.
    let forged = format!("{}{}", &"A".repeat(20), &token[20..]);
    app.reset_calls();
    let body = json!({"refresh_token": forged});
    let refused = app.anonymous().call(endpoint("refresh")).json(body).from_ip(CLINIC).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let calls = app.calls();
    assert_eq!((calls.sts.len(), calls.cognito.len()), (0, 0));
    assert_eq!(calls.dynamodb, ["GetItem", "GetItem", "UpdateItem", "UpdateItem", "UpdateItem"], "{calls:?}");
}
