//! Whole records through `sealed_fields!`, and the parts of them that may leave the program.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use phi::{
    Address, BranchKey, Disclosed, KeyVersion, OpenError, PersonName, Phi, PhiText, PhiValue, Phone, Place, Sealed, SealedFields,
    ShortText, Zeroizing, field_number,
};

phi::phi_struct! {
    /// Like a shipment's recipient.
    pub struct Recipient: "a recipient" { name: PersonName, phone: Option<Phone>, address: Address }
}

phi::sealed_fields! {
    #[derive(Debug, Clone, PartialEq)]
    pub struct ParcelPhi in "parcels" {
        1 => number: ShortText,
        2 => reference: Option<ShortText>,
        4 => recipient: Recipient,
        7 => notes: Vec<ShortText>,
    }
}

const RECIPIENT: &str = r#"{"name":"Ada Lovelace","phone":"+15550104477","address":{"line1":"1 Infirmary Way","line2":null,"city":"Springfield","state":"CA","postal_code":"94016","country":"US"}}"#;

fn key() -> BranchKey {
    BranchKey::new(KeyVersion::FIRST, Zeroizing::new([9; 32]))
}

fn parcel() -> ParcelPhi {
    ParcelPhi {
        number: ShortText::parse("1Z999").unwrap(),
        reference: None,
        recipient: serde_json::from_str(RECIPIENT).unwrap(),
        notes: vec![ShortText::parse("fragile").unwrap(), ShortText::parse("call first").unwrap()],
    }
}

fn seal(parcel: &ParcelPhi) -> Sealed<ParcelPhi> {
    Sealed::seal(parcel, &key(), "ten_a", "par_1").unwrap()
}

#[test]
fn record_opens_to_the_sealed_value() {
    let parcel = parcel();
    assert_eq!(seal(&parcel).open(&key(), "ten_a", "par_1").unwrap(), parcel);
    let with = ParcelPhi { reference: Some(ShortText::parse("PO 1").unwrap()), ..parcel };
    assert_eq!(seal(&with).open(&key(), "ten_a", "par_1").unwrap(), with);
}

#[test]
fn record_does_not_open_at_another_place() {
    let sealed = seal(&parcel());
    assert_eq!(sealed.open(&key(), "ten_b", "par_1"), Err(OpenError));
    assert_eq!(sealed.open(&key(), "ten_a", "par_2"), Err(OpenError));
    let other = BranchKey::new(KeyVersion::FIRST, Zeroizing::new([8; 32]));
    assert_eq!(sealed.open(&other, "ten_a", "par_1"), Err(OpenError));
}

#[test]
fn absent_field_adds_no_bytes_and_fields_are_listed_by_name() {
    let key = key();
    let sealed = seal(&parcel());
    let opener = sealed.opener(&key, "ten_a", "par_1").unwrap();
    assert!(opener.has(field_number!(1)) && !opener.has(field_number!(2)));
    let listed: Vec<_> = ParcelPhi::FIELDS.iter().map(|field| (field.number.get(), field.name)).collect();
    assert_eq!(listed, [(1, "number"), (2, "reference"), (4, "recipient"), (7, "notes")]);
}

#[test]
fn one_field_is_read_without_the_others() {
    let key = key();
    let sealed = seal(&parcel());
    let opener = sealed.opener(&key, "ten_a", "par_1").unwrap();
    assert_eq!(opener.value::<ShortText>(field_number!(1)).unwrap().as_str(), "1Z999");
    assert_eq!(opener.value::<Option<ShortText>>(field_number!(2)), Ok(None));
    assert_eq!(opener.value::<ShortText>(field_number!(2)), Err(OpenError));
    assert_eq!(opener.value::<Address>(field_number!(1)), Err(OpenError));
}

#[test]
fn record_without_required_field_does_not_open() {
    let mut sealer = key().sealer(&Place { tenant: "ten_a", table: "parcels", record: "par_1" }).unwrap();
    sealer.value(field_number!(1), &parcel().number).unwrap();
    let sealed = Sealed::<ParcelPhi>::from_bytes(sealer.finish().unwrap().into_vec()).unwrap();
    assert_eq!(sealed.open(&key(), "ten_a", "par_1"), Err(OpenError));
}

