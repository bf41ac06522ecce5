fn main() -> std::process::ExitCode {
    common::lambda::tenant::<shipments::endpoints::RefreshShipment>()
}
