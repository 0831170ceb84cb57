//! Files with anything in them never make the reader panic.
//!
//! `cargo run --profile test -p boresight-deploy --example fuzz_onnx -- MINUTES SEED` does the same for as long as one likes.

use super::mutation::mutated;
use super::reading::{attempt, corpus};
use boresight_core::Seed;
use proptest::prelude::*;

#[test]
fn damaged_files_are_read_or_refused() {
    let corpus = corpus();
    let mut stream = Seed::new(1).stream();
    let read = (0..4000)
        .filter(|_| {
            let [file, other] = [0, 1].map(|_| &corpus[stream.below(corpus.len())]);
            attempt(&mutated(file, other, &mut stream))
        })
        .count();
    // Where all or nothing is read, the damage is too small or too large to say anything.
    assert!((400..3600).contains(&read), "{read} of 4000 were read");
}

#[test]
fn the_corpus_itself_is_read_or_refused() {
    for file in corpus() {
        attempt(&file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_of_any_kind_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!attempt(&bytes));
    }
}
