//! The domain's queue consumers, one a file.

common::consumers! {
    deliver_notification::DeliverNotification,
    mail_feedback::MailFeedback,
    close_sockets::CloseSockets,
}
