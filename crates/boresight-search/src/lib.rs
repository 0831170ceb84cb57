#![doc = include_str!("../README.md")]

mod cached;
mod error;
mod event;
mod folder;
mod joint;
mod journal;
mod pool;
mod record;
mod search;
mod shared;
mod steady;
mod stop;

pub use cached::Cached;
pub use error::{Damage, Error, Failure};
pub use event::{Origin, Report, SearchEvent};
pub use folder::{RunFolder, write_atomically};
pub use joint::{Bound, Joint, Limit, Limited};
pub use journal::{Contents, Journal, TornLine};
pub use record::{Event, FORMAT, Header, Record};
pub use search::{Search, Settings};
pub use shared::Shared;
pub use stop::Stop;
