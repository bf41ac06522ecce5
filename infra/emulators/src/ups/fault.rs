//! Injected faults.

use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// An endpoint, for faults and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /security/v1/oauth/token`
    Token,
    /// `GET /api/track/v1/details/{number}`
    Track,
    /// `POST /api/track/v2/subscription/{type}/package`
    Subscribe,
}

/// A fault. The first three answer instead of UPS, so nothing is changed. The next five corrupt or delay the answer to a call
/// that was carried out. The last four concern Track Alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// 401: `UJ0001`, or 250002 for a token request.
    Unauthorized,
    /// 429 with 10429.
    RateLimited {
        /// Seconds in `Retry-After`; without it the header is absent, which is the common case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// 500 with 10004.
    ServerError,
    /// The answer is delayed by so many milliseconds of real time.
    Slow {
        /// The delay.
        millis: u64,
    },
    /// 200, and a complete body that is not JSON.
    MalformedJson,
    /// 200 and a `Content-Length`, of which half arrives before the connection ends.
    TruncatedBody,
    /// 200 and a gateway's HTML page.
    WrongContentType,
    /// The connection ends before the first byte of an answer.
    Dropped,
    /// The push comes twice.
    PushTwice,
    /// The push is delayed by so many milliseconds of real time.
    PushLate {
        /// The delay.
        millis: u64,
    },
    /// The push comes after the next one.
    PushSwapped,
    /// The push never comes.
    PushLost,
}

impl Fault {
    fn is_of_a_push(self) -> bool {
        matches!(self, Self::PushTwice | Self::PushLate { .. } | Self::PushSwapped | Self::PushLost)
    }
}

/// The calls that a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// So many consecutive calls from now.
    Next(u32),
    /// This share of all calls, from 0 to 1, chosen by the seed.
    Fraction(f64),
}

/// A fault and its calls. As JSON: `{"fault": "slow", "millis": 500, "next": 3, "on": "track"}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Its calls.
    #[serde(flatten)]
    pub when: When,
    /// Its endpoint; all if it is absent. Faults of pushes ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Endpoint>,
}

/// The number is not a fraction.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a fraction is between 0 and 1, not {0}")]
pub struct NotAFraction(pub f64);

#[derive(Debug, Default)]
pub(super) struct Faults {
    seed: u64,
    added: u64,
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    id: u64,
    calls: u64,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(super) fn add(&mut self, rule: Rule) -> Result<(), NotAFraction> {
        match rule.when {
            When::Fraction(p) if !(0.0..=1.0).contains(&p) => return Err(NotAFraction(p)),
            When::Next(0) => return Ok(()),
            When::Fraction(_) | When::Next(_) => {}
        }
        self.armed.push(Armed { rule, id: self.added, calls: 0 });
        self.added += 1;
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.armed.clear();
    }

    pub(super) fn rules(&self) -> Vec<Rule> {
        self.armed.iter().map(|armed| armed.rule).collect()
    }

    /// The fault of this call: the first rule that applies.
    pub(super) fn of_call(&mut self, endpoint: Endpoint) -> Option<Fault> {
        self.first(|rule| !rule.fault.is_of_a_push() && rule.on.is_none_or(|on| on == endpoint))
    }

    /// The fault of this push.
    pub(super) fn of_push(&mut self) -> Option<Fault> {
        self.first(|rule| rule.fault.is_of_a_push())
    }

    fn first(&mut self, concerns: impl Fn(&Rule) -> bool) -> Option<Fault> {
        let seed = self.seed;
        let struck = self.armed.iter_mut().filter(|armed| concerns(&armed.rule)).find_map(|armed| {
            armed.calls += 1;
            match &mut armed.rule.when {
                When::Next(left) => *left -= 1,
                When::Fraction(p) => {
                    if !Dice::new(seed, "fault", armed.id << 40 | armed.calls).hits(*p) {
                        return None;
                    }
                }
            }
            Some(armed.rule.fault)
        });
        self.armed.retain(|armed| armed.rule.when != When::Next(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_calls_are_counted_per_endpoint() {
        let mut faults = Faults::new(1);
        faults.add(Rule { fault: Fault::ServerError, when: When::Next(2), on: Some(Endpoint::Track) }).unwrap();
        assert_eq!(faults.of_call(Endpoint::Token), None);
        assert_eq!(faults.of_call(Endpoint::Track), Some(Fault::ServerError));
        assert_eq!(faults.of_push(), None);
        assert_eq!(faults.of_call(Endpoint::Track), Some(Fault::ServerError));
        assert_eq!(faults.of_call(Endpoint::Track), None);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn fraction_selects_the_same_calls_for_the_same_seed_only() {
        let struck = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(Rule { fault: Fault::Dropped, when: When::Fraction(0.3), on: None }).unwrap();
            (0..1_000).map(|_| faults.of_call(Endpoint::Track).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(struck(1), struck(1));
        assert_ne!(struck(1), struck(2));
        let count = struck(1).into_iter().filter(|struck| *struck).count();
        assert!((250..350).contains(&count), "{count} of 1000");
    }

    #[test]
    fn rule_serializes_without_nesting() {
        let json = r#"{"fault":"slow","millis":500,"next":3,"on":"track"}"#;
        let rule: Rule = serde_json::from_str(json).unwrap();
        assert_eq!(rule, Rule { fault: Fault::Slow { millis: 500 }, when: When::Next(3), on: Some(Endpoint::Track) });
        assert_eq!(serde_json::to_string(&rule).unwrap(), json);
        assert!(serde_json::from_str::<Rule>(r#"{"fault":"dropped"}"#).is_err());
        let beyond = Rule { fault: Fault::Dropped, when: When::Fraction(1.5), on: None };
        assert_eq!(Faults::new(1).add(beyond), Err(NotAFraction(1.5)));
    }
}
