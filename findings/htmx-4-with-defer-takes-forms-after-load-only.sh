#!/usr/bin/env bash
# htmx.org v4.0.1, beside v2.0.7, in Chromium
#
# A script that is loaded with defer runs before DOMContentLoaded, so one would guess that a page
# whose load event has fired has its forms boosted. htmx 2 begins at DOMContentLoaded, and has them.
# htmx 4 begins there only while the document is still loading; a deferred script runs when it no
# longer is, and then htmx 4 begins in a timer, which here fires after the load event. A form that
# somebody sends before that goes to the server as a plain form, and the browser loads a whole page:
# what an application does in htmx:after:swap alone, such as moving the focus, does not happen.
#
# For hosts: do the same on a loaded page as after a swap. The settings pages put the focus on what
# was done in both cases.
#
# Seen 2026-11-29, Chromium 148, Node 20:
#	2.0.7 at load: htmx, later: htmx
#	4.0.1 at load: the browser, later: htmx
set -euo pipefail
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "there is no Chromium" >&2; exit 1; }
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix . two@npm:htmx.org@2.0.7 four@npm:htmx.org@4.0.1 >/dev/null
for name in two four; do
	cp "node_modules/$name/dist/htmx.min.js" "$name.js"
	cat >"$name.html" <<HTML
<!doctype html><title>finding</title>
<script>
const seen = [];
function who(when) {
	const event = new Event("submit", { bubbles: true, cancelable: true });
	seen.push(when + (document.querySelector("form").dispatchEvent(event) ? "the browser" : "htmx"));
}
addEventListener("load", () => {
	who("at load: ");
	setTimeout(() => { who("later: "); document.body.textContent = htmx.version + " " + seen.join(", "); }, 500);
});
</script>
<script defer src="$name.js"></script>
<body><form hx-boost="true" method="post" action="/sent"><button>Send</button></form></body>
HTML
done
cat >serve.js <<'JS'
const fs = require("fs");
const server = require("http").createServer((request, response) => {
	const file = "." + request.url;
	if (request.method !== "GET" || !fs.existsSync(file)) {
		response.writeHead(204).end();
		return;
	}
	response.setHeader("content-type", file.endsWith(".js") ? "text/javascript" : "text/html");
	response.end(fs.readFileSync(file));
});
server.listen(0, "127.0.0.1", () => fs.writeFileSync("port", String(server.address().port)));
JS
node serve.js &
server=$!
until [[ -s port ]]; do sleep 0.1; done
for name in two four; do
	"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --virtual-time-budget=3000 \
		--dump-dom "http://127.0.0.1:$(cat port)/$name.html" 2>/dev/null | grep -o '[0-9.]* at load: [a-z ]*, later: [a-z ]*'
done >seen
cat seen
diff seen - <<'WANT'
2.0.7 at load: htmx, later: htmx
4.0.1 at load: the browser, later: htmx
WANT
