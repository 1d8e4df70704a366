//! Exchanges whose reply is decoded before the line is trusted again.

use super::{
    LinkError,
    bytes::{ByteLink, Exchange, Frame},
};
use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

/// Why a question was not answered.
#[derive(Debug)]
pub enum QueryError<E> {
    /// The link failed.
    Link(LinkError),
    /// A complete reply arrived that is not a valid reply to this request.
    Reply(E),
}

/// Performs one exchange and decodes its reply.
///
/// The owner task of the link runs `decode` too: a complete reply of another form marks the link as
/// desynchronised, so that it is resynchronised before the next exchange. The framer of the
/// exchange only finds the end of the reply.
///
/// # Errors
/// [`QueryError`].
pub async fn query<T, E: Display + Send + 'static>(
    link: &dyn ByteLink,
    mut exchange: Exchange,
    decode: impl Fn(&[u8]) -> Result<T, E> + Clone + Send + 'static,
) -> Result<T, QueryError<E>> {
    let wrong: Arc<Mutex<Option<E>>> = Arc::default();
    if let Some(mut framer) = exchange.framer.take() {
        let (wrong, decode) = (Arc::clone(&wrong), decode.clone());
        exchange.framer = Some(Box::new(move |seen: &[u8]| match framer(seen) {
            Frame::Complete(n) => match decode(&seen[..n.min(seen.len())]) {
                Ok(_) => Frame::Complete(n),
                Err(error) => {
                    let why = error.to_string();
                    *wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Frame::Garbled(why)
                }
            },
            other => other,
        }));
    }
    match link.exchange(exchange).await {
        Ok(reply) => decode(&reply).map_err(QueryError::Reply),
        Err(error) => Err(
            match wrong.lock().unwrap_or_else(PoisonError::into_inner).take() {
                Some(reply) => QueryError::Reply(reply),
                None => QueryError::Link(error),
            },
        ),
    }
}
