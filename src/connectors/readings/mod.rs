//! Readings of any kind: a temperature, a battery, whether somebody is in.
//!
//! In: `POST /api/v1/readings` with a device token (HTTP Basic, as for positions) or a bearer token, and
//! `PUT /api/v1/state/{key}` for the owner.
//! Out: a raw record, a Reading, and `device.ReadingReported` that occurred when the reading was taken.
//! Invariant: what is malformed is refused with what would be right, and nothing of it is kept; the same reading a
//! second time changes nothing.
//! Begin with [`report`] (what is accepted), then [`take_in`].

mod http;
mod report;
mod take_in;

pub(crate) use http::{api_routes, public_routes};
