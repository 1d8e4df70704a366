//! The side that has the device.

use super::{Protection, ToClient, ToServer, frame, unprotected};
use qkd_hardware::{
    OpenedDevice,
    hal::{
        DeviceMisbehaved, Effect, Error, ErrorKind, Key, Outcome, Request, Result, StreamItem,
        TransportFault, request::Caller,
    },
};
use std::{collections::HashMap, io, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use zeroize::Zeroizing;

/// The most calls that run at once; one more is refused as `Busy`.
const MOST_CALLS: usize = 64;

type Frame = Zeroizing<Vec<u8>>;

/// Serves a device over a byte stream until the stream ends or the client closes the device.
pub async fn serve(
    device: OpenedDevice,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    protection: Protection,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (frames, mut outgoing) = mpsc::channel::<Frame>(MOST_CALLS);
    let mut events = device.device().events();
    let hello = ToClient::Hello {
        declarations: Box::new(device.declarations()),
        identity: device.opened_as(),
        next_event: events.position(),
    };
    let device = Arc::new(device);
    let hello = frame::encode(&hello, &[]).map_err(io::Error::other)?;
    let writing = async {
        writer.write_all(&hello).await?;
        while let Some(frame) = outgoing.recv().await {
            writer.write_all(&frame).await?;
        }
        writer.shutdown().await
    };
    let reading = async {
        // Calls end with this task: a client that has gone wants no outcome.
        let mut calls = JoinSet::new();
        let mut running: HashMap<u64, AbortHandle> = HashMap::new();
        loop {
            let (message, secrets) = frame::read(&mut reader).await?;
            running.retain(|_, call| !call.is_finished());
            while calls.try_join_next().is_some() {}
            match message {
                // The calls count, not their ids, which the client may repeat. A client that does
                // not read the refusals is not read either.
                ToServer::Call { id, .. } if calls.len() >= MOST_CALLS => {
                    let busy = Error::new(ErrorKind::Busy, "too many calls at once");
                    let _ = frames.send(outcome_frame(id, Err(busy))).await;
                }
                ToServer::Call { id, request } => {
                    let (device, frames) = (Arc::clone(&device), frames.clone());
                    let call = calls.spawn(async move {
                        let result = call(&device, &request, secrets, protection).await;
                        // An error means that the client has gone.
                        let _ = frames.send(outcome_frame(id, result)).await;
                    });
                    running.insert(id, call);
                }
                ToServer::Cancel { id } => {
                    if let Some(call) = running.remove(&id) {
                        call.abort();
                    }
                }
                ToServer::Close => {
                    calls.shutdown().await;
                    let _ = device.close().await;
                    let closed = frame::encode(&ToClient::Closed, &[]).map_err(io::Error::other)?;
                    let _ = frames.send(closed).await;
                    return io::Result::Ok(());
                }
            }
        }
    };
    let telling = async {
        while let Some(item) = events.next().await {
            // The client sees a gap in the numbers where events were lost.
            if let StreamItem::Event(event) = item {
                let event = ToClient::Event((*event).clone());
                let event = frame::encode(&event, &[]).map_err(io::Error::other)?;
                let _ = frames.send(event).await;
            }
        }
        std::future::pending().await
    };
    tokio::pin!(writing);
    let ended = tokio::select! {
        ended = reading => ended,
        ended = telling => ended,
        ended = &mut writing => return ended,
    };
    drop(frames);
    ended.and(writing.await)
}

async fn call(
    device: &OpenedDevice,
    request: &Request<'_>,
    secrets: Vec<Zeroizing<Vec<u8>>>,
    protection: Protection,
) -> Result<Outcome> {
    if !protection.allows(request.operation()) {
        return Err(unprotected(request.operation()));
    }
    match (request, <[_; 1]>::try_from(secrets)) {
        (Request::Stage { key, .. }, Ok([bytes])) => {
            let key = Key::new(key.id().clone(), bytes);
            device.call(&request.with_key(&key)?).await
        }
        (_, Err(none)) if none.is_empty() => device.call(request).await,
        _ => Err(Error::misbehaved(
            DeviceMisbehaved::UnexpectedReply,
            "secret parts came with a request that has none",
        )),
    }
}

fn outcome_frame(id: u64, result: Result<Outcome>) -> Frame {
    let result = result.map(Box::new);
    let message = ToClient::Return { id, result };
    let ToClient::Return { result, .. } = &message else {
        unreachable!("it was made above");
    };
    let secrets = result.as_ref().map_or_else(|_| Vec::new(), |o| o.secrets());
    frame::encode(&message, &secrets).unwrap_or_else(|error| {
        // The device has made the call, and the client waits.
        let what = format!("the outcome cannot be sent: {}", error.message());
        let error = Error::new(ErrorKind::Transport(TransportFault::Overrun), what)
            .with_effect(Effect::Unknown);
        let result = Err(error);
        frame::encode(&ToClient::Return { id, result }, &[]).unwrap_or_default()
    })
}
