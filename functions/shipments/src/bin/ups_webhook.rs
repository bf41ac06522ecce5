fn main() -> std::process::ExitCode {
    common::lambda::public::<shipments::endpoints::UpsWebhook>()
}
