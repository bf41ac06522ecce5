//! What Cognito asks before it issues tokens. It waits for the answer, and where none comes, or a failure, it issues nothing.

use crate::base::{
    Timestamp,
    telemetry::{LogSink, WideEvent},
};
use serde::{Serialize, de::DeserializeOwned};

/// Says what tokens hold, from Cognito's event alone: with nothing to call there is nothing to wait for.
pub trait TokenGeneration: 'static {
    /// Cognito's event, which is the answer as well once its `response` is filled in.
    type Event: DeserializeOwned + Serialize;
    /// # Errors
    /// [`TokensRefused`]: no token shall be issued.
    fn answer(event: Self::Event) -> Result<Self::Event, TokensRefused>;
}

/// Why Cognito shall issue no token, as a code of ours. Cognito repeats it to whoever asked it for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokensRefused(pub &'static str);

/// Answers, and leaves a line that names nobody.
///
/// # Errors
/// As [`TokenGeneration::answer`].
pub fn answer<T: TokenGeneration>(log: &impl LogSink, now: Timestamp, event: T::Event) -> Result<T::Event, TokensRefused> {
    let answer = T::answer(event);
    let mut line = WideEvent::default();
    line.set("function", "pre_token_generation");
    line.set("timestamp", now);
    line.set("allowed", answer.is_ok());
    if let Err(TokensRefused(code)) = &answer {
        line.set("code", *code);
    }
    log.write(&line);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

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
    fn each_answer_leaves_one_line_and_a_refusal_says_why() {
        let lines = Lines::default();
        let now = Timestamp::from_millis(0);
        assert_eq!(answer::<Even>(&lines, now, 2), Ok(3));
        assert_eq!(answer::<Even>(&lines, now, 3), Err(TokensRefused("odd")));
        let lines = lines.0.into_inner().unwrap();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains(r#""allowed":true"#) && !lines[0].contains("code"), "{}", lines[0]);
        assert!(lines[1].contains(r#""allowed":false"#) && lines[1].contains(r#""code":"odd""#), "{}", lines[1]);
    }
}
