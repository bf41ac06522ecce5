//! The socket API's routes. Answers to clients go through the management API, so no route has a response.

use super::{
    function::pascal,
    yaml::{Node, attribute, map, reference, sub},
};
use common::{background::AnySocket, request::SocketRoute};

pub(crate) fn resources() -> String {
    let resources: Vec<_> = registry::sockets().flat_map(of_route).collect();
    if resources.is_empty() { String::new() } else { Node::Map(resources).write(2) }
}

fn of_route(socket: &AnySocket) -> [(String, Node); 2] {
    let name = format!("Socket{}", pascal(socket.name));
    let integration = map! {
        "Type" => "AWS::ApiGatewayV2::Integration",
        "Properties" => map! {
            "ApiId" => reference("SocketApi"),
            "IntegrationType" => "AWS_PROXY",
            "IntegrationMethod" => "POST",
            "IntegrationUri" => sub(format!(
                "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{Prefix}}-{}/invocations",
                socket.name,
            )),
            "CredentialsArn" => attribute("ApiInvokeRole.Arn"),
            // One second more than the function's timeout.
            "TimeoutInMillis" => (u32::from(socket.timeout_secs) + 1) * 1000,
        },
    };
    let mut route = vec![
        ("ApiId".to_owned(), reference("SocketApi")),
        ("RouteKey".to_owned(), socket.route_key.into()),
        ("OperationName".to_owned(), socket.name.into()),
        ("Target".to_owned(), sub(format!("integrations/${{{name}Integration}}"))),
    ];
    if socket.route == SocketRoute::Connect {
        route.push(("AuthorizationType".to_owned(), "CUSTOM".into()));
        route.push(("AuthorizerId".to_owned(), reference("SocketAuthorizer")));
    } else {
        // The connect request was authorized; later messages are on the same connection.
        route.push(("AuthorizationType".to_owned(), "NONE".into()));
    }
    let route = map! { "Type" => "AWS::ApiGatewayV2::Route", "Properties" => Node::Map(route) };
    [(format!("{name}Integration"), integration), (format!("{name}Route"), route)]
}
