// Looking inside, live: what a trained net makes of a picture while it is drawn.

import { choice, colours, figureModule, h, Live, slider } from "./kit.js";
import { drawLayer, drawMap, drawNothing, drawPen, drawPicture, tiling } from "./looking_inside_draw.js";
import { analyse, attack, fall, occluder, occlusion, place, surest, withMaps } from "./looking_inside_maps.js";
import { Pass, readNet } from "./looking_inside_net.js";
import { Pad } from "./looking_inside_pad.js";

const KEYS = ["net", "weights", "files", "picture", "target", "epsilon", "layer", "notes"];
const NETS = { digits: "Digits, 8 × 8", shapes: "Shapes, 32 × 32", own: "Your own" };
const PANELS = { saliency: "Saliency", occlusion: "Occlusion", gradCam: "Grad-CAM", attacked: "One step further" };
const INK = ["ink", "paper", "edge", "grid", "accent", "batch", "stochastic"];
const SLICE = 7; // milliseconds of a frame for the net
const percent = (p) => `${(100 * p).toFixed(p > 0.9995 ? 0 : 1)} %`;
const same = (a, b) => a.length === b.length && a.every((x, k) => x === b[k]);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
const picture = (said) => h("canvas", { role: "img", "aria-label": said });
const fill = (select, options) => select.replaceChildren(...options.map(([value, text]) => h("option", { value }, text)));

class LookingInside extends Live {
	constructor(model, el) {
		super(model, KEYS);
		Object.assign(this, { nets: {}, version: 0, turns: 0, told: [] });
		this.start(el);
		this.load();
	}

	/** Brings the wanted net, from a trait or from the file beside this module. */
	async load() {
		const name = this.get("net");
		const [weights, file] = [this.get("weights")[name], this.get("files")[name]];
		let net = this.nets[name];
		if (net && (net.weights === weights || !weights)) return net === this.net || this.use(net);
		if (!weights && !file) {
			if (name !== "own") return this.say("");
			this.set({ net: this.name });
			return this.say("Open a net first: a file of unmagic.figures.export");
		}
		try {
			const answer = weights ? null : await fetch(new URL(file, import.meta.url));
			if (answer?.ok === false) throw new Error(`The net could not be loaded: ${file} answered ${answer.status}`);
			net = this.nets[name] = Object.assign(readNet(weights ? bytes(weights) : await answer.arrayBuffer()), { weights });
			if (name === this.get("net")) this.use(net);
		} catch (problem) {
			this.say(problem.message);
		}
	}

	use(net) {
		if (this.frame === -1) return; // the figure was closed meanwhile
		if (this.net) this.net.kept = this.x;
		Object.assign(this, { net, name: this.get("net") });
		this.say("");
		const { input, samples, classes, layers, labels } = net;
		Object.assign(this, { pass: new Pass(net), spare: new Pass(net), fooled: new Pass(net), x: null, passes: null, coverings: null, found: null, attacked: null, covered: null });
		this.maps = withMaps(net);
		this.pad.fit(input);
		this.root.style.setProperty("--sides", `${input[2]} / ${input[1]}`);
		const given = this.get("picture");
		this.pad.base = given.length === this.pad.base.length ? Float64Array.from(given) : (net.kept ?? samples[0] ?? this.pad.base);
		const { sample, target, layer } = this.choices;
		fill(sample.select, [["", "My own"], ...samples.map((_, k) => [k, labels.length ? `${k + 1}: ${classes[labels[k]]}` : `Sample ${k + 1}`])]);
		fill(target.select, [[-1, "the surest"], ...classes.map((text, k) => [k, text])]);
		fill(layer.select, this.maps.map((k) => [k - 1, `${layers[k - 1].name}: ${layers[k - 1].kind}`]));
		layer.root.hidden = !this.maps.length;
		this.buildRows();
		this.request();
		this.report();
	}

	async open(file) {
		if (!file) return;
		try {
			if (!/\.safetensors$/i.test(file.name)) return this.say(this.net ? await this.pad.open(file) : "", "note");
			if (file.size > 64e6) throw new Error(`“${file.name}” is larger than 64 MB`);
			this.nets.own = Object.assign(readNet(await file.arrayBuffer()), { weights: this.get("weights").own });
			this.turn("own");
			this.load();
		} catch (problem) {
			this.say(problem.message);
		}
	}

	turn(net) {
		this.set({ net, picture: [], target: -1, layer: -1 });
	}

