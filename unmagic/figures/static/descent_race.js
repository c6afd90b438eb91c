// Descent race: batch, stochastic, minibatch and momentum descent side by side on one loss surface.
//
// The state is everything: the whole race is computed anew whenever a setting changes, and `points_shown` says how much
// of it is seen. So dragging the start bends all paths at once.

import { eigenvalues, LONGEST, makeSurface, OPTIMIZERS, POINTS, race, RACERS, SURFACES } from "./descent.js";
import { choice, colours, figureModule, format, h, Live, reducedMotion, sharp, slider } from "./kit.js";
import { paintMap } from "./loss_map.js";
import { AXES, drawLosses, drawMapMarks, drawPath, drawUnit, projection, swatch } from "./race_draw.js";

const SETTINGS = ["start", "learning_rate", "rates", "momentum", "batch_size", "racers", "seed"]; // these bend the paths
const KEYS = [...SETTINGS, "surface", "eccentricity", "noise", "epochs", "points_shown", "playing", "speed", "axis", "presets"];
const RACE_SECONDS = 8; // to watch the whole race at speed 1
const JUMP = 10; // epochs that Play jumps where motion is not wanted
const RATES = { min: 1e-4, max: 10 };

const NOTES = {
	bowl: "Each training point pulls towards its own minimum (the small dots); J is the mean of their losses, J_i = ½ (w − c_i)ᵀA(w − c_i). Noise is how far the dots are scattered.",
	tilted: "Each training point tilts the surface its own way, J_i = J + g_i·w, and the tilts cancel in the mean. Noise is the size of the tilts.",
	unit: "y = tanh(w_1x_1 + w_2x_2 + b), J = 1/(2n) Σ (y − t)². There are three weights: the map is their shadow on (w_1, w_2). Its tint is the least loss over b, so a racer whose b is still on its way has more loss than the tint says; the plot of the loss is exact. Noise is the scatter of each class.",
};
const note = (name) => NOTES[name] ?? NOTES.tilted;
const subscripts = (text) => text.split(/_(\w)/).map((part, k) => (k % 2 ? h("sub", part) : part)); // "J_i" as J with a small i

class DescentRace extends Live {
	constructor(model, el) {
		super(model, KEYS);
		this.surfaceKey = this.raceKey = this.mapKey = "";
		this.mapDraws = 0;
		this.start(el);
	}

	// --- state ---

	changed(key) {
		if (key === "playing") this.playingChanged();
		super.changed();
	}

	get length() {
		return Math.min(this.get("epochs"), LONGEST) * POINTS;
	}

	get shown() {
		return Math.max(0, Math.min(this.get("points_shown"), this.length));
	}

	settings() {
		const settings = Object.fromEntries(SETTINGS.map((key) => [key, this.get(key)]));
		const { dim } = this.surface;
		const preset = this.get("presets")[this.get("surface")];
		settings.start = [...settings.start, ...preset.start.slice(settings.start.length)].slice(0, dim);
		settings.racers = Object.keys(RACERS).filter((name) => settings.racers.includes(name)); // always in the same order
		return settings;
	}

	/** Surface and race as the state wants them, computed only when what they depend on has changed. */
	compute() {
		const about = { eccentricity: this.get("eccentricity"), noise: this.get("noise") };
		const surfaceKey = JSON.stringify([this.get("surface"), about]);
		if (surfaceKey !== this.surfaceKey) {
			this.surface = makeSurface(this.get("surface"), about);
			this.surfaceKey = surfaceKey;
		}
		const settings = this.settings();
		const raceKey = JSON.stringify([surfaceKey, settings, this.length]);
		if (raceKey !== this.raceKey) {
			this.lanes = race(this.surface, settings, this.length);
			this.raceKey = raceKey;
			this.now = settings;
		}
	}

	// --- doing ---

	play() {
		if (this.shown >= this.length) this.model.set("points_shown", 0);
		if (reducedMotion()) this.set({ playing: false, points_shown: Math.min(this.shown + JUMP * POINTS, this.length) });
		else this.set({ playing: true });
	}

