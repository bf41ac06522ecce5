fn main() -> std::process::ExitCode {
    common::lambda::schedule::<notifications::schedules::SendDigests>()
}