	/** kind: "note" when all went well. */
	say(words, kind = "") {
		this.problem.className = `problem ${kind}`;
		this.problem.textContent = words && `${words}.`;
		this.report();
	}

	changed(key) {
		if (key === "net" || key === "weights") this.load();
		const given = this.get("picture");
		if (key === "picture" && this.net && given.length === this.pad.base.length && !same(given, this.told)) this.pad.show(Float64Array.from(given));
		super.changed();
	}

	/** Grad-CAM's layer as an index into a pass's values; 0: there is none. */
	get layer() {
		const wanted = this.get("layer") + 1;
		return this.maps.includes(wanted) ? wanted : (this.maps.at(-1) ?? 0);
	}

	get target() {
		return Math.min(this.get("target"), this.net.classes.length - 1);
	}

	/** As long as a frame allows. What was begun is finished, so that maps follow a hand that never rests. */
	compute() {
		const until = performance.now() + SLICE;
		const x = this.pad.picture();
		if (!this.x || !same(x, this.x)) {
			this.x = x;
			this.version++;
		}
		const key = [this.version, this.target, this.layer].join();
		const epsilon = this.get("epsilon");
		let jobs;
		do {
			const { found } = this;
			if (!this.passes && found?.key !== key) {
				[this.pass, this.spare] = [this.spare, this.pass]; // what was found can still be drawn
				this.begin("passes", "found", key, analyse(this.pass, this.x, this), { x: this.x, version: this.version });
			} else if (!this.passes && this.attacked?.key !== `${key} ${epsilon}`) this.begin("passes", "attacked", `${key} ${epsilon}`, attack(this.fooled, this.x, found, epsilon));
			const covered = found && `${found.version} ${found.target}`;
			if (found && !this.coverings && this.covered?.key !== covered) {
				const { x, target, probabilities } = found;
				this.begin("coverings", "covered", covered, occlusion(this.net, x, { target, ...occluder(this.net.input) }), { x, target, full: probabilities[target] });
			}
			jobs = [this.passes, this.coverings].filter(Boolean);
			const job = jobs[++this.turns % jobs.length]; // the occlusion, which takes long, takes turns
			const step = job?.steps.next();
			if (step?.done) job.done(step.value);
		} while (jobs.length && performance.now() < until);
		this.root.setAttribute("aria-busy", jobs.length > 0);
		if (jobs.length) this.request();
	}

	/** Work in slices: what it makes is this[name] in the end. */
	begin(kind, name, key, steps, more) {
		this[kind] = { steps, done: (value) => {
			this[kind] = null;
			this[name] = { ...more, ...value, key };
			this.root.dataset[kind] = Number(this.root.dataset[kind] ?? 0) + 1;
		} };
	}

