fn main() -> std::process::ExitCode {
    common::lambda::schedule::<shipments::schedules::ScheduleTracking>()
}
