//! The functions for connecting, disconnecting and client frames.

common::sockets! {
    connect::Connect,
    disconnect::Disconnect,
    message::Message,
}
