fn main() -> std::process::ExitCode {
    common::lambda::schedule::<identity::schedules::ExpireSessions>()
}
