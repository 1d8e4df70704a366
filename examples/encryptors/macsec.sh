#!/usr/bin/env bash
# A MACsec link of the kernel whose SAKs come from QKD: macsec.sh [ROLLS]
tools="tcpdump"
# shellcheck source=examples/encryptors/common.sh
. "$(dirname "$0")/common.sh"

make_network
mac() { ip -n "$1" -br link show wire | awk '{ print $3 }'; }

# IPv6 announces itself on the wire, in clear.
for name in "$a" "$b"; do
    ip netns exec "$name" sh -c 'f=/proc/sys/net/ipv6/conf/wire/disable_ipv6; [ ! -e $f ] || echo 1 >$f'
done

end() { # namespace, far namespace, own inner
    ip -n "$1" link add link wire macsec0 type macsec port 1 cipher gcm-aes-256 encrypt on \
        validate strict replay on window 64 ||
        { echo "this kernel has no macsec (CONFIG_MACSEC): see README.md" >&2; exit 1; }
    ip -n "$1" macsec add macsec0 rx port 1 address "$(mac "$2")" on
    ip -n "$1" addr add "$3/24" dev macsec0
    ip -n "$1" link set macsec0 up
}
end "$a" "$b" 10.99.1.1
end "$b" "$a" 10.99.1.2

start_qkd_pair
near="linux-macsec+netlink:///macsec0?netns=$a"
far="linux-macsec+netlink:///macsec0?netns=$b"
echo "--- the first key makes the link"
roll "$near" "$far" macsec0 macsec0 1
start_traffic 10.99.1.1 10.99.1.2
roll "$near" "$far" macsec0 macsec0 "${1:-3}"
stop_traffic
echo "--- three frames on the wire"
ip netns exec "$a" ping -q -c 3 -i 0.2 10.99.1.2 >/dev/null &
ip netns exec "$a" timeout 10 tcpdump -q -t -n -c 3 -i wire 2>/dev/null
wait $!
"$programs/qkdctl" encryptor show "$near"
