//! Evaluates the tenants' isolation in IAM: which partitions each role can use, and who can assume a role.

use super::{
    calls::Calls,
    evaluate::{Context, allows},
    function::{self, Function},
    iam, stack,
    tenant_credentials::{self, decided},
    yaml::{Node, reference},
};
use crate::workspace;
use common::base::{Need, TenantId};
use std::{collections::BTreeSet, fs, sync::LazyLock};

const OWN: &str = "ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f00";
const OTHER: &str = "ten_0190a8f6b2c07d3e8f4a5b6c7d8e9f01";

fn keys(keys: &[&str]) -> (&'static str, Vec<String>) {
    ("dynamodb:LeadingKeys", keys.iter().map(|key| (*key).to_owned()).collect())
}

fn tag(tenant: &str) -> (&'static str, Vec<String>) {
    ("aws:PrincipalTag/tenant", vec![tenant.to_owned()])
}

/// The actions on tables that the statements name, each with its resource.
fn of_tables(statements: &Node) -> Vec<(String, String)> {
    let Node::List(statements) = statements else { panic!("statements are a list") };
    let texts = |statement: &Node, name: &str| {
        let texts = statement.get(name).map(super::tests::texts).unwrap_or_default();
        texts.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let each = statements.iter().flat_map(|statement| {
        let resources = texts(statement, "Resource");
        texts(statement, "Action")
            .into_iter()
            .flat_map(move |action| resources.clone().into_iter().map(move |r| (action.clone(), r)))
    });
    each.filter(|(action, _)| action.starts_with("dynamodb:")).collect()
}

fn with_tables() -> Vec<Function> {
    function::all().into_iter().filter(|function| tenant_credentials::logical(function).is_some()).collect()
}

/// The function's own role's statements, where tenants are separated or are not.
fn own(function: &Function, on: bool) -> Node {
    decided(&iam::statements(function), on)
}

/// Read once for all tests.
static TEMPLATE: LazyLock<serde_norway::Value> =
    LazyLock::new(|| serde_norway::from_str(&fs::read_to_string(workspace::root().join("template.yaml")).unwrap()).unwrap());

/// The policies of the function's tenant role in the root template: its trust policy, and its permissions.
fn tenant_role(function: &Function) -> (Node, Node) {
    let role = Node::from_yaml(&TEMPLATE["Resources"][tenant_credentials::logical(function).unwrap()]).unwrap();
    assert!(role.get("Condition").is_none(), "the stacks depend on it");
    let properties = role.get("Properties").unwrap();
    let Some(Node::List(policies)) = properties.get("Policies") else { panic!("policies are a list") };
    let [policy] = policies.as_slice() else { panic!("one policy") };
    let statements = |document: Option<&Node>| document.and_then(|d| d.get("Statement")).unwrap().clone();
    (statements(properties.get("AssumeRolePolicyDocument")), statements(policy.get("PolicyDocument")))
}

#[test]
fn tenant_session_reaches_its_own_partitions_only() {
    let longer = format!("{OWN}0");
    for function in with_tables() {
        let (_, role) = tenant_role(&function);
        let asked = of_tables(&role);
        assert!(!asked.is_empty(), "{}", function.name);
        for (action, resource) in asked {
            let may = |context: &[(&'static str, Vec<String>)]| {
                allows(&role, &action, &resource, &context.iter().cloned().collect::<Context<'_>>())
            };
            let (own, other) = (format!("{OWN}#AUDIT"), format!("{OTHER}#AUDIT"));
            let platform = format!("{}#TENANTS", TenantId::PLATFORM);
            let what = format!("{} {action} {resource}", function.name);
            assert!(may(&[tag(OWN), keys(&[&own])]), "{what}");
            assert!(may(&[tag(OWN), keys(&[&own, &format!("{OWN}#EVENTS")])]), "{what}: several of its own");
            assert!(!may(&[tag(OWN), keys(&[&other])]), "{what}: another's");
            assert!(!may(&[tag(OWN), keys(&[&own, &other])]), "{what}: another's besides its own");
            assert!(!may(&[tag(OWN), keys(&[&platform])]), "{what}: the platform's");
            assert!(!may(&[tag(OWN), keys(&[&format!("{longer}#AUDIT")])]), "{what}: an id with the same prefix");
            assert!(!may(&[tag(OWN), keys(&[OWN])]), "{what}: a key without a partition");
            assert!(!may(&[tag(OWN)]), "{what}: no key, as in a Scan");
            assert!(!may(&[keys(&[&own])]), "{what}: no tag");
            assert!(!may(&[tag(""), keys(&[&own])]), "{what}: an empty tag");
        }
    }
}

#[test]
fn tenant_role_grants_its_functions_calls_and_no_others() {
    for function in with_tables() {
        let (_, role) = tenant_role(&function);
        let actions = |statements: &Node| of_tables(statements).into_iter().collect::<BTreeSet<_>>();
        let (tenant, together) = (actions(&role), actions(&own(&function, false)));
        assert!(tenant.is_subset(&together), "{}: {tenant:?}", function.name);
        let platform = actions(&own(&function, true));
        assert_eq!(tenant.union(&platform).collect::<BTreeSet<_>>(), together.iter().collect(), "{}", function.name);
        let Node::List(statements) = &role else { panic!("statements are a list") };
        let others: BTreeSet<_> = statements.iter().filter_map(|s| s.get("Action")).flat_map(super::tests::texts).collect();
        let others: Vec<_> = others.into_iter().filter(|action| !action.starts_with("dynamodb:")).collect();
        // The tables' key; and for the sealed log, its objects and their key.
        let objects = objects_of(&function, &Calls::in_a_tenant(function.name));
        let has = |action: &str| objects.iter().any(|(of, _)| *of == action);
        let expected: Vec<_> = [
            ("kms:Decrypt", true),
            ("kms:GenerateDataKey", has("s3:PutObject")),
            ("s3:GetObject", has("s3:GetObject")),
            ("s3:GetObjectVersion", has("s3:GetObjectVersion")),
            ("s3:ListBucket", !objects.is_empty()),
            ("s3:ListBucketVersions", !objects.is_empty()),
            ("s3:PutObject", has("s3:PutObject")),
        ]
        .into_iter()
        .filter_map(|(action, expected)| expected.then_some(action))
        .collect();
        assert_eq!(others, expected, "{}", function.name);
        assert!(actions(&role).iter().all(|(action, _)| !["Scan", "PartiQL", "*"].iter().any(|not| action.contains(not))));
    }
}

#[test]
fn function_without_a_session_reaches_the_platforms_partition_only() {
    let mut across = Vec::new();
    for function in with_tables() {
        let (on, off) = (own(&function, true), own(&function, false));
        for (action, resource) in of_tables(&on) {
            let may = |role: &Node, key: &str| allows(role, &action, &resource, &[keys(&[key])].into());
            let (tenants, platforms) = (format!("{OWN}#AUDIT"), format!("{}#AUDIT", TenantId::PLATFORM));
            assert!(may(&on, &platforms) && may(&off, &platforms) && may(&off, &tenants), "{} {action}", function.name);
            assert_eq!(may(&on, &tenants), tenant_credentials::is_across_tenants(&function), "{} {action}", function.name);
        }
        if tenant_credentials::is_across_tenants(&function) {
            across.push(function.name);
        }
    }
    across.sort_unstable();
    assert_eq!(
        across,
        [
            // Changes by operators are audited in the platform's log too, and a new tenant's name is in the platform's list.
            "add_admin",
            "archive_organization",
            "challenge",
            "create_api_key",
            "create_organization",
            // The list of addresses that get no mail is the platform's.
            "lift_mail_suppression",
            "login",
            "put_baa",
            "put_ip_allowlist",
            "put_settings",
            "reactivate_organization",
            "remove_admin",
            "reset_password",
            "rotate_api_key",
            "suspend_organization",
            "update_organization",
        ],
        "these functions reach every tenant: review each addition"
    );
}

/// The listed calls of a function on objects of the audit bucket: actions, and the folder of each. The sealer writes segments, the
/// signer checkpoints.
fn objects_of(function: &Function, calls: &Calls) -> BTreeSet<(&'static str, &'static str)> {
    let [seals, signs, reads] = [Need::SealLog, Need::SignLog, Need::ReadLog].map(|need| function.needs(need));
    let each = [
        ("s3:GetObject", "segments", seals || signs || reads),
        ("s3:GetObjectVersion", "segments", seals || signs || reads),
        ("s3:GetObject", "checkpoints", signs || reads),
        ("s3:GetObjectVersion", "checkpoints", signs || reads),
        ("s3:PutObject", "segments", seals),
        ("s3:PutObject", "checkpoints", signs),
    ];
    let listed = |action: &'static str, folder| {
        let place = if folder == "segments" { "audit/segments" } else { "audit/checkpoints" };
        calls.has(place, &action[3..])
    };
    each.into_iter().filter_map(|(action, folder, may)| (may && listed(action, folder)).then_some((action, folder))).collect()
}

/// The same for a session of its tenant role, and for its own role if tenants are separated, and if they are not.
fn objects_of_each(function: &Function) -> [BTreeSet<(&'static str, &'static str)>; 3] {
    [Calls::in_a_tenant, Calls::own, Calls::everywhere].map(|of| objects_of(function, &of(function.name)))
}

#[test]
fn audit_objects_are_visible_to_their_own_tenant_only() {
    let mut asked = 0;
    for function in with_tables() {
        let ((_, session), on, off) = (tenant_role(&function), own(&function, true), own(&function, false));
        // In a resource, CloudFormation fills in `${…}` and leaves `${!aws:…}` to IAM. It does not change a condition.
        let Node::List(statements) = &session else { panic!("statements are a list") };
        for statement in statements {
            let says = |member: &str| format!("{:?}", statement.get(member));
            assert!(!says("Resource").contains("${aws:") && !says("Condition").contains("${!"), "{}", function.name);
        }
        for action in ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"] {
            for folder in ["segments", "checkpoints", "elsewhere"] {
                let object = |tenant: &str| format!("arn:${{AWS::Partition}}:s3:::${{AuditBucket}}/{folder}/{tenant}/000.x");
                let by_session = |tags: &[(&'static str, Vec<String>)], of: &str| {
                    allows(&session, action, &object(of), &tags.iter().cloned().collect::<Context<'_>>())
                };
                let platform = TenantId::PLATFORM.to_string();
                let what = format!("{} {action} {folder}", function.name);
                let [may, may_on, may_off] = objects_of_each(&function).map(|objects| objects.contains(&(action, folder)));
                assert_eq!(by_session(&[tag(OWN)], OWN), may, "{what}");
                for other in [OTHER, &platform, "", &format!("{OWN}0"), "*"] {
                    assert!(!by_session(&[tag(OWN)], other), "{what}: {other}'s");
                }
                assert!(!by_session(&[], OWN) && !by_session(&[tag("")], OWN), "{what}: no tenant's");
                let by = |role: &Node, of: &str| allows(role, action, &object(of), &Context::new());
                assert_eq!((by(&on, &platform), by(&on, OWN)), (may_on, false), "{what}");
                assert_eq!((by(&off, &platform), by(&off, OWN)), (may_off, may_off), "{what}");
                asked += usize::from(may);
            }
        }
    }
    assert!(asked > 10, "{asked} questions");
}

/// S3 answers 404 for an absent object only if the caller may list its key.
#[test]
fn each_reader_of_the_log_may_list_the_keys_that_it_reads_and_no_others() {
    const BUCKET: &str = "arn:${AWS::Partition}:s3:::${AuditBucket}";
    let (platform, mut readers) = (TenantId::PLATFORM.to_string(), Vec::new());
    for function in with_tables().into_iter().filter(|function| !objects_of_each(function)[2].is_empty()) {
        let ((_, session), on, off) = (tenant_role(&function), own(&function, true), own(&function, false));
        for action in ["s3:ListBucket", "s3:ListBucketVersions"] {
            let may = |role: &Node, tenant: Option<&str>, prefix: Option<&str>| {
                let prefix = prefix.map(|prefix| ("s3:prefix", vec![prefix.to_owned()]));
                allows(role, action, BUCKET, &tenant.map(tag).into_iter().chain(prefix).collect())
            };
            for kind in ["segments", "checkpoints"] {
                let [lists, lists_on, lists_off] =
                    objects_of_each(&function).map(|objects| objects.iter().any(|(_, folder)| *folder == kind));
                let what = format!("{} {action} {kind}", function.name);
                for of in [
                    |tenant: &str, kind: &str| format!("{kind}/{tenant}/"),
                    |tenant: &str, kind: &str| format!("{kind}/{tenant}/0.x"),
                ] {
                    assert_eq!(may(&session, Some(OWN), Some(&of(OWN, kind))), lists, "{what}");
                    assert_eq!(may(&on, None, Some(&of(&platform, kind))), lists_on, "{what}");
                    assert_eq!(may(&off, None, Some(&of(OWN, kind))), lists_off, "{what}");
                    assert!(!may(&session, Some(OWN), Some(&of(OTHER, kind))) && !may(&on, None, Some(&of(OWN, kind))), "{what}");
                    assert!(!may(&session, None, Some(&of(OWN, kind))), "{what}");
                }
                for prefix in [format!("{kind}/"), kind.to_owned(), String::new()] {
                    assert!(!may(&session, Some(OWN), Some(&prefix)) && !may(&on, None, Some(&prefix)), "{what}: {prefix}");
                }
                assert!(!may(&session, Some(OWN), None) && !may(&on, None, None) && !may(&off, None, None), "{what}: everything");
                readers.extend((lists && kind == "segments").then_some(function.name));
            }
        }
    }
    readers.sort_unstable();
    readers.dedup();
    assert_eq!(readers, ["get_segment", "list_audit_events", "seal_audit", "sign_checkpoint", "verify_audit"]);
}

#[test]
fn function_assumes_only_its_own_tenant_role_for_one_tenant() {
    const PREFIX: &str = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${Prefix}-";
    const ELSEWHERE: &str = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/other-";
    let functions = with_tables();
    for function in &functions {
        let (trust, _) = tenant_role(function);
        let set = |function: &Function| {
            let tags = tenant_credentials::tags(function).unwrap();
            super::tests::texts(&tags).last().unwrap().trim_start_matches("${Prefix}-").to_owned()
        };
        let role = set(function);
        let may = |caller: &Function, prefix: &str, tags: &[(&'static str, &str)]| {
            let mut context: Context<'_> = [
                ("aws:PrincipalArn", vec![format!("{prefix}{}", caller.name)]),
                ("aws:PrincipalTag/tenant_role", vec![format!("{}{}", prefix.rsplit('/').next().unwrap(), set(caller))]),
                ("aws:TagKeys", tags.iter().map(|(name, _)| name.trim_start_matches("aws:RequestTag/").to_owned()).collect()),
            ]
            .into();
            context.extend(tags.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])));
            ["sts:AssumeRole", "sts:TagSession"].iter().all(|action| {
                allows(&own(caller, true), action, &format!("{PREFIX}{role}"), &context) && allows(&trust, action, "", &context)
            })
        };
        let tenant = ("aws:RequestTag/tenant", OWN);
        assert!(may(function, PREFIX, &[tenant]), "{}", function.name);
        assert!(!may(function, PREFIX, &[]), "{}: no tag", function.name);
        assert!(!may(function, PREFIX, &[("aws:RequestTag/tenant", "usr_1")]), "{}: no tenant's", function.name);
        assert!(!may(function, PREFIX, &[tenant, ("aws:RequestTag/more", "x")]), "{}: another tag", function.name);
        assert!(!may(function, ELSEWHERE, &[tenant]), "{}: another deployment's", function.name);
        for other in functions.iter().filter(|other| set(other) != role) {
            assert!(!may(other, PREFIX, &[tenant]), "{} assumes the tenant role of {}", other.name, function.name);
        }
        let off = own(function, false);
        assert!(!allows(
            &off,
            "sts:AssumeRole",
            &format!("{PREFIX}{role}"),
            &[("aws:RequestTag/tenant", vec![OWN.to_owned()]), ("aws:TagKeys", vec!["tenant".to_owned()])].into()
        ));
    }
}

