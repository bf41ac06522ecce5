//! Receives UPS's pushes. A push is only a hint: the shipment is polled sooner.
//!
//! The body contains a tracking number. The endpoint computes its search token, and neither stores the number nor returns it. The
//! answer does not show whether any tenant has a shipment with that number.

use common::{
    base::{Need, Result},
    capabilities::PushBody,
    request::{Data, IdempotencyKey, Operation, PerNetwork, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug)]
pub struct UpsWebhook;

/// The push was received.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Received {
    pub received: bool,
}

impl Operation for UpsWebhook {
    const NAME: &'static str = "ups_webhook";
    const SUMMARY: &'static str = "Receive a tracking event that UPS pushes";
    const ROUTE: Route = Route::post("/v1/webhooks/ups");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Write, Need::Search];
    const LIMIT: RateLimit = RateLimit::WEBHOOK;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::body(
        r#"{
  "trackingNumber": "1ZCIETST0111111114",
  "localActivityDate": "20260101",
  "localActivityTime": "091519",
  "activityStatus": {"type": "I", "code": "OT", "description": "Out for Delivery", "descriptionCode": "021"}
}"#,
    );
    type Input = PushBody;
    type Output = Received;
}

impl PublicEndpoint for UpsWebhook {
    const PER_NETWORK: PerNetwork = PerNetwork::Requests(RateLimit::WEBHOOK);
    const COUNTED: bool = true;

