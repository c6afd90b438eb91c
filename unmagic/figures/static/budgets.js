// Budgets: what two nets cost, layer by layer, and what each layer sees of a picture, at any size of the input.

import { choice, colours, figureModule, h, Live, sharp, slider } from "./kit.js";
import { countAt, grouped, memory, parseLayers, placeAt, rowToLookAt, sizeLimits } from "./budgets_layers.js";
import { barUnder, drawBars, drawMemory, drawPicture, frame, PARTS, pictureSize, scaleOf, scene } from "./budgets_draw.js";
import { bytes, compare, exact, layerInWords, netInWords, shapeText, short, SHOWN } from "./budgets_words.js";
import { STYLE } from "./budgets_style.js";

const KEYS = ["first", "second", "first_side", "second_side", "first_layer", "second_layer", "shown", "logarithmic", "every_module", "batch", "place", "layer_lists"];
const LARGEST_BATCH = 10; // a power of two
const INK = ["ink", "faint", "paper", "panel", "edge", "grid", "batch", "stochastic", "minibatch", "momentum"];

const TRIES = [
	["Deep against deeper", { first: "VGG-16 (D)", second: "GoogLeNet", shown: "parameters" }, "Most of VGG’s parameters are in one layer: the first that is fully connected. GoogLeNet averages each map instead, and goes through 1×1 bottlenecks."],
	["Where memory goes", { first: "VGG-16 (D)", second: "ResNet-50", shown: "activations", batch: 64 }, "In training it goes to the activations of early layers, whose maps are large; the parameters are in late layers. In the bars of memory the batch decides which of both matters."],
	["Twice the side", { first: "VGG-16 (D)", first_side: 448, second: "VGG-16 (D)", shown: "macs" }, "Convolutions keep their parameters and have four times the work. The first fully connected layer has four times the parameters as well: it covers its map."],
	["A shortcut costs", { first: "plain-34", second: "ResNet-34", shown: "macs" }, "The plain net and its residual twin differ by the 1×1 projections where sizes change: the bars that are new."],
	["Paths side by side", { first: "ResNet-50", second: "ResNeXt-50 32×4d", shown: "macs" }, "As many parameters and multiply–adds, nearly, by design: a third of ResNeXt’s layers are wider, in groups."],
	["Two pathways", { first: "AlexNet", second: "AlexNet without groups", shown: "parameters", logarithmic: true }, "Layers 2, 4 and 5 were split for two GPUs: half their parameters, and half their work."],
	["Depthwise", { first: "VGG-16 (D)", second: "MobileNet ×1.0", shown: "macs", logarithmic: true }, "Each 3×3 of MobileNet sees one channel and costs little; the 1×1 between them cost nearly everything."],
	["Who sees how much", { first: "AlexNet", second: "VGG-16 (D)", shown: "receptive_field" }, "AlexNet’s first layers look wide at once, with large kernels and strides. VGG gets there by 3×3 after 3×3. Pale bars see everything."],
];

class Budgets extends Live {
	constructor(model, el) {
		super(model, KEYS);
		this.initial = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
		this.lists = Object.fromEntries(model.get("layer_lists"));
		this.cache = new Map();
		this.start(el);
	}

	// --- state ---

	/** A parsed net with the limits of its size and its budget at its own, made once. */
	net(name) {
		if (!this.cache.has(name)) {
			const list = parseLayers(this.lists[name]);
			const [least, most] = sizeLimits(list);
			this.cache.set(name, { list, least, most, own: countAt(list, list.shape[1]), look: rowToLookAt(list) });
		}
		return this.cache.get(name);
	}

	/** What a panel shows: its net at its size, the rows in groups and the group that is looked at. */
	shownOf(which) {
		const name = this.get(which);
		if (!(name in this.lists)) return null;
		const net = this.net(name);
		const side = Math.max(net.least, Math.min(net.most, this.get(`${which}_side`) || net.list.shape[1]));
		const key = [name, side, this.get("every_module")].join();
		const panel = this.panels[which];
		if (panel.key !== key) {
			const budget = countAt(net.list, side);
			panel.key = key;
			panel.counted = { name, net, side, budget, groups: grouped(budget.rows, this.get("every_module")) };
		}
		const row = panel.counted.budget.rows[Math.min(this.get(`${which}_layer`) || net.look, net.list.layers.length) - 1];
		const chosen = panel.counted.groups.findIndex((group) => group.rows.includes(row));
		return { ...panel.counted, chosen, group: panel.counted.groups[chosen] };
	}

