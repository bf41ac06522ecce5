//! The REST API of the root template: its routes, its authorizer, preflights, the gateway's own answers, and the web ACL in
//! front.
//!
//! Routes refer to their functions by name and invoke them through one role. Permissions or references would make this stack and
//! the domains' stacks depend on each other.

use super::{
    function,
    stack::Root,
    yaml::{Node, attribute, list, map, reference, sub},
};
use aws_lc_rs::digest::{SHA256, digest};
use common::request::AnyEndpoint;
use emulators::apigateway::STAGE;
use registry::{CORS_ALLOWED_HEADERS, CORS_MAX_AGE_SECONDS, GATEWAY_HEADERS, GATEWAY_RESPONSES, GatewayResponse, Trigger};
use std::{collections::BTreeMap, fmt::Write as _};

/// Longer than a function's timeout (`Globals.Function.Timeout`), so that the function's own answer arrives.
const INTEGRATION_TIMEOUT_MS: u32 = 11_000;
/// How long API Gateway may cache the authorizer's answer. It contains nothing that becomes stale.
const AUTHORIZER_TTL_SECONDS: u32 = 300;
/// The rate limit of the whole API; the limits of callers are far lower.
pub(crate) const REQUESTS_PER_SECOND: u32 = 500;
const BURST: u32 = 1_000;
/// Requests from one address in five minutes before the web ACL blocks it: a clinic of 1,000 people with 30 requests each.
pub(crate) const REQUESTS_PER_ADDRESS: u32 = 30_000;
/// The same for endpoints without a session: those people sign in with a second factor, and mistype.
pub(crate) const SIGN_INS_PER_ADDRESS: u32 = 5_000;
/// The same for the carrier's pushes: more than the endpoint's own limit, so that the endpoint answers with its own 429 first.
pub(crate) const PUSHES_PER_ADDRESS: u32 = 20_000;

/// TLS 1.2 and 1.3 only, with forward secrecy. Without it the API's own endpoint accepts TLS 1.0.
const SECURITY_POLICY: &str = "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09";
/// The template's condition that the API has a custom domain.
const HAS_DOMAIN: &str = "HasDomain";
/// Headers that contain, or may contain, credentials or the identity of a person. WAF would log every header.
const REDACTED: [&str; 7] =
    ["authorization", "cookie", "idempotency-key", "if-match", "referer", "x-correlation-id", "x-forwarded-authorization"];

/// The API's lines in the template.
///
/// `samconfig` holds the parameters that deployments set. API Gateway serves a snapshot, which contains the value of each
/// parameter that the API uses.
pub(crate) fn resources(samconfig: &str) -> String {
    let mut out = String::new();
    let mut add = |comment: &str, resources: Vec<(String, Node)>| {
        let _ = write!(
            out,
            "{}{}",
            comment.lines().map(|line| format!("  # {line}\n")).collect::<String>(),
            super::tags::write(resources)
        );
    };
    let api = map! {
        "Type" => "AWS::ApiGateway::RestApi",
        "Properties" => map! {
            "Name" => sub("${Prefix}-api"),
            "EndpointConfiguration" => map! { "Types" => list!["REGIONAL"] },
            "SecurityPolicy" => SECURITY_POLICY,
            "EndpointAccessMode" => "STRICT",
            "DisableExecuteApiEndpoint" => Node::Tag("If", Box::new(list![HAS_DOMAIN, true, false])),
            "FailOnWarnings" => true,
            "Body" => body(),
        },
    };
    let deployment = format!("ApiDeployment{}", fingerprint(&api, samconfig));
    add("", vec![("Api".into(), api)]);
    add(
        "A deployment is an immutable snapshot. Its name contains a hash of the API above and of the parameters in samconfig.toml. It is\n\
         created after the functions, so that no route leads to a missing one.",
        vec![(
            deployment.clone(),
            map! {
                "Type" => "AWS::ApiGateway::Deployment",
                "DependsOn" => registry::DOMAINS.iter().map(|domain| super::stack::logical(domain.name)).collect::<Node>(),
                "Properties" => map! { "RestApiId" => reference("Api") },
            },
        )],
    );
    add("", vec![("ApiStage".into(), stage(&deployment)), ("ApiAccessLog".into(), access_log("/${Prefix}/access"))]);
    add("The API's custom domain, if there is one.", domain());
    add(
        "API Gateway's roles: it may invoke our functions and write its log.",
        vec![
            ("ApiInvokeRole".into(), invoke_role()),
            ("ApiLogRole".into(), log_role()),
            (
                "ApiAccount".into(),
                map! {
                    "Type" => "AWS::ApiGateway::Account",
                    "DeletionPolicy" => "Retain",
                    "UpdateReplacePolicy" => "Retain",
                    "Properties" => map! { "CloudWatchRoleArn" => attribute("ApiLogRole.Arn") },
                },
            ),
        ],
    );
    add(
        "The web ACL of the API. AWS's rule for large bodies only counts, because functions limit bodies themselves. The log has blocked and\n\
         counted requests, without the headers and queries that could identify a person.",
        vec![
            ("WebAcl".into(), web_acl()),
            (
                "WebAclAssociation".into(),
                map! {
                    "Type" => "AWS::WAFv2::WebACLAssociation",
                    "Properties" => map! {
                        "ResourceArn" => sub("arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${ApiStage}"),
                        "WebACLArn" => attribute("WebAcl.Arn"),
                    },
                },
            ),
            // WAF requires this prefix.
            ("WebAclLog".into(), access_log("aws-waf-logs-${Prefix}")),
            ("WebAclLogging".into(), web_acl_logging()),
        ],
    );
    out
}

