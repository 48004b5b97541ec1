#!/bin/bash
# Network devices that only a whole machine has: a dummy, a VLAN, a port of a bridge. What `ip` says in the container is what it
# says under the newest runc; a container that does not come to be gives them back.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"
driver=cgroupfs
runc=$(sed -n 's/^runc [^ ]* //p' "$REPO/target/peers/list")

devices() {
	ip link add sn0 mtu 1400 type dummy
	ip link set sn0 address 02:00:00:00:00:07 txqueuelen 77
	ip addr add 10.9.0.1/24 brd + dev sn0
	# runc keeps these of a device that is down alone.
	ip addr add fd00::1/64 dev sn0 nodad
	ip link add sd0 address 02:00:00:00:00:08 type dummy
	# What a VLAN lies on has to be up, or it cannot be.
	ip link set sd0 up
	ip link add link sd0 name sn1 type vlan id 7
	ip addr add 10.9.1.1/24 brd + dev sn1
	ip link add sb0 type bridge
	ip link add sn2 address 02:00:00:00:00:09 type veth peer name sp2
	ip link set sn2 master sb0
}
undo() {
	local name
	for name in sn0 sn1 sn2 sd0 sb0; do ip link delete "$name" 2>/dev/null || true; done
}
# What does not depend on when it was asked, and by whom.
told() { jq -S 'map(del(.ifindex, .link_index, .link_netnsid, .operstate, .flags) | .addr_info |= map(select(.scope == "global") | del(.tentative, .nodad)))'; }
inside() { nsenter --net="/proc/$1/ns/net" ip -j -d addr show | told; }

bundle a '.linux.netDevices = {sn0: {name: "eth0"}, sn1: {name: "eth1"}, sn2: {}}'
devices
start a
ours=$(inside "$(pid a)")
for name in eth0 eth1 sn2; do
	has "the state of $name" "$(nsenter --net="/proc/$(pid a)/ns/net" ip -o link show "$name")" ",UP"
done
is "on the host" "$(ip -o link | grep -c ' sn[012][@:]' || true)" 0
d delete --force s-a
gone_from_there() { ! ip link show sp2 >/dev/null 2>&1; }
eventually "the end of the virtual devices" gone_from_there
undo

devices
"$runc" --root "$work/runc" run --detach --bundle "$work/a" s-runc </dev/null >"$work/log" 2>&1 || fail "$(cat "$work/log")"
theirs=$(inside "$("$runc" --root "$work/runc" state s-runc | jq .pid)")
"$runc" --root "$work/runc" delete --force s-runc
[ "$ours" = "$theirs" ] || fail "not as by runc: $(diff <(echo "$ours") <(echo "$theirs"))"
has "its addresses" "$ours" '"local": "fd00::1"'
eventually "the end of the virtual devices" gone_from_there
undo

devices
ip link set sn2 up
before=$(ip -j -d addr show | told)
bundle b '.linux.netDevices = {sn0: {name: "eth0"}, sn1: {name: "eth1"}, sn2: {}} | .process.args = ["/nonexistent"]'
refused "no program" "/nonexistent" create b
is "given back" "$(ip -j -d addr show | told | jq -S 'sort_by(.ifname)')" "$(jq -S 'sort_by(.ifname)' <<<"$before")"
has "in its bridge" "$(ip -o link show sn2)" "master sb0"
gone b
say "a dummy, a VLAN and a port of a bridge: moved as by $("$runc" --version | head -1), and given back"
