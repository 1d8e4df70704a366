# Two namespaces, an emulated QKD pair, and rolls under traffic: what both scripts share.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "run this as root: it makes network namespaces" >&2; exit 1; }
programs=${QKD_PROGRAMS:-$(dirname "$0")/../../target/release}
for program in qkdctl qkd-emu; do
    [ -x "$programs/$program" ] ||
        { echo "$programs/$program is missing: cargo build --release -p qkdctl -p qkd-emulators" >&2; exit 1; }
done
for tool in ip ping $tools; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: see README.md" >&2; exit 1; }
done

work=$(mktemp -d)
a=qkd-a-$$ b=qkd-b-$$
stop() {
    # A failing command must not keep the rest from being deleted.
    set +e
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null
    wait 2>/dev/null
    ip netns del "$a" 2>/dev/null
    ip netns del "$b" 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

wait_for() {
    for _ in $(seq 100); do
        [ -e "$1" ] && return
        sleep 0.1
    done
    echo "$1 did not appear within 10 s" >&2
    return 1
}

make_network() {
    for name in "$a" "$b"; do
        ip netns add "$name"
        ip -n "$name" link set lo up
    done
    ip link add wire netns "$a" type veth peer name wire netns "$b"
    ip -n "$a" addr add 10.99.0.1/24 dev wire
    ip -n "$b" addr add 10.99.0.2/24 dev wire
    ip -n "$a" link set wire up
    ip -n "$b" link set wire up
}

# Two key managers of an emulated QKD pair, with the credentials and the inventory for `qkdctl`.
start_qkd_pair() {
    printf '[emulators.qkd]\nprofile = "etsi014-pair"\n' >"$work/qkd.toml"
    "$programs/qkd-emu" up "$work/qkd.toml" >"$work/qkd.json" &
    for _ in $(seq 100); do
        grep -q '"ready":true' "$work/qkd.json" && break
        sleep 0.1
    done
    path() { grep '"ready":true' "$work/qkd.json" | grep -o "\"$1\":\"[^\"]*\"" | cut -d'"' -f4; }
    QKDCTL_CREDENTIALS=$(path credentials_file)
    QKDCTL_INVENTORY=$(path inventory_file)
    export QKDCTL_CREDENTIALS QKDCTL_INVENTORY
    echo "an emulated QKD pair gives the keys"
}

# Rolls: near URI, far URI, near channel, far channel, number.
roll() {
    for n in $(seq "$5"); do
        echo "--- roll $n of $5"
        "$programs/qkdctl" encryptor roll --yes "$1" --peer "$2" --channel "$3" --peer-channel "$4" \
            --source qkd
    done
}

# Pings through the tunnel until `stop_traffic`, which prints what was lost.
start_traffic() {
    ip netns exec "$a" ping -q -i 0.01 -I "$1" "$2" >"$work/ping.log" &
    traffic=$!
}
stop_traffic() {
    kill -INT "$traffic"
    wait "$traffic" || true
    grep -E 'packets transmitted' "$work/ping.log"
}