/// The longest value of a stage variable in characters ("Quotas for configuring and running a REST API"). It holds the allowed
/// origins.
pub(crate) const MOST_ORIGINS: usize = 512;

pub(crate) fn outputs(root: &Root) -> String {
    let url = format!("https://${{Api}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}");
    let url = Node::Tag("If", Box::new(list![HAS_DOMAIN, sub("https://${DomainName}"), sub(url)]));
    let target = map! { "Condition" => HAS_DOMAIN, "Value" => attribute("ApiDomain.RegionalDomainName") };
    map! {
        "ApiUrl" => map! { "Value" => url },
        "ApiDomainTarget" => target,
        "OperatorEnvironment" => map! { "Value" => root.operators_environment() },
    }
    .write(2)
}

/// Production may set a parameter that the API's snapshot contains only to its value in samconfig.toml, which is part of the
/// snapshot's name. Another value would not create a new snapshot.
pub(crate) fn rules(production: &[(String, String)]) -> String {
    const PARAMETER: &str = "AllowedOrigins";
    let set = production.iter().find(|(name, _)| name == PARAMETER);
    let origins: Node = set.map_or("none", |(_, value)| value).split(',').map(|origin| Node::from(origin.trim())).collect();
    let within = map! { "Fn::EachMemberIn" => list![reference(PARAMETER), origins] };
    map! {
        "OriginsAreInTheApi" => map! {
            "RuleCondition" => Node::Tag("Equals", Box::new(list![reference("Environment"), "production"])),
            "Assertions" => list![map! {
                "Assert" => within,
                "AssertDescription" => "AllowedOrigins is part of the API's snapshot: set it in samconfig.toml and run `cargo xtask sync`",
            }],
        },
    }
    .write(2)
}

/// A custom domain name, and its mapping to the stage.
fn domain() -> Vec<(String, Node)> {
    let domain = map! {
        "Type" => "AWS::ApiGateway::DomainName",
        "Condition" => HAS_DOMAIN,
        "Properties" => map! {
            "DomainName" => reference("DomainName"),
            "RegionalCertificateArn" => reference("CertificateArn"),
            "EndpointConfiguration" => map! { "Types" => list!["REGIONAL"] },
            "SecurityPolicy" => SECURITY_POLICY,
            "EndpointAccessMode" => "STRICT",
        },
    };
    let mapping = map! {
        "Type" => "AWS::ApiGateway::BasePathMapping",
        "Condition" => HAS_DOMAIN,
        "Properties" => map! {
            "DomainName" => reference("ApiDomain"), "RestApiId" => reference("Api"), "Stage" => reference("ApiStage"),
        },
    };
    vec![("ApiDomain".to_owned(), domain), ("ApiMapping".to_owned(), mapping)]
}

