//! What runs when a client comes, goes or says something.

common::sockets! {
    connect::Connect,
    disconnect::Disconnect,
    message::Message,
}
