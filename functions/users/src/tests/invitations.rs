//! The inviting caller gets the same answer for every e-mail, and only a valid e-mail is accepted.

use crate::fixture::*;
use common::base::Role;
use serde_json::json;
use testing::{Answer, App};

#[tokio::test]
async fn administrator_invites_a_user_who_is_then_listed() {
    let app = App::start().await;
    let answer = invite(&app, Acme, "ada@new.example").await;
    let id = answer.json["user_id"].as_str().unwrap();
    assert_eq!((answer.status, answer.header("etag")), (201, Some("\"1\"")), "{}", answer.text);
    assert_eq!(answer.header("location"), Some(format!("/v1/users/{id}").as_str()));
    assert_eq!(
        answer.json,
        json!({
            "user_id": id,
            "email": "ada@new.example",
            "name": "Ada Sentinel",
            "status": "invited",
            "roles": ["marketer"],
            "grants": [{"role": "marketer"}],
            "department": "Outreach",
            "mfa_enrolled": false,
            "created_at": "2026-01-01T12:00:00.000Z",
            "version": 1,
        })
    );
    assert_eq!(get(&app, Acme, id).await.text, answer.text);
    assert_eq!(events(&app, Acme).await, [("user.invited".to_owned(), id.to_owned())]);
    assert_eq!(get(&app, Birch, id).await.status, 404);
    assert_eq!((events(&app, Birch).await.len(), app.domain_events(Birch).await.len()), (0, 0));
    let log = app.audit(Acme).await;
    let event = log.iter().find(|event| event["type"] == "api.invite_user").unwrap();
    assert_eq!(
        json!([event["action"], event["disclosed"], event["resources"]]),
        json!(["inviteUser", ["email", "name"], [{"type": "User", "id": id}]])
    );
}

#[tokio::test]
async fn stored_and_logged_data_contains_no_email_or_name() {
    let app = App::start().await;
    invited(&app, Acme, "ada.sentinel@new.example").await;
    let mut kept = serde_json::to_string(&app.log_lines()).unwrap();
    for table in ["RecordsTable", "LedgerTable", "EphemeraTable"] {
        kept += &format!("{:?}", app.dump(table).await);
    }
    assert!(kept.contains("user.invited"), "the text contains the tables' rows");
    assert!(!kept.to_lowercase().contains("sentinel"));
}

#[tokio::test]
async fn taken_email_gets_the_same_answer_and_steps_as_a_free_one() {
    let app = App::start().await;
    let mut seen = Vec::new();
    invited(&app, Birch, "warm@up.example").await;
    let (theirs, own) = (app.email(Acme, Role::Marketer), app.email(Birch, Role::Viewer));
    for email in ["nobody@new.example", &theirs, &own, "nobody@new.example"] {
        app.reset_calls();
        let answer: Answer = invite(&app, Birch, email).await;
        let mut shown = answer.json.clone();
        for own in ["user_id", "email"] {
            shown.as_object_mut().unwrap().remove(own);
        }
        let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        seen.push((answer.status, shown, names, app.calls()));
    }
    for other in &seen[1..] {
        assert_eq!(*other, seen[0]);
    }
}

#[tokio::test]
async fn text_that_only_looks_like_an_email_is_refused() {
    let app = App::start().await;
    let wrong = [
        // Cyrillic `а`, fullwidth letters, a zero-width space, a long s, a Kelvin sign, a combining accent, a right-to-left mark.
        "\u{430}da@new.example",
        "\u{ff41}\u{ff44}\u{ff41}@new.example",
        "a\u{200b}da@new.example",
        "ada@new.example\u{200b}",
        "u\u{17f}er@new.example",
        "\u{212a}im@new.example",
        "ade\u{301}@new.example",
        "\u{200f}ada@new.example",
        "ada@new\u{3002}example",
        "ada@\u{ff4e}ew.example",
        "ada\u{ff20}new.example",
        "ada@new.example, eve@new.example",
        "ada@new.example\r\nBcc: eve@new.example",
        "\"ada\"@new.example",
        "ada",
    ];
    for email in wrong {
        // The clock advances as the strict rate limit requires.
        let answer = invite(&app, Acme, email).await;
        assert_eq!(answer.status, 422, "{email:?}: {}", answer.text);
        assert_eq!((&answer.json["errors"][0]["field"], &answer.json["errors"][0]["code"]), (&json!("email"), &json!("invalid")));
        assert!(!answer.text.contains("new.example"), "{}", answer.text);
    }
    assert_eq!(events(&app, Acme).await, []);
}

#[tokio::test]
async fn invitation_with_a_role_not_for_people_is_refused() {
    let app = App::start().await;
    for (roles, field) in [
        (json!([]), "roles"),
        (json!(["super_admin"]), "roles.0"),
        (json!(["viewer", "api_user"]), "roles.1"),
        (json!(["viewer", "viewer"]), "roles.1"),
        (json!(["viewer", "emperor"]), "roles.1"),
    ] {
        let body = json!({"email": "ada@new.example", "roles": roles});
        let answer = admin(&app, "invite_user").await.json(body).await;
        assert_eq!((answer.status, answer.code()), (422, "validation_failed"), "{}", answer.text);
        assert_eq!(answer.json["errors"][0]["field"], field);
    }
    for more in ["tenant_id", "user_id", "version", "status", "grants", "mfa_enrolled"] {
        let answer =
            admin(&app, "invite_user").await.json(json!({"email": "a@new.example", "roles": ["viewer"], more: "1"})).await;
        assert_eq!(answer.json["errors"][0]["code"], "unknown_field", "{more}");
    }
}

#[tokio::test]
async fn invitation_is_resent_only_before_the_first_sign_in() {
    let app = App::start().await;
    let user = invited(&app, Acme, "ada@new.example").await;
    assert_eq!(about(&app, "resend_invitation", user).await.status, 204);
    assert_eq!(events(&app, Acme).await[1], ("user.invitation_resent".to_owned(), user.to_string()));
    let viewer = app.user_id(Acme, Role::Viewer);
    let refused = about(&app, "resend_invitation", viewer).await;
    assert_eq!((refused.status, refused.code()), (409, "not_invited"));
}
