// Signals through depth: histograms of activations and gradients through a deep network, as its settings change.
//
// A pass through a large network takes longer than a frame, so it is computed in slices; what is shown is the last whole pass.

import { choice, colours, figureModule, format, h, Live, sharp, slider } from "./kit.js";
import { ACTIVATIONS, BATCH, DEEPEST, INITIALIZATIONS, NORMALIZATIONS, Numbers, propagate, theory, WIDTHS } from "./signals.js";
import { activationRange, bars, columns, CURVES, drawDeviations, drawHistogram, drawSpindles, sharedRange } from "./signals_draw.js";
import { describe, factorInWords } from "./signals_words.js";

const KEYS = ["activation", "initialization", "n_var", "normalization", "width", "depth", "seed", "layer", "own_scale"];
const SLICE = 7; // ms of a frame that a pass may take
const INK = ["ink", "faint", "paper", "panel", "edge", "grid", "warn", ...Object.values(CURVES).map(({ colour }) => colour)];

const TRIES = [
	["tanh", "standard", "none", "The usual U(±1/√n) has n·Var(w) = ⅓: every layer takes its share of both signals."],
	["tanh", "xavier", "none", "Xavier’s n·Var(w) = 1 keeps the gradients nearly level under tanh."],
	["relu", "xavier", "none", "ReLU stops half of every signal: with Xavier the variance halves at each layer."],
	["relu", "he", "none", "He’s n·Var(w) = 2 makes up for that half."],
	["tanh", "large", "none", "Too large: nearly all units saturate, and yet the gradients explode. The few that are not saturated have large weights."],
	["sigmoid", "xavier", "none", "φ′ of the sigmoid is ¼ at most: at n·Var(w) = 1 every layer divides the gradients by 4 or more."],
	["sigmoid", "small", "batch", "Batch norm divides the weights’ size out. Now move n·Var(w): both signals stay as they are."],
	["sigmoid", "small", "layer", "Layer norm does so too, but the sigmoid’s mean of ½ is in what it divides by, and the gradients still vanish."],
];

const labels = (table) => Object.entries(table).map(([name, { label }]) => [name, label]);
const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

class SignalsThroughDepth extends Live {
	constructor(model, el) {
		super(model, KEYS);
		this.initial = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
		this.passes = 0;
		this.start(el);
	}

	// --- state ---

	get nVar() {
		const { nVar } = INITIALIZATIONS[this.get("initialization")];
		return nVar ? nVar(this.get("width")) : this.get("n_var");
	}

	settings() {
		const [activation, normalization, width, seed] = ["activation", "normalization", "width", "seed"].map((key) => this.get(key));
		return { activation, normalization, width, seed, nVar: this.nVar, depth: Math.min(this.get("depth"), DEEPEST) };
	}

	/** Goes on with a pass for as long as a frame allows; begins a new one when the settings have changed. */
	compute() {
		const settings = this.settings();
		const key = JSON.stringify(settings);
		if (!this.running && this.shownKey !== key) {
			if (this.numbers?.seed !== settings.seed || this.numbers.n !== settings.width) this.numbers = new Numbers(settings.seed, settings.width);
			this.running = { key, settings, steps: propagate(settings, this.numbers) };
		}
		if (this.running) {
			const until = performance.now() + SLICE;
			let step = this.running.steps.next();
			while (!step.done && performance.now() < until) step = this.running.steps.next();
			if (step.done) this.finished(step.value);
		}
		const busy = this.shownKey !== key;
		this.root.setAttribute("aria-busy", busy);
		if (busy) this.request();
	}

	finished(pass) {
		const { key, settings } = this.running;
		this.running = null;
		this.shownKey = key;
		this.pass = pass;
		this.shown = settings; // those of the pass that is shown
		this.expected = theory(settings);
		const a = pass.h.map((values, l) => activationRange(settings.activation, mean(values), pass.activations[l]));
		const g = pass.unitGradients.map((deviation) => [-3.5 * deviation, 3.5 * deviation]);
		const widest = Math.max(...g.slice(1).map(([, high]) => high));
		this.ranges = { a, g, allA: sharedRange(settings.activation, a.slice(1)), allG: [-widest, widest] };
		this.root.dataset.passes = ++this.passes;
		this.binnedKey = "";
	}

