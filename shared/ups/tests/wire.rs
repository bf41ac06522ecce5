//! The calls as UPS receives them, and answers in the forms that UPS really sends. All data is synthetic.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use http::{Request, Response};
use jiff::Timestamp;
use std::{collections::VecDeque, sync::Mutex, time::Duration};
use ups::{
    Batch, Client, Credentials, Error, Number, PRODUCTION, Secret, Status, Subscribed, Token, Tracked, Transaction, Transport,
    TransportError, When,
};

const NUMBER: &str = "1ZCIETST0111111114";
const OTHER: &str = "1ZCIETST0422222228";

/// Answers in the given order, and records the requests.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Response<Vec<u8>>, TransportError>>>,
    asked: Mutex<Vec<Request<Vec<u8>>>>,
}

impl Script {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::default().then(status, body)
    }

    fn failing(error: TransportError) -> Self {
        let script = Self::default();
        script.answers.lock().unwrap().push_back(Err(error));
        script
    }

    fn then(self, status: u16, body: impl Into<Vec<u8>>) -> Self {
        self.answers.lock().unwrap().push_back(Ok(Response::builder().status(status).body(body.into()).unwrap()));
        self
    }

    fn asked(&self) -> Request<Vec<u8>> {
        let mut asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "one call is one request");
        asked.remove(0)
    }
}

impl Transport for Script {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, TransportError> {
        self.asked.lock().unwrap().push(request);
        self.answers.lock().unwrap().pop_front().expect("an answer for each request")
    }
}

fn now() -> Timestamp {
    "2026-01-31T09:30:00Z".parse().unwrap()
}

fn client() -> Client {
    Client::new(PRODUCTION, "synthetic-source").unwrap()
}

fn bearer() -> Token {
    Token::new("synthetic-token".to_owned().into(), now()).unwrap()
}

fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

fn transaction() -> Transaction {
    Transaction::parse("0194b9f0c3b07e0e8c1d000000000001").unwrap()
}

fn header<'a>(request: &'a Request<Vec<u8>>, name: &str) -> &'a str {
    request.headers().get(name).unwrap().to_str().unwrap()
}

fn refusal(code: &str) -> String {
    format!(r#"{{"response":{{"errors":[{{"code":"{code}","message":"made up"}}]}}}}"#)
}

async fn track(script: &Script) -> Result<Tracked, Error> {
    client().track(script, &bearer(), &number(NUMBER), &transaction(), now()).await
}

async fn subscribe(script: &Script, numbers: &[Number]) -> Result<Subscribed, Error> {
    client().subscribe(script, &bearer(), Batch::new(numbers).unwrap(), &transaction(), now()).await
}

async fn token(script: &Script, merchant_id: Option<&str>) -> Result<Token, Error> {
    let credentials =
        Credentials::new("synthetic-id".to_owned(), "synthetic-value".to_owned().into(), merchant_id.map(str::to_owned));
    client().token(script, &credentials.unwrap(), now()).await
}

#[tokio::test]
async fn token_is_requested_with_basic_authentication_and_read_from_strings() {
    let script = Script::of(
        200,
        r#"{"token_type":"Bearer","issued_at":"1769851800000","client_id":"synthetic-id","access_token":"synthetic-token",
            "scope":"","expires_in":"14399","refresh_count":"0","status":"approved"}"#,
    );
    let token = token(&script, Some("A1B2C3")).await.unwrap();
    assert_eq!(token.expires_at(), now() + Duration::from_secs(14_399));

    let asked = script.asked();
    assert_eq!(asked.method(), "POST");
    assert_eq!(asked.uri(), "https://onlinetools.ups.com/security/v1/oauth/token");
    assert_eq!(asked.body(), b"grant_type=client_credentials");
    assert_eq!(header(&asked, "content-type"), "application/x-www-form-urlencoded");
    assert_eq!(header(&asked, "x-merchant-id"), "A1B2C3");
    assert!(header(&asked, "authorization").starts_with("Basic "));
    let shown = format!("{:?}", asked.headers());
    assert!(!shown.contains("Basic"), "{shown}");
}