/// Logs only requests that it blocked or counted. A log of all requests would duplicate the access log, with every header.
fn web_acl_logging() -> Node {
    let redacted = REDACTED.iter().map(|name| map! { "SingleHeader" => map! { "Name" => *name } });
    let redacted: Node = redacted.chain([map! { "QueryString" => Node::Map(vec![]) }]).collect();
    let on = |action: &str| map! { "ActionCondition" => map! { "Action" => action } };
    map! {
        "Type" => "AWS::WAFv2::LoggingConfiguration",
        "Properties" => map! {
            "ResourceArn" => attribute("WebAcl.Arn"),
            "LogDestinationConfigs" => list![sub("arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${WebAclLog}")],
            "RedactedFields" => redacted,
            "LoggingFilter" => map! {
                "DefaultBehavior" => "DROP",
                "Filters" => list![map! {
                    "Behavior" => "KEEP", "Requirement" => "MEETS_ANY", "Conditions" => list![on("BLOCK"), on("COUNT"), on("EXCLUDED_AS_COUNT")],
                }],
            },
        },
    }
}

fn fingerprint(api: &Node, samconfig: &str) -> String {
    digest(&SHA256, format!("{}{samconfig}", api.write(0)).as_bytes()).as_ref()[..5]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// API Gateway reads OpenAPI 3.0. It contains routes only: functions validate requests, and their answers name every invalid
/// field. Clients read docs/openapi.json.
fn body() -> Node {
    let mut paths: BTreeMap<&str, Vec<&AnyEndpoint>> = BTreeMap::new();
    for endpoint in registry::all() {
        paths.entry(endpoint.route.path).or_default().push(endpoint);
    }
    let paths = paths.into_iter().map(|(path, mut endpoints)| {
        endpoints.sort_by_key(|endpoint| endpoint.route.method);
        let mut operations: Vec<_> =
            endpoints.iter().map(|endpoint| (endpoint.route.method.as_str().to_lowercase(), operation(endpoint))).collect();
        operations.push(("options".to_owned(), preflight(path, &endpoints)));
        (path.to_owned(), Node::Map(operations))
    });
    let authorizer =
        function::all().into_iter().find(function::Function::is_authorizer).map(|function| function.name).unwrap_or_default();
    let responses = GATEWAY_RESPONSES.iter().map(|response| (response.response_type.to_owned(), gateway_response(response)));
    map! {
        "openapi" => "3.0.1",
        "info" => map! { "title" => sub("${Prefix}-api"), "version" => "1" },
        "paths" => Node::Map(paths.collect()),
        // Gateway responses are part of the body instead of separate resources: each import of a body removes the responses that
        // it does not contain.
        "x-amazon-apigateway-gateway-responses" => Node::Map(responses.collect()),
        "components" => map! {
            "securitySchemes" => map! {
                "authorizer" => map! {
                    "type" => "apiKey",
                    "name" => "Authorization",
                    "in" => "header",
                    "x-amazon-apigateway-authtype" => "custom",
                    "x-amazon-apigateway-authorizer" => map! {
                        "type" => "request",
                        "identitySource" => "method.request.header.Authorization",
                        "authorizerUri" => invocation(authorizer),
                        "authorizerCredentials" => attribute("ApiInvokeRole.Arn"),
                        "authorizerResultTtlInSeconds" => AUTHORIZER_TTL_SECONDS,
                    },
                },
            },
        },
    }
}

fn operation(endpoint: &AnyEndpoint) -> Node {
    let mut operation = vec![("operationId".to_owned(), endpoint.name.into())];
    operation.extend(parameters(endpoint.route.path));
    if !registry::is_public(endpoint) {
        operation.push(("security".to_owned(), list![map! { "authorizer" => Node::List(Vec::new()) }]));
    }
    // The function's own status is passed on, whatever this says. API Gateway does not support `default`: the import would warn.
    operation.push(("responses".to_owned(), map! { "200" => map! { "description" => "The function's answer" } }));
    operation.push((
        "x-amazon-apigateway-integration".to_owned(),
        map! {
            "type" => "aws_proxy",
            "httpMethod" => "POST",
            "uri" => invocation(endpoint.name),
            "credentials" => attribute("ApiInvokeRole.Arn"),
            "timeoutInMillis" => INTEGRATION_TIMEOUT_MS,
        },
    ));
    Node::Map(operation)
}

fn parameters(path: &'static str) -> Option<(String, Node)> {
    let parameters: Vec<_> = registry::path_parameters(path)
        .map(|name| map! { "name" => name, "in" => "path", "required" => true, "schema" => map! { "type" => "string" } })
        .collect();
    (!parameters.is_empty()).then(|| ("parameters".to_owned(), Node::List(parameters)))
}

fn invocation(function: &str) -> Node {
    sub(format!(
        "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/\
         arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Prefix}}-{function}/invocations"
    ))
}

/// Answers a browser's preflight request without calling a function. It compares the whole origin with the stage's list, and
/// names only an origin of the list in the answer.
fn preflight(path: &'static str, endpoints: &[&AnyEndpoint]) -> Node {
    let methods: Vec<_> = endpoints.iter().map(|endpoint| endpoint.route.method.as_str()).collect();
    let template = format!(
        "#set($origin = $input.params().header.get(\"Origin\"))\n\
         #if(!$origin || $origin == \"\")#set($origin = $input.params().header.get(\"origin\"))#end\n\
         #set($allowed = \",$stageVariables.allowed_origins,\")\n\
         #set($wanted = \",$origin,\")\n\
         #if($origin && $origin != \"\" && !$origin.contains(\",\") && $allowed.contains($wanted))\n\
         #set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)\n\
         #set($context.responseOverride.header.Access-Control-Allow-Methods = \"{}\")\n\
         #set($context.responseOverride.header.Access-Control-Allow-Headers = \"{CORS_ALLOWED_HEADERS}\")\n\
         #set($context.responseOverride.header.Access-Control-Max-Age = \"{CORS_MAX_AGE_SECONDS}\")\n\
         #end",
        methods.join(",")
    );
    let mut operation = vec![];
    operation.extend(parameters(path));
    operation.push((
        "responses".to_owned(),
        map! {
            "204" => map! {
                "description" => "The methods and headers that a page of an allowed origin may send",
                "headers" => map! { "Vary" => map! { "schema" => map! { "type" => "string" } } },
            },
        },
    ));
    operation.push((
        "x-amazon-apigateway-integration".to_owned(),
        map! {
            "type" => "mock",
            "requestTemplates" => map! { "application/json" => "{\"statusCode\": 204}" },
            "responses" => map! {
                "default" => map! {
                    "statusCode" => "204",
                    "responseParameters" => map! { "method.response.header.Vary" => "'Origin'" },
                    "responseTemplates" => map! { "application/json" => Node::Block(template) },
                },
            },
        },
    ));
    Node::Map(operation)
}

/// One of the gateway's own answers. It cannot choose among origins, so it names the first allowed one: a page of another origin
/// sees only that the request failed.
fn gateway_response(response: &GatewayResponse) -> Node {
    let header = |name: &str| format!("gatewayresponse.header.{name}");
    let fixed = |value: &str| Node::Text(format!("'{value}'"));
    let mut parameters: Vec<_> =
        GATEWAY_HEADERS.iter().chain(response.headers).map(|(name, value)| (header(name), fixed(value))).collect();
    parameters.push((header("X-Correlation-Id"), "context.requestId".into()));
    let origin = Node::Tag(
        "Sub",
        Box::new(list![
            "'${Origin}'",
            map! {
                "Origin" => Node::Tag("Select", Box::new(list![0u32, reference("AllowedOrigins")])),
            }
        ]),
    );
    parameters.push((header("Access-Control-Allow-Origin"), origin));
    parameters.push((header("Access-Control-Expose-Headers"), fixed(common::request::EXPOSED_HEADERS)));
    let status = response.status.map(|status| ("statusCode".to_owned(), status.to_string().into()));
    let mut members: Vec<_> = status.into_iter().collect();
    members.push(("responseParameters".to_owned(), Node::Map(parameters)));
    members.push(("responseTemplates".to_owned(), map! { "application/json" => response.body }));
    Node::Map(members)
}

fn stage(deployment: &str) -> Node {
    map! {
        "Type" => "AWS::ApiGateway::Stage",
        "DependsOn" => list!["ApiAccount"],
        "Properties" => map! {
            "RestApiId" => reference("Api"),
            "DeploymentId" => reference(deployment),
            "StageName" => STAGE,
            "Variables" => map! { "allowed_origins" => Node::Tag("Join", Box::new(list![",", reference("AllowedOrigins")])) },
            "TracingEnabled" => true,
            "AccessLogSetting" => map! { "DestinationArn" => attribute("ApiAccessLog.Arn"), "Format" => access_log_format() },
            "MethodSettings" => list![map! {
                "HttpMethod" => "*",
                "ResourcePath" => "/*",
                "ThrottlingRateLimit" => REQUESTS_PER_SECOND,
                "ThrottlingBurstLimit" => BURST,
                "MetricsEnabled" => true,
                // The execution log would contain bodies.
                "LoggingLevel" => "OFF",
                "DataTraceEnabled" => false,
            }],
        },
    }
}

fn access_log(name: &str) -> Node {
    map! {
        "Type" => "AWS::Logs::LogGroup",
        "DeletionPolicy" => "RetainExceptOnCreate",
        "UpdateReplacePolicy" => "Retain",
        "Properties" => map! {
            "LogGroupName" => sub(name),
            "RetentionInDays" => reference("LogRetentionDays"),
            "KmsKeyId" => attribute("DataKey.Arn"),
        },
    }
}

/// The path is the route's template, and the query string is left out, because a WebSocket's ticket is in a query string.
fn access_log_format() -> String {
    let fields = [
        ("request_id", "$context.requestId"),
        ("time", "$context.requestTime"),
        ("ip", "$context.identity.sourceIp"),
        ("method", "$context.httpMethod"),
        ("route", "$context.resourcePath"),
        ("status", "$context.status"),
        ("response_length", "$context.responseLength"),
        ("response_latency_ms", "$context.responseLatency"),
        ("integration_latency_ms", "$context.integration.latency"),
        ("authorizer_status", "$context.authorizer.status"),
        ("user_id", "$context.authorizer.user_id"),
        ("error_type", "$context.error.responseType"),
        ("waf", "$context.waf.status"),
        ("tls", "$context.tlsVersion"),
        ("cipher", "$context.cipherSuite"),
        ("trace_id", "$context.xrayTraceId"),
    ];
    let members: Vec<_> = fields.iter().map(|(name, variable)| format!("\"{name}\":\"{variable}\"")).collect();
    format!("{{{}}}", members.join(","))
}

fn assumed_by_the_gateway() -> Node {
    map! {
        "Version" => "2012-10-17",
        "Statement" => list![map! {
            "Effect" => "Allow", "Principal" => map! { "Service" => "apigateway.amazonaws.com" }, "Action" => "sts:AssumeRole",
        }],
    }
}

fn invoke_role() -> Node {
    map! {
        "Type" => "AWS::IAM::Role",
        "Properties" => map! {
            "AssumeRolePolicyDocument" => assumed_by_the_gateway(),
            "Policies" => list![map! {
                "PolicyName" => "invoke",
                "PolicyDocument" => map! {
                    "Version" => "2012-10-17",
                    "Statement" => list![map! {
                        "Effect" => "Allow",
                        "Action" => "lambda:InvokeFunction",
                        // Each function by its full name: a pattern would match functions of a deployment whose name begins with
                        // this one's.
                        "Resource" => invoked().map(|name| sub(format!("{FUNCTION}{name}"))).collect::<Node>(),
                    }],
                },
            }],
        },
    }
}

const FUNCTION: &str = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${Prefix}-";

/// The functions that API Gateway invokes: the endpoints', the sockets' and the authorizer's.
fn invoked() -> impl Iterator<Item = &'static str> {
    let authorizer = registry::OTHERS.iter().filter(|other| other.trigger == Trigger::Authorizer).map(|other| other.name);
    registry::all().map(|endpoint| endpoint.name).chain(registry::sockets().map(|socket| socket.name)).chain(authorizer)
}

