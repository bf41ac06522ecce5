//! The trigger that Cognito calls before it issues tokens. Cognito waits for the answer; without one, or after a failure, it
//! issues nothing.

use crate::base::{
    Timestamp,
    telemetry::{self, Log},
};
use serde::{Serialize, de::DeserializeOwned};

/// Determines the content of tokens from Cognito's event alone. It makes no calls, so it cannot be slow.
pub trait TokenGeneration: 'static {
    /// Cognito's event, which is also the answer after its `response` is filled in.
    type Event: DeserializeOwned + Serialize;
    /// # Errors
    /// [`TokensRefused`] if no token may be issued.
    fn answer(event: Self::Event) -> Result<Self::Event, TokensRefused>;
}

/// The reason why Cognito must not issue a token, as a code. Cognito returns it to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokensRefused(pub &'static str);

/// Answers, and writes a log line that identifies nobody.
///
/// # Errors
/// As [`TokenGeneration::answer`].
pub fn answer<T: TokenGeneration>(log: &Log, now: Timestamp, event: T::Event) -> Result<T::Event, TokensRefused> {
    let answer = T::answer(event);
    log.hears_now(|| {
        telemetry::line! {
            "function" = "pre_token_generation",
            "timestamp" = now,
            "allowed" = answer.is_ok(),
            "code" = answer.as_ref().err().map(|refused| refused.0),
        };
    });
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::telemetry::{LogSink, WideEvent};
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Default)]
    struct Lines(Mutex<Vec<String>>);

    impl LogSink for Lines {
        fn write(&self, event: &WideEvent) {
            self.0.lock().unwrap().push(event.to_line());
        }
    }

    struct Even;

    impl TokenGeneration for Even {
        type Event = u32;
        fn answer(event: u32) -> Result<u32, TokensRefused> {
            if event.is_multiple_of(2) { Ok(event + 1) } else { Err(TokensRefused("odd")) }
        }
    }

    #[test]
    fn each_answer_writes_one_line_and_a_refusal_its_reason() {
        let lines = Arc::new(Lines::default());
        let (log, now) = (Log::new(lines.clone()), Timestamp::from_millis(0));
        assert_eq!(answer::<Even>(&log, now, 2), Ok(3));
        assert_eq!(answer::<Even>(&log, now, 3), Err(TokensRefused("odd")));
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(r#""allowed":true"#) && !lines[0].contains("code"), "{}", lines[0]);
        assert!(lines[1].contains(r#""allowed":false"#) && lines[1].contains(r#""code":"odd""#), "{}", lines[1]);
    }
}