#[tokio::test]
async fn merchant_id_header_is_absent_without_a_merchant_id() {
    let script = Script::of(200, r#"{"access_token":"synthetic-token","expires_in":"1"}"#);
    token(&script, None).await.unwrap();
    assert!(script.asked().headers().get("x-merchant-id").is_none());
}

#[tokio::test]
async fn refused_credentials_blocked_account_and_quota_give_different_errors() {
    let refused = token(&Script::of(401, refusal("250002")), None).await;
    assert!(matches!(refused, Err(Error::Unauthorized { code: Some(code) }) if code.as_str() == "250002"));
    assert!(matches!(token(&Script::of(403, refusal("10409")), None).await, Err(Error::Rejected { status: 403, .. })));
    assert!(matches!(token(&Script::of(429, refusal("10429")), None).await, Err(Error::RateLimited { retry_after: None, .. })));
    assert!(matches!(token(&Script::of(200, "<html>"), None).await, Err(Error::Malformed(_))));
}

#[tokio::test]
async fn previous_secret_gets_a_token_if_the_new_one_is_refused() {
    let script = Script::of(401, refusal("250002")).then(200, r#"{"access_token":"synthetic-token","expires_in":"14399"}"#);
    let stored = br#"{"client_id":"synthetic-id","client_secret":"new","previous_client_secret":"old"}"#;
    let secret = Secret::parse(stored).unwrap();
    let mut got = Vec::new();
    for credentials in secret.candidates() {
        got.push(client().token(&script, credentials, now()).await.is_ok());
    }
    assert_eq!(got, [false, true]);
}

#[tokio::test]
async fn tracking_request_excludes_signature_and_proof_and_has_transaction_id() {
    let script = Script::of(200, r#"{"trackResponse":{"shipment":[]}}"#);
    assert_eq!(track(&script).await, Ok(Tracked::NotFound));
    let asked = script.asked();
    assert_eq!(asked.method(), "GET");
    assert_eq!(asked.uri().path(), format!("/api/track/v1/details/{NUMBER}"));
    assert_eq!(asked.uri().query(), Some("locale=en_US&returnSignature=false&returnMilestones=false&returnPOD=false"));
    assert_eq!(header(&asked, "authorization"), "Bearer synthetic-token");
    assert_eq!(header(&asked, "transid"), "0194b9f0c3b07e0e8c1d000000000001");
    assert_eq!(header(&asked, "transactionsrc"), "synthetic-source");
    assert!(!format!("{:?}", asked.headers()).contains("synthetic-token"));
}

#[tokio::test]
async fn not_found_is_read_from_warning_status_or_error_code() {
    let warning = r#"{"trackResponse":{"shipment":[{"inquiryNumber":"1ZCIETST0111111114","package":null,
        "warnings":[{"code":"TW0001","message":"Tracking Information Not Found"}]}]}}"#;
    for (status, body) in [(200, warning.to_owned()), (404, refusal("404")), (404, String::new()), (400, refusal("TW0001"))] {
        assert_eq!(track(&Script::of(status, body)).await, Ok(Tracked::NotFound), "{status}");
    }
}

#[tokio::test]
async fn undocumented_tracking_errors_are_classified() {
    for code in ["250002", "251004", "UJ0001"] {
        assert!(matches!(track(&Script::of(401, refusal(code))).await, Err(Error::Unauthorized { .. })), "{code}");
    }
    assert!(matches!(track(&Script::of(429, refusal("10429"))).await, Err(Error::RateLimited { retry_after: None, .. })));
    assert!(matches!(track(&Script::of(200, refusal("10429"))).await, Err(Error::RateLimited { .. })));
    assert!(matches!(track(&Script::of(500, refusal("10004"))).await, Err(Error::Unavailable { status: Some(500), .. })));
    assert!(matches!(track(&Script::of(503, "<html>")).await, Err(Error::Unavailable { status: Some(503), code: None, .. })));
    assert!(matches!(track(&Script::of(400, refusal("TV1002"))).await, Err(Error::Rejected { status: 400, .. })));
    assert!(matches!(track(&Script::of(302, "")).await, Err(Error::Rejected { status: 302, .. })));
}

#[tokio::test]
async fn missing_answer_is_unavailable_and_overlong_answer_is_malformed() {
    for error in [TransportError::Timeout, TransportError::Unreachable] {
        let got = track(&Script::failing(error)).await;
        assert!(matches!(got, Err(Error::Unavailable { status: None, .. })), "{got:?}");
    }
    assert!(matches!(track(&Script::failing(TransportError::TooLarge)).await, Err(Error::Malformed(_))));
    let whole = r#"{"trackResponse":{"shipment":[]}}"#;
    let padded = |size: usize| format!("{whole}{}", " ".repeat(size - whole.len()));
    assert_eq!(track(&Script::of(200, padded(1_048_576))).await, Ok(Tracked::NotFound));
    assert!(matches!(track(&Script::of(200, padded(1_048_577))).await, Err(Error::Malformed(_))));
    assert!(matches!(track(&Script::of(200, &whole.as_bytes()[..20])).await, Err(Error::Malformed(_))));
}

