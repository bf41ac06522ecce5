//! The examples of IAM's documentation: policy elements, condition operators, and the evaluation of several policies.

use super::{
    super::{Kind, Verdict, Why, condition::Condition, evaluate, policy::Policy},
    ask, policy, who,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const OBJECT: &str = "arn:aws:s3:::bucket/folder/file";

fn verdict(identity: Value, resource: Option<(Kind, Value)>, context: &[(&str, &[&str])]) -> Verdict {
    let resource = resource.map(|(kind, statements)| (kind, policy(statements)));
    let resource = resource.as_ref().map(|(kind, policy)| (*kind, policy));
    evaluate(&who(), &policy(identity), resource, &ask("s3:GetObject", OBJECT, context)).unwrap()
}

fn is_allowed(statement: &Value) -> bool {
    matches!(verdict(json!([statement]), None, &[]), Verdict::Allowed(_))
}

#[test]
fn actions_match_in_any_case_and_by_wildcards() {
    let cases = [
        (json!("s3:GetObject"), true),
        (json!("S3:getobject"), true),
        (json!("s3:Get*"), true),
        (json!("s3:*Object"), true),
        (json!("s3:GetObjec?"), true),
        (json!("*"), true),
        (json!(["s3:PutObject", "s3:GetObject"]), true),
        (json!("s3:GetObjectVersion"), false),
        (json!("s3:Get"), false),
        (json!("s3:GetObject?"), false),
        (json!("sqs:*"), false),
        (json!([]), false),
    ];
    for (action, expected) in cases {
        let statement = json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
        assert_eq!(is_allowed(&statement), expected, "{action}");
        let statement = json!({ "Effect": "Allow", "NotAction": action, "Resource": "*" });
        assert_eq!(is_allowed(&statement), !expected, "not {action}");
    }
}

#[test]
fn resources_match_part_by_part() {
    let cases = [
        ("*", true),
        (OBJECT, true),
        ("arn:aws:s3:::bucket/*", true),
        ("arn:aws:s3:::bucket/folder/fil?", true),
        ("arn:aws:s3:::*", true),
        ("arn:*:s3:::bucket/*", true),
        ("arn:aws:s3:::bucket", false),
        ("arn:aws:s3:::bucket/", false),
        ("arn:aws:s3:::Bucket/*", false),
        ("arn:aws:s3:::bucket/folder/file?", false),
        // A wildcard does not match a colon between parts.
        ("arn:aws:*:bucket/folder/file:::", false),
        ("arn:*:bucket/folder/file::::", false),
    ];
    for (resource, expected) in cases {
        let statement = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": resource });
        assert_eq!(is_allowed(&statement), expected, "{resource}");
        let statement = json!({ "Effect": "Allow", "Action": "s3:GetObject", "NotResource": [resource] });
        assert_eq!(is_allowed(&statement), !expected, "not {resource}");
    }
}

#[test]
fn variable_is_replaced_and_text_without_its_value_matches_nothing() {
    let by = |version: &str, resource: &str, tag: Option<&str>| {
        let document = json!({ "Version": version, "Statement": { "Effect": "Allow", "Action": "*", "Resource": resource } });
        let values = tag.map(|tag| [tag]);
        let context: Vec<_> = values.iter().map(|tag| ("aws:PrincipalTag/Team", tag.as_slice())).collect();
        let asked = ask("s3:GetObject", OBJECT, &context);
        matches!(evaluate(&who(), &Policy::parse(&document).unwrap(), None, &asked).unwrap(), Verdict::Allowed(_))
    };
    const NOW: &str = "2012-10-17";
    let own = "arn:aws:s3:::bucket/${aws:PrincipalTag/team}/file";
    assert!(by(NOW, own, Some("folder")));
    assert!(!by(NOW, own, Some("other")));
    assert!(!by(NOW, own, None), "no value");
    // A variable's value is never a pattern.
    assert!(!by(NOW, own, Some("*")));
    assert!(!by(NOW, own, Some("fol???")));
    assert!(!by("2008-10-17", own, Some("folder")), "older policies have no variables");
    let default = "arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'folder'}/file";
    assert!(by(NOW, default, None) && !by(NOW, default, Some("other")));
    assert!(!by(NOW, "arn:aws:s3:::bucket/folder/fil${*}", None), "a character, not a wildcard");
    assert!(!by(NOW, "arn:aws:s3:::bucket/folder/fil${?}", None));
}

/// Each operator with its wanted values, the key's values, and the result.
const OPERATORS: &[(&str, &str, &[&str], bool)] = &[
    ("StringEquals", "a", &["a"], true),
    ("StringEquals", "a", &["A"], false),
    ("StringEquals", "a*", &["ab"], false),
    ("StringEquals", "a", &[], false),
    ("StringNotEquals", "a", &["b"], true),
    ("StringNotEquals", "a", &["a"], false),
    ("StringNotEquals", "a", &[], true),
    ("StringEqualsIgnoreCase", "Ab", &["aB"], true),
    ("StringNotEqualsIgnoreCase", "Ab", &["aB"], false),
    ("StringLike", "a*c?", &["abbcd"], true),
    ("StringLike", "a*c?", &["abbc"], false),
    ("StringNotLike", "a*", &["ab"], false),
    ("StringEqualsIfExists", "a", &[], true),
    ("StringEqualsIfExists", "a", &["b"], false),
    ("StringNotEqualsIfExists", "a", &[], true),
    ("NumericEquals", "10", &["10.0"], true),
    ("NumericNotEquals", "10", &["11"], true),
    ("NumericLessThan", "10", &["9"], true),
    ("NumericLessThan", "10", &["10"], false),
    ("NumericLessThanEquals", "10", &["10"], true),
    ("NumericGreaterThan", "9", &["10"], true),
    ("NumericGreaterThanEquals", "10", &["9"], false),
    ("NumericLessThan", "10", &["nine"], false),
    ("NumericLessThan", "10", &[], false),
    ("NumericLessThanIfExists", "10", &[], true),
    ("DateGreaterThan", "2020-01-01T00:00:01Z", &["2020-01-01T00:00:02Z"], true),
    ("DateLessThan", "2020-01-01T00:00:01Z", &["1577836800"], true),
    ("DateEquals", "2020-01-01", &["2020-01-01T00:00:00Z"], true),
    ("Bool", "true", &["true"], true),
    ("Bool", "true", &["false"], false),
    ("Bool", "false", &[], false),
    ("BoolIfExists", "false", &[], true),
    ("BinaryEquals", "QmluYXJ5", &["QmluYXJ5"], true),
    ("IpAddress", "203.0.113.0/24", &["203.0.113.7"], true),
    ("IpAddress", "203.0.113.0/24", &["203.0.114.7"], false),
    ("IpAddress", "203.0.113.7", &["203.0.113.7"], true),
    ("IpAddress", "0.0.0.0/0", &["198.51.100.1"], true),
    ("IpAddress", "2001:db8::/32", &["2001:db8:1::1"], true),
    ("IpAddress", "2001:db8::/32", &["203.0.113.7"], false),
    ("NotIpAddress", "203.0.113.0/24", &["198.51.100.1"], true),
    ("ArnEquals", "arn:aws:sqs:*:123:own-*", &["arn:aws:sqs:here:123:own-queue"], true),
    ("ArnLike", "arn:aws:sqs:*:own-*", &["arn:aws:sqs:here:123:own-queue"], false),
    ("ArnLike", "arn:aws:sqs:here:123:own-queue", &["arn:aws:sqs:here:123:own-queue"], true),
    ("ArnNotLike", "arn:aws:sqs:*:123:own-*", &["arn:aws:sqs:here:124:own-queue"], true),
    ("ArnNotEquals", "arn:aws:sqs:*:123:own-*", &[], true),
    ("Null", "true", &[], true),
    ("Null", "true", &["a"], false),
    ("Null", "false", &["a"], true),
    ("Null", "false", &[], false),
    ("ForAllValues:StringEquals", "a", &["a", "a"], true),
    ("ForAllValues:StringEquals", "a", &["a", "b"], false),
    ("ForAllValues:StringEquals", "a", &[], true),
    ("ForAllValues:StringLike", "a*", &["ab", "ac"], true),
    ("ForAllValues:StringNotEquals", "a", &["b", "c"], true),
    ("ForAllValues:StringNotEquals", "a", &["b", "a"], false),
    ("ForAnyValue:StringEquals", "a", &["b", "a"], true),
    ("ForAnyValue:StringEquals", "a", &["b"], false),
    ("ForAnyValue:StringEquals", "a", &[], false),
    ("ForAnyValue:StringNotEquals", "a", &["a", "b"], true),
    ("ForAnyValue:StringNotEquals", "a", &["a"], false),
    ("ForAnyValue:StringEqualsIfExists", "a", &[], true),
];

#[test]
fn each_operator_evaluates_as_documented() {
    for (operator, wanted, values, expected) in OPERATORS {
        let conditions = Condition::parse(&json!({ *operator: { "aws:PrincipalTag/x": wanted } })).unwrap();
        let asked = ask("s3:GetObject", OBJECT, &[("AWS:PrincipalTag/X", values)]);
        assert_eq!(conditions[0].holds(true, &asked.context), Ok(*expected), "{operator} {wanted} of {values:?}");
    }
}

#[test]
fn one_of_several_values_and_all_of_several_conditions_must_match() {
    let allow = |condition: Value| json!([{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition }]);
    let context: &[(&str, &[&str])] = &[("s3:prefix", &["b"]), ("s3:delimiter", &["/"])];
    let holds = |condition| matches!(verdict(allow(condition), None, context), Verdict::Allowed(_));
    assert!(holds(json!({ "StringEquals": { "s3:prefix": ["a", "b"] } })));
    assert!(holds(json!({ "StringEquals": { "s3:prefix": "b", "s3:delimiter": "/" } })));
    assert!(!holds(json!({ "StringEquals": { "s3:prefix": "b", "s3:delimiter": "-" } })));
    assert!(!holds(json!({ "StringEquals": { "s3:prefix": "b" }, "Null": { "s3:delimiter": "true" } })));
    assert!(!holds(json!({ "StringNotEquals": { "s3:prefix": ["a", "b"] } })), "neither of them");
}

#[test]
fn unsupported_element_is_an_error() {
    let statement = |extra: Value| {
        let mut statement = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
        statement.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        Policy::parse(&json!({ "Version": "2012-10-17", "Statement": [statement] }))
    };
    let condition = |operator: &str, key: &str| statement(json!({ "Condition": { operator: { key: "x" } } }));
    assert!(statement(json!({})).is_ok());
    assert!(condition("StringEquals", "s3:prefix").is_ok());
    for (operator, key) in [
        ("StringEqual", "s3:prefix"),
        ("stringequals", "s3:prefix"),
        ("ForSomeValues:StringEquals", "s3:prefix"),
        ("NullIfExists", "s3:prefix"),
        ("StringEquals", "s3:prefixes"),
        ("StringEquals", "aws:PrincipalTag/"),
        ("StringEquals", "ec2:Region"),
        ("Null", "s3:prefix"),
    ] {
        assert!(condition(operator, key).is_err(), "{operator} {key}");
    }
    for extra in [
        json!({ "Effect": "Perhaps" }),
        json!({ "Actions": "s3:*" }),
        json!({ "NotAction": "s3:*" }),
        json!({ "NotResource": "*" }),
        json!({ "Resource": "bucket" }),
        json!({ "Action": "GetObject" }),
        json!({ "Principal": { "Nobody": "x" } }),
        json!({ "Principal": { "AWS": "arn:aws:iam::000000000000:role/*" } }),
        json!({ "Condition": { "StringEquals": { "s3:prefix": [] } } }),
        json!({ "Condition": { "StringEquals": "s3:prefix" } }),
    ] {
        assert!(statement(extra.clone()).is_err(), "{extra}");
    }
    let several = ask("s3:GetObject", OBJECT, &[("s3:prefix", &["a", "b"])]);
    assert!(evaluate(&who(), &condition("StringEquals", "s3:prefix").unwrap(), None, &several).is_err(), "one of several values");
    assert!(Policy::parse(&json!({ "Version": "2012-10-17" })).is_err());
    assert!(Policy::parse(&json!({ "Version": "2020-01-01", "Statement": [] })).is_err());
}

const ROLE: &str = "arn:aws:iam::000000000000:role/reader";
const ROOT: &str = "arn:aws:iam::000000000000:root";

#[test]
fn identity_and_resource_are_evaluated_together() {
    let yes = json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }]);
    let none = json!([]);
    let deny = json!([
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "*" },
    ]);
    let to =
        |effect: &str, principal: Value| json!([{ "Effect": effect, "Principal": principal, "Action": "*", "Resource": "*" }]);
    let (himself, account) = (to("Allow", json!({ "AWS": ROLE })), to("Allow", json!({ "AWS": ROOT })));
    let number = to("Allow", json!({ "AWS": "000000000000" }));
    let other = to("Allow", json!({ "AWS": "arn:aws:iam::000000000000:role/other" }));
    let elsewhere = to("Allow", json!({ "AWS": "111111111111" }));
    let service = to("Allow", json!({ "Service": "sns.amazonaws.com" }));
    let all = to("Allow", json!("*"));
    let session = to("Allow", json!({ "AWS": "arn:aws:sts::000000000000:assumed-role/reader/one" }));
    let denied = to("Deny", json!("*"));
    let (explicit, implicit, closed) = (Err(Why::Explicit), Err(Why::Identity), Err(Why::Resource));
    let cases = [
        (&yes, None, Ok(())),
        (&none, None, implicit),
        (&deny, None, explicit),
        (&yes, Some((Kind::Enough, &none)), Ok(())),
        (&none, Some((Kind::Enough, &himself)), Ok(())),
        (&none, Some((Kind::Enough, &session)), Ok(())),
        (&none, Some((Kind::Enough, &all)), Ok(())),
        // The account's own policies decide.
        (&none, Some((Kind::Enough, &account)), implicit),
        (&none, Some((Kind::Enough, &number)), implicit),
        (&none, Some((Kind::Enough, &other)), implicit),
        (&none, Some((Kind::Enough, &service)), implicit),
        (&yes, Some((Kind::Enough, &denied)), explicit),
        (&deny, Some((Kind::Enough, &himself)), explicit),
        // A key's policy must allow the call itself.
        (&yes, Some((Kind::Needed, &none)), closed),
        (&yes, Some((Kind::Needed, &other)), closed),
        (&yes, Some((Kind::Needed, &elsewhere)), closed),
        (&yes, Some((Kind::Needed, &service)), closed),
        (&yes, Some((Kind::Needed, &account)), Ok(())),
        (&none, Some((Kind::Needed, &account)), implicit),
        (&none, Some((Kind::Needed, &himself)), Ok(())),
        (&deny, Some((Kind::Needed, &himself)), explicit),
        (&yes, Some((Kind::Needed, &denied)), explicit),
    ];
    for (identity, resource, expected) in cases {
        let of = resource.map(|(kind, policy)| (kind, policy.clone()));
        let found = match verdict(identity.clone(), of, &[]) {
            Verdict::Allowed(_) => Ok(()),
            Verdict::Denied(why) => Err(why),
        };
        assert_eq!(found, expected, "{identity} with {resource:?}");
    }
}

