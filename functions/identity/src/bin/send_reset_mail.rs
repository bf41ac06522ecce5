fn main() -> std::process::ExitCode {
    common::lambda::consumer::<identity::consumers::SendResetMail>()
}
