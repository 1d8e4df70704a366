//! From a host name to the addresses that are tried.

use super::super::LinkError;
use qkd_hal::ErrorKind;
use std::{net::SocketAddr, time::Duration};
use tokio::net::lookup_host;

/// Maximum number of addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Resolves `host:port`. An IPv6 address is in brackets and may have a zone (RFC 4007:
/// `[fe80::1%eth0]:161`). The addresses are in the order of the resolver (RFC 6724), without
/// duplicates.
pub(super) async fn resolve(address: &str, within: Duration) -> Result<Vec<SocketAddr>, LinkError> {
    let unreachable =
        |why: &str| LinkError::new(ErrorKind::Unreachable, format!("{address}: {why}"));
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| unreachable("the address has no port"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| unreachable("the port is not a number from 1 to 65535"))?;
    // The system's resolver knows zones by their name; it takes addresses without brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(within, lookup_host((host, port)))
        .await
        .map_err(|_| unreachable("the name was not resolved within the deadline"))?
        .map_err(|e| unreachable(&e.to_string()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for one in found {
        if !addresses.contains(&one) && addresses.len() < MAX_ADDRESSES {
            addresses.push(one);
        }
    }
    if addresses.is_empty() {
        return Err(unreachable("the name has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_with_zones_and_brackets_are_resolved() {
        let second = Duration::from_secs(1);
        let found = resolve("[fe80::1%lo]:161", second).await.unwrap();
        assert!(
            matches!(found[..], [SocketAddr::V6(a)] if a.scope_id() != 0 && a.port() == 161),
            "{found:?}"
        );
        assert_eq!(
            resolve("[::1]:5", second).await.unwrap(),
            ["[::1]:5".parse().unwrap()]
        );
        assert_eq!(
            resolve("127.0.0.1:5", second).await.unwrap(),
            ["127.0.0.1:5".parse().unwrap()]
        );
        for wrong in ["192.0.2.1", "192.0.2.1:x", "[fe80::1%no-such-zone]:161"] {
            let error = resolve(wrong, second).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unreachable, "{error:?}");
        }
    }
}
