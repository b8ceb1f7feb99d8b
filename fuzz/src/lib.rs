//! What the fuzz targets judge estd by: second opinions that share no code with it.

pub mod possession;
pub mod tlv;
