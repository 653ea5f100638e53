//! Stories of what is planned and told, on a clock that stands still and a real database.

mod links;
mod moments;
mod recurring;
mod routes;
mod schedules;
mod sources;
mod world;
