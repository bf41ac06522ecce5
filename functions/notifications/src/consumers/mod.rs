//! What this domain's queues run.

common::consumers! {
    deliver_notification::DeliverNotification,
    mail_feedback::MailFeedback,
    close_sockets::CloseSockets,
}
