//! The system domain's endpoints.

common::endpoints! {
    public health::Health,
    tenant ready::Ready,
    public openapi::Openapi,
}
