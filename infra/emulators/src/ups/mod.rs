//! UPS as it really answers: OAuth, Tracking, and Track Alert with its pushes.
//!
//! The shapes are those of UPS's OpenAPI documents (<https://github.com/UPS-API/api-documentation>); what those leave out or get
//! wrong is as the wire has it: numbers are strings, lists may be null, times have three forms, `currentStatus` may lag, an
//! unknown number is a 200 with a warning. Every draw comes from a seed and time is a parameter, so a run can be repeated; only
//! pauses on the wire (a held answer, a late push) are the wall's.
//!
//! Left out: tracking by reference, account subscriptions, version 1 of Track Alert, and locales other than `en_US`.

mod alert;
mod control;
mod dice;
mod fault;
mod journey;
mod oauth;
mod push;
mod reply;
mod server;
mod speed;
mod statistics;
mod status;
mod wire;
mod world;

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::Error;
use crate::clock::unix_millis;
use crate::server::Server;

pub use fault::{Endpoint, Fault, NotAFraction, Rule, When};
pub use journey::{Course, Journey, Leg, Place};
pub use push::{Credential, LocalUrl, NotLocal, USER_AGENT, Webhook};
pub use speed::{NotASpeed, Speed};
pub use statistics::Statistics;
pub use status::{Milestone, NotAStatus, Status};
pub use world::{Refused, Seen};

use server::Shared;
use world::World;

/// The stand-in's clock: milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Now(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Now {
    /// The wall's.
    #[must_use]
    pub fn wall() -> Self {
        Self::by(unix_millis)
    }

    /// A test's. It is called while the stand-in's state is held: it may not call the stand-in.
    #[must_use]
    pub fn by(millis: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(millis))
    }

    fn millis(&self) -> i64 {
        (self.0)()
    }
}

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now(..)")
    }
}

/// How the stand-in behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom it gives tokens to.
    pub client_id: String,
    /// With which secret.
    pub client_secret: String,
    /// What every draw comes from.
    pub seed: u64,
    /// What time it is.
    pub now: Now,
    /// Whether a 1Z number has a package, with a label, as soon as somebody asks for it. Otherwise it has one once it is advanced.
    pub auto_create: bool,
    /// Whether packages travel by themselves, and how much faster than real; implies `auto_create`.
    pub speed: Option<Speed>,
    /// Where Track Alerts go.
    pub webhook: Option<Webhook>,
}

impl Options {
    /// The wall's clock, seed 1, and nothing by itself.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            seed: 1,
            now: Now::wall(),
            auto_create: false,
            speed: None,
            webhook: None,
        }
    }
}

/// UPS, in this process.
#[derive(Debug)]
pub struct Ups {
    shared: Arc<Shared>,
    server: Server,
}

impl Ups {
    /// Answers on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Io`] if no port can be had.
    pub fn start(options: Options) -> Result<Self, Error> {
        let (post, posted) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared(Mutex::new(World::new(options, post.clone()))));
        let served = shared.clone();
        let server = Server::spawn("ups", |listener, shutdown| server::serve(served, (post, posted), listener, shutdown))?;
        Ok(Self { shared, server })
    }

    /// What stands for `https://onlinetools.ups.com`. The control routes are below it, at `/_control/`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Finishes what was asked so far, for two seconds at most, and frees the port.
    pub fn stop(self) {
        self.server.stop();
    }

    /// Moves a package by hand, to a [`Milestone`]'s name or to `TYPE/CODE`: UPS has scanned it now. An unknown number gets a
    /// package, and that a label first; a package that moved by itself does not any more.
    ///
    /// # Errors
    /// [`Refused`] if it is no 1Z number, or the status is unknown.
    pub fn advance(&self, tracking_number: &str, status: &str) -> Result<Seen, Refused> {
        self.shared.world().advance(tracking_number, status)
    }

    /// All packages, by their numbers.
    #[must_use]
    pub fn packages(&self) -> Vec<Seen> {
        self.shared.world().seen_all()
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> Script<'_> {
        Script(&self.shared)
    }

    /// Ends every token's life: the next call that shows one gets 401 and 251004.
    pub fn revoke_tokens(&self) {
        self.shared.world().tokens.revoke();
    }

    /// Refuses the old secret from now on; tokens live on.
    pub fn rotate_secret(&self, secret: impl Into<String>) {
        self.shared.world().tokens.rotate(secret.into());
    }

    /// Where Track Alerts go from now on.
    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        self.shared.world().webhook = webhook;
    }

    /// From now on packages travel by themselves, each from the moment it becomes known; those that have more than a label stay
    /// in your hands.
    pub fn play(&self, speed: Speed) {
        self.shared.world().play(speed);
    }

    /// Lets happen what the clock says is due. It happens by itself too, within a tenth of a second of the wall's time.
    pub fn tick(&self) {
        self.shared.world().tick();
    }

    /// What was asked so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.world().counters.totals.clone()
    }
}

/// The list of faults that are to come; the first that concerns a call strikes it.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a Shared);

impl Script<'_> {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`NotAFraction`] if a fraction is not between 0 and 1.
    pub fn arm(self, rule: Rule) -> Result<(), NotAFraction> {
        self.0.world().faults.add(rule)
    }

    /// Strikes the next calls of an endpoint.
    pub fn next(self, calls: u32, on: Endpoint, fault: Fault) {
        let rule = Rule { fault, when: When::Next(calls), on: Some(on) };
        // Only a fraction can be refused.
        let _ = self.arm(rule);
    }

    /// Strikes the next pushes.
    pub fn next_pushes(self, pushes: u32, fault: Fault) {
        let _ = self.arm(Rule { fault, when: When::Next(pushes), on: None });
    }

    /// Forgets every rule.
    pub fn clear(self) {
        self.0.world().faults.clear();
    }

    /// The rules that can still strike.
    #[must_use]
    pub fn rules(self) -> Vec<Rule> {
        self.0.world().faults.rules()
    }
}
