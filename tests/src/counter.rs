//! A consumer for tests only. It counts the events that it receives, so that a lost message and one handled twice show.

use common::{
    background::{AnyConsumer, Background, Consumer, Delivery, Feed, Incoming, Part, Queue, WakeUp},
    base::{Error, Need, Result},
    store::{Condition, Edit, Event, Item, Key},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The part of a new shipment's event that it reads.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CounterEvent {
    shipment_id: String,
}

impl Event for CounterEvent {
    const SCHEMA: &'static str = "shipment.created";
}

/// Each event has two parts: one counts, the other publishes that.
#[derive(Debug)]
pub enum Half {
    Counts(String),
    Tells(String),
}

impl Part for Half {
    fn name(&self) -> String {
        match self {
            Self::Counts(_) => "counts".to_owned(),
            Self::Tells(_) => "tells".to_owned(),
        }
    }
}

/// The event that it publishes for each shipment that it has counted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    shipment_id: String,
}

impl Event for Counted {
    const SCHEMA: &'static str = "test.counted";
}

#[derive(Debug)]
pub struct Counter;

/// The key of the count.
pub fn count_key() -> Key {
    Key::new("COUNT", "SHIPMENTS")
}

impl Background for Counter {
    const NAME: &'static str = "counter";
    const SUMMARY: &'static str = "Counts shipments";
    const NEEDS: &'static [Need] = &[Need::Write];
    type Part = Half;

    async fn handle(cx: &mut Delivery<'_, Self>, half: &Half) -> Result<()> {
        match half {
            Half::Counts(shipment) => {
                // This condition fails when the event is handled a second time. The pipeline must notice the repeat before that.
                let once = Item::new(Key::new(format!("COUNTED#{shipment}"), "ONCE"));
                cx.changes().create(once, Error::conflict("counted", "it is counted already"));
                let edit =
                    Edit::of(count_key()).add("count", 1).when(Condition::Any(vec![Condition::Absent, Condition::Present]));
                cx.changes().edit(edit, Error::internal("count"));
                cx.touched("Shipment", shipment);
            }
            Half::Tells(shipment) => cx.changes().emit(Counted { shipment_id: shipment.clone() }.into()),
        }
        Ok(())
    }
}

impl Consumer for Counter {
    const QUEUE: Queue = Queue::new("counter", Feed::Events);
    type Message = CounterEvent;

    async fn parts(cx: &Incoming<'_, Self>, CounterEvent { shipment_id }: CounterEvent) -> Result<Vec<Half>> {
        cx.about("Shipment", &shipment_id);
        Ok(vec![Half::Counts(shipment_id.clone()), Half::Tells(shipment_id)])
    }
}

/// Panics at every wake-up but the platform's.
#[derive(Debug)]
pub struct Sleeper;

impl Background for Sleeper {
    const NAME: &'static str = "sleeper";
    const SUMMARY: &'static str = "Fails";
    type Part = ();
    async fn handle(cx: &mut Delivery<'_, Self>, (): &()) -> Result<()> {
        if cx.tenant() == common::base::TenantId::PLATFORM { Ok(()) } else { panic!("a panic's message, which nobody may see") }
    }
}

impl Consumer for Sleeper {
    const QUEUE: Queue = Queue::new("sleeper", Feed::WakeUps);
    type Message = WakeUp;
    async fn parts(_: &Incoming<'_, Self>, _: WakeUp) -> Result<Vec<()>> {
        Ok(vec![()])
    }
}

pub static COUNTER: AnyConsumer = AnyConsumer::of::<Counter>("suite", "Counter");
pub static SLEEPER: AnyConsumer = AnyConsumer::of::<Sleeper>("suite", "Sleeper");