	look(which, index) {
		const { budget, groups, chosen } = this.shownOf(which);
		if (index !== chosen) this.set({ [`${which}_layer`]: budget.rows.indexOf(groups[index].main) + 1 });
	}

	// --- elements ---

	build() {
		const set = (key) => (value) => this.set({ [key]: value });
		const check = (key, words) => {
			const input = h("input", { type: "checkbox", onchange: () => this.set({ [key]: input.checked }) });
			return { input, root: h("label.check", input, words) };
		};
		this.shownChoice = choice({ label: "Bars show", options: Object.entries(SHOWN).map(([key, { label }]) => [key, label]), input: set("shown") });
		this.batch = slider({ label: "Batch, for memory", min: 0, max: LARGEST_BATCH, step: 1, text: (k) => (k ? `${2 ** k} inputs` : "1 input"), input: (k) => this.set({ batch: 2 ** k }) });
		this.checks = { logarithmic: check("logarithmic", "Log scale"), every_module: check("every_module", "Every module by itself") };
		const names = Object.keys(this.lists);
		this.panels = { first: this.panel("first", "First net", names), second: this.panel("second", "Second net", ["", ...names]) };
		this.memory = h("canvas.memory", { role: "img", "aria-label": "Memory in training and in testing" });
		const parts = Object.values(PARTS).map(({ label, colour }) => {
			const mark = h("span");
			mark.innerHTML = `<svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="3" fill="var(--${colour})"/></svg>`;
			return h("li", mark, label);
		});
		this.verdict = h("div.limit.budgets-verdict");
		this.live = h("p.unseen", { "aria-live": "polite" });
		const rows = ["Parameters", "Multiply–adds", "Activations", "Layers with weights", "Memory in testing", "Memory in training", "… weights", "… gradients", "… momentum", "… activations"];
		this.cells = rows.map(() => [h("td"), h("td")]);
		this.heads = [h("th", { scope: "col" }), h("th", { scope: "col" })];
		const table = h("table", h("thead", h("tr", h("td"), ...this.heads)),
			h("tbody", ...rows.map((words, k) => h("tr", h("th", { scope: "row" }, words), ...this.cells[k]))));
		const button = (words, onclick) => h("button", { type: "button", onclick }, words);
		const tries = TRIES.filter(([, { first, second }]) => first in this.lists && second in this.lists).map(([name, state, words]) => {
			const neutral = { first_side: 0, second_side: 0, first_layer: 0, second_layer: 0, logarithmic: false, every_module: false, batch: 1 };
			return h("li", button(name, () => this.set({ ...neutral, ...state })), h("span", words));
		});
		const style = h("style");
		style.textContent = STYLE;
		this.nets = h("div.nets", this.panels.first.root, this.panels.second.root);
		return h(
			"div.unmagic-live.budgets",
			{ role: "group", "aria-label": "Budgets, a live figure" },
			style,
			h("div.settings", this.batch.root, this.shownChoice.root),
			h("div.checks", ...Object.values(this.checks).map(({ root }) => root)),
			this.nets,
			this.verdict,
			h("p.name", "Memory"),
			this.memory,
			h("ul.legend", ...parts),
			h("div.bar", button("Reset", () => this.set(this.initial))),
			h("details", h("summary", "Both in numbers"), table),
			h("details", { hidden: !tries.length }, h("summary", "Things to try"), h("ol.tries", ...tries)),
			this.panels.first.details,
			this.panels.second.details,
			h("details", h("summary", "What you see"),
				h("p", "A bar is a layer with weights and what follows it up to the next: normalization, activation, pooling. Both nets have one scale. Point at a bar, or move “Look at layer”, to see the layer’s numbers and what one of its places sees of the picture; the box is what the place in the ring sees. Drag the ring, or move it by arrow keys, to another place; where there is room, dots are the middles of all places’ boxes. Of the picture only the size matters; it is drawn with as many pixels as the input has."),
				h("p", "A convolution of F×F from C to K channels has F·F·C·K weights and K biases (in G groups, a G-th of the weights) and K·H·W outputs, each of which takes F·F·C multiply–adds. So its work grows with the number of places, and its parameters do not. A layer that covers its whole map, fully connected to it or a convolution as large as it, is taken to cover it at every size: its parameters grow with the map."),
				h("p", "A place that sees r×r pixels, with j pixels from one place to the next, sees r + (F − 1)·j after a layer with filters of F×F; the stride multiplies j. Normalization, activations and additions are counted with no multiply–adds, as in the papers."),
				h("p", "Training keeps every row’s output for the way back, for each input of the batch, beside the parameters, their gradients and their momentum; in testing, the parameters and the largest output together with what it is made from suffice. All in float32, four bytes a number; 1 MB is a million bytes. What a library allocates besides is not in it.")),
			this.live,
		);
	}

