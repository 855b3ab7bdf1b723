// Settings → Webhooks works without this script. The script shows times in the zone
// of the browser, copies texts, and announces to screen readers what is new in the
// live part of a page.
(() => {
	"use strict";

	const zoned = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
	const clock = new Intl.DateTimeFormat(undefined, zoned);
	const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...zoned });
	const year = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", ...zoned });
	const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
	const away = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

	function localTime(t) {
		const now = new Date();
		if (t.toDateString() === now.toDateString()) return clock.format(t);
		return (t.getFullYear() === now.getFullYear() ? date : year).format(t);
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
		element.textContent = element.dataset.as === "relative" ? relativeTime(t) : localTime(t);
		element.title = exact.format(t) + "\n" + element.dateTime;
	}

	// Without script, the times in forms are in UTC. With it, they are in the zone of the
	// browser.
	function localInputs(root) {
		for (const input of root.querySelectorAll("input[type=datetime-local]")) {
			if (input.dataset.local) continue;
			input.dataset.local = "yes";
			const zone = input.labels[0]?.querySelector(".zone");
			if (zone) zone.remove();
			const t = new Date(input.value + "Z");
			if (!isNaN(t)) input.value = new Date(t - t.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
		}
	}

	document.addEventListener("formdata", (event) => {
		const filters = event.target.matches(".filters");
		for (const [name, value] of [...event.formData]) {
			const field = event.target.elements[name];
			if (value === "" && filters) event.formData.delete(name); // keeps the address short
			else if (value !== "" && field?.dataset?.local) event.formData.set(name, new Date(value).toISOString().slice(0, 19));
		}
	});

	function show(root) {
		for (const element of root.querySelectorAll(".needs-script")) element.hidden = false;
		for (const element of root.querySelectorAll(".no-script")) element.hidden = true;
		for (const element of root.querySelectorAll("time")) tellTime(element);
		localInputs(root);
	}

	function say(text) {
		document.getElementById("announce").textContent = text;
	}

	document.addEventListener("click", async (event) => {
		const button = event.target.closest("[data-copy]");
		if (!button) return;
		const source = document.getElementById(button.dataset.copy);
		try {
			await navigator.clipboard.writeText(source.textContent);
			button.textContent = "Copied";
			say("Copied");
			setTimeout(() => { button.textContent = "Copy"; }, 2000);
		} catch { // the browser does not allow it: select the text, so that the viewer can copy it
			getSelection().selectAllChildren(source);
			say("The text is selected. Press the keys for copying.");
		}
	});

	// htmx sends every form but those whose response shows a secret. The browser
	// sends these, and after a second click it would show the second response,
	// which has no secret. So a second click does nothing.
	const sent = new Set();
	document.addEventListener("submit", (event) => {
		const form = event.target;
		if (form.method !== "post" || form.hasAttribute("hx-boost")) return;
		if (sent.has(form)) event.preventDefault();
		sent.add(form);
	});
	addEventListener("pageshow", () => sent.clear()); // the viewer came back to the form

	// holds returns what the live part shows now: the ids of its rows, and what it says.
	function holds() {
		const live = document.getElementById("live");
		const rows = [...(live?.querySelectorAll("[data-row]") ?? [])].map((row) => row.dataset.row);
		return { rows: new Set(rows), says: live?.dataset.say };
	}

	function announce(before) {
		const now = holds();
		const fresh = [...now.rows].filter((row) => !before.rows.has(row)).length;
		if (now.says && before.says && now.says !== before.says) say(now.says);
		else if (fresh > 0) say(fresh === 1 ? "One new delivery" : fresh + " new deliveries");
	}

	let before = holds();
	document.addEventListener("htmx:before:swap", () => { before = holds(); });
	document.addEventListener("htmx:after:swap", (event) => {
		show(document);
		if (event.detail.ctx?.sourceElement?.id === "live") return announce(before);
		forget();
		(outcome() ?? document.getElementById("main"))?.focus({ preventScroll: true });
	});

	// A page that nobody looks at does not update itself.
	document.addEventListener("htmx:config:request", (event) => {
		if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
	});

	// If the visitor was signed out, or may not see the live part any more, the page is
	// loaded again and says so.
	document.addEventListener("htmx:response:error", (event) => {
		const { response, sourceElement } = event.detail.ctx;
		if (response.status === 401 || response.status === 403 && sourceElement?.id === "live") location.reload();
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