	/** Every layer's bars, on its own range or on that of all. A range that a layer does not fill is not cut into bins for it. */
	bin() {
		const own = this.get("own_scale");
		const key = `${this.passes} ${own}`;
		if (key === this.binnedKey) return;
		this.binnedKey = key;
		const { a, g, allA, allG } = this.ranges;
		const layers = (values, ranges, all) => values.slice(1).map((x, k) => {
			const narrow = all[1] - all[0] > 8 * (ranges[k + 1][1] - ranges[k + 1][0]);
			const range = own || narrow ? ranges[k + 1] : all;
			return [...bars(x, range), range];
		});
		this.spindles = [layers(this.pass.h, a, allA), layers(this.pass.g, g, allG)];
	}

	// --- elements ---

	build() {
		const set = (key) => (value) => this.set({ [key]: value });
		this.choices = {
			activation: choice({ label: "Activation φ", options: labels(ACTIVATIONS), input: set("activation") }),
			initialization: choice({ label: "Initialization", options: labels(INITIALIZATIONS), input: (name) => this.set({ initialization: name, ...(name === "own" && { n_var: this.nVar }) }) }),
			normalization: choice({ label: "Normalization", options: labels(NORMALIZATIONS), input: set("normalization") }),
		};
		this.sliders = {
			nVar: slider({ label: "n·Var(w)", min: 1e-3, max: 300, log: true, input: (x) => this.set({ initialization: "own", n_var: x }) }),
			width: slider({ label: "Width n", min: 0, max: WIDTHS.length - 1, step: 1, text: (k) => `${WIDTHS[k]} units`, input: (k) => this.set({ width: WIDTHS[k] }) }),
			depth: slider({ label: "Depth L", min: 1, max: DEEPEST, step: 1, text: (L) => (L === 1 ? "1 layer" : `${L} layers`), input: set("depth") }),
		};
		this.layerSlider = slider({ label: "Look at layer", min: 1, max: DEEPEST, step: 1, text: String, input: set("layer") });
		this.ownScale = h("input", { type: "checkbox", onchange: () => this.set({ own_scale: this.ownScale.checked }) });

		// named from the start: a figure out of sight is drawn, and said more of, when it is scrolled to
		const picture = (kind, said) => h(`canvas.${kind}`, { role: "img", "aria-label": said });
		this.activations = picture("spindles", "Histograms of the activations of every layer");
		this.gradients = picture("spindles", "Histograms of the gradients of every layer");
		this.deviations = picture("deviations", "Standard deviation of activations, gradients of units and gradients of weights in each layer, on a log scale, beside what theory expects");
		this.oneActivation = picture("one", "Histogram of one layer's activations");
		this.oneGradient = picture("one", "Histogram of one layer's gradients");
		for (const canvas of [this.activations, this.gradients, this.deviations]) this.picking(canvas);

		const swatch = ({ colour, dash, label }) => {
			const mark = h("span");
			mark.innerHTML = `<svg viewBox="0 0 34 8" width="34" height="8" aria-hidden="true"><line x1="0" y1="4" x2="34" y2="4" stroke="var(--${colour})" stroke-width="${label === "theory" ? 1 : 3}" stroke-dasharray="${dash.join(" ")}"/></svg>`;
			return h("li", mark, label);
		};
		const cell = () => h("td");
		this.cells = Array.from({ length: 7 }, () => [cell(), cell()]);
		const heads = ["Activations h", "× from the layer before", "Gradients ∂J/∂h", "× from the layer after", "Gradients ∂J/∂W", "Same for all examples"];
		this.idleHead = h("th", { scope: "row" });
		const rows = this.cells.map((pair, k) => h("tr", k < 6 ? h("th", { scope: "row" }, heads[k]) : this.idleHead, ...pair));
		this.idleRow = rows[6];
		this.caption = h("caption");
		this.table = h("table", this.caption, h("thead", h("tr", h("td"), h("th", { scope: "col" }, "measured"), h("th", { scope: "col" }, "theory"))), h("tbody", ...rows));

		this.factorText = h("p.note");
		this.verdict = h("p.limit.signals-verdict");
		this.live = h("p.unseen", { "aria-live": "polite" });
		const button = (words, title, onclick) => h("button", { type: "button", title, onclick }, words);
		const named = (words, ...rest) => h("div.panel", h("p.name", words), ...rest);
		const tries = TRIES.map(([activation, initialization, normalization, words]) => {
			const norm = normalization === "none" ? "" : `, ${NORMALIZATIONS[normalization].label}`;
			const name = `${ACTIVATIONS[activation].label}, ${initialization === "xavier" ? "Xavier" : initialization === "he" ? "He" : initialization}${norm}`;
			return h("li", button(name, null, () => this.set({ activation, initialization, normalization })), h("span", words));
		});
		return h(
			"div.unmagic-live.signals",
			{ role: "group", "aria-label": "Signals through depth, a live figure" },
			h("div.settings", ...Object.values({ ...this.choices, ...this.sliders }).map(({ root }) => root)),
			h("div.views",
				h("div.left",
					named("Activations h →, one histogram a layer", this.activations),
					named("← Gradients ∂J/∂h on their way back", this.gradients),
					h("label.tick-box", this.ownScale, "Each layer on its own scale"),
					named("Standard deviations, log scale", this.deviations,
						h("ul.legend", ...Object.values(CURVES).map(swatch), swatch({ colour: "faint", dash: [], label: "theory" })))),
				h("div.right",
					this.layerSlider.root,
					named("Its activations", this.oneActivation),
					named("Its gradients", this.oneGradient),
					this.table,
					this.factorText)),
			this.verdict,
			h("div.bar", button("Draw other numbers", "Other weights, inputs and gradients", () => this.set({ seed: this.get("seed") + 1 })), button("Reset", "As it was at first", () => this.set(this.initial))),
			h("details", h("summary", "Eight things to try"), h("ol.tries", ...tries)),
			h("details", h("summary", "What you see"),
				h("p", `Layer l computes h = φ(norm(W h of the layer before)): n units, no biases, a batch of ${BATCH} examples, really computed, forwards and backwards. The inputs are standard normal numbers. At the top come in gradients that are standard normal numbers too, so that both signals start with standard deviation 1, and each histogram shows how much is left.`),
				h("p", "Weights are uniform on (−a, a) with a² = 3 Var(w); of their distribution hardly anything matters but n·Var(w). The gradient of a weight is that of the mean loss of the batch. Theory is for wide layers; narrow ones scatter around it, and the scatter of many layers multiplies up."),
				h("p", "In each histogram the longest bar has the full width; a bar of exact zeros, as ReLU makes them, is cut there.")),
			this.live,
		);
	}