fn log_role() -> Node {
    let policy = "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs";
    map! {
        "Type" => "AWS::IAM::Role",
        // The account's setting outlives this stack, so the role that it names must too.
        "DeletionPolicy" => "Retain",
        "UpdateReplacePolicy" => "Retain",
        "Properties" => map! { "AssumeRolePolicyDocument" => assumed_by_the_gateway(), "ManagedPolicyArns" => list![sub(policy)] },
    }
}

fn web_acl() -> Node {
    let visible =
        |name: &str| map! { "SampledRequestsEnabled" => false, "CloudWatchMetricsEnabled" => true, "MetricName" => name };
    let managed = |priority: u32, name: &'static str, overridden: Option<&'static str>| {
        let mut group = vec![("VendorName".to_owned(), "AWS".into()), ("Name".to_owned(), name.into())];
        let counts = |rule: &'static str| list![map! { "Name" => rule, "ActionToUse" => map! { "Count" => Node::Map(vec![]) } }];
        group.extend(overridden.map(|rule| ("RuleActionOverrides".to_owned(), counts(rule))));
        map! {
            "Name" => name,
            "Priority" => priority,
            "OverrideAction" => map! { "None" => Node::Map(vec![]) },
            "Statement" => map! { "ManagedRuleGroupStatement" => Node::Map(group) },
            "VisibilityConfig" => visible(name),
        }
    };
    let rates = [
        ("RequestsPerAddress", REQUESTS_PER_ADDRESS, None),
        ("SignInsPerAddress", SIGN_INS_PER_ADDRESS, Some("/v1/auth/")),
        ("PushesPerAddress", PUSHES_PER_ADDRESS, Some("/v1/webhooks/")),
    ];
    let limited = |(priority, (name, limit, below)): (u32, (&'static str, u32, Option<&'static str>))| {
        let mut statement = map! { "AggregateKeyType" => "IP", "EvaluationWindowSec" => 300u32, "Limit" => limit };
        if let (Node::Map(members), Some(path)) = (&mut statement, below) {
            // Normalised as WAF matches it, so that other encodings of a path do not bypass the rule.
            let plain = list![
                map! { "Priority" => 0u32, "Type" => "URL_DECODE" },
                map! { "Priority" => 1u32, "Type" => "NORMALIZE_PATH" },
            ];
            let matches = map! {
                "FieldToMatch" => map! { "UriPath" => Node::Map(vec![]) },
                "PositionalConstraint" => "CONTAINS", "SearchString" => path, "TextTransformations" => plain,
            };
            members.push(("ScopeDownStatement".to_owned(), map! { "ByteMatchStatement" => matches }));
        }
        map! {
            "Name" => name,
            "Priority" => priority,
            "Action" => map! { "Block" => Node::Map(vec![]) },
            "Statement" => map! { "RateBasedStatement" => statement },
            "VisibilityConfig" => visible(name),
        }
    };
    let mut rules: Vec<_> = (0u32..).zip(rates).map(limited).collect();
    rules.extend([
        managed(3, "AWSManagedRulesAmazonIpReputationList", None),
        managed(4, "AWSManagedRulesKnownBadInputsRuleSet", None),
        managed(5, "AWSManagedRulesCommonRuleSet", Some("SizeRestrictions_BODY")),
    ]);
    map! {
        "Type" => "AWS::WAFv2::WebACL",
        "Properties" => map! {
            "Name" => sub("${Prefix}-api"),
            "Scope" => "REGIONAL",
            "DefaultAction" => map! { "Allow" => Node::Map(vec![]) },
            "VisibilityConfig" => map! {
                "SampledRequestsEnabled" => false, "CloudWatchMetricsEnabled" => true, "MetricName" => sub("${Prefix}-api"),
            },
            "Rules" => Node::List(rules),
        },
    }
}

