//! Ambiguous networks and e-mails: texts that two programs parse differently, and texts that people confuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use common::base::Role;
use serde_json::{Value, json};
use std::time::Duration;
use suite::{
    people::{endpoint, identity, login, me, public, sign_in, text},
    state,
};
use testing::{Answer, App, Call, PASSWORD, Tenant};

const CHOSEN: &str = "Chosen-Passw0rd-7!";

async fn admin<'a>(app: &'a App, name: &str) -> Call<'a> {
    let admin = app.as_identity(app.open_session(Tenant::Acme, Role::TenantAdmin).await);
    admin.call(endpoint(name)).path("tenant_id", app.tenant_id(Tenant::Acme)).header("If-Match", "*")
}

/// Sends the networks to the three endpoints that take networks.
async fn say(app: &App, networks: &Value) -> [(&'static str, Answer); 3] {
    let key = json!({"name": "a", "scopes": ["audit.read"], "purposes": [], "networks": networks});
    [
        ("networks", admin(app, "put_ip_allowlist").await.json(json!({"networks": networks})).await),
        ("networks", admin(app, "create_api_key").await.without("If-Match").json(key).await),
        ("trusted_networks", admin(app, "put_settings").await.json(json!({"trusted_networks": networks})).await),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_network_is_refused_in_every_input() {
    let app = App::start().await;
    let acme = app.tenant_id(Tenant::Acme);
    let tricks = [
        "::ffff:10.0.0.0/104",
        "::ffff:192.0.2.0/120",
        "::ffff:c000:200/120",
        "::ffff:0:0/96",
        "::ffff:192.0.2.7",
        "010.0.0.0/8",
        "192.0.2.007",
        "192.0.2.7/24",
        "2001:db8::1/32",
        "192.0.2.0/33",
        "2001:db8::/129",
        "192.0.2.0/-1",
        "192.0.2.0/+8",
        "192.0.2.0/024",
        "192.0.2.0/ 24",
        " 192.0.2.0/24",
        "192.0.2.0/24\n",
        "192.0.2.0/24,0.0.0.0/0",
        "fe80::1%eth0",
        "fe80::%25eth0/64",
        "0x7f.1",
        "127.1",
        "2130706433",
        "0300.0.2.7",
        "localhost",
        "192.0.2.0/24/0",
        "192.0.2.0/255.255.255.0",
        "[2001:db8::]/32",
        "\u{ff11}92.0.2.0/24",
        "192.0.2.0\u{2215}24",
        "192\u{3002}0\u{3002}2\u{3002}7",
        "",
    ];
    let before = state::of(&app, acme, &["RecordsTable"]).await;
    let many: Vec<_> = (0..10_000).map(|i| format!("10.{}.{}.0/24", i / 256, i % 256)).collect();
    let lists = tricks.iter().map(|trick| json!([trick])).chain(tricks.iter().map(|trick| json!(["192.0.2.0/24", trick])));
    for networks in lists.chain([json!(many), json!("192.0.2.0/24"), json!([3_221_225_991_u32]), json!([["192.0.2.0/24"]])]) {
        app.clock().advance(Duration::from_secs(1));
        for (field, answer) in say(&app, &networks).await {
            let shown: String = networks.to_string().chars().take(60).collect();
            assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{shown}: {}", answer.text);
            let errors: Vec<_> = answer.json["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
            // The last element of a short list is the invalid one. A long list is invalid because of its length.
            let field = match networks.as_array() {
                Some(list) if list.len() <= 2 => format!("{field}.{}", list.len() - 1),
                _ => field.to_owned(),
            };
            assert_eq!(errors, [&json!(field)], "{shown}: {}", answer.text);
        }
    }
    let after = state::of(&app, acme, &["RecordsTable"]).await;
    assert!(before == after, "{:#?}", state::difference(&before, &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn address_in_any_notation_is_matched_to_its_networks() {
    let app = App::start().await;
    for (_, answer) in say(&app, &json!(["192.0.2.0/24", "2001:db8::/32"])).await {
        assert!([200, 201].contains(&answer.status), "{}", answer.text);
    }
    let key = json!({"name": "a", "scopes": ["audit.read"], "purposes": [], "networks": ["192.0.2.0/24", "2001:db8::/32"]});
    let key = admin(&app, "create_api_key").await.without("If-Match").json(key).await;
    let key = identity(&app, &text(&key, "api_key")).await.unwrap();
    app.clock().advance(Duration::from_secs(5));
    let person = app.open_session(Tenant::Acme, Role::Auditor).await;
    for (address, status) in [
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 200),
        ("::ffff:c000:207", 200),
        ("2001:db8::7", 200),
        ("2001:DB8:0::7", 200),
        ("198.51.100.1", 403),
        ("::ffff:198.51.100.1", 403),
        // The first three embed an IPv4 address, but are different addresses. The others are different or malformed.
        ("::192.0.2.7", 403),
        ("64:ff9b::192.0.2.7", 403),
        ("2002:c000:207::1", 403),
        ("2001:db9::7", 403),
        ("192.0.2.007", 403),
        ("192.0.2.7%eth0", 403),
        ("192.0.2.7, 198.51.100.1", 403),
        (" 192.0.2.7", 403),
        ("192.0.2.7:443", 403),
        ("3221225991", 403),
        ("0xc0.0.2.7", 403),
        ("", 403),
    ] {
        for who in [&person, &key] {
            let answer = app.as_identity(who.clone()).call(endpoint("list_audit_events")).from_ip(address).await;
            assert_eq!(answer.status, status, "{address:?}: {}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv4_mapped_address_shares_the_ipv4_budget() {
    let app = App::start().await;
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": "invented", "new_password": CHOSEN});
    let mut statuses = Vec::new();
    for address in ["198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407"].into_iter().cycle().take(62) {
        statuses.push(app.anonymous().call(endpoint("challenge")).from_ip(address).json(body.clone()).await.status);
    }
    assert_eq!(statuses, [[401; 60].as_slice(), &[429; 2]].concat());
}

/// Texts that people, or programs that normalise, would take for `email`. None is a valid e-mail here.
fn no_emails(email: &str) -> Vec<String> {
    let (local, domain) = email.split_once('@').unwrap();
    vec![
        email.replacen('@', "\u{ff20}", 1),
        email.replacen('@', "\u{fe6b}", 1),
        email.replacen('a', "\u{430}", 1),
        email.replacen('e', "\u{435}", 1),
        email.replacen('a', "\u{ff41}", 1),
        email.replacen('k', "\u{212a}", 1),
        email.replacen("s", "\u{17f}", 1) + "\u{17f}",
        email.replacen('e', "e\u{301}", 1),
        email.replacen('.', "\u{3002}", 1),
        format!("\u{200b}{email}"),
        format!("{local}\u{200d}@{domain}"),
        format!("{email}\u{feff}x"),
        format!("\u{202e}{email}"),
        format!("{email}."),
        format!("{local}.@{domain}"),
        format!(".{local}@{domain}"),
        format!("{local}@{domain}\0"),
        format!("{local}@{domain}\r\nBcc: mallory@evil.example"),
        format!("{email},mallory@evil.example"),
        format!("<{email}>"),
        format!("\"{local}\"@{domain}"),
        format!("{local}@[192.0.2.7]"),
        format!("{email}@evil.example"),
        format!("{}@{domain}", "a".repeat(65)),
        format!("{}@{}", "a".repeat(64), ["b".repeat(63).as_str(); 4].join(".")),
        format!("{}{email}", "a".repeat(100_000)),
    ]
}

/// Valid e-mails that are similar to `email`, and different from it.
fn other_emails(email: &str) -> Vec<String> {
    let (local, domain) = email.split_once('@').unwrap();
    let (name, tag) = local.split_once('+').unwrap();
    vec![
        format!("{name}@{domain}"),
        format!("{name}+{tag}+1@{domain}"),
        format!("{}.{}+{tag}@{domain}", &name[..1], &name[1..]),
        format!("r{}+{tag}@{domain}", name.replacen('m', "n", 1)),
        format!("{local}@{}", domain.replacen("acme", "xn--cme-7qa", 1)),
        format!("{local}@www.{domain}"),
        format!("{}@{domain}", "a".repeat(64)),
    ]
}

fn mails_to(app: &App) -> Vec<String> {
    let to = |mail: &Value| mail["Destination"]["ToAddresses"][0].as_str().unwrap().to_owned();
    app.mails().iter().map(to).collect()
}

async fn settle(app: &App) {
    let consumers = || registry::consumers().filter(|c| ["identity", "users"].contains(&c.domain));
    app.deliveries(consumers()).settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_email_neither_signs_in_nor_resets_nor_is_invited() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let acme = app.tenant_id(Tenant::Acme);
    let before = state::of(&app, acme, &["RecordsTable"]).await;
    for none in no_emails(&email) {
        let shown: String = none.chars().take(80).collect();
        let invitation = admin(&app, "invite_user").await.without("If-Match").json(json!({"email": none, "roles": ["viewer"]}));
        for answer in
            [login(&app, &none, PASSWORD).await, public(&app, "forgot_password", json!({"email": none})).await, invitation.await]
        {
            assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{shown:?}: {}", answer.text);
            assert_eq!(
                (&answer.json["errors"][0]["field"], &answer.json["errors"][0]["code"]),
                (&json!("email"), &json!("invalid"))
            );
            assert!(!answer.text.contains("acme-health") && !answer.text.contains("evil"), "{}", answer.text);
        }
    }
    settle(&app).await;
    assert_eq!(mails_to(&app), [""; 0]);
    let after = state::of(&app, acme, &["RecordsTable"]).await;
    assert!(before == after, "{:#?}", state::difference(&before, &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn similar_email_is_another_account_and_one_in_capitals_is_the_same() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let user = app.user_id(Tenant::Acme, Role::Marketer);
    let known = sign_in(&app, Tenant::Acme, Role::Marketer).await;
    let unknown = login(&app, "nobody@nowhere.example", PASSWORD).await;
    for other in other_emails(&email) {
        let refused = login(&app, &other, PASSWORD).await;
        assert_eq!((refused.status, refused.code()), (401, "invalid_credentials"), "{other}: {}", refused.text);
        assert_eq!(refused.without_correlation_id(), unknown.without_correlation_id(), "{other}");
        let forgot = public(&app, "forgot_password", json!({"email": other})).await;
        assert_eq!((forgot.status, &forgot.json), (202, &json!({})), "{other}");
    }
    settle(&app).await;
    assert_eq!(mails_to(&app), [""; 0], "none of them belongs to an account");

    // In capitals it is the same account with the same budget, and the mail goes to the stored address.
    let capitals = [email.to_uppercase(), email.replacen('m', "M", 1), format!(" {email}\u{a0}")];
    for same in &capitals {
        let signed_in = login(&app, same, PASSWORD).await;
        assert_eq!(me(&app, &text(&signed_in, "access_token")).await.1["user_id"], json!(user), "{same}");
    }
    // The four sign-ins so far have used less than one of its five tries.
    for (nth, same) in capitals.iter().chain([&email]).enumerate() {
        assert_eq!(login(&app, same, "Not-The-Passw0rd!").await.status, 401, "try {nth}");
    }
    for same in capitals.iter().chain([&email]) {
        assert_eq!(login(&app, same, PASSWORD).await.status, 429, "{same}: no try is left");
    }
    assert_eq!(public(&app, "forgot_password", json!({"email": capitals[0]})).await.status, 202);
    settle(&app).await;
    assert_eq!(mails_to(&app), [&*email]);
    assert_eq!(me(&app, &text(&known, "access_token")).await.0, 200, "a reset request ends no session");
}

#[tokio::test(flavor = "multi_thread")]
async fn invited_lookalike_is_another_user_and_one_in_capitals_adds_no_user() {
    let app = App::with_cognito().await;
    let email = app.email(Tenant::Acme, Role::Marketer);
    let mallory = format!("r{}", email.replacen('m', "n", 1));
    let invite = async |email: &str| {
        let invited =
            admin(&app, "invite_user").await.without("If-Match").json(json!({"email": email, "roles": ["viewer"]})).await;
        assert_eq!(invited.status, 201, "{}", invited.text);
        settle(&app).await;
        text(&invited, "user_id")
    };
    let theirs = invite(&mallory).await;
    assert_eq!(mails_to(&app), [&*mallory]);
    let users = app.cognito("ListUsers", json!({})).await["Users"].as_array().unwrap().len();
    for same in [email.to_uppercase(), mallory.to_uppercase()] {
        invite(&same).await;
    }
    let now = app.cognito("ListUsers", json!({})).await;
    assert_eq!(now["Users"].as_array().unwrap().len(), users, "no user was created twice");
    // The owner of the similar e-mail resets their own password. The other account's password does not change.
    app.clock().advance(Duration::from_secs(1));
    let first = text(&choose(&app, &mallory).await, "access_token");
    assert_eq!(me(&app, &first).await.1["user_id"], json!(theirs));
    assert_eq!(public(&app, "forgot_password", json!({"email": mallory})).await.status, 202);
    settle(&app).await;
    let mails = app.mails();
    let mail = mails.last().unwrap()["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    let token = mail.split_once("token: ").unwrap().1.split_whitespace().next().unwrap();
    assert_eq!(public(&app, "reset_password", json!({"token": token, "new_password": "Third-Passw0rd-9!"})).await.status, 204);
    assert_eq!(login(&app, &email, "Third-Passw0rd-9!").await.status, 401);
    assert_eq!(login(&app, &email, PASSWORD).await.status, 200);
    assert_eq!(login(&app, &mallory, "Third-Passw0rd-9!").await.status, 200);
}

/// Signs in with the mailed temporary password, and chooses another.
async fn choose(app: &App, email: &str) -> Answer {
    let mails = app.mails();
    let mail = mails.iter().find(|mail| mail["Destination"]["ToAddresses"][0] == email).unwrap();
    let body = mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap();
    let temporary = body.lines().find(|line| line.starts_with("Ta7-")).unwrap();
    let asked = login(app, email, temporary).await;
    let body = json!({"challenge": "NEW_PASSWORD_REQUIRED", "session": text(&asked, "session"), "new_password": CHOSEN});
    public(app, "challenge", body).await
}
