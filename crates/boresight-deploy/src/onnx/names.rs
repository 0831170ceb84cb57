//! Names that are used once.

use std::collections::BTreeMap;

/// Names that are taken, each with the number that the next one like it is tried with.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, usize>);

impl Names {
    /// `wanted`, or `wanted` with a number that makes it new.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while self.0.contains_key(&name) {
            // Tried numbers are not tried again: a file may have every name a hundred thousand times.
            let number = self.0.get_mut(wanted).map_or(2, |next| std::mem::replace(next, *next + 1));
            name = format!("{wanted}_{number}");
        }
        self.0.insert(name.clone(), 2);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        let wanted = ["a", "a", "a_3", "a", "a", "b"];
        assert_eq!(wanted.map(|name| names.fresh(name)), ["a", "a_2", "a_3", "a_4", "a_5", "b"]);
    }
}
