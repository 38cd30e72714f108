//! Points in time as facts: milliseconds since the Unix epoch, given from outside. The model has no clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A point in time: whole milliseconds since 1970-01-01T00:00:00Z, from 1970 to the end of 9999 but for its last day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// The text or number is not a time between the years 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time such as `2026-11-22T10:00:00Z` between the years 1970 and 9999")]
pub struct InvalidTime(String);

/// 9999-12-30T22:00:00Z: later moments have no date in every time zone, and the calendar refuses to write them.
const LATEST_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The last moment we can name; no end time lies later.
    pub const LATEST: Self = Self(LATEST_MS);

    /// From milliseconds since the epoch, brought into the range that can be written down.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 {
            0
        } else if millis > LATEST_MS {
            LATEST_MS
        } else {
            millis
        })
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This many milliseconds later, at most [`Timestamp::LATEST`].
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let says = "An RFC 3339 time between the years 1970 and 9999, with milliseconds.";
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(Some(says));
        schema.examples(["2026-11-22T10:00:00.000Z"]).into()
    }
}

impl ToSchema for Timestamp {}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let invalid = || InvalidTime(text.chars().take(64).collect());
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        let millis = time.as_millisecond();
        if (0..=LATEST_MS).contains(&millis) { Ok(Self(millis)) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_and_out() {
        let time: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T10:00:00.000Z");
        assert_eq!("2026-11-22T11:00:00+01:00".parse::<Timestamp>().unwrap(), time);
    }

    #[test]
    fn the_last_moment_can_be_written_and_read() {
        assert_eq!(Timestamp::LATEST.to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::LATEST.to_string().parse(), Ok(Timestamp::LATEST));
    }

    #[test]
    fn times_far_out_of_range_are_refused() {
        for text in ["", "tomorrow", "99999-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
