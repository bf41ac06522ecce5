fn main() -> std::process::ExitCode {
    common::lambda::schedule::<system::schedules::SweepOutbox>()
}
