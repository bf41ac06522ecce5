//! The domain's endpoints, one a file.

use crate::domain::ShipmentId;
use common::request::PathId;

common::endpoints! {
    tenant create_shipment::CreateShipment,
    tenant get_shipment::GetShipment,
    tenant list_shipments::ListShipments,
    tenant search_shipments::SearchShipments,
    tenant update_shipment::UpdateShipment,
    tenant void_shipment::VoidShipment,
    batch create_shipments::CreateShipments,
    tenant list_shipment_events::ListShipmentEvents,
    tenant refresh_shipment::RefreshShipment,
    public ups_webhook::UpsWebhook,
    public ups_webhook_token::UpsWebhookToken,
}

impl PathId for ShipmentId {
    const NAME: &'static str = "shipment_id";
}

#[cfg(test)]
pub(crate) mod fixture;
