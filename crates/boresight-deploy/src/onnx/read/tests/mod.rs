//! What is refused, and how it is called.

mod files;
mod hostile;
mod refusals;