#[test]
fn deny_with_not_action_does_not_deny_the_listed_actions() {
    let but =
        |principal: &str| json!([{ "Effect": "Deny", "NotPrincipal": { "AWS": principal }, "Action": "*", "Resource": "*" }]);
    let yes = || json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }]);
    assert!(matches!(verdict(yes(), Some((Kind::Enough, but(ROLE))), &[]), Verdict::Allowed(_)));
    let other = "arn:aws:iam::000000000000:role/other";
    assert_eq!(verdict(yes(), Some((Kind::Enough, but(other))), &[]), Verdict::Denied(Why::Explicit));
}

/// One of a few statements, so that several often match the same request.
fn statement(effect: &'static str) -> impl Strategy<Value = Value> {
    let actions = prop::sample::select(vec!["s3:GetObject", "s3:Get*", "s3:PutObject", "*", "sqs:*"]);
    let resources = prop::sample::select(vec!["*", OBJECT, "arn:aws:s3:::bucket/*", "arn:aws:s3:::other/*"]);
    let conditions = prop::sample::select(vec![
        json!({}),
        json!({ "StringEquals": { "s3:prefix": "a" } }),
        json!({ "StringNotEquals": { "s3:prefix": "a" } }),
        json!({ "Null": { "s3:prefix": "true" } }),
        json!({ "ForAllValues:StringLike": { "s3:prefix": "b*" } }),
    ]);
    (actions, resources, conditions, any::<bool>()).prop_map(move |(action, resource, condition, not)| {
        let name = if not { "NotAction" } else { "Action" };
        json!({ "Effect": effect, name: action, "Resource": resource, "Condition": condition })
    })
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(prop_oneof![statement("Allow"), statement("Deny")], 0..5)
}

proptest! {
    #[test]
    fn added_allow_removes_nothing_and_added_deny_grants_nothing(
        all in statements(),
        allow in statement("Allow"),
        deny in statement("Deny"),
        prefix in prop::sample::select(vec![None, Some("a"), Some("bc")]),
    ) {
        let values = prefix.map(|prefix| [prefix]);
        let context: Vec<(&str, &[&str])> = values.iter().map(|values| ("s3:prefix", values.as_slice())).collect();
        let may = |statements: Vec<Value>| matches!(verdict(Value::Array(statements), None, &context), Verdict::Allowed(_));
        let with = |one: &Value| all.iter().chain([one]).cloned().collect::<Vec<_>>();
        prop_assert!(!may(all.clone()) || may(with(&allow)));
        prop_assert!(may(all.clone()) || !may(with(&deny)));
        // Their order does not matter.
        prop_assert_eq!(may(all.clone()), may(all.iter().rev().cloned().collect()));
        // No other statement allows a denied call.
        let everything = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        if !may(vec![everything.clone(), deny.clone()]) {
            prop_assert!(!may(with(&deny)) && !may(all.iter().chain([&deny, &everything]).cloned().collect()));
        }
    }
}
