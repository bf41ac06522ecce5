//! PHI field types and envelope encryption. The crate is pure: it has no AWS client, no async code and no clock.
//!
//! - [`Sealed<T>`](Sealed) is the only form in which PHI is stored; [`sealed_fields!`] declares the type `T`.
//! - Value types ([`PersonName`], [`Phone`], [`Email`], [`Address`], [`Text`]) are parsed, print redacted, and define how they
//!   are normalised for search and how they are masked; [`phi_text!`] and [`phi_struct!`] make more.
//! - [`SearchKey`] makes blind indexes.
//!
//! # How PHI leaves the program
//! PHI types implement [`PhiValue`] and neither `Serialize` nor `Display`. So no queue message, domain event, audit event or log
//! line can hold a PHI value: code that serialises one does not compile, and code that prints one shows `[phi]`. Two ways remain:
//! into a [`RecordSealer`], and [`PhiValue::disclose`], whose [`Disclosed`] serialises into a response. `as_str()` and `expose()`
//! give the plaintext to code, so reviewers look for these calls.
//!
//! # The sealed format, version 1
//! All numbers are big-endian.
//!
//! | Offset | Bytes | What |
//! |---|---|---|
//! | 0 | 1 | format version, `01` |
//! | 1 | 4 | key version: which branch key, from 1 |
//! | 5 | 32 | salt, fresh for each write |
//! | 37 | 32 | key commitment |
//! | 69 | 16 | field-set tag |
//! | 85 | … | the fields, by ascending number, to the end of the record |
//!
//! A field is
//!
//! | Bytes | What |
//! |---|---|
//! | 2 | field number, 1 to 65535 |
//! | 4 | length n of the plaintext |
//! | n | ciphertext |
//! | 16 | tag |
//!
//! The overhead is 85 bytes a record and 22 bytes a field; an absent field takes none.
//!
//! Write `lp(x)` for the length of x in bytes as u16, then x.
//!
//! - **Keys.** K = HMAC-SHA-512(branch key, lp("cloister/record/v1") ‖ lp(tenant) ‖ lp(table) ‖ lp(record) ‖ lp(key version, u32)
//!   ‖ lp(salt)), one step in the style of the key derivation in NIST SP 800-108. The first 32 bytes of K are the record key, for
//!   AES-256-GCM; the last 32 are the key commitment, which is compared in constant time before anything is opened. With GCM
//!   alone, an attacker could make a ciphertext that opens, to different texts, under two keys.
//! - **Fields.** Nonce: the field number as 96 bits. Associated data: lp(tenant) ‖ lp(table) ‖ lp(record) ‖
//!   lp(field number, u16) ‖ lp(key version, u32) ‖ lp(format version, u8).
//! - **Field-set tag.** The tag of an empty plaintext with nonce 0 and the associated data of field 0, followed by the count of
//!   the fields (u16) and their numbers (u16 each). It is verified before any field is opened, so a removed field is detected.
//!
//! Each write draws a random salt of 256 bits. So record keys do not repeat, and neither does any pair of key and nonce. The
//! types enforce the rest: [`BranchKey::sealer`] draws the salt, [`RecordSealer::finish`] consumes the sealer, and numbers must
//! ascend.
//!
//! # Search tokens
//! `LP(x)` is the length of x as u64, then x. Field key = HMAC-SHA-256(search key, LP("cloister/search/v1") ‖ LP(tenant) ‖
//! LP(field) ‖ LP(key version, u32)); token = HMAC-SHA-256(field key, normalised value). The text of a token is `v`, the key
//! version, `.`, and base64url without padding.
//!
//! # Memory
//! Keys are passed in [`Zeroizing`] and wiped; AWS-LC wipes its copies when they are freed. Sealing and opening wipe the
//! plaintext in their buffers. An opened value lives in an ordinary `String` until its request ends, like the bodies of the
//! request and the response.
//!
//! # FIPS
//! The feature `fips` builds on AWS-LC's validated module. All algorithms are approved ones. A deterministic nonce (SP 800-38D
//! section 8.2.1) is not among the GCM services that the module's own indicator reports as approved; a security policy has to
//! state this.
//!
//! # Not protected
//! - Lengths, the set of present fields, the salt and the key version are visible.
//! - An attacker who can write to the store can put back an older sealed version of the same record: a record does not show
//!   whether it is the newest.
//! - Access patterns are visible: the reader or writer of a record, the frequency and the time.
//! - Search tokens show which records of a tenant have an equal value in one field, and so the frequency of values. A holder of
//!   the search key can guess values that have few possibilities, such as telephone numbers.
//! - A process that holds the branch key can open and make every record of its tenant, and so can anyone who can read its memory.

extern crate self as phi;

mod branch_key;
mod disclosure;
mod error;
mod format;
mod kept;
mod place;
mod record;
mod sealed;
mod search;
mod value;
mod version;

pub use branch_key::BranchKey;
pub use disclosure::{Disclosed, Phi, PhiValue};
pub use error::{OpenError, SealError};
pub use format::{FieldNumber, SealedBytes};
pub use kept::{count_unknown, keep_unknown};
pub use place::Place;
pub use record::{RecordOpener, RecordSealer};
pub use sealed::{FieldSpec, Sealed, SealedFields};
pub use search::{FieldSearchKey, InvalidToken, SearchKey, SearchToken};
pub use value::{
    Address, CountryCode, Email, GivenPhone, InvalidValue, LongText, PersonName, PhiText, Phone, PostalCode, ShortText, Text,
};
pub use version::KeyVersion;
pub use zeroize::Zeroizing;

#[doc(hidden)]
pub use sealed::assert_ascending;

/// For this crate's macros only.
#[doc(hidden)]
pub mod __private {
    pub use crate::disclosure::Plain;
    pub use crate::value::{object, text};
    pub use {schemars, serde};
}
