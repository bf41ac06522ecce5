fn main() -> std::process::ExitCode {
    common::lambda::socket::<notifications::sockets::Disconnect>()
}
