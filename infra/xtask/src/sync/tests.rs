use super::{function::Serves, yaml::Node, *};
use common::base::Need;
use std::{collections::BTreeSet, sync::LazyLock};

/// Our bounds for the template and the stacks; CloudFormation allows 500 resources and 1 MB.
const MOST_RESOURCES: usize = 400;
const MOST_BYTES: usize = 800 * 1024;

pub(super) struct Template {
    pub(super) name: String,
    text: String,
    pub(super) resources: Vec<(String, Node)>,
}

/// Planned once for all tests.
static PLAN: LazyLock<BTreeMap<PathBuf, String>> = LazyLock::new(|| plan(&workspace::root()).unwrap());

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let templates = PLAN.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "yaml"));
    let read = templates.map(|(path, text)| {
        let yaml: serde_norway::Value = serde_norway::from_str(text).unwrap();
        let resources = Node::from_yaml(&yaml["Resources"]).unwrap().members().to_vec();
        Template { name: path.display().to_string(), text: text.clone(), resources }
    });
    read.collect()
});

pub(super) fn templates() -> &'static [Template] {
    &TEMPLATES
}

fn kind(resource: &Node) -> &str {
    match resource.get("Type") {
        Some(Node::Text(kind)) => kind,
        _ => "",
    }
}

/// Every text in a value, at any depth.
pub(super) fn texts(node: &Node) -> Vec<&str> {
    match node {
        Node::Text(text) | Node::Block(text) => vec![text],
        Node::Plain(_) => vec![],
        Node::List(items) => items.iter().flat_map(texts).collect(),
        Node::Map(members) => members.iter().flat_map(|(_, value)| texts(value)).collect(),
        Node::Tag(_, inner) => texts(inner),
    }
}

