fn main() -> std::process::ExitCode {
    common::lambda::tenant::<audit::endpoints::ListAuditEvents>()
}
