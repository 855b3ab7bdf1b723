#!/usr/bin/env bash
# Go 1.26.8, with go.opentelemetry.io/otel v1.38.0 and its nested module otel/sdk
#
# As soon as GOPRIVATE (or GONOPROXY) names anything at all, even a host that has nothing to
# do with the module, "go get NESTED@VERSION" fails if the module cache has the root at the
# same version: "found, but does not contain package". Without GOPRIVATE the same command
# works, and so does the nested module without a version. One would guess that GOPRIVATE
# matters only to the paths that it names.
#
# For hosts with GOPRIVATE set: add a nested module without a version, or with @latest.
#
# Seen 2026-11-28: "ok" without GOPRIVATE, "does not contain package" with it.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
readonly root=go.opentelemetry.io/otel nested=go.opentelemetry.io/otel/sdk version=v1.38.0

# try gets the nested module into a fresh module, with a cache that has only the root.
try() {
	export GOMODCACHE=$work/$1.cache GOPRIVATE=$2
	mkdir "$work/$1"
	cd "$work/$1"
	go mod init finding >/dev/null 2>&1
	go mod download "$root@$version"
	if go get "$nested@$version" >out 2>&1; then echo ok; else grep -o 'does not contain package' out | head -n 1; fi
}

got="without: $(try without '')
with: $(try with git.corp.invalid)"
want='without: ok
with: does not contain package'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
