//! The seeds of the fuzz targets: inputs that their parsers accept, and some that they must refuse. `cargo xtask fuzz
//! --write-seeds` writes them, and a test compares them with the committed ones.

use super::WORKSPACES;
use crate::Outcome;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use phi::{BranchKey, FieldNumber, KeyVersion, Place, SealedBytes, SearchKey, Zeroizing};
use serde_json::json;
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// One seed.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(super) of: &'static str,
    pub(super) target: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
}

/// The key and the storage place that the fuzz target uses to open its input, and the seed's fields.
const KEY: [u8; 32] = [7; 32];
const PLACE: Place<'_> = Place { tenant: "t", table: "t", record: "r" };
const FIELDS: [(u16, &[u8]); 3] = [(1, b"abc"), (2, b"abd"), (9, b"")];

impl Seed {
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        root.join(self.of).join("seeds").join(self.target).join(self.name)
    }

    /// Whether a committed seed equals this one. Sealing is randomised, so sealed records are equal if they open to the same
    /// plaintext.
    pub(super) fn is_like(&self, committed: &[u8]) -> bool {
        match self.target {
            "sealed_bytes" => {
                opened(committed).is_some_and(|fields| FIELDS.iter().map(|(_, text)| *text).eq(fields.iter().map(Vec::as_slice)))
            }
            _ => self.bytes == committed,
        }
    }
}

