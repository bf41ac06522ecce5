fn main() -> std::process::ExitCode {
    common::lambda::batch::<shipments::endpoints::CreateShipments>()
}