	panel(which, label, names) {
		const pick = (name) => this.set({ [which]: name, [`${which}_side`]: 0, [`${which}_layer`]: 0 });
		const net = choice({ label, options: names.map((name) => [name, name || "none"]), input: pick });
		const side = slider({ label: "Input", min: 1, max: 2, step: 1, text: (n) => this.sizeText(which, n), input: (n) => this.set({ [`${which}_side`]: n }) });
		const layer = slider({ label: "Look at layer", min: 1, max: 2, step: 1, text: (n) => `${n} of ${this.shownOf(which).groups.length}`, input: (n) => this.look(which, n - 1) });
		side.range.setAttribute("aria-label", `Input of the ${which} net`);
		layer.range.setAttribute("aria-label", `Look at layer of the ${which} net`);
		const bars = h("canvas.bars", { role: "img", "aria-label": `Bars of the ${which} net's layers` });
		const sight = h("canvas.sight", { role: "img", "aria-label": `What one place of a layer of the ${which} net sees of a picture` });
		const handle = h("button.handle", { type: "button", "aria-label": `Place that is looked at, ${which} net`, onkeydown: (event) => this.step(which, event) });
		const map = h("div.map", sight, handle);
		const [barsName, totals, title, text, seen] = [h("p.name"), h("p.totals"), h("p.title"), h("p"), h("p")];
		const shown = h("div", side.root, totals, barsName, bars, layer.root,
			h("div.look", map, h("div.words", title, text, seen)));
		const body = h("tbody");
		const table = h("table.rows", h("thead", h("tr", ...["Module, output", "Para\u00admeters", "Multiply–adds", "Sees"].map((words) => h("th", { scope: "col" }, words)))), body);
		const summary = h("summary");
		const details = h("details", { ontoggle: () => this.showRows(which) }, summary, table);
		this.picking(bars, map, which);
		return { root: h(`div.net.${which}`, { role: "group", "aria-label": `The ${which} net and its layers` }, net.root, shown), net, side, layer, bars, sight, handle, barsName, totals, title, text, seen, shown, body, summary, details };
	}

	sizeText(which, height) {
		const [, own, width] = this.net(this.get(which)).list.shape;
		return `${Math.floor((width * height) / own + 0.5)}×${height} px`;
	}