	build() {
		const set = (key) => (value) => this.set({ [key]: Number(value) });
		this.choices = {
			net: choice({ label: "Net", options: Object.entries(NETS), input: (net) => this.turn(net) }),
			sample: choice({ label: "Picture", options: [], input: (k) => (k === "" ? this.pad.clear() : this.pad.show(this.net.samples[k])) }),
			target: choice({ label: "Explain", options: [], input: set("target") }),
			layer: choice({ label: "Grad-CAM of", options: [], input: set("layer") }),
		};
		this.epsilon = slider({ label: "Step ε", min: 0, max: 0.5, step: 0.005, text: (x) => x.toFixed(3), input: set("epsilon") });
		this.pad = new Pad(() => {
			this.problem.textContent = ""; // it was about another picture
			super.changed();
		});
		const picker = (accept, words) => {
			const input = h("input", { type: "file", accept, hidden: true, onchange: () => {
				this.open(input.files[0]);
				input.value = "";
			} });
			return [h("button", { type: "button", onclick: () => input.click() }, words), input];
		};
		this.problem = h("p.problem");
		this.given = picture("What the net is given");
		this.givenText = h("p.note");
		this.verdict = h("p.verdict");
		this.odds = h("ol.odds", { "aria-label": "Probabilities" });
		this.panels = Object.fromEntries(Object.entries(PANELS).map(([key, name]) => {
			const [canvas, text] = [picture(name), h("p")];
			return [key, { name, canvas, text, root: h("div", h("p.name", name), canvas, text) }];
		}));
		this.layersBox = h("div.layers", { tabindex: 0, role: "region", "aria-label": "Activations of every layer" });
		this.live = h("p.unseen", { "aria-live": "polite" });
		const { net, sample, target, layer } = this.choices;
		const { style } = this.get("files"); // a notebook's page has it already
		this.seen = new IntersectionObserver((entries) => {
			for (const { target: canvas, isIntersecting } of entries) canvas.shown = isIntersecting;
			this.request();
		});
		this.stopped.push(() => this.seen.disconnect());
		const over = (on) => (event) => {
			event.preventDefault();
			event.currentTarget.classList.toggle("over", on);
			if (event.type === "drop") this.open(event.dataTransfer.files[0]);
		};
		return h("div.unmagic-live.inside", { role: "group", "aria-label": "Looking inside, a live figure", ondragover: over(true), ondragleave: over(false), ondrop: over(false) },
			...(style ? [h("link", { rel: "stylesheet", href: new URL(style, import.meta.url) })] : []),
			h("div.bar", net.root, sample.root, ...picker("image/*", "Open a picture…"), ...picker(".safetensors", "Open a net…")),
			h("p.privacy", "Draw, or drop a picture here. It stays in this page."),
			this.problem,
			h("div.top",
				this.pad.root,
				h("div",
					h("div.given", this.given, this.givenText),
					this.verdict,
					this.odds,
					h("div.key.note", h("span", h("i"), "the picture"), h("span", h("i"), "after the step")))),
			h("div.settings", this.epsilon.root, target.root, layer.root),
			h("div.maps", ...Object.values(this.panels).map(({ root }) => root)),
			h("p.name", "Activations of every layer: blue above zero, orange below"),
			this.layersBox,
			h("details", h("summary", "What you see"), ...this.get("notes").map((words) => h("p", words))),
			this.live);
	}

	buildRows() {
		this.bars = this.net.classes.map((name) => {
			const [before, after, value] = [h("i"), h("i"), h("span")];
			return { before, after, value, root: h("li", h("span", name), h("div.track", { "aria-hidden": "true" }, before, after), value) };
		});
		this.odds.replaceChildren(...this.bars.map(({ root }) => root));
		this.seen.disconnect();
		this.strips = this.net.layers.map(({ name, kind, output: [C, H, W] }) => {
			const { columns, rows, flat } = tiling([C, H, W]);
			const title = `${name}: ${kind}`;
			const [canvas, text] = [picture(`Layer ${title}`), h("span")];
			canvas.style = flat ? `height: ${1.1 * rows}rem` : `aspect-ratio: ${columns * (W + 1) - 1} / ${rows * (H + 1) - 1}`;
			this.seen.observe(canvas);
			return { canvas, text, title, shape: flat ? `${C} numbers` : `${C} × ${H} × ${W}`, root: h("div.row", h("p", h("span", title), text), canvas) };
		});
		this.layersBox.replaceChildren(...this.strips.map(({ root }) => root));
	}

	tick() {
		if (this.hidden) return;
		const ink = (this.ink ??= colours(this.root, INK));
		const { net, pad, panels } = this;
		if (!net) return [pad.canvas, this.given, ...Object.values(panels).map(({ canvas }) => canvas)].forEach((canvas) => drawNothing(canvas, ink));
		this.compute();
		this.showInputs();
		const { found, attacked, covered, x } = this;
		const { input, layers } = net;
		this.paint(pad.canvas, pad.count, (canvas) => {
			const { raster, shape } = pad.drawn();
			const size = drawPicture(canvas, raster, shape, ink);
			if (pad.keyed) drawPen(size, pad.pen, ink);
		});
		this.paint(this.given, this.version, (canvas) => drawPicture(canvas, x, input, ink));
		const on = ({ canvas }, result, draw) => this.paint(canvas, result?.key, () => (result ? draw(canvas) : drawNothing(canvas, ink)));
		const overlay = (canvas, values, [, ...sides], { x }) => drawMap(canvas, values, sides, x, input, ink);
		on(panels.saliency, found, (canvas) => overlay(canvas, found.saliency, input, found));
		on(panels.occlusion, covered, (canvas) => overlay(canvas, fall(covered, input), input, covered));
		on(panels.gradCam, found, (canvas) => overlay(canvas, found.gradCam, layers[found.layer - 1]?.output ?? [1, 1, 1], found));
		on(panels.attacked, attacked, (canvas) => drawPicture(canvas, attacked.picture, input, ink));
		this.strips.forEach(({ canvas }, k) => {
			const fresh = canvas.sized === this.sized(canvas);
			if (!found) drawNothing(canvas, ink);
			else if (canvas.shown || !fresh) this.paint(canvas, found.key, () => drawLayer(canvas, found.values[k + 1], layers[k].output, ink));
		});
		if (found && attacked) this.showWords();
	}

