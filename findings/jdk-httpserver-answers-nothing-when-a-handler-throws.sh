#!/usr/bin/env bash
# OpenJDK 17.0.21.1 (Debian's openjdk-17-jdk-headless), com.sun.net.httpserver, with curl
#
# When a handler throws, com.sun.net.httpserver answers nothing: it closes the connection, and logs
# nothing at its defaults. Jetty 9.4 and Tomcat 10.1 answer 500, and so one would guess here. To a
# client it is a server that has gone away: curl says "Empty reply from server". A client that repeats
# a request when a kept connection ends without an answer, as HTTP allows, calls the handler that
# throws twice: curl does, on a connection that it has used before.
#
# For receivers: catch everything in the handler, and answer 500. Without, the sender's history has
# "connection_reset" in place of a status, and a failing event may be handled twice in one attempt.
#
# Seen 2026-11-30:
#	status of a handler that throws: 000, empty reply; the server logged 0 lines
#	after a good request on the same connection: the handler was called 2 times
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
version=17.0.21.1+2-1~deb12u1
for package in openjdk-17-jre-headless openjdk-17-jdk-headless; do
	apt-get download "$package=$version" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
find usr -type l -lname '/etc/java-17-openjdk/*' | while read -r link; do
	ln -sfn "$work$(readlink "$link")" "$link"
done
java=$work/usr/lib/jvm/java-17-openjdk-amd64/bin
cat >Finding.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.atomic.AtomicInteger;

public class Finding {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        AtomicInteger calls = new AtomicInteger();
        server.createContext("/good", exchange -> {
            exchange.getRequestBody().readAllBytes();
            exchange.sendResponseHeaders(204, -1);
            exchange.close();
        });
        server.createContext("/throws", exchange -> {
            exchange.getRequestBody().readAllBytes();
            calls.incrementAndGet();
            throw new IllegalStateException("the row was not stored");
        });
        server.createContext("/calls", exchange -> {
            byte[] text = String.valueOf(calls.getAndSet(0)).getBytes();
            exchange.sendResponseHeaders(200, text.length);
            exchange.getResponseBody().write(text);
            exchange.close();
        });
        server.start();
        System.out.println(server.getAddress().getPort());
    }
}
JAVA
"$java/javac" Finding.java
"$java/java" -Xmx128m Finding >port 2>log &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in {1..200}; do
	[[ -s port ]] && break
	sleep 0.1
done
base=http://127.0.0.1:$(cat port)
status=$(curl -s -m 20 -o /dev/null -w '%{http_code}, exit %{exitcode}' -d x "$base/throws") || true
curl -s -o /dev/null "$base/calls"
curl -s -m 20 -o /dev/null -d x "$base/good" -o /dev/null "$base/throws" || true
calls=$(curl -s "$base/calls")
got="status of a handler that throws: ${status/exit 52/empty reply}; the server logged $(wc -l <log) lines
after a good request on the same connection: the handler was called $calls times"
want='status of a handler that throws: 000, empty reply; the server logged 0 lines
after a good request on the same connection: the handler was called 2 times'
printf '%s\n' "$got"
[[ $got == "$want" ]] || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
