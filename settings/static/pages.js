// Settings → Webhooks works without this. It puts times into the viewer's zone,
// copies, and says aloud what the live parts of a page bring.
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

	// A form's times are in UTC without script. With it they are the viewer's.
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
		if (!event.target.matches(".filters")) return;
		for (const [name, value] of [...event.formData]) {
			const field = event.target.elements[name];
			if (value === "") event.formData.delete(name); // a short address
			else if (field.dataset.local) event.formData.set(name, new Date(value).toISOString().slice(0, 19));
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
		} catch { // not allowed here: let the viewer copy the selection
			getSelection().selectAllChildren(source);
			say("Selected; press the keys for copying");
		}
	});

	// A form whose answer shows a secret is sent once: the browser would show the
	// answer to a second click, which has none. All others are htmx's.
	const sent = new Set();
	document.addEventListener("submit", (event) => {
		const form = event.target;
		if (form.method !== "post" || form.hasAttribute("hx-boost")) return;
		if (sent.has(form)) event.preventDefault();
		sent.add(form);
	});
	addEventListener("pageshow", () => sent.clear()); // come back to

	// What a live part holds, to tell what is new in the next.
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
		(document.getElementById("problems") ?? document.getElementById("flash") ?? document.getElementById("main"))?.focus({ preventScroll: true });
	});

	// Nobody looks: nothing is asked.
	document.addEventListener("htmx:config:request", (event) => {
		if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
	});

	// Signed out meanwhile: the whole page says so.
	document.addEventListener("htmx:response:error", (event) => {
		if (event.detail.ctx.response.status === 401) location.reload();
	});

	// The word of what was done stays out of bookmarks and of the next reload.
	function forget() {
		const address = new URL(location);
		if (!address.searchParams.has("done")) return;
		address.searchParams.delete("done");
		history.replaceState(history.state, "", address);
	}

	setInterval(() => document.querySelectorAll("time[data-as=relative]").forEach(tellTime), 1000);
	show(document);
	forget();
	document.getElementById("problems")?.focus();
})();
