//! A limit of requests a second.

use async_trait::async_trait;
use qkd_hal::{
    Error, ErrorKind, Result,
    layer::{Call, Layer},
};
use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep_until},
};

/// A number of requests in a time, such as `5/s` or `30/min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: u32,
    per: Duration,
}

impl Rate {
    /// So many requests a second.
    ///
    /// # Errors
    /// `InvalidInput` for 0.
    pub fn per_second(requests: u32) -> Result<Self> {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many requests a minute.
    ///
    /// # Errors
    /// `InvalidInput` for 0.
    pub fn per_minute(requests: u32) -> Result<Self> {
        Self::new(requests, Duration::from_secs(60))
    }

    fn new(requests: u32, per: Duration) -> Result<Self> {
        if requests == 0 {
            return Err(Error::invalid(
                "a rate of 0 requests would never end a call; use at least 1",
            ));
        }
        Ok(Self { requests, per })
    }

    /// Returns the time between two requests.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.per / self.requests
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.per == Duration::from_secs(1) {
            "s"
        } else {
            "min"
        };
        write!(f, "{}/{unit}", self.requests)
    }
}

impl FromStr for Rate {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "invalid rate `{}`; expected a number of requests a second or a minute, such as \
                 5/s or 30/min",
                qkd_hal::text::printable(text, 40)
            ))
        };
        let (requests, unit) = text.split_once('/').ok_or_else(wrong)?;
        let requests = requests.trim().parse().map_err(|_| wrong())?;
        match unit.trim() {
            "s" => Self::per_second(requests),
            "min" => Self::per_minute(requests),
            _ => Err(wrong()),
        }
    }
}

/// The queue of one device.
struct Queue {
    /// When the next request may be made. Its lock is fair: it is given in the order of arrival.
    next: Mutex<Instant>,
    /// Places for calls that wait.
    places: Semaphore,
}

/// A layer that limits the requests of each device.
///
/// A request is one call; a driver may need several exchanges for it. Requests are at least
/// [`Rate::interval`] apart. Calls of one device wait in the order of their arrival, whichever
/// handle makes them; calls of different devices do not wait for each other. A call whose future is
/// dropped leaves the queue and does not use up a request. The deadline of a call begins after the
/// wait.
pub struct RateLimit {
    rate: Rate,
    longest_queue: usize,
    queues: StdMutex<HashMap<String, Arc<Queue>>>,
}

impl RateLimit {
    /// Number of calls of one device that wait at most, if nothing else is set.
    pub const LONGEST_QUEUE: usize = 1024;

    /// A limit for each device.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            longest_queue: Self::LONGEST_QUEUE,
            queues: StdMutex::default(),
        }
    }

    /// Sets the number of calls of one device that wait at most; a call beyond is refused as
    /// `Busy`.
    #[must_use]
    pub fn with_longest_queue(mut self, calls: usize) -> Self {
        self.longest_queue = calls.min(Semaphore::MAX_PERMITS);
        self
    }

    fn queue(&self, device: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(device) {
            return Arc::clone(queue);
        }
        let queue = Arc::new(Queue {
            next: Mutex::new(Instant::now()),
            places: Semaphore::new(self.longest_queue),
        });
        queues.insert(device.to_owned(), Arc::clone(&queue));
        queue
    }
}

#[async_trait]
impl Layer for RateLimit {
    async fn before(&self, call: &Call<'_>) -> Result<()> {
        let queue = self.queue(&call.device.uri);
        // A call that need not wait takes no place.
        if let Ok(mut next) = queue.next.try_lock()
            && *next <= Instant::now()
        {
            *next = Instant::now() + self.rate.interval();
            return Ok(());
        }
        let _place = queue.places.try_acquire().map_err(|_| {
            Error::new(
                ErrorKind::Busy,
                format!(
                    "{} calls of this device wait for the limit of {} already; nothing was sent",
                    self.longest_queue, self.rate
                ),
            )
        })?;
        let mut next = queue.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.rate.interval();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::{Descriptor, Maturity, Request};

    fn device(name: &str) -> Descriptor {
        Descriptor::new("fake", format!("fake+mem://{name}"), Maturity::Emulated)
    }

    #[test]
    fn rates_are_read_as_they_are_written() {
        for text in ["5/s", "30/min"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["5", "0/s", "-1/s", "5/h", "/s", "x/s"] {
            assert_eq!(
                text.parse::<Rate>().unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_pass_in_the_order_of_their_arrival() {
        let limit = Arc::new(RateLimit::new(Rate::per_second(5).unwrap()));
        let begun = Instant::now();
        let mut tasks = Vec::new();
        let order = Arc::new(StdMutex::new(Vec::new()));
        for n in 0..6 {
            let (limit, order) = (Arc::clone(&limit), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let device = device("a");
                let request = Request::Health;
                limit.before(&Call::new(&device, &request)).await.unwrap();
                order.lock().unwrap().push((n, begun.elapsed()));
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let expected: Vec<_> = (0..6)
            .map(|n| (n, Duration::from_millis(200 * n)))
            .collect();
        for ((n, at), (expected, due)) in order.lock().unwrap().iter().zip(&expected) {
            assert_eq!(n, expected);
            assert!(
                *at >= *due && *at < *due + Duration::from_millis(20),
                "{at:?}"
            );
        }
        let other = device("b");
        let before = Instant::now();
        limit
            .before(&Call::new(&other, &Request::Health))
            .await
            .unwrap();
        assert!(
            before.elapsed() < Duration::from_millis(2),
            "another device"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_without_a_queue_passes_what_need_not_wait() {
        let limit = RateLimit::new(Rate::per_second(1).unwrap()).with_longest_queue(0);
        let device = device("a");
        let call = Call::new(&device, &Request::Health);
        for _ in 0..2 {
            limit.before(&call).await.unwrap();
            assert_eq!(
                limit.before(&call).await.unwrap_err().kind(),
                ErrorKind::Busy
            );
            sleep_until(Instant::now() + Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_uses_no_request_and_a_full_queue_refuses() {
        let limit = RateLimit::new(Rate::per_second(1).unwrap()).with_longest_queue(2);
        let device = device("a");
        let call = Call::new(&device, &Request::Health);
        limit.before(&call).await.unwrap();
        let begun = Instant::now();
        let mut dropped = limit.before(&call);
        assert!(futures::poll!(&mut dropped).is_pending());
        let mut waiting = limit.before(&call);
        assert!(futures::poll!(&mut waiting).is_pending());
        let error = limit.before(&call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        drop(dropped);
        waiting.await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(1050));
    }
}