/// An answer with everything that UPS's document lists and that we must not keep.
const FULL: &str = r#"{"trackResponse":{"shipment":[{"inquiryNumber":"1ZCIETST0111111114","userRelation":["MYCHOICE_HOME"],
    "package":[{"trackingNumber":"1ZCIETST0111111114","packageCount":1,"isSmartPackage":true,"ucixStatus":"O",
    "accessPointInformation":{"pickupByDate":"PICKUP-BY"},
    "additionalServices":["ADULT_SIGNATURE_REQUIRED"],
    "alternateTrackingNumber":[{"number":"92419900000033499522966220","type":"USPS_PIC"}],
    "activity":[
        {"date":"20240423","time":"095004","gmtDate":"20240423","gmtTime":"135004","gmtOffset":"-04:00","logicalScan":false,
         "location":{"address":{"addressLine1":"1 SAMPLE STREET","city":"SAMPLETOWN ","stateProvince":"NC","postalCode":"28209",
            "country":"US"},"slic":"8566"},
         "status":{"type":"D","code":"FS","statusCode":"011","description":"DELIVERED to Synthia Sample "}},
        {"date":"20240423","time":"91519","gmtDate":"20240423","gmtTime":"18:06:22","gmtOffset":"-04.00","location":null,
         "status":{"type":"I","code":"OT","statusCode":"021","description":"Out for Delivery"}}],
    "currentStatus":{"type":"I","code":"OT","statusCode":"021","description":"WITH Synthia Sample","simplifiedTextDescription":"x"},
    "deliveryDate":[{"type":"DEL","date":"20240423"}],"deliveryTime":{"type":"DEL","endTime":"095004"},
    "deliveryInformation":{"location":"FRONT DOOR","receivedBy":"SYNTHIA SAMPLE","signature":{"image":"SIGNATURE-IMAGE"},
        "deliveryPhoto":{"photo":"PHOTO-BYTES","photoCaptureInd":"Y"},"pod":{"content":"PROOF-OF-DELIVERY"}},
    "packageAddress":[{"type":"DESTINATION","name":"Synthia Sample","attentionName":"ATTENTION",
        "address":{"addressLine1":"1 SAMPLE STREET","city":"SAMPLETOWN","postalCode":"28209"}}],
    "paymentInformation":[{"amount":"243.5","id":"PAYMENT-ID"}],
    "referenceNumber":[{"number":"REFERENCE-NUMBER","type":"SHIPMENT"}],
    "service":{"code":"518","description":"SERVICE-NAME"},"weight":{"weight":"WEIGHT"}}]}]}}"#;

#[tokio::test]
async fn full_answer_keeps_only_the_needed_data_and_debug_hides_it() {
    let found = track(&Script::of(200, FULL)).await.unwrap();
    let shown = format!("{found:?} {found:#?}");
    let Tracked::Found(tracking) = found else { panic!("the package is found") };
    // The values that a caller could take out of the result, in the clear.
    let kept: String = tracking
        .activities
        .iter()
        .map(|a| format!("{}|{}|{}|{}|", a.description, a.location.city, a.location.state, a.location.country))
        .collect();

    for dropped in [
        "SIGNATURE-IMAGE",
        "PHOTO-BYTES",
        "PROOF-OF-DELIVERY",
        "SYNTHIA",
        "FRONT DOOR",
        "ATTENTION",
        "SAMPLE STREET",
        "28209",
        "REFERENCE-NUMBER",
        "PAYMENT-ID",
        "PICKUP-BY",
        "SERVICE-NAME",
        "WEIGHT",
        "8566",
        "924199",
        "1ZCIETST",
    ] {
        assert!(!shown.contains(dropped), "{dropped} in {shown}");
        assert!(!kept.contains(dropped), "{dropped} in {kept}");
    }
    for hidden in ["SAMPLETOWN", "Synthia", "DELIVERED to", "Out for Delivery", "\"NC\""] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(kept.contains("SAMPLETOWN|NC|US"), "{kept}");
}

#[tokio::test]
async fn full_answer_with_late_summary_and_mixed_time_forms_is_read() {
    let Tracked::Found(tracking) = track(&Script::of(200, FULL)).await.unwrap() else { panic!("the package is found") };
    assert_eq!(tracking.current.as_ref().unwrap().reading().status(), Some(Status::OutForDelivery));
    assert_eq!(tracking.status(), Some(Status::Delivered));
    let instant = |text: &str| When::Instant(text.parse().unwrap());
    assert_eq!(tracking.delivered, Some(instant("2024-04-23T13:50:04Z")));
    let moments: Vec<_> = tracking.activities.iter().map(|activity| activity.when.clone()).collect();
    assert_eq!(moments, [instant("2024-04-23T13:50:04Z"), instant("2024-04-23T18:06:22Z")]);
}