/// A record of a later version: fields 3 and 9 are new, and so is a member of the recipient.
fn sealed_by_a_later_version() -> Sealed<ParcelPhi> {
    let mut sealer = key().sealer(&Place { tenant: "ten_a", table: "parcels", record: "par_1" }).unwrap();
    sealer.value(field_number!(1), &parcel().number).unwrap();
    sealer.field(field_number!(3), br#"["new"]"#).unwrap();
    sealer.field(field_number!(4), RECIPIENT.replacen('{', r#"{"pronouns":"they","#, 1).as_bytes()).unwrap();
    sealer.value(field_number!(7), &parcel().notes).unwrap();
    sealer.field(field_number!(9), b"{}").unwrap();
    Sealed::from_bytes(sealer.finish().unwrap().into_vec()).unwrap()
}

#[test]
fn fields_and_members_of_a_later_version_survive_resealing() {
    let key = key();
    let before = sealed_by_a_later_version();
    let mut phi = before.open(&key, "ten_a", "par_1").unwrap();
    phi.reference = Some(ShortText::parse("changed").unwrap());
    let opener = before.opener(&key, "ten_a", "par_1").unwrap();
    let after = Sealed::reseal(&phi, &opener, &key, "ten_a", "par_1").unwrap();
    // In the stored order, the fields of the later version lie in their places among the known ones.
    let after = Sealed::<ParcelPhi>::from_bytes(after.into_bytes()).unwrap();
    assert_eq!(after.open(&key, "ten_a", "par_1").unwrap(), phi);
    let opener = after.opener(&key, "ten_a", "par_1").unwrap();
    let field = |number| opener.field(number).unwrap().unwrap();
    assert_eq!(field(field_number!(3)).as_slice(), br#"["new"]"#);
    assert_eq!(field(field_number!(9)).as_slice(), b"{}");
    let recipient: serde_json::Value = serde_json::from_slice(&field(field_number!(4))).unwrap();
    assert_eq!(recipient["pronouns"], "they");
    assert_ne!(before, after);
}

#[test]
fn resealing_without_unknown_fields_equals_sealing() {
    let key = key();
    let before = seal(&parcel());
    let opener = before.opener(&key, "ten_a", "par_1").unwrap();
    let phi = ParcelPhi { notes: Vec::new(), ..parcel() };
    let (after, sealed) = (Sealed::reseal(&phi, &opener, &key, "ten_a", "par_1").unwrap(), seal(&phi));
    assert_eq!(after.as_bytes().len(), sealed.as_bytes().len());
    assert_eq!(after.open(&key, "ten_a", "par_1").unwrap(), phi);
}

#[test]
fn sealed_record_serialises_as_base64url() {
    let sealed = seal(&parcel());
    let json = serde_json::to_string(&sealed).unwrap();
    assert!(json.trim_matches('"').bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    assert_eq!(serde_json::from_str::<Sealed<ParcelPhi>>(&json).unwrap(), sealed);
    assert_eq!(Sealed::<ParcelPhi>::from_bytes(sealed.clone().into_bytes()).unwrap(), sealed);
    assert_eq!(sealed.key_version(), KeyVersion::FIRST);
    for wrong in ["\"AQ\"", "\"=\"", "\"\"", "1"] {
        assert!(serde_json::from_str::<Sealed<ParcelPhi>>(wrong).is_err());
    }
    assert_eq!(format!("{sealed:?}"), format!("Sealed({} bytes)", sealed.as_bytes().len()));
}

#[test]
fn disclosed_values_appear_in_response_json_but_not_in_debug() {
    #[derive(Debug, serde::Serialize)]
    struct Response {
        recipient: Disclosed<Recipient>,
        reference: Disclosed<Option<ShortText>>,
        notes: Disclosed<Vec<ShortText>>,
    }
    let ParcelPhi { recipient, reference, notes, .. } = parcel();
    let response = Response { recipient: recipient.disclose(), reference: reference.disclose(), notes: notes.disclose() };
    let json = serde_json::to_string(&response).unwrap();
    assert_eq!(json, format!(r#"{{"recipient":{RECIPIENT},"reference":null,"notes":["fragile","call first"]}}"#));
    assert_eq!(format!("{response:?}"), "Response { recipient: [phi], reference: [phi], notes: [phi] }");
    assert_eq!(response.notes.expose()[0].as_str(), "fragile");
}

#[test]
fn debug_of_an_opened_record_is_redacted() {
    let shown = format!("{:?}", parcel());
    assert_eq!(
        shown,
        "ParcelPhi { number: Text([phi]), reference: None, recipient: Recipient([phi]), notes: [Text([phi]), Text([phi])] }"
    );
    assert_eq!(format!("{:?}", phi::__private::Plain(&parcel().number)), "[phi]");
}

#[test]
fn redacting_wrapper_hides_values_and_errors() {
    let phi: Phi<Vec<u8>> = serde_json::from_str("[1,2]").unwrap();
    assert_eq!((format!("{phi:?}"), phi.to_string(), phi.expose().len()), ("[phi]".into(), "[phi]".into(), 2));
    assert_eq!(phi.into_inner(), [1, 2]);
    let error = serde_json::from_str::<Phi<Vec<u8>>>("\"5550104477\"").unwrap_err().to_string();
    assert!(error.starts_with("not a valid value") && !error.contains("555"), "{error}");
    let phone = Phi::new(Phone::parse("5550104477").unwrap());
    assert_eq!(serde_json::to_string(&phone.disclose()).unwrap(), "\"5550104477\"");
}
