#!/usr/bin/env bash
# A WireGuard tunnel whose preshared keys come from QKD: wireguard.sh [ROLLS]
# Rolls replace the peer. With roll=wait in the URIs each waits for the next handshake, two minutes.
tools="wireguard-go wg"
# shellcheck source=examples/encryptors/common.sh
. "$(dirname "$0")/common.sh"

make_network
for end in a b; do
    (umask 077 && wg genkey >"$work/$end.key")
    wg pubkey <"$work/$end.key" >"$work/$end.pub"
done

end() { # name, namespace, far name, far address, own inner, far inner
    LOG_LEVEL=error ip netns exec "$2" wireguard-go -f "qkd$1$$" >/dev/null 2>&1 &
    wait_for "/var/run/wireguard/qkd$1$$.sock"
    ip netns exec "$2" wg set "qkd$1$$" private-key "$work/$1.key" listen-port 51820 \
        peer "$(cat "$work/$3.pub")" allowed-ips "$6/32" endpoint "$4:51820" persistent-keepalive 1
    ip -n "$2" addr add "$5/32" dev "qkd$1$$"
    ip -n "$2" link set "qkd$1$$" up
    ip -n "$2" route add "$6/32" dev "qkd$1$$"
}
end a "$a" b 10.99.0.2 10.99.1.1 10.99.2.1
end b "$b" a 10.99.0.1 10.99.2.1 10.99.1.1

start_qkd_pair
near="wireguard+unix:///var/run/wireguard/qkda$$.sock?roll=replace"
far="wireguard+unix:///var/run/wireguard/qkdb$$.sock?roll=replace"
start_traffic 10.99.1.1 10.99.2.1
roll "$near" "$far" "$(cat "$work/b.pub")" "$(cat "$work/a.pub")" "${1:-3}"
stop_traffic
"$programs/qkdctl" encryptor show "$near"
