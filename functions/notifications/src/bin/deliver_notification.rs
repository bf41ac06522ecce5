fn main() -> std::process::ExitCode {
    common::lambda::consumer::<notifications::consumers::DeliverNotification>()
}