/// Writes seeds that are missing or have changed.
pub(super) fn write(root: &Path) -> Outcome {
    for seed in all()? {
        let path = seed.path(root);
        if fs::read(&path).is_ok_and(|committed| seed.is_like(&committed)) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, &seed.bytes)?;
        println!("{}", path.strip_prefix(root).unwrap_or(&path).display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Every target's seeds.
pub(super) fn all() -> Result<Vec<Seed>, Box<dyn Error>> {
    let [parsers, phi] = WORKSPACES;
    let mut seeds = Vec::new();
    let mut add = |of, target, name, bytes: Vec<u8>| seeds.push(Seed { of, target, name, bytes });

    let [header, claims] = [
        json!({"alg": "RS256", "kid": "k"}),
        json!({"iss": "https://issuer.example/pool", "client_id": "client", "token_use": "access", "exp": 4_102_444_800u64, "iat": 0,
            "username": "usr_01997a2e51a07cc2a3a9a1f0c7b1d2e5", "origin_jti": "01997a2e-51a0-7cc2-a3a9-a1f0c7b1d2e6", "sub": "s"}),
    ]
    .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    add(parsers, "access_token", "token", format!("{header}.{claims}.{}", "z".repeat(342)).into_bytes());
    let embedded = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "k", "jwk": {}, "crit": ["exp"]}).to_string());
    add(parsers, "access_token", "embedded_key", format!("{embedded}.{claims}.").into_bytes());
    let key = |kid: &str| json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": format!("{}w", "z".repeat(341)), "e": "AQAB"});
    add(parsers, "access_token", "key_set", json!({"keys": [key("k"), key("l")]}).to_string().into_bytes());

    let golden = include_bytes!("../../../../shared/ledger/tests/golden.json");
    add(parsers, "audit_event", "golden", golden.trim_ascii_end().to_vec());
    add(parsers, "audit_event", "hash", b"8e9c070276d560bff7f903840d4b6a62e4cc68bc5eeef292ba0e7ddf64cdb4fd".to_vec());

    for (name, text) in [
        ("tenant", "ten_00000000000070008000000000000000"),
        ("user", "usr_01997a2e51a07cc2a3a9a1f0c7b1d2e5"),
        ("capitals", "ses_01997A2E51A07CC2A3A9A1F0C7B1D2E6"),
        ("event", "evt_01997a2e51a07cc2a3a9a1f0c7b1d2e3"),
        ("time", "2026-01-31T09:30:00.125Z"),
        ("offset", "2026-01-31T09:30:00+01:00"),
        ("leap_second", "2016-12-31T23:59:60Z"),
        ("correlation_id", "my-thread_1.2"),
    ] {
        add(parsers, "ids_and_times", name, text.as_bytes().to_vec());
    }

    for (name, text) in [
        ("fits", r#"{"flag":true,"hour":7.0,"names":["Ada"],"limits":{"daily":[1,2e2]},"share":0.5}"#),
        ("fault_inside", r#"{"flag":true,"limits":{"daily":[1],"emperor":[]},"more":1}"#),
        ("named_twice", r#"[{"b":{"a":1,"\u0061":2}}]"#),
        ("numbers", "[7,7.0,7.000e0,0.7e1,-0,-0.0,1e2,255.0,1e300,1e19,18446744073709551616,-9223372036854775808.0]"),
        ("lost_bytes", r#"{"flag":true,"names":["Ad\ufffda","Ad\u0000a","\ud83d\udc89"]}"#),
        ("surrogate", r#"{"names":["\ud800"]}"#),
        ("byte_order_mark", "\u{feff}{}"),
        ("deep", "[[[[[[[[{\"a\":[[[[null]]]]}]]]]]]]]"),
    ] {
        add(parsers, "request_body", name, text.as_bytes().to_vec());
    }

    for (name, text) in [
        ("valid", "1ZCIETST0111111114".to_owned()),
        ("bad_check_digit", "1Z1234567891234551".to_owned()),
        ("spaces", " 1z ciets t01 1111 1114\t".to_owned()),
        // Longer than the parser reads, and a number without its spaces.
        ("too_long", format!("1ZCIETST0111111114{}", " ".repeat(60))),
    ] {
        add(parsers, "tracking_number", name, text.into_bytes());
    }

    let place = json!({"address": {"city": "Reno", "stateProvince": "NV", "countryCode": "US", "country": "US"}});
    let scan = |code: &str, kind: &str, date: &str, time: &str| {
        json!({"location": place, "status": {"type": kind, "code": code, "description": "scanned", "statusCode": "005"},
            "date": date, "time": time, "gmtDate": date, "gmtTime": "10:30:00", "gmtOffset": "-08:00"})
    };
    let tracked = json!({"trackResponse": {"shipment": [{"inquiryNumber": "1ZCIETST0111111114", "package": [{
        "trackingNumber": "1ZCIETST0111111114",
        "activity": [scan("OR", "I", "20260102", "093000"), scan("MP", "M", "20260101", "120000"), scan("FS", "D", "20260103", "150000")],
        "currentStatus": {"code": "011", "description": "Delivered"},
        "deliveryDate": [{"type": "DEL", "date": "20260103"}],
        "deliveryTime": {"type": "DEL", "startTime": "", "endTime": "150000"},
    }]}]}});
    add(parsers, "ups_answer", "tracking", tracked.to_string().into_bytes());
    let token = json!({"token_type": "Bearer", "issued_at": "0", "client_id": "c", "access_token": "synthetic", "expires_in": "14399", "status": "approved"});
    add(parsers, "ups_answer", "token", token.to_string().into_bytes());
    let refused = json!({"response": {"errors": [{"code": "10429", "message": "Too Many Requests"}]}});
    add(parsers, "ups_answer", "refused", refused.to_string().into_bytes());
    let pushed = json!({"trackingNumber": "1ZCIETST0111111114", "localActivityDate": "20260102", "localActivityTime": "093000",
        "gmtActivityDate": "20260102", "gmtActivityTime": "173000", "gmtOffset": "-08:00", "activityLocation": {"city": "Reno"},
        "activityStatus": {"type": "I", "code": "OR", "description": "Origin Scan"}});
    add(parsers, "ups_answer", "push", pushed.to_string().into_bytes());

    add(phi, "sealed_bytes", "sealed", sealed().ok_or("a record cannot be sealed")?);
    add(phi, "sealer_fields", "two_fields", vec![1, 0, 3, b'a', b'b', b'c', 2, 0, 1, b'd']);
    let search =
        SearchKey::new(KeyVersion::FIRST, Zeroizing::new(KEY)).field("t", "email").token("ada@patients.example").to_string();
    add(phi, "search_token", "token", search.into_bytes());
    for (name, text) in [
        ("name", "Ada Sample"),
        ("accents", "Åsa Ñandú-O’Brien"),
        ("phone", "+15555550100"),
        ("email", "Ada.Sample+x@patients.example"),
        ("postal_code", "89501-1234"),
        ("country", "US"),
    ] {
        add(phi, "values", name, text.as_bytes().to_vec());
    }
    let address = json!({"line1": "1 Example Way", "city": "Reno", "state": "NV", "postal_code": "89501", "country": "US"});
    add(phi, "values", "address", address.to_string().into_bytes());
    Ok(seeds)
}

fn sealed() -> Option<Vec<u8>> {
    let mut sealer = BranchKey::new(KeyVersion::FIRST, Zeroizing::new(KEY)).sealer(&PLACE).ok()?;
    for (number, text) in FIELDS {
        sealer.field(FieldNumber::new(number)?, text).ok()?;
    }
    Some(sealer.finish().ok()?.into_vec())
}

fn opened(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let sealed = SealedBytes::parse(bytes.to_vec()).ok()?;
    let opener = BranchKey::new(KeyVersion::FIRST, Zeroizing::new(KEY)).opener(&PLACE, &sealed).ok()?;
    FIELDS.iter().map(|(number, _)| opener.field(FieldNumber::new(*number)?).ok()?.map(|text| text.to_vec())).collect()
}