	/** A press or a drag over a picture of all layers chooses one. */
	picking(canvas) {
		const to = (event) => {
			const layer = columns(canvas.clientWidth, this.get("depth")).layer(event.clientX - canvas.getBoundingClientRect().left);
			if (layer !== this.get("layer")) this.set({ layer });
		};
		canvas.addEventListener("pointerdown", (event) => {
			if (event.button !== 0) return;
			canvas.setPointerCapture(event.pointerId);
			this.drag = event.pointerId;
			to(event);
		});
		canvas.addEventListener("pointermove", (event) => event.pointerId === this.drag && to(event));
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, () => (this.drag = null));
	}

	// --- drawing ---

	tick() {
		if (this.hidden) return;
		this.compute();
		this.showInputs();
		if (this.pass && this.activations.clientWidth) this.draw();
	}

	draw() {
		const { pass, shown, expected } = this;
		const L = shown.depth;
		const layer = Math.min(this.get("layer"), L);
		const { clientWidth: wide } = this.activations;
		const drawn = [this.passes, layer, this.get("own_scale"), wide, this.oneActivation.clientWidth, devicePixelRatio].join();
		if (drawn === this.drawnKey && this.ink) return; // a slice of a pass, and nothing to see yet
		this.bin();
		const ink = (this.ink ??= colours(this.root, INK));
		const own = this.get("own_scale");
		const on = (canvas, draw, ...rest) => {
			const size = sharp(canvas);
			draw(size.g, size, ...rest, ink);
		};
		const { allA, allG, a, g } = this.ranges;
		this.drawnKey = drawn;
		on(this.activations, drawSpindles, this.spindles[0], own ? null : allA, layer, "activations");
		on(this.gradients, drawSpindles, this.spindles[1], own ? null : allG, layer, "unit-gradients");
		on(this.deviations, drawDeviations, pass, expected, layer);
		on(this.oneActivation, drawHistogram, [...bars(pass.h[layer], a[layer]), a[layer]], "activations");
		on(this.oneGradient, drawHistogram, [...bars(pass.g[layer], g[layer]), g[layer]], "unit-gradients");
		const key = `${this.passes} ${layer}`;
		if (key === this.saidKey) return;
		this.saidKey = key;
		this.showWords(layer);
	}

	showWords(layer) {
		const { pass, shown, expected } = this;
		const { text, warn, fates } = describe(pass, expected, shown);
		this.verdict.textContent = text;
		this.verdict.classList.toggle("above", warn);
		this.factorText.textContent = factorInWords(expected, layer, shown);
		const ratio = (values, from, to) => `×\u00a0${format(values[to] / values[from])}`;
		const both = (name, f) => [pass[name], expected[name]].map(f);
		const L = shown.depth;
		const { saturated, zero, dead, alike } = pass.idle[layer];
		const share = (x) => `${Math.round(100 * x)} %`;
		const relu = shown.activation === "relu";
		this.caption.textContent = `Standard deviations in layer ${layer}`;
		this.idleHead.textContent = relu ? "Zero; dead units" : "Saturated";
		this.idleRow.hidden = !relu && !ACTIVATIONS[shown.activation].steepest;
		const rows = [
			both("activations", (x) => format(x[layer])),
			both("activations", (x) => ratio(x, layer - 1, layer)),
			both("unitGradients", (x) => format(x[layer])),
			layer < L ? both("unitGradients", (x) => ratio(x, layer + 1, layer)) : ["starts here", ""],
			both("weightGradients", (x) => format(x[layer])),
			[share(alike), ""],
			[relu ? `${share(zero)}; ${dead}` : share(saturated), relu ? `${share(0.5)}; 0` : ""],
		];
		rows.forEach((texts, k) => texts.forEach((said, column) => (this.cells[k][column].textContent = said)));
		const names = [`Histograms of the activations of layers 1 to ${L}: they ${fates[0]}`, `Histograms of the gradients of layers 1 to ${L}: they ${fates[1]} on their way back`];
		this.activations.setAttribute("aria-label", names[0]);
		this.gradients.setAttribute("aria-label", names[1]);
		this.oneActivation.setAttribute("aria-label", `Histogram of the activations of layer ${layer}`);
		this.oneGradient.setAttribute("aria-label", `Histogram of the gradients of layer ${layer}`);
	}

	showInputs() {
		for (const [key, control] of Object.entries(this.choices)) control.show(this.get(key));
		const { nVar, width, depth } = this.sliders;
		nVar.show(Number(this.nVar.toPrecision(3)));
		width.show(WIDTHS.indexOf(this.get("width")));
		depth.show(this.get("depth"));
		this.layerSlider.limits(1, this.get("depth"));
		this.layerSlider.show(Math.min(this.get("layer"), this.get("depth")));
		this.ownScale.checked = this.get("own_scale");
	}

	/** What a screen reader and Python are told once the reader rests. */
	tell() {
		if (this.running || !this.pass) return this.hidden || this.report();
		const { activations, unitGradients, weightGradients } = this.pass;
		this.live.textContent = this.verdict.textContent;
		this.model.set("deviations", { activations, unit_gradients: unitGradients, weight_gradients: weightGradients.slice(1) });
		this.model.save_changes();
	}
}

export default figureModule({
	title: "Signals through depth",
	keys: KEYS,
	choices: { activation: ACTIVATIONS, initialization: INITIALIZATIONS, normalization: NORMALIZATIONS },
	Figure: SignalsThroughDepth,
});
