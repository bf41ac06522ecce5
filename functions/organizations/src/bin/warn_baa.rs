fn main() -> std::process::ExitCode {
    common::lambda::schedule::<organizations::schedules::WarnBaa>()
}
