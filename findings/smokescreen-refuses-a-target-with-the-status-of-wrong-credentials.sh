#!/usr/bin/env bash
# github.com/stripe/smokescreen v0.0.4
#
# Smokescreen refuses a target that it takes for private with 407 Proxy Authentication Required, though it
# knows no passwords, and with no Proxy-Authenticate. One would guess 403, as of squid and tinyproxy. What it
# means stands in X-Smokescreen-Error alone, which names the address that the host resolved to. A client
# that takes 407 for wrong credentials stops sending to everybody, or asks its people for a password, because
# one customer's host has a private address. A target that nobody listens at is 502, with the same header.
#
# For hosts: read X-Smokescreen-Error before the status, show it to nobody outside, and take 407 for
# credentials only without it. Config.Proxy of this library does.
#
# Seen 2026-11-29, Go 1.26.8, linux/amd64:
#	a private address: 407, X-Smokescreen-Error: yes, Proxy-Authenticate: no
set -euo pipefail
work=$(mktemp -d)
trap '[[ -z ${pid:-} ]] || kill "$pid"; rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod GOTOOLCHAIN=go1.26.8 GOBIN=$work
go install github.com/stripe/smokescreen@v0.0.4
port=$((20000 + RANDOM % 10000))
./smokescreen --listen-ip 127.0.0.1 --listen-port "$port" >log 2>&1 &
pid=$!
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do kill -0 "$pid"; sleep 0.1; done
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'CONNECT 10.0.0.1:443 HTTP/1.1\r\nHost: 10.0.0.1:443\r\n\r\n' >&3
sed '/^\r$/q' <&3 | tr -d '\r' >answer
has() { grep -qi "^$1:" answer && echo yes || echo no; }
echo "a private address: $(cut -d ' ' -f 2 answer | head -1), X-Smokescreen-Error: $(has x-smokescreen-error), Proxy-Authenticate: $(has proxy-authenticate)" | tee seen
diff seen - <<'WANT'
a private address: 407, X-Smokescreen-Error: yes, Proxy-Authenticate: no
WANT