    async fn handle(cx: &mut Public<'_, Self>, push: PushBody) -> Result<Received> {
        let hinted = cx.take_hint(&push).await?;
        cx.log("shipments.hinted", hinted);
        Ok(Received { received: true })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::*;
    use crate::polling::fixture::*;
    use serde_json::{Value, json};
    use std::time::Duration;
    use testing::{
        Answer,
        Tenant::{Acme, Birch},
    };

    /// Requests a token with this header and form.
    async fn ask(world: &World, authorization: Option<&str>, form: &str) -> Answer {
        let call = world.app.anonymous().call(endpoint("ups_webhook_token")).body(form);
        let call = call.header("Content-Type", "application/x-www-form-urlencoded");
        match authorization {
            Some(value) => call.header("Authorization", value).await,
            None => call.await,
        }
    }

    async fn token(world: &World) -> String {
        let form = format!("grant_type=client_credentials&client_id={WEBHOOK_CLIENT}&client_secret={WEBHOOK_SECRET}");
        let answer = ask(world, None, &form).await;
        assert_eq!(
            (answer.status, &answer.json["token_type"], &answer.json["expires_in"]),
            (200, &json!("Bearer"), &json!(3600))
        );
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    async fn push(world: &World, token: &str, body: &Value) -> Answer {
        let call = world.app.anonymous().call(endpoint("ups_webhook")).header("User-Agent", "UPSPubSubTrackingService");
        call.header("Authorization", format!("Bearer {token}")).json(body.clone()).await
    }

    fn event(n: u32) -> Value {
        json!({"trackingNumber": number(n), "activityStatus": {"type": "D", "code": "FS"}, "receivedBy": "SENTINEL", "gmtActivityDate": ""})
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn push_makes_the_shipment_due_and_its_content_is_not_used() {
        let world = world().await;
        let (id, theirs) = (world.shipment(Acme, 1).await, world.shipment(Birch, 1).await);
        world.run("renew_track_alerts").await.unwrap();
        world.round().await;
        world.wait(Duration::from_secs(60));
        let due = world.due(&id).await.unwrap();
        assert!(due > now(&world.app));
        let token = token(&world).await;
        let answer = push(&world, &token, &event(1)).await;
        assert_eq!((answer.status, &answer.json), (200, &json!({"received": true})), "{}", answer.text);
        // Both tenants have a shipment with this number.
        assert_eq!((world.due(&id).await, world.due(&theirs).await), (Some(now(&world.app)), Some(now(&world.app))));
        // Further pushes do not postpone the poll.
        world.wait(Duration::from_secs(10));
        push(&world, &token, &event(1)).await;
        assert!(world.due(&id).await.unwrap() < now(&world.app));
        world.round().await;
        assert_eq!(get(&world.app, Acme, &id).await.json["status"], "LABEL_CREATED", "the status comes from the poll");
        let kept = everything_kept(&world.app).await.to_lowercase();
        assert!(!kept.contains("sentinel") && !kept.contains(&number(1).to_lowercase()) && !kept.contains(&token.to_lowercase()));
    }

    /// An answer that the carrier just gave may be older than its push.
    #[tokio::test(flavor = "multi_thread")]
    async fn push_during_a_poll_causes_another_poll() {
        let world = world().await;
        let (id, theirs) = (world.shipment(Acme, 1).await, world.shipment(Birch, 2).await);
        world.run("renew_track_alerts").await.unwrap();
        world.scan(2, "DELIVERED");
        world.round().await;
        world.wait(Duration::from_secs(24 * 3600));
        let (due, token) = (world.due(&id).await, token(&world).await);
        world.run("schedule_tracking").await.unwrap();
        let mut held = world.app.wire().hold("track", 0);
        let mut deliveries = world.deliveries();
        let mut settling = Box::pin(deliveries.settle());
        tokio::select! {
            _ = &mut settling => panic!("the carrier is not polled"),
            () = held.arrived() => {}
        }
        push(&world, &token, &event(1)).await;
        held.let_go();
        settling.await;
        assert_eq!(world.due(&id).await, due, "the shipment stays due at the same time");
        world.round().await;
        assert!(world.due(&id).await > Some(now(&world.app)));
        assert_eq!(world.due(&theirs).await, None);
    }

    /// The poll's answer may arrive after the push has checked whether the shipment is due, and before it has stored the hint.
    #[tokio::test(flavor = "multi_thread")]
    async fn push_is_not_lost_if_a_poll_ends_while_it_is_stored() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        world.run("renew_track_alerts").await.unwrap();
        world.round().await;
        let mut between = 0;
        for nth in 0..8 {
            world.wait(Duration::from_secs(24 * 3600));
            world.run("schedule_tracking").await.unwrap();
            let token = token(&world).await;
            let mut held = world.app.wire().hold("UpdateItem", nth);
            let body = event(1);
            let mut pushing = Box::pin(push(&world, &token, &body));
            tokio::select! {
                _ = &mut pushing => break,
                () = held.arrived() => {}
            }
            // The last update belongs to the audit log; the hint has been stored by then.
            let update = world.app.wire().asked("UpdateItem").pop().unwrap();
            if update["Key"]["pk"]["S"].as_str().unwrap().ends_with("#AUDIT") {
                break;
            }
            world.deliveries().settle().await;
            held.let_go();
            pushing.await;
            let due = world.due(&id).await.unwrap();
            assert!(due <= now(&world.app), "held at its UpdateItem {nth}: {due}");
            between += 1;
            world.round().await;
        }
        assert!(between > 2, "held {between} times");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn push_for_an_unknown_number_gets_the_same_answer() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        world.run("renew_track_alerts").await.unwrap();
        let token = token(&world).await;
        let (known, unknown) = (push(&world, &token, &event(1)).await, push(&world, &token, &event(2)).await);
        assert_eq!((known.status, &known.text), (unknown.status, &unknown.text));
        // A push does not revive a shipment that has ended.
        assert_eq!(void(&world.app, &id).await.status, 200);
        assert_eq!(push(&world, &token, &event(1)).await.status, 200);
        assert_eq!(world.due(&id).await, None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn push_without_a_valid_token_is_refused() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        world.run("renew_track_alerts").await.unwrap();
        world.round().await;
        let due = world.due(&id).await;
        let good = token(&world).await;
        assert_eq!(push(&world, "guess", &event(1)).await.status, 401);
        assert_eq!(world.app.anonymous().call(endpoint("ups_webhook")).json(event(1)).await.status, 401);
        assert_eq!(push(&world, &good, &json!({"trackingNumber": "?"})).await.code(), "malformed_push");
        let large = json!({"trackingNumber": number(1), "deliveryPhoto": "x".repeat(64 * 1024)});
        assert_eq!(push(&world, &good, &large).await.status, 413);
        world.wait(Duration::from_secs(3601));
        assert_eq!(push(&world, &good, &event(1)).await.status, 401);
        assert_eq!(world.due(&id).await, due);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pushes_of_a_minute_are_one_counted_audit_event() {
        let world = world().await;
        world.shipment(Acme, 1).await;
        world.shipment(Birch, 2).await;
        world.run("renew_track_alerts").await.unwrap();
        let token = token(&world).await;
        // All pushes fall into one full minute.
        let minute = (now(&world.app).as_millis() / 60_000 + 1) * 60_000;
        world.app.clock().set(common::base::Timestamp::from_millis(minute));
        for n in 0..40 {
            assert_eq!(push(&world, &token, &event(1 + n % 2)).await.status, 200);
        }
        let counted = async || -> Vec<u64> {
            let events = world.app.platform_audit().await;
            let pushes = events.iter().filter(|event| event["type"] == "api.ups_webhook" && event["status"] == 200);
            pushes.map(|event| event["count"].as_u64().unwrap()).collect()
        };
        assert_eq!(counted().await, [40]);
        world.wait(Duration::from_secs(60));
        push(&world, &token, &event(1)).await;
        let mut counts = counted().await;
        counts.sort_unstable();
        assert_eq!(counts, [1, 40]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn push_that_cannot_be_counted_on_record_is_answered_503() {
        let world = world().await;
        world.shipment(Acme, 1).await;
        world.run("renew_track_alerts").await.unwrap();
        let token = token(&world).await;
        world.app.wire().fail_about("UpdateItem", "#AUDIT", testing::Fault::Gone);
        assert_eq!(push(&world, &token, &event(1)).await.status, 503);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn token_is_issued_for_the_carriers_credentials() {
        let world = world().await;
        let grant = "grant_type=client_credentials";
        // base64 of the synthetic client and its secret.
        let basic = "Basic c3ludGhldGljLWNhcnJpZXI6c3ludGhldGljLWNhcnJpZXItc2VjcmV0";
        assert_eq!(ask(&world, Some(basic), grant).await.status, 200);
        for (authorization, form) in [
            (None, grant),
            (Some("Basic c3ludGhldGljLWNhcnJpZXI6d3Jvbmc="), grant),
            (Some("Basic %"), grant),
            (None, "grant_type=client_credentials&client_id=synthetic-carrier&client_secret=wrong"),
        ] {
            assert_eq!(ask(&world, authorization, form).await.status, 401, "{form}");
        }
        assert_eq!(ask(&world, Some(basic), "grant_type=password").await.code(), "unsupported_grant_type");
        for authorization in [basic.replace("Basic ", "basic "), basic.replace("Basic ", "BASIC   ")] {
            assert_eq!(ask(&world, Some(&authorization), grant).await.status, 200, "{authorization}");
        }
        assert_eq!(ask(&world, Some(&basic.replace(' ', ":")), grant).await.status, 401);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wrong_credentials_are_rate_limited_and_correct_ones_are_not() {
        let world = world().await;
        let id = world.shipment(Acme, 1).await;
        let good = token(&world).await;
        let wrong = "grant_type=client_credentials&client_id=synthetic-carrier&client_secret=wrong";
        let mut statuses = Vec::new();
        for n in 0..12 {
            // Both kinds of wrong credentials count together, and correct ones in between do not count.
            let answer = if n % 2 == 0 { ask(&world, None, wrong).await } else { push(&world, "guess", &event(1)).await };
            statuses.push(answer.status);
            token(&world).await;
            assert_eq!(push(&world, &good, &event(1)).await.status, 200);
        }
        assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
        let refused = ask(&world, None, wrong).await;
        assert!(refused.header("retry-after").is_some(), "{}", refused.text);
        assert_eq!(ask(&world, Some("Basic !"), wrong).await.status, 429);
        // Another address has its own limit, and the next minute starts a new count.
        let elsewhere = world.app.anonymous().call(endpoint("ups_webhook_token")).body(wrong).from_ip("198.51.100.77");
        assert_eq!(elsewhere.header("Content-Type", "application/x-www-form-urlencoded").await.status, 401);
        world.wait(Duration::from_secs(61));
        assert_eq!(ask(&world, None, wrong).await.status, 401);
        assert!(world.due(&id).await.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn push_with_any_case_of_the_bearer_scheme_is_accepted() {
        let world = world().await;
        world.shipment(Acme, 1).await;
        let token = token(&world).await;
        let shows = |authorization: String| {
            let call = world.app.anonymous().call(endpoint("ups_webhook")).header("Authorization", authorization);
            call.json(event(1))
        };
        for scheme in ["Bearer", "bearer", "BEARER", "BeArEr", "Bearer  "] {
            assert_eq!(shows(format!("{scheme} {token}")).await.status, 200, "{scheme}");
        }
        for other in [format!("Token {token}"), token.clone(), format!("Bearer{token}"), format!("Bearer {token} {token}")] {
            assert_eq!(shows(other).await.status, 401);
        }
    }
}
