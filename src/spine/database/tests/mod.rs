//! Stories about a whole database: the private server, and what each role may do on a shared one.

mod external;
mod private;
mod shared;