	playingChanged() {
		this.then = null;
		if (!this.get("playing")) return;
		if (reducedMotion()) this.play(); // asked for by Python: a jump, no motion
		else if (this.shown >= this.length) this.model.set("points_shown", 0);
	}

	step(points) {
		const from = this.shown >= this.length && points > 0 ? 0 : this.shown;
		const to = Math.max(0, Math.min(from + points, this.length));
		this.set({ playing: false, points_shown: to });
	}

	/** Everything as it was chosen for this surface. */
	reset(surface = this.get("surface")) {
		const { ...preset } = this.get("presets")[surface];
		this.set({ surface, playing: false, rates: {}, ...preset, points_shown: preset.epochs * POINTS });
	}

	moveStart(w1, w2) {
		const [left, right, bottom, top] = this.surface.view;
		const within = (x, low, high) => Number(Math.max(low, Math.min(high, x)).toFixed(3));
		const start = this.settings().start;
		[start[0], start[1]] = [within(w1, left, right), within(w2, bottom, top)];
		this.set({ start });
	}

	// --- elements ---

	build() {
		const set = (key) => (value) => this.set({ [key]: value });
		this.controls = {
			learning_rate: slider({ label: "Learning rate ε", ...RATES, log: true, input: (rate) => this.set({ learning_rate: rate, rates: {} }) }),
			momentum: slider({ label: "Momentum β", min: 0, max: 0.99, step: 0.01, input: set("momentum") }),
			batch_size: slider({ label: "Minibatch size", min: 1, max: POINTS, step: 1, input: set("batch_size") }),
			eccentricity: slider({ label: "Eccentricity", min: 1, max: 100, log: true, input: set("eccentricity") }),
			noise: slider({ label: "Noise", min: 0, max: 1.5, step: 0.01, input: set("noise") }),
			epochs: slider({ label: "Length of the race", min: 1, max: LONGEST, log: true, text: (n) => `${format(n)} epochs`, input: (n) => this.lengthen(Math.round(n)) }),
			speed: slider({ label: "Speed", min: 0.125, max: 8, log: true, text: (x) => `× ${format(x)}`, input: set("speed") }),
		};
		const { learning_rate, momentum, batch_size, eccentricity, noise, epochs, speed } = this.controls;
		learning_rate.root.classList.add("rate");
		this.ticks = [h("div.tick", h("span", "2/λmax")), h("div.tick.start")];
		learning_rate.root.append(h("div.limits", { "aria-hidden": "true" }, ...this.ticks));

		this.surfaceChoice = choice({
			label: "Loss surface",
			options: Object.entries(SURFACES).map(([name, { label }]) => [name, label]),
			input: (name) => this.reset(name),
		});
		this.axisChoice = choice({ label: "Loss against", options: Object.entries(AXES).map(([name, { label }]) => [name, label]), input: set("axis") });

		const button = (words, title, onclick) => h("button", { type: "button", title, onclick }, words);
		this.playButton = button("▶ Play", null, () => (this.get("playing") ? this.set({ playing: false }) : this.play()));
		this.playButton.className = "play";
		this.scrubber = h("input", { type: "range", min: 0, step: 1, "aria-label": "Points shown so far", oninput: () => this.set({ playing: false, points_shown: Number(this.scrubber.value) }) });

		this.time = h("span");
		this.map = h("canvas.surface", { role: "img" });
		this.handle = h("button.handle", { type: "button", "aria-label": "Start" });
		this.mapBox = h("div.map", this.map, this.handle);
		this.dragging();

		this.plot = h("canvas.plot", { role: "img" });
		this.unit = h("canvas.unit", { role: "img", "aria-label": "The unit's training points with the line on which each racer's output changes sign" });
		this.unitBox = h("div.unit-box", h("p.name", "The points (● t = 0.7, ○ t = −0.7), and where each racer's unit changes sign"), this.unit);

		this.rows = Object.entries(RACERS).map(([name, { label }]) => {
			const box = h("input", { type: "checkbox", onchange: () => this.set({ racers: Object.keys(RACERS).filter((n) => (n === name ? box.checked : this.get("racers").includes(n))) }) });
			const mark = h("span.swatch");
			mark.innerHTML = swatch(name);
			const said = h("span.said");
			const rate = slider({ label: `ε of ${label.toLowerCase()}`, ...RATES, log: true, input: (x) => this.set({ rates: { ...this.get("rates"), [name]: x } }) });
			return { name, box, said, rate, root: h(`li.${name}`, h("label", box, mark, h("span", label)), said) };
		});
		this.startInputs = ["w₁", "w₂", "b"].map((axis, k) =>
			slider({ label: `Start ${axis}`, min: -4, max: 4, step: 0.01, input: (x) => this.set({ start: this.settings().start.map((old, n) => (n === k ? x : old)) }) }),
		);

		this.limitText = h("p.limit");
		this.noteText = h("p.note");
		this.live = h("p.unseen", { "aria-live": "polite" });
		return h(
			"div.unmagic-live.descent-race",
			{ role: "group", "aria-label": "Descent race, a live figure" },
			h("div.bar", this.surfaceChoice.root, button("Shuffle anew", "Another order of the points", () => this.set({ seed: this.get("seed") + 1 })), button("Reset", "This surface's own settings", () => this.reset())),
			h("div.views",
				h("div.left", this.mapBox, h("div.clock", this.scrubber, this.time),
					h("div.bar.transport", this.playButton,
						button("+1 point", "Show one more training point", () => this.step(1)),
						button("+1 epoch", "Show every training point once more", () => this.step(POINTS - (this.shown % POINTS))))),
				h("div.right", this.axisChoice.root, this.plot, h("p.heads", { "aria-hidden": "true" }, h("span", "Racer"), h("span", "J − J*")), h("ul.racers", { "aria-label": "Racers" }, ...this.rows.map((row) => row.root)))),
			this.unitBox,
			h("div.settings", learning_rate.root, momentum.root, batch_size.root, eccentricity.root, noise.root),
			this.limitText,
			h("details", h("summary", "Start, speed, and a rate for each racer"),
				h("div.settings", ...this.startInputs.map((input) => input.root), epochs.root, speed.root, ...this.rows.map((row) => row.rate.root))),
			h("details", h("summary", "What you see"), this.noteText,
				h("p", "Drag the start, or move it with the arrow keys (with Shift in larger steps). All racers see the same points in the same order. Batch descent makes one update when it has seen all ", String(POINTS), "; stochastic descent one a point; minibatch descent one a minibatch. An epoch shows every point once. ✚ is the lowest point of J, written J*.")),
			this.live,
		);
	}

