//! A promise that a record is durable.
