//! Tests the messages that MiniStack delivers, and the pipes that it cannot run.

use serde_json::{Value, json};

use super::*;
use crate::http_client::{EVENTS, SECRETS, SQS};
use crate::{Dynamo, MiniStack, MiniStackOptions, Storage};

/// A ledger, a bus with a rule, a topic with a subscription, pipes, a secret, a domain for mail.
const TEMPLATE: &str = r#"
Parameters:
  Prefix: { Type: String, Default: here }
Globals:
  Function:
    Environment:
      Variables:
        QUEUES: !Sub "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/${Prefix}-"
        SECRET: !Ref Secret
        SOCKETS: !Sub "wss://${Sockets}.example"
        LEDGER: !Ref Ledger
Resources:
  Ledger:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub ${Prefix}-ledger
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
  Role: { Type: AWS::IAM::Role }
  Sockets: { Type: AWS::ApiGatewayV2::Api }
  Bus: { Type: AWS::Events::EventBus, Properties: { Name: !Sub "${Prefix}-events" } }
  Heard: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub "${Prefix}-heard" } }
  HeardDead: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub "${Prefix}-heard-dead" } }
  Woken:
    Type: AWS::SQS::Queue
    Properties: { QueueName: !Sub "${Prefix}-woken.fifo", FifoQueue: true, DeduplicationScope: messageGroup, FifoThroughputLimit: perMessageGroupId }
  Rule:
    Type: AWS::Events::Rule
    Properties:
      Name: !Sub ${Prefix}-heard
      EventBusName: !Ref Bus
      EventPattern: { source: [cloister], detail: { schema: [shipment.created] } }
      Targets:
        - Id: queue
          Arn: !GetAtt Heard.Arn
          DeadLetterConfig: { Arn: !GetAtt HeardDead.Arn }
          RetryPolicy: { MaximumRetryAttempts: 3 }
  Topic: { Type: AWS::SNS::Topic, Properties: { TopicName: !Sub "${Prefix}-feedback" } }
  Subscription:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Heard.Arn }
  Tell:
    Type: AWS::Pipes::Pipe
    Properties:
      Name: !Sub ${Prefix}-tell
      RoleArn: !GetAtt Role.Arn
      Source: !GetAtt Ledger.StreamArn
      SourceParameters:
        FilterCriteria: { Filters: [{ Pattern: '{"eventName":["INSERT"]}' }] }
        DynamoDBStreamParameters:
          { StartingPosition: TRIM_HORIZON, BatchSize: 10, MaximumRetryAttempts: 4, DeadLetterConfig: { Arn: !GetAtt HeardDead.Arn } }
      Target: !GetAtt Bus.Arn
      TargetParameters:
        EventBridgeEventBusParameters: { Source: cloister, DetailType: domain-event }
        InputTemplate: '{"schema": <$.dynamodb.NewImage.schema.S>}'
  Wake:
    Type: AWS::Pipes::Pipe
    Properties:
      Name: !Sub ${Prefix}-wake
      RoleArn: !GetAtt Role.Arn
      Source: !GetAtt Ledger.StreamArn
      SourceParameters: { DynamoDBStreamParameters: { StartingPosition: TRIM_HORIZON, BatchSize: 1 } }
      Target: !GetAtt Woken.Arn
      TargetParameters:
        SqsQueueParameters: { MessageGroupId: $.dynamodb.Keys.pk.S, MessageDeduplicationId: $.dynamodb.NewImage.wake.S }
        InputTemplate: '{"wake_up": <$.dynamodb.Keys.pk.S>}'
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties:
      Name: !Sub ${Prefix}/carrier
      GenerateSecretString: { SecretStringTemplate: '{"client_id":"nobody"}', GenerateStringKey: client_secret }
  Mail: { Type: AWS::SES::EmailIdentity, Properties: { EmailIdentity: mail.example, ConfigurationSetAttributes: { ConfigurationSetName: !Ref MailSet } } }
  MailSet: { Type: AWS::SES::ConfigurationSet, Properties: { Name: !Sub "${Prefix}-mail" } }
"#;

struct World {
    dynamo: Dynamo,
    ministack: MiniStack,
    client: Client,
}

impl World {
    fn start() -> Self {
        Self {
            dynamo: Dynamo::start(Storage::Memory).unwrap(),
            ministack: MiniStack::start(&MiniStackOptions::default()).unwrap(),
            client: Client::new(),
        }
    }

    async fn provision(&self, which: Which) -> Provisioned {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("template.yaml");
        std::fs::write(&file, TEMPLATE).unwrap();
        let other = (which == Which::Everything).then(|| self.ministack.endpoint());
        let endpoints = Endpoints { dynamodb: self.dynamo.endpoint(), kms: String::new(), other };
        provision(&Template::load(&file).unwrap(), &endpoints, which).await.unwrap()
    }

    async fn call(&self, service: crate::http_client::Service, action: &str, input: Value) -> Value {
        self.client.call(&self.ministack.endpoint(), service, action, &input).await.unwrap()
    }

    /// The body of the queue's one message, which may take a few seconds to arrive; it is deleted from the queue.
    async fn only_message(&self, url: &str) -> Value {
        let receive = json!({ "QueueUrl": url, "WaitTimeSeconds": 5, "MaxNumberOfMessages": 10 });
        let received = self.call(SQS, "ReceiveMessage", receive).await;
        let messages = received["Messages"].as_array().unwrap();
        assert_eq!(messages.len(), 1, "{received}");
        let handle = &messages[0]["ReceiptHandle"];
        self.call(SQS, "DeleteMessage", json!({ "QueueUrl": url, "ReceiptHandle": handle })).await;
        serde_json::from_str(messages[0]["Body"].as_str().unwrap()).unwrap()
    }