	lengthen(epochs) {
		const whole = this.shown >= this.length; // a race seen to its end stays so
		this.set({ epochs, points_shown: whole ? epochs * POINTS : Math.min(this.shown, epochs * POINTS) });
	}

	dragging() {
		const to = (event) => {
			const box = this.map.getBoundingClientRect();
			const at = projection(this.surface.view, box.width, box.height);
			this.moveStart(...at.weights(event.clientX - box.left, event.clientY - box.top));
		};
		// a finger drags the handle and elsewhere scrolls the page; a mouse drags from anywhere
		this.mapBox.addEventListener("pointerdown", (event) => {
			if (event.button !== 0 || (event.pointerType === "touch" && event.target !== this.handle)) return;
			event.preventDefault();
			this.mapBox.setPointerCapture(event.pointerId);
			this.drag = event.pointerId;
			this.handle.focus({ preventScroll: true });
			to(event);
		});
		this.mapBox.addEventListener("pointermove", (event) => event.pointerId === this.drag && to(event));
		const end = () => (this.drag = null);
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) this.mapBox.addEventListener(name, end);
		this.mapBox.addEventListener("click", (event) => event.target === this.map && event.pointerType === "touch" && to(event));
		this.handle.addEventListener("keydown", (event) => {
			const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
			if (!way) return;
			event.preventDefault();
			const [left, right] = this.surface.view;
			const by = ((right - left) / 200) * (event.shiftKey ? 10 : 1);
			const [w1, w2] = this.settings().start;
			this.moveStart(w1 + way[0] * by, w2 + way[1] * by);
		});
	}

	// --- drawing ---

	tick(time) {
		if (this.get("playing") && !this.hidden) {
			const passed = Math.min(0.1, (time - (this.then ?? time)) / 1000);
			this.then = time;
			this.exact = (Math.floor(this.exact) === this.shown ? this.exact : this.shown) + (passed * this.get("speed") * this.length) / RACE_SECONDS;
			const shown = Math.min(Math.floor(this.exact), this.length);
			if (shown !== this.shown) this.model.set("points_shown", shown);
			if (shown >= this.length) this.set({ playing: false });
			this.request();
		}
		this.compute();
		if (!this.hidden) this.draw();
	}

	draw() {
		if (!this.map.clientWidth) return;
		const { surface, lanes, shown } = this;
		this.ink ??= colours(this.root, ["ink", "faint", "paper", "grid", "map-0", "map-1", "map-2", "map-3", "map-line", ...Object.keys(RACERS)]);
		const { ink } = this;
		const size = sharp(this.map);
		const { g, width, height, ratio } = size;
		this.paintMap(Math.round(width * ratio), Math.round(height * ratio), ratio);
		g.drawImage(this.background, 0, 0, width, height);
		const at = projection(surface.view, width, height);
		drawMapMarks(g, size, surface, at, ink);
		const last = lanes.map((lane) => drawPath(g, lane, lane.updatesAt(shown), at, ink[lane.name], ink.paper, size));
		last.forEach((finish) => finish());
		const [w1, w2] = this.now.start;
		this.handle.style.transform = `translate(${at.x(w1)}px, ${at.y(w2)}px)`;
		const plot = sharp(this.plot);
		drawLosses(plot.g, plot, lanes, surface, shown, this.length, this.get("axis"), ink);
		this.unitBox.hidden = !surface.data;
		if (surface.data) {
			const box = sharp(this.unit);
			drawUnit(box.g, box, surface, lanes, shown, ink);
		}
		this.showState();
	}

	/** The map is painted anew only when surface, size or theme changes; coarsely while a slider bends it. */
	paintMap(width, height, ratio) {
		const key = JSON.stringify([this.surfaceKey, width, height, this.root.dataset.unmagicTheme]);
		const bending = this.mapKey && this.mapKey !== key && document.activeElement?.type === "range" && this.root.contains(document.activeElement);
		if (key === this.mapKey) return;
		this.mapKey = key;
		clearTimeout(this.finer);
		const slow = this.surface.data ? 2.2 : 1; // the unit's map minimises over b at every place
		const { ink } = this;
		const look = { stops: [ink["map-0"], ink["map-1"], ink["map-2"], ink["map-3"]], line: ink["map-line"] };
		const scale = bending ? 1 / (ratio * 1.5) : 1;
		const cell = (bending ? 3 : 2 * ratio) * slow;
		this.background = paintMap(this.surface, Math.round(width * scale), Math.round(height * scale), cell, look);
		this.root.dataset.mapDraws = ++this.mapDraws;
		if (bending) {
			this.finer = setTimeout(() => {
				this.mapKey = "";
				this.request();
			}, 200);
		}
	}

	/** Inputs and words as the state has them. */
	showState() {
		const { surface, now, shown, lanes } = this;
		for (const [key, control] of Object.entries(this.controls)) control.show(this.get(key));
		const { eccentricity } = this.controls;
		eccentricity.root.hidden = !surface.eccentricity;
		if (surface.eccentricity) eccentricity.label(surface.eccentricity);
		this.surfaceChoice.show(surface.name);
		this.axisChoice.show(this.get("axis"));
		const [left, right, bottom, top] = surface.view;
		[[left, right], [bottom, top], [-4, 4]].forEach(([low, high], k) => {
			const input = this.startInputs[k];
			input.root.hidden = k >= surface.dim;
			input.limits(low, high);
			if (k < surface.dim) input.show(now.start[k]);
		});
		this.handle.setAttribute("aria-label", `Start at w1 = ${format(now.start[0])}, w2 = ${format(now.start[1])}. Arrow keys move it.`);
		this.map.setAttribute("aria-label", `Map of the loss over w1 and w2 for ${surface.label}, with the path of each racer`);
		this.plot.setAttribute("aria-label", `Loss above the lowest, J − J*, on a log scale, against ${AXES[this.get("axis")].label}, one curve a racer`);
		this.playButton.textContent = this.get("playing") ? "❚❚ Pause" : reducedMotion() ? `▶▶ ${JUMP} epochs` : "▶ Play";
		this.scrubber.max = this.length;
		this.scrubber.value = shown;
		this.scrubber.setAttribute("aria-valuetext", this.clock());
		this.time.textContent = this.clock();
		for (const row of this.rows) {
			const lane = lanes.find(({ name }) => name === row.name);
			row.box.checked = Boolean(lane);
			row.said.textContent = lane ? this.said(lane) : "";
			row.said.classList.toggle("gone", Boolean(lane) && this.gone(lane));
			row.rate.show(this.get("rates")[row.name] ?? now.learning_rate);
		}
		if (this.noted !== surface.name) this.noteText.replaceChildren(...subscripts(note(surface.name)));
		this.noted = surface.name;
		this.showLimit();
	}

	clock() {
		return `epoch ${format(Math.floor((10 * this.shown) / POINTS) / 10)} of ${format(this.length / POINTS)}`;
	}

	gone(lane) {
		return lane.divergedAt !== null && lane.divergedAt <= this.shown;
	}

	said(lane) {
		if (this.gone(lane)) return `diverged in epoch ${Math.ceil(lane.divergedAt / POINTS)}`;
		const updates = lane.updatesAt(this.shown);
		const J = this.surface.loss(lane.weights(updates));
		return format(Math.max(0, J - this.surface.lowest));
	}

	showLimit() {
		const { surface, now } = this;
		const lambda = surface.lambdas[0];
		const limit = 2 / lambda;
		const atStart = eigenvalues(surface.hessian(now.start))[0];
		const place = (x) => Math.max(0, Math.min(1, this.controls.learning_rate.fraction(x)));
		const [min, start] = this.ticks;
		min.style.setProperty("--at", place(limit));
		this.controls.learning_rate.range.style.setProperty("--at", place(limit));
		start.style.setProperty("--at", place(2 / atStart));
		start.hidden = surface.name === "bowl" || !(atStart > 0); // a bowl's Hessian is the same everywhere
		const rate = now.learning_rate;
		const over = rate > limit;
		const whose = Object.keys(this.get("rates")).length ? " (racers with a rate of their own aside)" : "";
		const heavy = OPTIMIZERS.momentum.limit(lambda, now);
		const parts = [`Stability limit 2/λmax = ${format(limit)} at the minimum, where λmax = ${format(lambda)} and λmax/λmin = ${format(lambda / surface.lambdas.at(-1))}.`];
		if (!start.hidden) parts.push(`At the start it is ${format(2 / atStart)}.`);
		if (over) {
			parts.push(`ε = ${format(rate)} is above it${whose}: near the minimum each batch step along the stiffest direction multiplies the error by ${format(Math.abs(1 - rate * lambda))}, so batch descent cannot settle.`);
			parts.push(rate < heavy ? `Momentum is stable up to 2(1 + β)/λmax = ${format(heavy)}, so it still can.` : "");
		} else parts.push(`ε = ${format(rate)} is below it${whose}.`);
		this.limitText.textContent = parts.join(" ").trim();
		this.limitText.classList.toggle("above", over);
	}

	/** What a screen reader and Python are told, once the reader pauses. */
	tell() {
		if (this.get("playing") || !this.lanes) return;
		const results = this.lanes.map((lane) => [lane.name, lane.weights(lane.updatesAt(this.shown)), this.gone(lane)]);
		this.live.textContent = `E${this.clock().slice(1)}. Loss above the lowest: ${this.lanes.map((lane) => `${RACERS[lane.name].label} ${this.said(lane)}`).join(", ")}.`;
		this.model.set("weights", Object.fromEntries(results.map(([name, w]) => [name, w])));
		this.model.set("diverged", results.filter(([, , gone]) => gone).map(([name]) => name));
		this.model.save_changes();
	}

	stop() {
		clearTimeout(this.finer);
		super.stop();
	}
}

export default figureModule({
	title: "Descent race",
	keys: KEYS,
	choices: { surface: SURFACES },
	Figure: DescentRace,
});
