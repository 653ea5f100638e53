//! OwnTracks over HTTP: a phone tells where it is.
//!
//! In: `POST /device-events`, JSON as <https://owntracks.org/booklet/tech/json/> and `/tech/http/` describe it, with
//! HTTP Basic: any user name (the device's name), a device token as the password.
//! Out: a raw record, a Device, a Reading, and `device.PositionReported` that occurred when the fix was taken.
//! Invariant: the answer is `[]` whenever the report was kept, understood or not, since the app sends again whatever
//! was refused; only a wrong token (401), a body over the limit (413) and an absent database (503) are.
//! Begin with [`report`] (what a body means), then [`take_in`].

mod credentials;
mod http;
mod report;
mod retry;
mod take_in;

pub(crate) use http::{REFUSALS_PER_SOURCE_MAX, refused, routes, sender};
pub(crate) use retry::routes as retry_routes;
