fn main() -> std::process::ExitCode {
    common::lambda::authorizer::<identity::authorizer::CognitoAuthorizer>()
}
