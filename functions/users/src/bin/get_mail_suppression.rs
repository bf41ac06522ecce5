fn main() -> std::process::ExitCode {
    common::lambda::tenant::<users::endpoints::GetMailSuppression>()
}
