fn main() -> std::process::ExitCode {
    common::lambda::consumer::<users::consumers::MirrorUser>()
}