#[test]
fn each_function_gets_its_tenant_role_and_depends_on_it() {
    let text = fs::read_to_string(workspace::root().join("template.yaml")).unwrap();
    let nested = stack::Root::read(&text).unwrap();
    for domain in registry::DOMAINS {
        let functions: Vec<_> = function::all().into_iter().filter(|function| function.domain == domain.name).collect();
        let (_, resource) = nested.nested(domain.name, &functions);
        let awaited = resource.get("DependsOn").map(super::tests::texts).unwrap_or_default();
        assert_eq!(
            resource.get("Properties").unwrap().get("Parameters").unwrap().get("TenantSessions"),
            Some(&reference("TenantSessions"))
        );
        let stack: serde_norway::Value = serde_norway::from_str(&nested.stack(domain.name, &functions)).unwrap();
        for function in &functions {
            let told = Node::from_yaml(&stack["Resources"][function.logical()]["Properties"]["Environment"]).unwrap();
            let told = |on: bool| super::tests::texts(&decided(&told, on)).into_iter().map(str::to_owned).collect::<Vec<_>>();
            match tenant_credentials::logical(function) {
                Some(role) => {
                    assert!(awaited.contains(&role.as_str()), "{}", function.name);
                    let arn = told(true);
                    assert!(arn[0].to_lowercase().replace('-', "").ends_with(&role.to_lowercase()), "{arn:?}");
                    assert_eq!(told(false), ["none"]);
                }
                None => assert!(stack["Resources"][function.logical()]["Properties"]["Environment"].is_null()),
            }
        }
    }
}

/// IAM allows 2,048 characters of a trust policy without white space, 10,240 of a role's inline policies, and 64 of a name.
#[test]
fn tenant_roles_are_few_and_within_iams_quotas() {
    let roles: BTreeSet<_> = function::all().iter().filter_map(tenant_credentials::logical).collect();
    // Each role is a resource of the root template, which has room for 400.
    assert!((2..=100).contains(&roles.len()), "{} roles: is a capability too fine?", roles.len());
    let length = |node: &Node| super::tests::texts(node).iter().map(|text| text.len() + 3).sum::<usize>();
    for function in with_tables() {
        let (trust, role) = tenant_role(&function);
        assert!(length(&trust) + 600 < 2048 && length(&role) < 5000, "{}", function.name);
        assert!(length(&own(&function, true)) < 5000, "{}: {}", function.name, length(&own(&function, true)));
    }
}
