//! The background part of the demo: parcels move, shipments follow, and users are notified.

use super::{Step, Tour, text};
use axum::http::Method;
use local::{NoSocket, Socket, SocketInput, TENANTS, client::NoAnswer};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The statuses of a parcel, in order.
const JOURNEY: [&str; 4] = ["PICKED_UP", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"];
/// The time limit for background work. If a refresh collides with a push, the poll of the next minute updates the shipment.
const PATIENCE: Duration = Duration::from_secs(90);
/// The time to wait for a frame before the shipment is read without one.
const A_MOMENT: Duration = Duration::from_secs(3);
/// UPS's times have a resolution of one second.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// The users, by their tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct People<'a> {
    pub(super) marketer: &'a str,
    /// The user who requests carrier updates.
    pub(super) colleague: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel<'a> {
    pub(super) number: &'a str,
    /// The path of its shipment.
    pub(super) path: &'a str,
}

pub(super) async fn open_socket(tour: &mut Tour, People { marketer, .. }: People<'_>) -> Result<Socket, NoAnswer> {
    tour.chapter("She sets her notifications");
    const PREFERENCES: &str = "/v1/notifications/preferences";
    let as_they_are = Step::get(PREFERENCES, 200).what("Show her preferences; they are the defaults");
    let as_they_are = tour.play(as_they_are.by(marketer)).await?;
    let version = as_they_are.header("etag").unwrap_or_default().to_owned();
    let wishes = Step::new(Method::PUT, PREFERENCES, 200).what("Request an hourly digest, if anything is unread").by(marketer);
    tour.play(wishes.header("if-match", &version).body(&json!({ "digest": { "frequency": "hourly" } }))).await?;
    let ticket = Step::post("/v1/notifications/tickets", 200);
    let ticket = tour
        .play(ticket.what("A browser's socket cannot send a token; request a ticket, which is valid once").by(marketer))
        .await?;
    let url = text(&ticket.json, "url");
    let failed = |error: NoSocket| NoAnswer { url: "the socket".to_owned(), why: error.to_string() };

    tour.act("Open the socket and send a ping", "WebSocket", url.split('?').next().unwrap_or_default());
    let mut socket = Socket::open(&url).await.map_err(failed)?;
    socket.say(r#"{"type":"ping"}"#).await.map_err(failed)?;
    match socket.hear(PATIENCE).await {
        SocketInput::Text(frame) => {
            tour.came(&frame, "");
            tour.check(frame.contains(r#""pong""#), "the socket answers a ping");
        }
        other => tour.check(false, &format!("the socket answers a ping, not {other:?}")),
    }
    tour.act("Open a second socket with the same ticket", "WebSocket", url.split('?').next().unwrap_or_default());
    let again = Socket::open(&url).await;
    let refused = matches!(again, Err(NoSocket::Refused(401 | 403)));
    tour.outcome(again.err().map_or_else(|| "open".to_owned(), |why| why.to_string()).as_str());
    tour.check(refused, "a used ticket is refused");
    Ok(socket)
}

/// Plays a parcel from the first scan to its delivery.
pub(super) async fn arrives(
    tour: &mut Tour,
    people: People<'_>,
    socket: &mut Socket,
    parcel: &Parcel<'_>,
) -> Result<(), NoAnswer> {
    tour.chapter("The parcel moves");
    tour.note("The platform polls UPS about once an hour. A refresh polls at once, which keeps this demo short.");
    for status in JOURNEY {
        moves(tour, people, socket, parcel, status).await?;
    }

    tour.chapter("She looks");
    let unread =
        Step::get("/v1/notifications?unread=true&limit=10", 200).what("List notifications: ids and kinds only, as in frames");
    let unread = tour.play(unread.by(people.marketer)).await?;
    let told = unread.json["items"].as_array().map_or(0, Vec::len);
    tour.check(told >= JOURNEY.len(), "each change of status has a notification");
    let read = Step::post("/v1/notifications/read-all", 200).what("Mark all as read: one write for any number");
    let read = tour.play(read.by(people.marketer)).await?;
    tour.check(read.json["unread_count"] == 0, "nothing is left unread");
    let events =
        Step::get(&format!("{}/events", parcel.path), 200).what("Show UPS's events of the parcel, stored encrypted like all PHI");
    let events = tour.play(events.by(people.marketer).phi()).await?;
    let has = |status: &&str| events.json["items"].as_array().into_iter().flatten().any(|event| event["status"] == **status);
    tour.check(JOURNEY.iter().all(has), "every scan is among the events");
    Ok(())
}

/// Plays a parcel with a problem. Its notifications stay unread, for the digest.
pub(super) async fn is_stuck(
    tour: &mut Tour,
    people: People<'_>,
    socket: &mut Socket,
    parcel: &Parcel<'_>,
) -> Result<(), NoAnswer> {
    tour.chapter("Another parcel is stuck");
    moves(tour, people, socket, parcel, "EXCEPTION").await
}

/// UPS scans the parcel; the shipment follows, and the socket gets a frame.
async fn moves(
    tour: &mut Tour,
    People { marketer, colleague }: People<'_>,
    socket: &mut Socket,
    Parcel { number, path }: &Parcel<'_>,
    status: &str,
) -> Result<(), NoAnswer> {
    // Two scans must not have the same time.
    sleep(ONE_SECOND).await;
    let mark = tour.mark().await?;
    tour.act(&format!("UPS scans the parcel: {status}"), "POST", "/_ups/advance");
    let scan = json!({ "tracking_number": number, "status": status });
    let scanned = tour.quietly(Step::post("/_ups/advance", 200).body(&scan)).await?;
    tour.outcome(&format!("{} in {}", text(&scanned.json["newest"], "description"), text(&scanned.json, "city")));
    tour.check(scanned.status == 200, "the UPS emulator answers: the demo needs it instead of UPS itself");

    let began = Instant::now();
    let refresh = Step::post(&format!("{path}/refresh"), 202).what("A colleague requests a carrier update").by(colleague).phi();
    tour.play(refresh).await?;
    let mut seen = String::new();
    while began.elapsed() < PATIENCE {
        let frame = socket.hear(A_MOMENT).await;
        let after = format!("on her socket, {:.1} s later", began.elapsed().as_secs_f64());
        match frame {
            SocketInput::Text(frame) => tour.came(&frame, &after),
            SocketInput::Closed(code) => {
                tour.check(false, &format!("the socket stays open, and is not closed with {code:?}"));
                return Ok(());
            }
            SocketInput::Nothing => tour.note("nothing on the socket yet"),
        }
        seen = text(&tour.quietly(Step::get(path, 200).by(marketer).phi()).await?.json, "status");
        if reached(&seen, status) {
            break;
        }
    }
    tour.outcome(&format!("the shipment is {seen}"));
    tour.check(reached(&seen, status), &format!("the shipment is {status} within {} s", PATIENCE.as_secs()));
    tour.jobs_since(&mark).await
}

/// Whether a status is the wanted one or a later one: the emulator may move packages automatically.
fn reached(seen: &str, wanted: &str) -> bool {
    let place = |status: &str| JOURNEY.iter().position(|known| *known == status);
    seen == wanted || matches!((place(seen), place(wanted)), (Some(seen), Some(wanted)) if seen > wanted)
}

/// The hourly digest counts unread notifications in one mail. The demo makes the hour come at once.
pub(super) async fn is_mailed(tour: &mut Tour, numbers: [&str; 2]) -> Result<(), NoAnswer> {
    tour.chapter("The digest follows");
    let before = hers(tour).await?.len();
    let mark = tour.mark().await?;
    tour.act("Make every pending digest due now, on this machine", "POST", "/_digests");
    let began = Instant::now();
    let mut mails = Vec::new();
    while mails.len() <= before && began.elapsed() < PATIENCE {
        let due = tour.quietly(Step::post("/_digests", 200)).await?;
        if due.status != 200 {
            tour.check(false, "the stack sends digests");
            return Ok(());
        }
        mails = hers(tour).await?;
        // Notifications of the parcel may still be on their way.
        sleep(ONE_SECOND).await;
    }
    tour.act("List her mails; no mail leaves this machine", "GET", "/_mail");
    tour.check(mails.len() == before + 1, "she has received one digest");
    let Some(mail) = mails.first() else { return Ok(()) };
    tour.outcome(&format!("{} at {}: {}/_mail", text(mail, "subject"), text(mail, "sent_at"), tour.base_url()));
    text(mail, "text").lines().for_each(|line| tour.note(line));
    tour.check(text(mail, "text").contains("with a problem"), "it counts the shipment with a problem");
    let says_more = |secret| mail.to_string().contains(secret);
    tour.check(
        !says_more("Ada Sample") && !numbers.into_iter().any(says_more),
        "it contains neither a patient's name nor a number",
    );
    tour.jobs_since(&mark).await
}

/// Her mails, the newest first.
async fn hers(tour: &mut Tour) -> Result<Vec<Value>, NoAnswer> {
    let her = json!(format!("marketer@{}.example", TENANTS[0]));
    let answer = tour.quietly(Step::get("/_mail", 200).header("accept", "application/json")).await?;
    let mails = answer.json["mails"].as_array().into_iter().flatten();
    Ok(mails.filter(|mail| mail["to"].as_array().is_some_and(|to| to.contains(&her))).cloned().collect())
}

/// A session's sockets close when it ends.
pub(super) async fn closes(tour: &mut Tour, mut socket: Socket) {
    tour.act("Her socket closes when her session ends", "WebSocket", &tour.base_url().replacen("http", "ws", 1));
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match socket.hear(A_MOMENT).await {
            SocketInput::Closed(code) => {
                let code = code.map(|code| format!(" with {code}")).unwrap_or_default();
                tour.came(&format!("closed{code}"), &format!("{:.1} s later", began.elapsed().as_secs_f64()));
                return;
            }
            SocketInput::Text(frame) => tour.came(&frame, ""),
            SocketInput::Nothing => {}
        }
    }
    tour.check(false, "the socket is closed");
    socket.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_status_counts_as_reached() {
        assert!(reached("DELIVERED", "PICKED_UP") && reached("EXCEPTION", "EXCEPTION"));
        assert!(!reached("PICKED_UP", "IN_TRANSIT") && !reached("UNKNOWN", "PICKED_UP") && !reached("DELIVERED", "EXCEPTION"));
    }
}
