#!/usr/bin/env bash
# Puma 5.6.5 (Debian's puma 5.6.5-3+deb12u2), Ruby 3.1.2
#
# Puma gives up a connection that has been idle for persistent_timeout. If the next request comes at
# that very moment and fits into one read, it is served. If it is larger, Puma has read the headers
# and the first piece of the body when it looks at the clock, and answers 408 Request Timeout: the time
# that ran out is that of the pause before the request, and the request itself has taken none. One would
# guess that the connection is closed without an answer, as other servers do, which HTTP lets a client
# repeat at once; or that the request, once begun, has first_data_timeout (30 s) to arrive, as it has when
# it comes a moment earlier. The process is stopped here while the time runs out, so that it happens each
# time; under load it happens by itself.
#
# For senders: a 408 on a connection that was used before says nothing of the request. Repeat it on a new
# connection, rather than count it as an answer of the application, which has not been called.
#
# Seen 2026-11-30, persistent_timeout 1: the status of the second request on a connection
#	while the time runs out: 2 bytes 200, 300000 bytes 408 (the application was called 0 times)
#	before it has run out: 2 bytes 200, 300000 bytes 200 (the application was called 1 times)
set -euo pipefail
work=$(mktemp -d)
trap '[[ -z ${server:-} ]] || { kill -9 "$server"; wait "$server" || true; } 2>/dev/null; rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
ruby=3.1.7+really3.1.2-0+deb12u1
for package in "ruby3.1=$ruby" "libruby3.1=$ruby" puma=5.6.5-3+deb12u2 ruby-nio4r=2.5.8-3 ruby-rack=2.2.22-0+deb12u2; do
	apt-get download "$package" >apt.log 2>&1 || { cat apt.log >&2; exit 1; }
done
for file in *.deb; do
	dpkg -x "$file" .
done
lib=usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$work/$lib
export RUBYLIB=$work/usr/lib/ruby/3.1.0:$work/$lib/ruby/3.1.0:$work/usr/lib/ruby/vendor_ruby
export GEM_HOME=$work/gems GEM_PATH=$work/gems:$work/usr/share/rubygems-integration/all:$work/$lib/rubygems-integration/3.1.0
ruby=$work/usr/bin/ruby3.1
cat >server.rb <<'RUBY'
require 'puma'
require 'puma/events'
raise Puma::Const::VERSION unless Puma::Const::VERSION == '5.6.5'
calls = 0
app = lambda do |env|
  env['rack.input'].read
  seen = calls
  calls = env['REQUEST_METHOD'] == 'GET' ? 0 : calls + 1
  [200, {}, [seen.to_s]]
end
server = Puma::Server.new(app, Puma::Events.strings, persistent_timeout: 1)
puts server.add_tcp_listener('127.0.0.1', 0).addr[1]
$stdout.flush
server.run.join
RUBY
cat >client.rb <<'RUBY'
require 'socket'
require 'timeout'
PORT, SERVER = ARGV.map(&:to_i)

def answer(conn)
  head = conn.gets("\r\n\r\n")
  [head[/ (\d+)/, 1], conn.read(head[/content-length: (\d+)/i, 1].to_i)]
end

# second is the status of a request on a connection that has served one and then been idle.
def second(size, late)
  conn = TCPSocket.new('127.0.0.1', PORT)
  conn.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
  answer(conn)
  sleep 0.3 # until it is among the idle
  Process.kill(:STOP, SERVER) if late
  sleep 1 if late
  body = Thread.new { conn.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: #{size}\r\n\r\n" + 'x' * size) rescue nil }
  sleep 0.2
  Process.kill(:CONT, SERVER) if late
  status, = answer(conn)
  conn.close
  body.join
  status
end

def calls
  conn = TCPSocket.new('127.0.0.1', PORT)
  conn.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
  answer(conn)[1].to_i
end

Timeout.timeout(60) do
  { 'while the time runs out' => true, 'before it has run out' => false }.each do |name, late|
    puts "#{name}: 2 bytes #{second(2, late)}, 300000 bytes #{second(300_000, late)} (the application was called #{calls} times)"
  end
end
RUBY
"$ruby" server.rb >port 2>server.log &
server=$!
until [[ -s port ]]; do
	kill -0 "$server" || { cat server.log >&2; exit 1; }
	sleep 0.1
done
"$ruby" client.rb "$(<port)" "$server" | tee seen
diff seen - <<'WANT' || { echo 'CHANGED: it behaves otherwise now' >&2; exit 1; }
while the time runs out: 2 bytes 200, 300000 bytes 408 (the application was called 0 times)
before it has run out: 2 bytes 200, 300000 bytes 200 (the application was called 1 times)
WANT
