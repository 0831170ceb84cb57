//! Where records of a search are kept.

use std::convert::Infallible;

/// An append-only sequence of records.
pub trait Store<R> {
    /// Why a record could not be kept or read.
    type Error;

    /// Adds one record; when this returns, the record survives a crash (as far as the store can promise it).
    ///
    /// # Errors
    /// When the record could not be kept.
    fn append(&mut self, record: &R) -> Result<(), Self::Error>;

    /// All records in the order in which they were appended.
    ///
    /// # Errors
    /// When what is stored is damaged.
    fn replay(&mut self) -> Result<Vec<R>, Self::Error>;
}

/// A store that forgets everything when it is dropped; for tests and short searches.
#[derive(Clone, Debug, Default)]
pub struct Memory<R>(Vec<R>);

impl<R> Memory<R> {
    /// An empty store.
    pub const fn new() -> Self {
        Self(Vec::new())
    }
}

impl<R: Clone> Store<R> for Memory<R> {
    type Error = Infallible;

    fn append(&mut self, record: &R) -> Result<(), Self::Error> {
        self.0.push(record.clone());
        Ok(())
    }

    fn replay(&mut self) -> Result<Vec<R>, Self::Error> {
        Ok(self.0.clone())
    }
}