#[tokio::test]
async fn subscription_request_contains_only_its_numbers() {
    let script = Script::of(200, r#"{"validTrackingNumbers":["1ZCIETST0111111114"],"invalidTrackingNumbers":null}"#);
    let numbers = [number(NUMBER), number(OTHER)];
    let subscribed = subscribe(&script, &numbers).await.unwrap();
    assert_eq!(ups::SUBSCRIPTION_LIFE.as_secs(), 1_209_600, "fourteen days, as UPS documents");
    assert_eq!(subscribed, Subscribed { valid: vec![number(NUMBER)], invalid: vec![], unanswered: vec![number(OTHER)] });

    let asked = script.asked();
    assert_eq!(asked.method(), "POST");
    assert_eq!(asked.uri(), "https://onlinetools.ups.com/api/track/v2/subscription/standard/package");
    assert_eq!(header(&asked, "content-type"), "application/json");
    assert_eq!(header(&asked, "transid"), "0194b9f0c3b07e0e8c1d000000000001");
    let body: serde_json::Value = serde_json::from_slice(asked.body()).unwrap();
    let expected = serde_json::json!({"locale": "en_US", "countryCode": "US", "trackingNumberList": [NUMBER, OTHER]});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn each_number_of_a_batch_is_in_exactly_one_result_list() {
    let body = format!(
        r#"{{"validTrackingNumbers":["{NUMBER}","{OTHER}","1Z1234567891234556"],"invalidTrackingNumbers":["{OTHER} "]}}"#
    );
    let subscribed = subscribe(&Script::of(200, body), &[number(NUMBER), number(OTHER)]).await.unwrap();
    assert_eq!(subscribed, Subscribed { valid: vec![number(NUMBER)], invalid: vec![number(OTHER)], unanswered: vec![] });
    assert!(!format!("{subscribed:?}").contains("1Z"));
}

#[tokio::test]
async fn batch_without_a_valid_number_is_not_an_error() {
    let subscribed = subscribe(&Script::of(400, refusal("VSS210")), &[number(NUMBER)]).await.unwrap();
    assert_eq!(subscribed, Subscribed { valid: vec![], invalid: vec![number(NUMBER)], unanswered: vec![] });
    let refused = subscribe(&Script::of(400, refusal("VSS300")), &[number(NUMBER)]).await;
    assert!(matches!(refused, Err(Error::Rejected { status: 400, code: Some(code) }) if code.as_str() == "VSS300"));
    let busy = subscribe(&Script::of(500, refusal("VSS100")), &[number(NUMBER)]).await;
    assert!(matches!(busy, Err(Error::Unavailable { .. })));
}

#[test]
fn batch_of_more_than_a_hundred_numbers_is_refused() {
    let numbers = vec![number(NUMBER); 250];
    assert!(Batch::new(&numbers[..101]).is_none());
    assert!(Batch::new(&[]).is_none());
    assert_eq!(Batch::new(&numbers[..100]).unwrap().numbers().len(), 100);
    assert_eq!(Batch::split(&numbers).map(|batch| batch.numbers().len()).collect::<Vec<_>>(), [100, 100, 50]);
    assert_eq!(Batch::split(&[]).count(), 0);
}

#[test]
fn base_url_must_be_https_or_loopback_without_path() {
    for base in
        [PRODUCTION, ups::INTEGRATION, "https://127.0.0.1/", "http://127.0.0.1:8787", "http://localhost:1", "http://[::1]:1"]
    {
        assert!(Client::new(base, "s").is_ok(), "`{base}`");
    }
    for base in [
        "http://onlinetools.ups.com",
        "ftp://127.0.0.1",
        "onlinetools.ups.com",
        "/path",
        "",
        "https://a@127.0.0.1",
        "https://h/api",
        "https://h?q",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://127.0.0.1@h.example",
    ] {
        assert!(Client::new(base, "s").is_err(), "`{base}`");
    }
    for source in ["", "a b", "a\r\nb", "é"] {
        assert!(Client::new(PRODUCTION, source).is_err(), "`{source}`");
    }
}

#[test]
fn transaction_id_in_a_form_that_ups_refuses_is_refused() {
    for text in ["", "a b", "a\nb", "0194b9f0-c3b0-7e0e-8c1d-000000000001", "é"] {
        assert!(Transaction::parse(text).is_none(), "`{text}`");
    }
}

#[test]
fn futures_of_calls_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let (client, script, token, numbers, transaction) = (client(), Script::default(), bearer(), [number(NUMBER)], transaction());
    is_send(&client.track(&script, &token, &numbers[0], &transaction, now()));
    is_send(&client.subscribe(&script, &token, Batch::new(&numbers).unwrap(), &transaction, now()));
}
