//! Puts the messages that waited during a tenant's suspension back into their queues.

use crate::domain::OrganizationReactivated;
use common::{
    background::{Background, Consumer, Delivery, Feed, Incoming, Queue},
    base::{Need, Result},
};

#[derive(Debug)]
pub struct ReleaseMessages;

impl Background for ReleaseMessages {
    const NAME: &'static str = "release_messages";
    const SUMMARY: &'static str = "Put messages that waited for a suspended tenant back into their queues";
    const NEEDS: &'static [Need] = &[Need::Waiting];
    const TIMEOUT_SECS: u16 = 300;
    const WAITS: bool = false;
    type Part = ();

    async fn handle(_: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        Ok(())
    }

    async fn after(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        let released = cx.release_waiting().await?;
        cx.log("messages.released", released);
        Ok(())
    }
}

impl Consumer for ReleaseMessages {
    const QUEUE: Queue = Queue { batch: 1, ..Queue::new("release-messages", Feed::Events) };
    type Message = OrganizationReactivated;

    async fn parts(cx: &Incoming<'_, Self>, _: OrganizationReactivated) -> Result<Vec<()>> {
        cx.about("Organization", cx.tenant());
        Ok(vec![()])
    }
}
