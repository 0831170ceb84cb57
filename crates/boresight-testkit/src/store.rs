//! Laws of stores.

use boresight_core::Store;
use std::fmt::Debug;

/// Laws of a store: replaying gives every record in the order of appending, and does not consume them.
///
/// `store` may hold records already.
///
/// # Panics
/// With the name of the first law that is broken, or when the store returns an error.
#[track_caller]
pub fn store_laws<R, T>(store: &mut T, records: &[R])
where
    R: Clone + PartialEq + Debug,
    T: Store<R> + ?Sized,
    T::Error: Debug,
{
    let mut expected = replayed(store);
    for record in records {
        append(store, record);
        expected.push(record.clone());
        assert_eq!(replayed(store), expected, "records come back in the order of appending: broken");
    }
    assert_eq!(replayed(store), expected, "replaying does not consume records: broken");
}

/// Laws of a store that outlives its handle, on top of [`store_laws`]: what was appended is there after reopening.
///
/// `open` opens the same store each time; no two handles are alive at once.
///
/// # Panics
/// With the name of the first law that is broken, or when the store returns an error.
#[track_caller]
pub fn durable_store_laws<R, T>(mut open: impl FnMut() -> T, records: &[R])
where
    R: Clone + PartialEq + Debug,
    T: Store<R>,
    T::Error: Debug,
{
    let mut expected = replayed(&mut open());
    for record in records {
        append(&mut open(), record);
        expected.push(record.clone());
        assert_eq!(replayed(&mut open()), expected, "records survive reopening: broken");
    }
    store_laws(&mut open(), records);
}

#[track_caller]
fn append<R, T: Store<R> + ?Sized>(store: &mut T, record: &R)
where
    R: Debug,
    T::Error: Debug,
{
    if let Err(error) = store.append(record) {
        panic!("a store takes records: broken, {record:?} is refused: {error:?}");
    }
}

#[track_caller]
fn replayed<R, T: Store<R> + ?Sized>(store: &mut T) -> Vec<R>
where
    T::Error: Debug,
{
    match store.replay() {
        Ok(records) => records,
        Err(error) => panic!("a store replays what it took: broken: {error:?}"),
    }
}
