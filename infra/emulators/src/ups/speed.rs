//! A speed relative to real time.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A finite number above 0: at 600 a journey of three days takes seven minutes.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Speed(f64);

/// The number is not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a speed: give a number above 0")]
pub struct NotASpeed(String);

impl Speed {
    pub(super) fn divide(self, millis: f64) -> f64 {
        millis / self.0
    }
}

impl TryFrom<f64> for Speed {
    type Error = NotASpeed;

    fn try_from(speed: f64) -> Result<Self, NotASpeed> {
        if speed.is_finite() && speed > 0.0 { Ok(Self(speed)) } else { Err(NotASpeed(speed.to_string())) }
    }
}

impl From<Speed> for f64 {
    fn from(speed: Speed) -> Self {
        speed.0
    }
}

impl FromStr for Speed {
    type Err = NotASpeed;

    fn from_str(text: &str) -> Result<Self, NotASpeed> {
        text.parse::<f64>().map_err(|_| NotASpeed(text.to_owned()))?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_must_be_above_zero() {
        assert_eq!("600".parse(), Speed::try_from(600.0));
        for wrong in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }
}
