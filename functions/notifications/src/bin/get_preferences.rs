fn main() -> std::process::ExitCode {
    common::lambda::tenant::<notifications::endpoints::GetPreferences>()
}