/// Every IAM statement of a resource that allows an action: its actions and resources.
fn statements(resource: &Node) -> Vec<(Vec<String>, Vec<String>)> {
    fn walk(node: &Node, out: &mut Vec<(Vec<String>, Vec<String>)>) {
        let owned = |name: &str| node.get(name).map(|n| texts(n).into_iter().map(str::to_owned).collect()).unwrap_or_default();
        if node.get("Effect") == Some(&"Allow".into()) && node.get("Principal").is_none() {
            out.push((owned("Action"), owned("Resource")));
        }
        match node {
            Node::List(items) => items.iter().for_each(|item| walk(item, out)),
            Node::Map(members) => members.iter().for_each(|(_, value)| walk(value, out)),
            Node::Tag(_, inner) => walk(inner, out),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(resource, &mut out);
    out
}

fn actions_of(name: &str) -> BTreeSet<String> {
    let function = function::all().into_iter().find(|function| function.name == name).unwrap();
    let role = iam::statements(&function);
    statements(&role).into_iter().flat_map(|(actions, _)| actions).collect()
}

#[test]
fn every_committed_file_is_as_sync_writes_it() {
    let stale: Vec<_> = stale(&workspace::root()).unwrap().into_keys().collect();
    assert!(stale.is_empty(), "stale: {stale:?}: run `cargo xtask sync`");
}

#[test]
fn sync_is_idempotent() {
    let root = workspace::root();
    let manifest = fs::read_to_string(root.join("functions/system/Cargo.toml")).unwrap();
    let own: Vec<_> = function::all().into_iter().filter(|function| function.domain == "system").collect();
    let once = manifest::with_bins(&manifest, &own).unwrap();
    assert_eq!(manifest::with_bins(&once, &own).unwrap(), once);
    assert!(once.contains("autobins = false") && once.contains("name = \"health\"\ntest = false"), "{once}");
}

#[test]
fn no_template_nears_the_bounds_of_cloudformation() {
    for template in templates() {
        // As SAM expands them: a function with its own role and no events stays one resource.
        let expands = |resource: &Node| match kind(resource) {
            "AWS::Serverless::Function" => {
                let properties = resource.get("Properties").unwrap();
                assert!(properties.get("Role").is_some() && properties.get("Events").is_none(), "{}", template.name);
                1
            }
            serverless if serverless.starts_with("AWS::Serverless::") => panic!("{serverless}: add its expansion here"),
            _ => 1,
        };
        let count: usize = template.resources.iter().map(|(_, resource)| expands(resource)).sum();
        assert!(count <= MOST_RESOURCES, "{}: {count} resources", template.name);
        assert!(template.text.len() <= MOST_BYTES, "{}: {} bytes", template.name, template.text.len());
    }
}

#[test]
fn every_function_has_a_resource_a_role_and_an_event() {
    let templates = templates();
    for function in function::all() {
        let stack = templates.iter().find(|t| t.name == format!("infra/stacks/{}.yaml", function.domain)).unwrap();
        let resource =
            |name: &str| stack.resources.iter().find(|(logical, _)| logical == name).map(|(_, resource)| resource).unwrap();
        let properties = resource(&function.logical()).get("Properties").unwrap();
        assert_eq!(properties.get("Role"), Some(&yaml::attribute(&format!("{}Role.Arn", function.logical()))));
        assert_eq!(properties.get("FunctionName"), Some(&yaml::sub(format!("${{Prefix}}-{}", function.name))));
        assert_eq!(kind(resource(&format!("{}Role", function.logical()))), "AWS::IAM::Role");
        assert!(PLAN.contains_key(Path::new(&format!("events/{}.json", function.name))));
        assert!(PLAN.contains_key(Path::new(&format!("functions/{}/src/bin/{}.rs", function.domain, function.name))));
    }
}

#[test]
fn no_two_functions_share_a_name_or_a_route() {
    let mut names = BTreeSet::new();
    assert!(registry::names().all(|name| names.insert(name)));
    let mut routes = BTreeSet::new();
    assert!(registry::all().all(|endpoint| routes.insert(endpoint.route)));
}

#[test]
fn no_statement_allows_all_actions_or_a_scan() {
    let templates = templates();
    let roles = templates.iter().flat_map(|t| &t.resources).filter(|(_, resource)| kind(resource) == "AWS::IAM::Role");
    let mut seen = 0;
    for (name, role) in roles {
        for (actions, resources) in statements(role) {
            seen += 1;
            for action in &actions {
                assert!(!action.contains('*') && !action.contains("Scan") && !action.contains("PartiQL"), "{name}: {action}");
            }
            // X-Ray has no resources, and a key has no name before it is created; every other statement names its resources.
            let nameless = |action: &str| action.starts_with("xray:") || action == "kms:CreateKey";
            assert!(!resources.iter().any(|r| r == "*") || actions.iter().all(|action| nameless(action)), "{name}: {actions:?}");
        }
    }
    assert!(seen > registry::all().count(), "the walk found statements");
}

#[test]
fn role_grants_what_its_function_declares_and_no_more() {
    let writes = ["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"];
    for function in function::all() {
        let actions = actions_of(function.name);
        if let Serves::Endpoint(endpoint) = function.serves
            && !registry::is_public(endpoint)
        {
            let all = writes.iter().all(|write| actions.contains(*write));
            assert!(!all || function.needs(Need::Write), "{}: {actions:?}", function.name);
        }
        let signs_in = actions.iter().any(|action| action.ends_with("Auth") || action.ends_with("AuthChallenge"));
        assert_eq!(signs_in, function.needs(Need::SignIn), "{}", function.name);
        let signs = actions.contains("kms:Sign");
        assert_eq!(signs, function.needs(Need::SignLog), "{}", function.name);
        let capabilities = [("secretsmanager:GetSecretValue", Need::Carrier), ("ses:SendEmail", Need::Mail)];
        for (action, need) in capabilities {
            assert_eq!(actions.contains(action), function.needs(need), "{}: {action}", function.name);
        }
        // A connection that has ended gets no message.
        let pushes = function.needs(Need::Push) && function.name != "disconnect";
        assert_eq!(actions.contains("execute-api:ManageConnections"), pushes, "{}", function.name);
        let writes_segments = function.needs(Need::SealLog) || function.needs(Need::SignLog);
        assert_eq!(actions.contains("s3:PutObject"), writes_segments, "{}", function.name);
        let deletes = actions.iter().any(|a| a.starts_with("s3:Delete") || a.starts_with("s3:Bypass"));
        assert!(!deletes, "{}: {actions:?}", function.name);
    }
    // The authorizer reads one item, counts refusals and consumes tickets; it uses no key.
    let authorizer: Vec<_> = actions_of("authorizer").into_iter().filter(|a| a.starts_with("dynamodb:")).collect();
    assert_eq!(authorizer, ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"]);
}

/// A key at rest is used through the service that stores the encrypted data; a tenant's key unwraps for a purpose; and the log's
/// key signs raw bytes with one algorithm.
#[test]
fn no_key_is_used_without_a_condition() {
    for function in function::all() {
        let Node::List(statements) = iam::statements(&function) else { panic!("statements are a list") };
        for statement in statements {
            let actions = statement.get("Action").map(texts).unwrap_or_default();
            let uses = actions.iter().any(|action| action.starts_with("kms:") && *action != "kms:GetPublicKey");
            assert!(!uses || statement.get("Condition").is_some(), "{}: {actions:?}", function.name);
        }
    }
}

#[test]
fn functions_send_to_directly_filled_queues_and_receive_from_their_own() {
    let queues = |function: &str, sid: &str| {
        let function = function::all().into_iter().find(|f| f.name == function).unwrap();
        let Node::List(statements) = iam::statements(&function) else { panic!("statements are a list") };
        let statement = statements.into_iter().find(|statement| statement.get("Sid") == Some(&sid.into())).unwrap();
        let named = |arn: &str| arn.rsplit("${Prefix}-").next().unwrap().to_owned();
        statement.get("Resource").map(texts).unwrap().into_iter().map(named).collect::<Vec<_>>()
    };
    assert_eq!(queues("schedule_tracking", "PutMessages"), ["poll-tracking"]);
    assert_eq!(queues("poll_tracking", "TakeMessages"), ["poll-tracking"]);
    assert_eq!(queues("seal_audit", "TakeMessages"), ["seal-audit.fifo"]);
}

#[test]
fn function_without_data_has_no_statement_about_data() {
    for function in ["health", "pre_token_generation"] {
        let actions = actions_of(function);
        assert!(actions.iter().all(|a| a.starts_with("logs:") || a.starts_with("xray:")), "{function}: {actions:?}");
    }
}

#[test]
fn endpoints_without_sign_in_are_exactly_these() {
    let public: Vec<_> = registry::all()
        .filter(|e| registry::is_public(e))
        .map(|e| format!("{} {}", e.route.method.as_str(), e.route.path))
        .collect();
    assert_eq!(
        public,
        [
            "POST /v1/auth/login",
            "POST /v1/auth/challenge",
            "POST /v1/auth/refresh",
            "POST /v1/auth/password/forgot",
            "POST /v1/auth/password/reset",
            "POST /v1/webhooks/ups",
            "POST /v1/webhooks/ups/token",
            "GET /v1/health",
            "GET /v1/openapi.json"
        ],
        "review each change of this list"
    );
}

#[test]
fn gateway_authorizes_every_other_route() {
    let templates = templates();
    let root = templates.iter().find(|t| t.name == "template.yaml").unwrap();
    let api = root.resources.iter().find(|(name, _)| name == "Api").map(|(_, api)| api).unwrap();
    let paths = api.get("Properties").and_then(|p| p.get("Body")).and_then(|b| b.get("paths")).unwrap();
    for endpoint in registry::all() {
        let operation =
            paths.get(endpoint.route.path).and_then(|p| p.get(&endpoint.route.method.as_str().to_lowercase())).unwrap();
        assert_eq!(operation.get("security").is_some(), !registry::is_public(endpoint), "{}", endpoint.name);
        let preflight = paths.get(endpoint.route.path).and_then(|p| p.get("options")).unwrap();
        assert!(preflight.get("security").is_none(), "{}", endpoint.name);
    }
}

#[test]
fn domain_stacks_get_the_environment_that_the_root_declares() {
    let templates = templates();
    let variables = |template: &Template| {
        let yaml: serde_norway::Value = serde_norway::from_str(&template.text).unwrap();
        let variables = yaml["Globals"]["Function"]["Environment"]["Variables"].as_mapping().unwrap();
        variables.keys().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let root = templates.iter().find(|t| t.name == "template.yaml").unwrap();
    for stack in templates.iter().filter(|t| t.name != root.name) {
        assert_eq!(variables(stack), variables(root), "{}", stack.name);
    }
}
