// What live figures share: elements, labelled inputs, the page's theme, sharp canvases, numbers as text.

/** An element: h("p.hint", { onclick: f, hidden: true }, "text", child…); the attributes may be left out. */
export function h(tag, ...rest) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElement(name);
	if (classes.length) element.className = classes.join(" ");
	const attributes = rest[0]?.constructor === Object ? rest.shift() : {};
	for (const [key, value] of Object.entries(attributes)) {
		if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else if (value === true) element.setAttribute(key, "");
		else if (value !== false && value != null) element.setAttribute(key, value);
	}
	element.append(...rest);
	return element;
}

/** A number in three significant digits, for reading: 0.0123, 4.56e−7, 12,300. */
export function format(x) {
	if (!Number.isFinite(x)) return "∞";
	const size = Math.abs(x);
	if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential(1).replace("e-", "e−").replace("e+", "e").replace(/^-/, "−");
	return Number(x.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 5 }).replace("-", "−");
}

/** A power of ten for an axis: 10⁻³. */
export const power = (k) => `10${String(k).replace(/./g, (d) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(d)])}`;

/** The step between ticks of a linear axis: 1, 2 or 5 times a power of ten, so that about `wanted` fit on `length`. */
export function steps(length, wanted) {
	const rough = length / wanted;
	const unit = 10 ** Math.floor(Math.log10(rough));
	return unit * ([1, 2, 5, 10].find((m) => m * unit >= rough) ?? 10);
}

let count = 0;

/**
 * A labelled range; with `log` it moves in powers of ten. Returns { root, range, label(text), show(value), fraction(value), limits(min,
 * max) }.
 */
export function slider({ label, min, max, step, log = false, text = format, input }) {
	const to = log ? Math.log10 : (x) => x;
	const from = log ? (x) => Number((10 ** x).toPrecision(3)) : (x) => x;
	const id = `unmagic-${++count}`;
	const range = h("input", { type: "range", id, min: to(min), max: to(max), step: log ? 0.01 : step });
	const value = h("span.value", { "aria-hidden": "true" });
	const name = h("label", { for: id }, label);
	let shown;
	const show = (x) => {
		if (x === shown) return;
		shown = x;
		if (from(Number(range.value)) !== x) range.value = to(x);
		value.textContent = text(x);
		range.setAttribute("aria-valuetext", text(x));
	};
	range.addEventListener("input", () => {
		const x = from(Number(range.value));
		show(x);
		input(x);
	});
	return {
		root: h("div.control", h("div.name", name, value), range),
		range,
		show,
		label: (words) => (name.textContent = words),
		fraction: (x) => (to(x) - Number(range.min)) / (Number(range.max) - Number(range.min)),
		limits(low, high) {
			if (Number(range.min) === to(low) && Number(range.max) === to(high)) return;
			[range.min, range.max, shown] = [to(low), to(high)];
		},
	};
}

/** A labelled select: { label, options: [[value, text]…], input(value) } → { root, select, show(value) }. */
export function choice({ label, options, input }) {
	const id = `unmagic-${++count}`;
	const select = h("select", { id, onchange: () => input(select.value) }, ...options.map(([value, text]) => h("option", { value }, text)));
	return {
		root: h("div.control.choice", h("label", { for: id }, label), select),
		select,
		show: (value) => (select.value = value),
	};
}

