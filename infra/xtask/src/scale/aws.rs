//! AWS's default quotas, each with the title of AWS's page. AWS raises most of them on request; some differ by Region.

/// A default quota, and the page that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) allowed: f64,
    /// The page's title.
    pub(super) page: &'static str,
}

const fn quota(allowed: f64, page: &'static str) -> Quota {
    Quota { allowed, page }
}

/// IAM User Guide: STS requests a second per account and Region; AssumeRole shares them with GetCallerIdentity and others. The
/// number comes from a page that quotes AWS (MongoDB Atlas, "AWS IAM Authentication"), not from AWS's own page.
pub(super) const ASSUME_ROLE: Quota = quota(600.0, "IAM and AWS STS quotas");

/// "Throttle quota per account, per Region across HTTP APIs, REST APIs, WebSocket APIs, and WebSocket callback APIs: 10,000 requests per
/// second"; 2,500 in eleven newer Regions, such as Milan and Cape Town.
pub(super) const API_REQUESTS: Quota = quota(10_000.0, "Amazon API Gateway quotas");

/// "Concurrent executions: 1,000", and "new AWS accounts have reduced concurrency and memory quotas".
pub(super) const LAMBDA_AT_ONCE: Quota = quota(1_000.0, "Lambda quotas");

/// The category `UserAuthentication`, which includes `AdminInitiateAuth` with a password or a refresh token. Answers to
/// challenges have a separate quota, three times as large.
pub(super) const COGNITO_SIGN_INS: Quota = quota(120.0, "Quotas in Amazon Cognito");

/// The category `UserPoolClientRead`: 15 a second, and for one pool at most 5 of "any individual operation in this category". It
/// cannot be raised.
pub(super) const COGNITO_CLIENT_READS: Quota = quota(5.0, "Quotas in Amazon Cognito");

/// "Cryptographic operations (symmetric) request rate", including calls that services make on our behalf: 10,000; 20,000 in six
/// Regions; 100,000 in us-east-1, us-west-2 and eu-west-1. This is the lowest.
pub(super) const KMS_SYMMETRIC: Quota = quota(10_000.0, "AWS KMS request quotas");

/// "Cryptographic operations (ECC) request rate", which includes `Sign`.
pub(super) const KMS_ECC: Quota = quota(1_000.0, "AWS KMS request quotas");

/// "PutEvents throttle limit": 10,000 in us-east-1, us-west-2 and eu-west-1; 2,400, 1,200 or 600 elsewhere. This is the value for
/// the Region of samconfig.toml.
pub(super) const PUT_EVENTS: Quota = quota(10_000.0, "Amazon EventBridge quotas");

/// DynamoDB Developer Guide: a partition takes 1,000 write units and 3,000 read units a second ("Understanding DynamoDB warm throughput in
/// different scenarios" has the same).
pub(super) const PARTITION_WRITES: Quota = quota(1_000.0, "Partition key design");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn each_quota_page_is_listed_in_the_sources_of_docs_scale() {
        let page = std::fs::read_to_string(workspace::root().join("docs/scale.md")).unwrap();
        let sources = page.split_once("\n## Sources\n").unwrap().1.split_whitespace().collect::<Vec<_>>().join(" ");
        for quota in [
            ASSUME_ROLE,
            API_REQUESTS,
            LAMBDA_AT_ONCE,
            COGNITO_SIGN_INS,
            COGNITO_CLIENT_READS,
            KMS_SYMMETRIC,
            KMS_ECC,
            PUT_EVENTS,
            PARTITION_WRITES,
        ] {
            assert!(sources.contains(&format!("[{}](https://docs.aws.amazon.com/", quota.page)), "{}", quota.page);
        }
    }
}
