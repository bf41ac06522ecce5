fn main() -> std::process::ExitCode {
    common::lambda::platform::<organizations::endpoints::SuspendOrganization>()
}