	sized({ clientWidth, clientHeight }) {
		return [clientWidth, clientHeight, devicePixelRatio, this.root.dataset.unmagicTheme].join();
	}

	/** Draws what is not drawn yet for this key, size and theme. */
	paint(canvas, key, draw) {
		const sized = this.sized(canvas);
		if ((canvas.key === key && canvas.sized === sized) || !canvas.clientWidth) return;
		draw(canvas);
		Object.assign(canvas, { key, sized });
	}

	showWords() {
		const { found, attacked, covered, net, panels } = this;
		const key = `${attacked.key} ${covered?.key}`;
		if (key === this.wordsKey) return;
		this.wordsKey = key;
		const { probabilities, target, values, layer } = found;
		const { classes, layers, input: [C, H, W] } = net;
		const [before, after] = [surest(probabilities), surest(attacked.probabilities)];
		const said = (k, p) => `“${classes[k]}” (${percent(p[k])})`;
		const second = surest(probabilities.map((p, k) => (k === before ? -1 : p)));
		this.verdict.textContent = `The net says ${said(before, probabilities)}, then ${said(second, probabilities)}.`;
		this.bars.forEach((bar, k) => {
			bar.before.style.width = `${100 * probabilities[k]}%`;
			bar.after.style.width = `${100 * attacked.probabilities[k]}%`;
			bar.value.textContent = percent(probabilities[k]);
			bar.root.classList.toggle("target", k === target);
		});
		this.givenText.textContent = `What the net is given: ${H} × ${W} pixels in ${C === 3 ? "colour" : "grey"}.`;
		const tell = ({ text, canvas, name }, words) => {
			text.textContent = words;
			canvas.setAttribute("aria-label", `${name}. ${words}`);
		};
		tell(panels.saliency, `The score of “${classes[target]}” is most sensitive at the ${place(found.saliency, W)}.`);
		if (covered) tell(panels.occlusion, `Covering ${covered.window} × ${covered.window} pixels takes “${classes[covered.target]}” from ${percent(covered.full)} to ${percent(Math.min(...covered.map))} at worst.`);
		const none = Math.max(...found.gradCam) === 0;
		tell(panels.gradCam, !layer ? "No layer of this net has maps." : `Layer ${layers[layer - 1].name}: ${none ? "nothing" : `the ${place(found.gradCam, layers[layer - 1].output[2])}`} speaks for “${classes[target]}”.`);
		tell(panels.attacked, `ε = ${this.get("epsilon").toFixed(3)}: the net says ${said(after, attacked.probabilities)}${after === before ? ", as before" : ""}.`);
		this.strips.forEach(({ text, canvas, title, shape }, k) => {
			const zero = values[k + 1].filter((x) => x === 0).length / values[k + 1].length;
			text.textContent = `${shape}${zero > 0 ? `, ${Math.round(100 * zero)} % zero` : ""}`;
			canvas.setAttribute("aria-label", `Layer ${title}, ${text.textContent}`);
		});
	}

	showInputs() {
		const { net, sample, target, layer } = this.choices;
		net.show(this.get("net"));
		this.epsilon.show(this.get("epsilon"));
		target.show(this.target);
		layer.show(this.layer - 1);
		const shown = this.pad.strokes.length ? -1 : this.net.samples.findIndex((x) => same(x, this.pad.base));
		sample.show(shown < 0 ? "" : shown);
		this.pad.undoButton.disabled = !this.pad.past.length;
	}

	/** What a screen reader and Python are told once the reader rests. */
	tell() {
		if (this.net && (this.passes || !this.attacked)) return this.hidden || this.report();
		const { panels, problem, verdict } = this;
		this.live.textContent = [problem, verdict, panels.gradCam.text, panels.attacked.text].map((p) => p.textContent).join(" ");
		if (!this.net) return;
		this.told = Array.from(this.x, (value) => Number(value.toFixed(5)));
		this.model.set("picture", this.told);
		this.model.set("probabilities", this.found.probabilities);
		this.model.save_changes();
	}
}

export default figureModule({ title: "Looking inside", keys: KEYS, choices: { net: NETS }, Figure: LookingInside });
