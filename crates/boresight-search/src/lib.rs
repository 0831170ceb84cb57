#![doc = include_str!("../README.md")]

mod cached;
mod error;
mod event;
mod folder;
mod journal;
mod pool;
mod record;
mod search;
mod steady;
mod stop;

pub use cached::Cached;
pub use error::{Damage, Error, Failure};
pub use event::{Origin, Report, SearchEvent};
pub use folder::{RunFolder, write_atomically};
pub use journal::{Contents, Journal, TornLine};
pub use record::{Event, FORMAT, Header, Record};
pub use search::{Search, Settings};
pub use stop::Stop;
