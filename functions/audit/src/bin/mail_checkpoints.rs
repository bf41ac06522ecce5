fn main() -> std::process::ExitCode {
    common::lambda::schedule::<audit::schedules::MailCheckpoints>()
}
