fn main() -> std::process::ExitCode {
    common::lambda::tenant::<system::endpoints::Ready>()
}
