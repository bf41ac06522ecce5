//! The identity domain's endpoints.

common::endpoints! {
    public login::Login,
    public challenge::Challenge,
    public refresh::Refresh,
    tenant logout::Logout,
    tenant me::Me,
}
