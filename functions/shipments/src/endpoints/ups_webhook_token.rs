//! Issues UPS the token that its pushes present.

use common::{
    base::{Need, Result},
    capabilities::{CarrierToken, TokenRequest},
    request::{Data, IdempotencyKey, Operation, PerNetwork, Public, PublicEndpoint, Route, Sample},
    store::RateLimit,
};

#[derive(Debug)]
pub struct UpsWebhookToken;

impl Operation for UpsWebhookToken {
    const NAME: &'static str = "ups_webhook_token";
    const SUMMARY: &'static str = "Issue UPS a token for its pushes, by OAuth 2.0 client credentials";
    const ROUTE: Route = Route::post("/v1/webhooks/ups/token");
    const DATA: Data = Data::NoPhi;
    const NEEDS: &'static [Need] = &[Need::Carrier];
    const LIMIT: RateLimit = RateLimit::WEBHOOK;
    const IDEMPOTENCY: IdempotencyKey = IdempotencyKey::Ignored;
    const SAMPLE: Sample = Sample::NONE;
    type Input = TokenRequest;
    type Output = CarrierToken;
}

impl PublicEndpoint for UpsWebhookToken {
    const PER_NETWORK: PerNetwork = PerNetwork::Requests(RateLimit::WEBHOOK);

    async fn handle(cx: &mut Public<'_, Self>, request: TokenRequest) -> Result<CarrierToken> {
        cx.admit_carrier(&request).await
    }
}
