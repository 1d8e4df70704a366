//! What drivers share: links, transcripts, the `Driver` trait, the registry.

pub mod link;