/** "dark" or "light": what the book's theme, JupyterLab, VS Code or else the system says. */
export function pageTheme() {
	const { documentElement: page, body } = document;
	const said = page.dataset.theme ?? page.getAttribute("theme");
	if (said === "dark" || said === "light") return said;
	if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
	if (body.dataset.vscodeThemeKind) return body.dataset.vscodeThemeKind.includes("light") ? "light" : "dark";
	return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Keeps root's data-unmagic-theme with the page's and calls changed() after each change. Returns what stops it. */
export function followTheme(root, changed) {
	const media = matchMedia("(prefers-color-scheme: dark)");
	const look = () => {
		const theme = pageTheme();
		if (root.dataset.unmagicTheme === theme) return;
		root.dataset.unmagicTheme = theme;
		changed();
	};
	const watch = new MutationObserver(look);
	const attributeFilter = ["data-theme", "theme", "data-jp-theme-light", "data-vscode-theme-kind"];
	for (const element of [document.documentElement, document.body]) watch.observe(element, { attributes: true, attributeFilter });
	media.addEventListener("change", look);
	look();
	return () => {
		watch.disconnect();
		media.removeEventListener("change", look);
	};
}

/** colours(root, ["ink", "paper"]) reads --ink and --paper. */
export function colours(root, names) {
	const style = getComputedStyle(root);
	return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Sizes a canvas to its box in device pixels; returns { g, width, height, ratio }, the context in CSS pixels, cleared. */
export function sharp(canvas) {
	const ratio = Math.min(window.devicePixelRatio || 1, 3);
	const [width, height] = [canvas.clientWidth, canvas.clientHeight];
	const [w, h_] = [Math.round(width * ratio), Math.round(height * ratio)];
	if (canvas.width !== w || canvas.height !== h_) [canvas.width, canvas.height] = [w, h_];
	const g = canvas.getContext("2d");
	g.setTransform(ratio, 0, 0, ratio, 0, 0);
	g.clearRect(0, 0, width, height);
	return { g, width, height, ratio };
}

/** Strokes a straight line on a canvas. */
export function line(g, x1, y1, x2, y2) {
	g.beginPath();
	g.moveTo(x1, y1);
	g.lineTo(x2, y2);
	g.stroke();
}

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * What every live figure does: it listens to the model's `keys`, the page's theme and its own size, and draws at most once a frame. A
 * figure adds build() → root, tick(time), and tell(), called once the reader rests, and calls start(el). `ink` is null when colours must
 * be read again; what is `hidden` need not be drawn.
 */
export class Live {
	constructor(model, keys) {
		Object.assign(this, { model, keys, frame: 0, hidden: false, ink: null, stopped: [] });
	}

	start(el) {
		this.root = this.build();
		el.replaceChildren(this.root);
		for (const key of this.keys) {
			const changed = () => this.changed(key);
			this.model.on(`change:${key}`, changed);
			this.stopped.push(() => this.model.off(`change:${key}`, changed));
		}
		const themed = () => {
			this.ink = null;
			this.request();
		};
		this.stopped.push(followTheme(this.root, themed));
		const resized = new ResizeObserver(() => this.request());
		for (const canvas of this.root.querySelectorAll("canvas")) resized.observe(canvas);
		const seen = new IntersectionObserver((entries) => {
			this.hidden = !entries.at(-1).isIntersecting;
			this.request();
		});
		seen.observe(this.root);
		this.stopped.push(() => resized.disconnect(), () => seen.disconnect());
		this.request();
		this.report();
	}

	get(key) {
		return this.model.get(key);
	}

	/** Sets what the reader changed; the model hears of it with the next frame, so a drag sends one message a frame at most. */
	set(changes) {
		for (const [key, value] of Object.entries(changes)) this.model.set(key, value);
		this.unsaved = true;
		this.request();
		this.report();
	}

	changed() {
		this.request();
		this.report();
	}

	request() {
		this.frame ||= requestAnimationFrame((time) => {
			this.frame = 0;
			this.tick(time);
			if (!this.unsaved) return;
			this.unsaved = false;
			this.model.save_changes();
		});
	}

	report() {
		clearTimeout(this.reporting);
		this.reporting = setTimeout(() => this.tell(), 600);
	}

	stop() {
		cancelAnimationFrame(this.frame);
		this.frame = -1; // no frame is asked for again
		clearTimeout(this.reporting);
		this.stopped.forEach((stop) => stop());
		this.root.remove();
	}
}

/** A figure's default export. choices: { key: object whose keys are the values it may have }. */
export function figureModule({ title, keys, choices, Figure }) {
	return {
		render({ model, el }) {
			const missing = keys.filter((key) => model.get(key) === undefined);
			const odd = Object.keys(choices).find((key) => !(model.get(key) in choices[key]));
			let wrong = odd && `${odd} is “${model.get(odd)}”, wanted is one of ${Object.keys(choices[odd]).join(", ")}`;
			if (missing.length) wrong = `its state lacks ${missing.join(", ")}; make it with unmagic.figures.${Figure.name}()`;
			if (wrong) el.replaceChildren(h("p.unmagic-live.fault", { role: "alert" }, `${title} could not start: ${wrong}.`));
			const figure = wrong ? null : new Figure(model, el);
			return () => figure?.stop();
		},
	};
}
