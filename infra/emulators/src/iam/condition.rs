//! Conditions: every operator of IAM, and every key that this module sets. Any other key would never have a value here, so it is
//! an error, like an operator that does not exist.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use super::{Context, Malformed, pattern::Pattern};
use serde_json::Value;
use std::net::IpAddr;

/// The keys that a request may have here. A trailing `*` matches any text.
const KEYS: [&str; 40] = [
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltag/*",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:requesttag/*",
    "aws:resourceaccount",
    "aws:resourcetag/*",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:tagkeys",
    "aws:userid",
    "aws:viaawsservice",
    "dynamodb:enclosingoperation",
    "dynamodb:leadingkeys",
    "kms:calleraccount",
    "kms:encryptioncontext:*",
    "kms:encryptioncontextkeys",
    "kms:grantisforawsresource",
    "kms:keyspec",
    "kms:keyusage",
    "kms:messagetype",
    "kms:requestalias",
    "kms:resourcealiases",
    "kms:signingalgorithm",
    "kms:viaservice",
    "s3:delimiter",
    "s3:if-none-match",
    "s3:max-keys",
    "s3:prefix",
    "s3:versionid",
    "ses:fromaddress",
    "ses:fromdisplayname",
    "ses:recipients",
    "sts:rolesessionname",
    "sts:sourceidentity",
    "sts:transitivetagkeys",
];

/// # Errors
/// If no request here has the key.
pub(super) fn known(key: &str) -> Result<(), Malformed> {
    let key = key.to_ascii_lowercase();
    let is =
        |known: &&str| known.strip_suffix('*').map_or(key == **known, |start| key.len() > start.len() && key.starts_with(start));
    if KEYS.iter().any(is) { Ok(()) } else { Err(Malformed(format!("unsupported condition key `{key}`"))) }
}

/// How the values of a multi-valued key are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// The key has a single value.
    None,
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equals,
    EqualsIgnoreCase,
    Like,
    Arn,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: &T, wanted: &T) -> bool {
        match self {
            Self::Equals => value == wanted,
            Self::Less => value < wanted,
            Self::LessEquals => value <= wanted,
            Self::Greater => value > wanted,
            Self::GreaterEquals => value >= wanted,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Null,
    Compares { set: Set, by: Compare, negated: bool, if_exists: bool },
}

impl Operator {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let unknown = || Malformed(format!("`{text}` is not a condition operator"));
        if text == "Null" {
            return Ok(Self::Null);
        }
        let (set, rest) = match text.split_once(':') {
            None => (Set::None, text),
            Some(("ForAllValues", rest)) => (Set::All, rest),
            Some(("ForAnyValue", rest)) => (Set::Any, rest),
            Some(_) => return Err(unknown()),
        };
        let (rest, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |rest| (rest, true));
        let (by, negated) = match rest {
            "StringEquals" => (Compare::Equals, false),
            "StringNotEquals" => (Compare::Equals, true),
            "StringEqualsIgnoreCase" => (Compare::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Compare::EqualsIgnoreCase, true),
            "StringLike" => (Compare::Like, false),
            "StringNotLike" => (Compare::Like, true),
            "ArnEquals" | "ArnLike" => (Compare::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Compare::Arn, true),
            "NumericEquals" => (Compare::Number(Order::Equals), false),
            "NumericNotEquals" => (Compare::Number(Order::Equals), true),
            "NumericLessThan" => (Compare::Number(Order::Less), false),
            "NumericLessThanEquals" => (Compare::Number(Order::LessEquals), false),
            "NumericGreaterThan" => (Compare::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Compare::Number(Order::GreaterEquals), false),
            "DateEquals" => (Compare::Date(Order::Equals), false),
            "DateNotEquals" => (Compare::Date(Order::Equals), true),
            "DateLessThan" => (Compare::Date(Order::Less), false),
            "DateLessThanEquals" => (Compare::Date(Order::LessEquals), false),
            "DateGreaterThan" => (Compare::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Compare::Date(Order::GreaterEquals), false),
            "Bool" => (Compare::Bool, false),
            "BinaryEquals" => (Compare::Binary, false),
            "IpAddress" => (Compare::Ip, false),
            "NotIpAddress" => (Compare::Ip, true),
            _ => return Err(unknown()),
        };
        Ok(Self::Compares { set, by, negated, if_exists })
    }
}

/// One operator with one key and its wanted values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    /// In lower case: keys are case-insensitive.
    key: String,
    wanted: Vec<String>,
}

impl Condition {
    /// All conditions of a statement, each of which must be true.
    pub(super) fn parse(block: &Value) -> Result<Vec<Self>, Malformed> {
        let wrong = || Malformed(format!("a condition is not a map of maps: {block}"));
        let mut conditions = Vec::new();
        for (operator, keys) in block.as_object().ok_or_else(wrong)? {
            let operator = Operator::parse(operator)?;
            for (key, wanted) in keys.as_object().ok_or_else(wrong)? {
                known(key)?;
                let wanted = super::policy::texts(wanted)?;
                if wanted.is_empty() {
                    return Err(Malformed(format!("the condition of `{key}` has no value")));
                }
                if operator == Operator::Null && wanted.iter().any(|null| null != "true" && null != "false") {
                    return Err(Malformed(format!("`Null` of `{key}` is neither true nor false")));
                }
                conditions.push(Self { operator, key: key.to_ascii_lowercase(), wanted });
            }
        }
        Ok(conditions)
    }

    pub(super) fn holds(&self, variables: bool, context: &Context) -> Result<bool, Malformed> {
        let values = context.get(&self.key).map(Vec::as_slice).unwrap_or_default();
        let Operator::Compares { set, by, negated, if_exists } = self.operator else {
            return Ok(self.wanted.iter().any(|null| (null == "true") == values.is_empty()));
        };
        if values.is_empty() {
            // An absent key satisfies `ForAllValues`, `…IfExists`, and a negated operator without a set.
            return Ok(match set {
                Set::None => negated || if_exists,
                Set::All => true,
                Set::Any => if_exists,
            });
        }
        let one = |value: &String| -> Result<bool, Malformed> {
            let mut any = false;
            for wanted in &self.wanted {
                any = any || matches(by, value, wanted, variables, context)?;
            }
            Ok(any != negated)
        };
        match (set, values) {
            (Set::None, [value]) => one(value),
            (Set::None, _) => Err(Malformed(format!("`{}` has several values, but its operator takes one", self.key))),
            (Set::All, _) => values.iter().try_fold(true, |all, value| Ok(all && one(value)?)),
            (Set::Any, _) => values.iter().try_fold(false, |any, value| Ok(any || one(value)?)),
        }
    }
}

fn matches(by: Compare, value: &str, wanted: &str, variables: bool, context: &Context) -> Result<bool, Malformed> {
    let Some(pattern) = Pattern::of(wanted, variables, context)? else { return Ok(false) };
    Ok(match by {
        Compare::Equals | Compare::Binary => pattern.text() == value,
        Compare::EqualsIgnoreCase => pattern.text().to_lowercase() == value.to_lowercase(),
        Compare::Like => pattern.like(value),
        Compare::Arn => pattern.like_arn(value),
        Compare::Bool => pattern.text().eq_ignore_ascii_case(value),
        Compare::Number(order) => {
            let number = |text: &str| text.trim().parse::<f64>().ok();
            let wanted = number(&pattern.text()).ok_or_else(|| Malformed(format!("`{wanted}` is not a number")))?;
            number(value).is_some_and(|value| order.holds(&value, &wanted))
        }
        Compare::Date(order) => {
            let wanted = date(&pattern.text()).ok_or_else(|| Malformed(format!("`{wanted}` is not a date")))?;
            date(value).is_some_and(|value| order.holds(&value, &wanted))
        }
        Compare::Ip => {
            let network = pattern.text();
            let (network, bits) = network.split_once('/').map_or((network.as_str(), None), |(n, bits)| (n, Some(bits)));
            let wrong = || Malformed(format!("`{wanted}` is not a network"));
            let network: IpAddr = network.parse().map_err(|_| wrong())?;
            let most: u32 = if network.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(most), str::parse).ok().filter(|bits| *bits <= most).ok_or_else(wrong)?;
            value.parse().is_ok_and(|address| within(address, network, bits))
        }
    })
}

/// A date in ISO 8601, or seconds since 1970.
fn date(text: &str) -> Option<jiff::Timestamp> {
    let whole = |text: &str| format!("{text}T00:00:00Z");
    text.parse().ok().or_else(|| whole(text).parse().ok()).or_else(|| jiff::Timestamp::from_second(text.parse().ok()?).ok())
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((address, size), (network, of)) = (number(address), number(network));
    size == of && (address ^ network).checked_shr(size - bits).unwrap_or(0) == 0
}
