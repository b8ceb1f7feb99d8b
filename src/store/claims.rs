//! At most one answer to a request at a time, whichever store remembers it.
