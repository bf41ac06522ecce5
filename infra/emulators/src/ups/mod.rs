//! An emulator of UPS's real behaviour: OAuth, Tracking, and Track Alert with its pushes.
//!
//! The shapes are those of UPS's OpenAPI documents (<https://github.com/UPS-API/api-documentation>). Where the documents are
//! incomplete or wrong, it follows the observed behaviour: numbers are strings, lists may be null, times have three forms,
//! `currentStatus` may lag, an unknown number is a 200 with a warning. Random values come from a seed and time is a parameter, so
//! a run can be repeated; only delays on the wire (a slow answer, a late push) use real time.
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
mod simulation;
mod speed;
mod statistics;
mod status;
mod wire;

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::Error;
use crate::clock::unix_millis;
use crate::server::Server;

pub use fault::{Endpoint, Fault, NotAFraction, Rule, When};
pub use journey::{Course, Journey, Leg, Place};
pub use push::{Credential, LocalUrl, NotLocal, USER_AGENT, Webhook};
pub use simulation::{Refused, Seen};
pub use speed::{NotASpeed, Speed};
pub use statistics::Statistics;
pub use status::{Milestone, NotAStatus, Status};

use server::Shared;
use simulation::Simulation;

/// The emulator's clock: milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Now(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Now {
    /// The real time.
    #[must_use]
    pub fn wall() -> Self {
        Self::by(unix_millis)
    }

    /// A test's clock. It is called while the emulator's state is locked, so it must not call the emulator.
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

/// The emulator's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The seed of all random values.
    pub seed: u64,
    /// The clock.
    pub now: Now,
    /// Whether a request creates the package of an unknown 1Z number, with a label. Otherwise only `advance` creates it.
    pub auto_create: bool,
    /// The speed at which packages move automatically, if they do; implies `auto_create`.
    pub speed: Option<Speed>,
    /// The webhook of Track Alerts.
    pub webhook: Option<Webhook>,
}

impl Options {
    /// Real time, seed 1, and no automatic moves.
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
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Io`] if no port is free.
    pub fn start(options: Options) -> Result<Self, Error> {
        let (post, posted) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared(Mutex::new(Simulation::new(options, post.clone()))));
        let served = shared.clone();
        let server = Server::spawn("ups", |listener, shutdown| server::serve(served, (post, posted), listener, shutdown))?;
        Ok(Self { shared, server })
    }

    /// The base URL, in place of `https://onlinetools.ups.com`. The control routes are below it, at `/_control/`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Finishes open requests, for two seconds at most, and frees the port.
    pub fn stop(self) {
        self.server.stop();
    }

    /// Moves a package to a [`Milestone`]'s name or to `TYPE/CODE`, as a scan at this moment. It creates an unknown package with
    /// a label first. The package no longer moves automatically.
    ///
    /// # Errors
    /// [`Refused`] if the number is not a 1Z number, or the status is unknown.
    pub fn advance(&self, tracking_number: &str, status: &str) -> Result<Seen, Refused> {
        self.shared.simulation().advance(tracking_number, status)
    }

    /// All packages, by their numbers.
    #[must_use]
    pub fn packages(&self) -> Vec<Seen> {
        self.shared.simulation().seen_all()
    }

    /// The injected faults.
    #[must_use]
    pub fn faults(&self) -> Script<'_> {
        Script(&self.shared)
    }

    /// Revokes every token: the next call with one gets 401 and 251004.
    pub fn revoke_tokens(&self) {
        self.shared.simulation().tokens.revoke();
    }

    /// Refuses the old secret from now on; tokens stay valid.
    pub fn rotate_secret(&self, secret: impl Into<String>) {
        self.shared.simulation().tokens.rotate(secret.into());
    }

    /// Sets the webhook of Track Alerts.
    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        self.shared.simulation().webhook = webhook;
    }

    /// Moves packages automatically from now on, each from its creation. Packages with more than a label still move by `advance`
    /// only.
    pub fn play(&self, speed: Speed) {
        self.shared.simulation().play(speed);
    }

    /// Performs scans and pushes that are due. A timer does so every tenth of a second of real time too.
    pub fn tick(&self) {
        self.shared.simulation().tick();
    }

    /// The counters of calls so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.simulation().counters.totals.clone()
    }
}

/// The rules of faults; the first rule that applies to a call is used.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a Shared);

impl Script<'_> {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`NotAFraction`] if a fraction is not between 0 and 1.
    pub fn arm(self, rule: Rule) -> Result<(), NotAFraction> {
        self.0.simulation().faults.add(rule)
    }

    /// Injects a fault into the next calls of an endpoint.
    pub fn next(self, calls: u32, on: Endpoint, fault: Fault) {
        let rule = Rule { fault, when: When::Next(calls), on: Some(on) };
        // Only a fraction can be invalid.
        let _ = self.arm(rule);
    }

    /// Injects a fault into the next pushes.
    pub fn next_pushes(self, pushes: u32, fault: Fault) {
        let _ = self.arm(Rule { fault, when: When::Next(pushes), on: None });
    }

    /// Removes every rule.
    pub fn clear(self) {
        self.0.simulation().faults.clear();
    }

    /// The rules that still apply.
    #[must_use]
    pub fn rules(self) -> Vec<Rule> {
        self.0.simulation().faults.rules()
    }
}
