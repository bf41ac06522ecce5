fn main() -> std::process::ExitCode {
    common::lambda::consumer::<system::consumers::SettleOutbox>()
}