    fn stop(self) {
        self.ministack.stop().unwrap();
        self.dynamo.stop();
    }
}

#[tokio::test]
async fn bus_event_reaches_the_queues_of_matching_rules_only() {
    let world = World::start();
    let made = world.provision(Which::Everything).await;
    let entry = |schema: &str| {
        let detail = json!({ "schema": schema, "envelope": "{\"id\":\"evt_1\"}" }).to_string();
        json!({ "EventBusName": made.buses["Bus"], "Source": "cloister", "DetailType": "domain-event", "Detail": detail })
    };
    let put = world.call(EVENTS, "PutEvents", json!({ "Entries": [entry("shipment.voided"), entry("shipment.created")] })).await;
    assert_eq!(put["FailedEntryCount"], 0);
    let event = world.only_message(&made.queues_by_name["heard"]).await;
    assert_eq!(event["detail"]["schema"], "shipment.created");
    assert_eq!(event["detail"]["envelope"], "{\"id\":\"evt_1\"}");
    assert_eq!((&event["source"], &event["detail-type"]), (&"cloister".into(), &"domain-event".into()));
    world.stop();
}

#[tokio::test]
async fn topic_message_reaches_its_queue_in_snss_envelope() {
    let world = World::start();
    let made = world.provision(Which::Everything).await;
    let publish = [("Action", "Publish"), ("TopicArn", made.topics["Topic"].as_str()), ("Message", "{\"eventType\":\"Bounce\"}")];
    world.client.sns(&world.ministack.endpoint(), &publish, "MessageId").await.unwrap();
    let told = world.only_message(&made.queues_by_name["heard"]).await;
    assert_eq!((&told["Type"], &told["Message"]), (&"Notification".into(), &"{\"eventType\":\"Bounce\"}".into()));
    world.stop();
}

#[tokio::test]
async fn pipes_are_returned_with_resolved_properties() {
    let world = World::start();
    let made = world.provision(Which::Everything).await;
    let tell = Pipe {
        name: "here-tell".to_owned(),
        table: "here-ledger".to_owned(),
        filters: vec![json!({ "eventName": ["INSERT"] })],
        batch_size: 10,
        retries: Some(4),
        dead_letters: Some(made.queues["HeardDead"].clone()),
        input_template: r#"{"schema": <$.dynamodb.NewImage.schema.S>}"#.to_owned(),
        target: PipeTarget::Bus {
            name: "here-events".to_owned(),
            source: "cloister".to_owned(),
            detail_type: "domain-event".to_owned(),
        },
    };
    let wake = Pipe {
        name: "here-wake".to_owned(),
        table: "here-ledger".to_owned(),
        filters: vec![],
        batch_size: 1,
        retries: None,
        dead_letters: None,
        input_template: r#"{"wake_up": <$.dynamodb.Keys.pk.S>}"#.to_owned(),
        target: PipeTarget::Queue {
            url: made.queues_by_name["woken"].clone(),
            group: Some("$.dynamodb.Keys.pk.S".to_owned()),
            deduplication: Some("$.dynamodb.NewImage.wake.S".to_owned()),
        },
    };
    assert_eq!(made.pipes, [tell, wake]);
    world.stop();
}

/// On AWS functions use the queue's URL; MiniStack uses only the name at its end.
#[tokio::test]
async fn queue_is_reachable_by_its_aws_url() {
    let world = World::start();
    let made = world.provision(Which::Everything).await;
    let url = format!("{}woken.fifo", made.env["QUEUES"]);
    let send = |group: &str| json!({ "QueueUrl": url, "MessageBody": "{\"wake_up\":1}", "MessageGroupId": group, "MessageDeduplicationId": "slot" });
    for group in ["one", "one", "two"] {
        world.call(SQS, "SendMessage", send(group)).await;
    }
    let receive = json!({ "QueueUrl": made.queues["Woken"], "MaxNumberOfMessages": 10 });
    let received = world.call(SQS, "ReceiveMessage", receive).await;
    assert_eq!(received["Messages"].as_array().unwrap().len(), 2, "one a group: {received}");
    world.stop();
}

#[tokio::test]
async fn second_run_creates_nothing_and_keeps_the_secrets_value() {
    let world = World::start();
    let first = world.provision(Which::Everything).await;
    let id = json!({ "SecretId": first.env["SECRET"] });
    let before = world.call(SECRETS, "GetSecretValue", id.clone()).await;
    let value: Value = serde_json::from_str(before["SecretString"].as_str().unwrap()).unwrap();
    assert_eq!(value["client_id"], "nobody");
    assert_eq!(value["client_secret"].as_str().unwrap().len(), 32);
    let again = world.provision(Which::Everything).await;
    assert_eq!(world.call(SECRETS, "GetSecretValue", id).await["SecretString"], before["SecretString"]);
    assert_eq!((again.queues, again.env, again.topics, again.pipes), (first.queues, first.env, first.topics, first.pipes));
    world.stop();
}

#[tokio::test]
async fn environment_leaves_out_resources_that_are_not_created() {
    let world = World::start();
    let names = |made: &Provisioned| made.env.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&world.provision(Which::DataOnly).await), ["LEDGER", "QUEUES"]);
    assert_eq!(names(&world.provision(Which::Everything).await), ["LEDGER", "QUEUES", "SECRET"]);
    world.stop();
}
