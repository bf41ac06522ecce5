fn main() -> std::process::ExitCode {
    common::lambda::public::<identity::endpoints::ResetPassword>()
}
