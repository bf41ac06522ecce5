fn main() -> std::process::ExitCode {
    common::lambda::consumer::<organizations::consumers::StopOrganization>()
}