	/** Pointing at a bar looks at its layer; a press or a drag on the picture looks at that place. */
	picking(bars, map, which) {
		const inside = (event, box) => [event.clientX - box.left, event.clientY - box.top];
		const toBar = (event) => {
			const { groups } = this.shownOf(which);
			this.look(which, barUnder(inside(event, bars.getBoundingClientRect())[0], bars.clientWidth, groups.length));
		};
		bars.addEventListener("pointerdown", toBar);
		bars.addEventListener("pointermove", (event) => (event.pointerType === "mouse" || event.buttons) && toBar(event));
		const toPlace = (event) => {
			const { input } = this.shownOf(which).budget;
			const [x, y] = inside(event, map.getBoundingClientRect());
			const { left, top, by } = frame({ width: map.clientWidth, height: map.clientHeight }, input);
			const part = (at, n) => Math.max(0, Math.min(1, at / (by * n)));
			this.set({ place: [part(x - left, input[1]), part(y - top, input[0])] });
		};
		map.addEventListener("pointerdown", (event) => {
			if (event.button !== 0) return;
			map.setPointerCapture(event.pointerId);
			this.drag = event.pointerId;
			toPlace(event);
		});
		map.addEventListener("pointermove", (event) => event.pointerId === this.drag && toPlace(event));
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) map.addEventListener(name, () => (this.drag = null));
	}

	/** Arrow keys on the ring: to the place beside. */
	step(which, event) {
		const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
		const { group, budget } = this.shownOf(which);
		const { sees, places } = group.main;
		if (right === undefined || !sees || !places) return;
		event.preventDefault();
		const place = this.get("place").map((part, axis) => {
			const [n, many] = [budget.input[1 - axis], places[1 - axis]];
			const { index } = placeAt(sees, many, n, part);
			const next = Math.max(0, Math.min(many - 1, index + (axis ? down : right)));
			return next === index ? part : Math.max(0, Math.min(1, (sees.first + next * sees.step + sees.side / 2) / n));
		});
		this.set({ place });
	}

	// --- drawing ---

	tick() {
		const shown = { first: this.shownOf("first"), second: this.shownOf("second") };
		const nets = Object.values(shown).filter(Boolean);
		this.showInputs(shown, nets);
		if (this.hidden) return;
		const ink = (this.ink ??= { ...colours(this.root, INK), dark: this.root.dataset.unmagicTheme === "dark" });
		const what = SHOWN[this.get("shown")];
		const batch = this.get("batch");
		const all = Math.max(...nets.flatMap(({ budget }) => budget.input));
		const values = nets.map(({ groups }) => groups.map((group) => what.value(group, batch)));
		const log = this.get("logarithmic");
		const scale = scaleOf(values.map((list) => list.map((x) => x ?? all)), log);
		let k = 0;
		for (const [which, net] of Object.entries(shown)) {
			if (!net) continue;
			const panel = this.panels[which];
			const colour = which === "first" ? "batch" : "stochastic";
			const size = sharp(panel.bars);
			drawBars(size.g, size, values[k++], { scale, chosen: net.chosen, all, tick: what.tick }, colour, ink);
			const { input } = net.budget;
			const key = `${pictureSize(input)} ${ink.dark}`;
			if (panel.sceneKey !== key) [panel.sceneKey, panel.scene] = [key, scene(pictureSize(input), ink)];
			const on = sharp(panel.sight);
			const [x, y] = drawPicture(on.g, on, panel.scene, input, net.group.main, this.get("place"), colour, ink);
			const inside = (at, n) => Math.max(0, Math.min(n, at));
			panel.handle.style.translate = `${inside(x, on.width)}px ${inside(y, on.height)}px`;
		}
		const bars = nets.flatMap(({ name, budget }) => {
			const { weights, gradients, momentum, activations, training, testing } = memory(budget, batch);
			return [
				{ label: `${name}: train`, parts: Object.entries({ weights, gradients, momentum, activations }), all: training },
				{ label: nets.length > 1 ? "test" : `${name}: test`, parts: [["weights", weights], ["activations", testing - weights]], all: testing },
			];
		});
		const on = sharp(this.memory);
		drawMemory(on.g, on, bars, ink);
		this.showWords(shown, nets, what, batch);
	}

	showWords(shown, nets, what, batch) {
		for (const [which, net] of Object.entries(shown)) {
			if (!net) continue;
			const panel = this.panels[which];
			const { title, text, sight } = layerInWords(net.group, batch, net.budget.input);
			const values = net.groups.map((group) => what.value(group, batch));
			const now = values[net.chosen];
			const say = (element, words) => element.textContent !== words && (element.textContent = words);
			say(panel.title, title);
			say(panel.text, text);
			say(panel.seen, sight);
			say(panel.totals, netInWords(net.budget, net.net.own));
			say(panel.barsName, `${what.name}, ${this.get("every_module") ? "module" : "layer"} by ${this.get("every_module") ? "module" : "layer"}`);
			panel.bars.setAttribute("aria-label", `${what.name} of ${net.groups.length} bars of ${net.name}; bar ${net.chosen + 1}, ${title}: ${now === null ? "all of the picture" : what.text(now)}`);
			panel.sight.setAttribute("aria-label", `A drawn scene of ${net.budget.input[1]}×${net.budget.input[0]} pixels and a box around what one place of ${title} sees. ${sight}`);
		}
		const key = JSON.stringify([nets.map(({ name, side }) => [name, side]), batch, this.get("every_module")]);
		if (key === this.saidKey) return;
		this.saidKey = key;
		this.said = compare(nets.map((net) => ({ ...net, groups: grouped(net.budget.rows, false) })), batch);
		this.verdict.replaceChildren(...this.said.map((words) => h("p", words)));
		const needs = nets.map(({ budget }) => memory(budget, batch));
		const each = (f) => nets.map(f);
		const weighted = ({ budget }) => exact(budget.rows.filter((row) => row.macs > 0).length);
		const rows = [
			each(({ budget }) => short(budget.parameters)), each(({ budget }) => short(budget.macs)), each(({ budget }) => short(budget.activations)), each(weighted),
			...["testing", "training", "weights", "gradients", "momentum", "activations"].map((part) => needs.map((need) => bytes(need[part]))),
		];
		this.heads.forEach((head, k) => {
			head.hidden = !nets[k];
			head.textContent = nets[k]?.name ?? "";
			this.cells.forEach((pair, row) => {
				pair[k].hidden = !nets[k];
				pair[k].textContent = rows[row][k] ?? "";
			});
		});
		this.memory.setAttribute("aria-label", this.said.at(-1));
	}

	showInputs(shown, nets) {
		this.shownChoice.show(this.get("shown"));
		this.batch.show(Math.max(0, Math.min(LARGEST_BATCH, Math.round(Math.log2(this.get("batch"))))));
		for (const [key, { input }] of Object.entries(this.checks)) input.checked = this.get(key);
		this.nets.classList.toggle("two", nets.length > 1);
		for (const [which, net] of Object.entries(shown)) {
			const panel = this.panels[which];
			panel.net.show(net ? net.name : "");
			panel.shown.hidden = panel.details.hidden = !net;
			if (!net) continue;
			panel.side.limits(net.net.least, net.net.most);
			panel.side.show(net.side);
			panel.side.range.disabled = net.net.list.fixed;
			panel.layer.limits(1, net.groups.length);
			panel.layer.show(net.chosen + 1);
			panel.layer.range.setAttribute("aria-valuetext", `${net.chosen + 1} of ${net.groups.length}: ${net.group.main.name}`);
			panel.summary.textContent = `Every module of ${net.name} in a table`;
		}
	}

	/** The table of all rows, once it is unfolded and the reader rests. */
	showRows(which) {
		const panel = this.panels[which];
		const net = this.shownOf(which);
		if (!net || !panel.details.open) return;
		const key = `${net.name} ${net.side}`;
		if (panel.rowsKey === key) return;
		panel.rowsKey = key;
		panel.body.replaceChildren(...net.budget.rows.map(({ name, kind, shape, parameters, macs, sees }) =>
			h("tr", h("th", { scope: "row" }, name, h("small", `${kind} ${shapeText(shape)}`)),
				...[short(parameters), short(macs), sees ? exact(sees.side) : "all"].map((words) => h("td", words)))));
	}

	/** What a screen reader is told once the reader rests. */
	tell() {
		if (!this.said) return this.hidden || this.report();
		this.live.textContent = this.said.join(" ");
		this.showRows("first");
		this.showRows("second");
	}
}

export default {
	render({ model, el }) {
		const lists = Object.fromEntries(model.get("layer_lists") ?? []);
		return figureModule({ title: "Budgets", keys: KEYS, choices: { shown: SHOWN, first: lists, second: { "": null, ...lists } }, Figure: Budgets }).render({ model, el });
	},
};
