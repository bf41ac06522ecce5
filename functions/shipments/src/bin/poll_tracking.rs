fn main() -> std::process::ExitCode {
    common::lambda::consumer::<shipments::consumers::PollTracking>()
}
