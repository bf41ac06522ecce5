//! Journeys: what happens between the files.

mod counting;
mod delivery;
mod digests;
mod feedback;
mod preferences;
mod sockets;
mod tickets;
