//! What is journaled must come back as it was.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Panics unless `value` survives JSON text unchanged; `what` names it in the message.
#[track_caller]
pub(crate) fn survives_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(what: &str, value: &T) {
    let text = match serde_json::to_string(value) {
        Ok(text) => text,
        Err(error) => panic!("{what} survives JSON: {value:?} cannot be written: {error}"),
    };
    match serde_json::from_str::<T>(&text) {
        Ok(read) => assert_eq!(&read, value, "{what} survives JSON: {text} reads differently"),
        Err(error) => panic!("{what} survives JSON: {text} cannot be read: {error}"),
    }
}
