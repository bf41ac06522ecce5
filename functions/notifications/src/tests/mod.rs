//! Tests across the domain's parts.

mod counting;
mod delivery;
mod digests;
mod feedback;
mod later_versions;
mod preferences;
mod sockets;
mod tickets;