#[cfg(test)]
mod wall_tests {
    use super::*;
    use common::store::RateLimit;

    /// The rate rules: name, limit in five minutes, and the path prefix.
    fn rates() -> Vec<(String, u32, Option<String>)> {
        let rules = web_acl().write(0);
        let text = emulators_yaml(&rules);
        let rules = text["Properties"]["Rules"].as_sequence().unwrap().clone();
        let rated = rules.iter().filter_map(|rule| {
            let statement = rule["Statement"]["RateBasedStatement"].as_mapping()?;
            let below = statement
                .get("ScopeDownStatement")
                .map(|down| down["ByteMatchStatement"]["SearchString"].as_str().unwrap().to_owned());
            let limit = u32::try_from(statement.get("Limit").unwrap().as_u64().unwrap()).unwrap();
            Some((rule["Name"].as_str().unwrap().to_owned(), limit, below))
        });
        rated.collect()
    }

    fn emulators_yaml(text: &str) -> serde_norway::Value {
        serde_norway::from_str(text).unwrap()
    }

    /// The requests that `limit` allows in five minutes.
    fn in_five_minutes(limit: RateLimit) -> u32 {
        u32::try_from(u64::from(limit.calls) * 300 / limit.per.as_secs()).unwrap()
    }

    #[test]
    fn web_acl_allows_more_than_each_public_endpoints_own_limit() {
        let rates = rates();
        assert_eq!(rates.len(), 3);
        for endpoint in registry::all().filter(|endpoint| endpoint.audited && endpoint.kind == common::request::Kind::Public) {
            let holds = rates
                .iter()
                .filter(|(_, _, below)| below.as_ref().is_none_or(|path| endpoint.route.path.contains(path.as_str())));
            for (name, limit, _) in holds {
                assert!(*limit > in_five_minutes(endpoint.limit), "{name} hides the limit of {}", endpoint.name);
            }
        }
        // A thousand people who arrive within five minutes: password, second factor, and one in five again.
        let sign_ins = rates.iter().find(|(_, _, below)| below.as_deref() == Some("/v1/auth/")).unwrap();
        assert!(sign_ins.1 >= 1_000 * 2 * 6 / 5);
    }
}
