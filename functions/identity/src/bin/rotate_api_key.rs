fn main() -> std::process::ExitCode {
    common::lambda::tenant::<identity::endpoints::RotateApiKey>()
}
