fn main() -> std::process::ExitCode {
    common::lambda::public::<system::endpoints::Health>()
}
