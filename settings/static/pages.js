// Settings → Webhooks works without this script. The script shows times in the zone
// of the browser, copies texts, keeps what somebody reads or types when a part of the page is
// replaced or a request fails, and announces to screen readers what is new in the live part.
(() => {
	"use strict";

	const zoned = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
	const date = { day: "numeric", month: "short", ...zoned };
	const year = { year: "numeric", ...date };
	const named = { timeZoneName: "short" };
	const form = (parts) => new Intl.DateTimeFormat(undefined, parts);
	const forms = { date: form(date), year: form(year), dateNamed: form({ ...date, ...named }), yearNamed: form({ ...year, ...named }) };
	const hour = form({ weekday: "short", hour: "2-digit", minute: "2-digit", ...named });
	const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
	const away = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
	const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

	// The head of a column names the zone of its times. All other times name it themselves.
	function localTime(t, bare) {
		const shown = t.getFullYear() === new Date().getFullYear() ? "date" : "year";
		return forms[bare ? shown : shown + "Named"].format(t);
	}

	function relativeTime(t) {
		const seconds = Math.round((t - Date.now()) / 1000);
		if (Math.abs(seconds) < 90) return away.format(seconds, "second");
		if (Math.abs(seconds) < 5400) return away.format(Math.round(seconds / 60), "minute");
		return away.format(Math.round(seconds / 3600), "hour");
	}

	function tellTime(element) {
		const t = new Date(element.dateTime);
		if (isNaN(t)) return;
		const bare = element.closest("td.when, td.hour");
		element.textContent = element.dataset.as === "relative" ? relativeTime(t) : localTime(t, bare);
		element.title = exact.format(t) + "\n" + element.dateTime;
	}

	// Without script, the times in forms are in UTC. With it, they are in the zone of the
	// browser. Either way the page names the zone.
	function localInputs(root) {
		for (const element of root.querySelectorAll(".zone:not([data-local])")) {
			element.dataset.local = "yes";
			element.textContent = element.textContent.replace("UTC", zone);
		}
		for (const input of root.querySelectorAll("input[type=datetime-local]")) {
			if (input.dataset.local) continue;
			input.dataset.local = "yes";
			const t = new Date(input.value + "Z");
			if (!isNaN(t)) input.defaultValue = input.value = new Date(t - t.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
		}
	}

	// The columns of a chart say their hour when they are pointed at.
	function localChart(root) {
		for (const column of root.querySelectorAll("g[data-hour]")) {
			const title = column.querySelector("title"), t = new Date(column.dataset.hour);
			column.removeAttribute("data-hour");
			if (!isNaN(t)) title.textContent = hour.format(t) + title.textContent.slice(title.textContent.indexOf(":", 5));
		}
	}

	// Days begin at midnight of the browser's zone. The server took UTC.
	const utc = (t) => t.toISOString().slice(0, 19);
	function localSpans(root) {
		const today = new Date(new Date().setHours(0, 0, 0, 0)), yesterday = new Date(today);
		yesterday.setDate(today.getDate() - 1);
		const spans = { hour: [new Date(Date.now() - 3600000)], today: [today], yesterday: [yesterday, today] };
		for (const link of root.querySelectorAll("a[data-span]")) {
			const address = new URL(link.href), [since, until] = spans[link.dataset.span];
			address.searchParams.set("since", utc(since));
			if (until) address.searchParams.set("until", utc(until));
			link.href = address.pathname + address.search;
		}
	}

	document.addEventListener("formdata", (event) => {
		const filters = event.target.matches(".filters");
		for (const [name, value] of [...event.formData]) {
			const field = event.target.elements[name];
			if (value === "" && filters) event.formData.delete(name); // keeps the address short
			else if (value !== "" && field?.dataset?.local) event.formData.set(name, utc(new Date(value)));
		}
	});

	function show(root) {
		for (const element of root.querySelectorAll(".needs-script")) element.hidden = false;
		for (const element of root.querySelectorAll(".no-script")) element.hidden = true;
		for (const element of root.querySelectorAll("time")) tellTime(element);
		localInputs(root);
		localChart(root);
		localSpans(root);
	}

	function say(text) {
		document.getElementById("announce").textContent = text;
	}

	// What is shown indented is copied as it was sent: a signature is over these bytes.
	function textOf(source) {
		if (!source.dataset.exact) return source.textContent;
		const bytes = Uint8Array.from(atob(source.dataset.exact), (c) => c.charCodeAt(0));
		return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
	}

	document.addEventListener("click", async (event) => {
		const button = event.target.closest("[data-copy]");
		if (!button) return;
		const source = document.getElementById(button.dataset.copy);
		try {
			await navigator.clipboard.writeText(textOf(source));
			const label = button.dataset.label ??= button.textContent;
			button.textContent = "Copied";
			say("Copied");
			setTimeout(() => { button.textContent = label; }, 2000);
		} catch { // the browser does not allow it: select the text, so that the viewer can copy it
			source.textContent = textOf(source);
			getSelection().selectAllChildren(source);
			say("The text is selected. Press the keys for copying.");
		}
	});

	// lost says what keeps a request from being done, or nothing any more. The page stays as it
	// is, with all that was typed.
	function lost(what) {
		for (const notice of document.querySelectorAll("[data-lost]")) notice.hidden = notice.dataset.lost !== what;
	}

	const unreachable = () => lost(navigator.onLine ? "server" : "network");
	addEventListener("offline", () => lost("network"));
	addEventListener("online", () => lost());

	function busy(element, is) {
		if (is) element.setAttribute("aria-busy", "true");
		else element.removeAttribute("aria-busy");
	}

	const isLive = (ctx) => ctx?.sourceElement?.id === "live";
	document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => { if (!isLive(ctx)) busy(ctx.sourceElement, true); });
	document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => busy(ctx.sourceElement, false));
	document.addEventListener("htmx:error", ({ detail }) => { if (detail.ctx && !detail.ctx.response) unreachable(); });

	// typed reports whether a form has something that is not stored yet.
	function typed() {
		return [...document.querySelectorAll("main :is(input, select):not([type=hidden])")].some((field) => {
			if (field.options) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
			return field.checked !== field.defaultChecked || field.value !== field.defaultValue;
		});
	}

	// A page of ours has one of these ids. What has neither, and is no error, is a page to sign in,
	// which the host or a proxy in front of it sends in the place of ours.
	const isOurs = (text) => / id="(page|live)"/.test(text);

	// If the visitor was signed out, what was typed stays. Without that, the page is loaded again
	// and says so, as if the visitor may not see the live part any more.
	document.addEventListener("htmx:after:request", (event) => {
		const { ctx } = event.detail, { status } = ctx.response;
		const out = status === 401 || status < 400 && !isOurs(ctx.text);
		if (!out && !(status === 403 && isLive(ctx))) return lost();
		event.preventDefault();
		if (isLive(ctx) && !typed()) return location.reload();
		if (isLive(ctx)) ctx.sourceElement.replaceChildren();
		lost(out ? "session" : "right");
	});

	// htmx sends every form but those whose response shows a secret. The browser
	// sends these, and after a second click it would show the second response,
	// which has no secret. So a second click does nothing. If the visitor is signed out or
	// offline, the browser would show another page, without what was typed: so that is asked first.
	// It is asked by loading this page again, as the browser did before. A proxy may well treat
	// every other request in another way, such as a HEAD. Whatever it says that is not understood
	// is left to the form itself to find out.
	async function signedOut() {
		const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
		if (answer.status === 401 || answer.type === "opaqueredirect") return true;
		return answer.ok && !isOurs(await answer.text());
	}

	const sent = new Set();
	document.addEventListener("submit", async (event) => {
		const form = event.target;
		if (form.method !== "post" || form.hasAttribute("hx-boost")) return;
		event.preventDefault();
		if (sent.has(form)) return;
		sent.add(form);
		busy(form, true);
		try {
			if (!await signedOut()) return form.submit();
			lost("session");
		} catch {
			unreachable();
		}
		free();
	});
	function free() {
		sent.forEach((form) => busy(form, false));
		sent.clear();
	}
	addEventListener("pageshow", free); // the viewer came back to the form

	// holds returns what the live part shows now: the ids of its rows, what it says, and what the
	// viewer has opened and scrolled.
	function holds() {
		const live = document.getElementById("live");
		const rows = [...(live?.querySelectorAll("[data-row]") ?? [])].map((row) => row.dataset.row);
		const open = [...(live?.querySelectorAll("details[id]") ?? [])].map((part) => [part.id, part.open]);
		const scrolled = [...(live?.querySelectorAll("pre[id]") ?? [])].map((part) => [part.id, part.scrollTop]);
		return { rows: new Set(rows), says: live?.dataset.say, open, scrolled };
	}

	function restore({ open, scrolled }) {
		for (const [id, is] of open) document.getElementById(id)?.toggleAttribute("open", is);
		for (const [id, top] of scrolled) if (document.getElementById(id)) document.getElementById(id).scrollTop = top;
	}

	function announce(before) {
		const now = holds();
		const fresh = [...now.rows].filter((row) => !before.rows.has(row)).length;
		if (now.says && before.says && now.says !== before.says) say(now.says);
		else if (fresh > 0) say(fresh === 1 ? "One new delivery" : fresh + " new deliveries");
	}

	// selecting reports whether the viewer has selected something in the live part.
	function selecting() {
		const live = document.getElementById("live"), selection = getSelection();
		return live && !selection.isCollapsed && selection.getRangeAt(0).intersectsNode(live);
	}

	let before = holds();
	document.addEventListener("htmx:before:swap", (event) => {
		if (isLive(event.detail.ctx) && selecting()) return event.preventDefault();
		before = holds();
	});
	document.addEventListener("htmx:after:swap", (event) => {
		show(document);
		if (isLive(event.detail.ctx)) {
			restore(before);
			return announce(before);
		}
		forget();
		(outcome() ?? document.getElementById("main"))?.focus({ preventScroll: true });
	});

	// A page that nobody looks at does not update itself, nor does one in which somebody is selecting.
	document.addEventListener("htmx:config:request", (event) => {
		if (event.detail.ctx.sourceEvent?.type === "every" && (document.hidden || selecting())) event.preventDefault();
	});

	// outcome is what says whether the action succeeded, if there was one.
	function outcome() {
		return document.getElementById("problems") ?? document.getElementById("flash");
	}

	// forget removes the parameter that says what was just done, so that it is neither
	// in a bookmark nor said again when the page is loaded again.
	function forget() {
		const address = new URL(location);
		if (!address.searchParams.has("done")) return;
		address.searchParams.delete("done");
		history.replaceState(history.state, "", address);
	}

	setInterval(() => document.querySelectorAll("time[data-as=relative]").forEach(tellTime), 1000);
	show(document);
	forget();
	outcome()?.focus(); // after a form that was sent before htmx was ready, too
})();
