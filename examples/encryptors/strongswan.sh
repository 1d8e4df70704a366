#!/usr/bin/env bash
# An IPsec tunnel of strongSwan whose post-quantum preshared keys come from QKD: strongswan.sh [ROLLS]
tools="charon-systemd swanctl"
# shellcheck source=examples/encryptors/common.sh
. "$(dirname "$0")/common.sh"

make_network
ip -n "$a" addr add 10.99.1.1/32 dev lo
ip -n "$b" addr add 10.99.2.1/32 dev lo
secret=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')

end() { # name, namespace, own address, far address, own inner, far inner, own id, far id
    cat >"$work/$1.conf" <<CONF
charon-systemd {
  load = random nonce aes sha1 sha2 hmac kdf curve25519 openssl gcm pem pkcs1 x509 pubkey kernel-libipsec kernel-netlink socket-default vici updown
  install_virtual_ip = no
  plugins { vici { socket = unix://$work/$1.vici } }
  journal { default = -1 }
}
CONF
    cat >"$work/$1.toml" <<TOML
[connections.tunnel]
version = 2
local_addrs = ["$3"]
remote_addrs = ["$4"]
proposals = ["aes256gcm16-prfsha256-x25519"]
encap = true
mobike = false
[connections.tunnel.local]
auth = "psk"
id = "$7"
[connections.tunnel.remote]
auth = "psk"
id = "$8"
[connections.tunnel.children.tunnel]
local_ts = ["$5/32"]
remote_ts = ["$6/32"]
esp_proposals = ["aes256gcm16-x25519"]
TOML
    cat >"$work/$1.swanctl" <<SECRETS
secrets { ike-tunnel { id-1 = a.example
 id-2 = b.example
 secret = 0x$secret } }
SECRETS
    STRONGSWAN_CONF=$work/$1.conf ip netns exec "$2" charon-systemd >/dev/null 2>&1 &
    wait_for "$work/$1.vici"
    sleep 1
    swanctl --load-creds --uri "unix://$work/$1.vici" --file "$work/$1.swanctl" >/dev/null 2>&1
}
end a "$a" 10.99.0.1 10.99.0.2 10.99.1.1 10.99.2.1 a.example b.example
end b "$b" 10.99.0.2 10.99.0.1 10.99.2.1 10.99.1.1 b.example a.example

start_qkd_pair
near="strongswan+unix://$work/a.vici?connection=tunnel&connections=$work/a.toml"
far="strongswan+unix://$work/b.vici?connection=tunnel&connections=$work/b.toml"
echo "--- the first key makes the tunnel"
roll "$near" "$far" tunnel tunnel 1
start_traffic 10.99.1.1 10.99.2.1
roll "$near" "$far" tunnel tunnel "${1:-3}"
stop_traffic
"$programs/qkdctl" encryptor show "$near"
