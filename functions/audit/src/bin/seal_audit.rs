fn main() -> std::process::ExitCode {
    common::lambda::consumer::<audit::consumers::SealAudit>()
}
