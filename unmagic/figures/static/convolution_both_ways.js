// Convolution, forwards and backwards: x, w and y in their places. Each pass takes two of them and makes the third; a cell that is
// pointed at lights up what it is made of, or what it goes to.

import { isPooling, resized, solve } from "./convolution.js";
import { canSpread, frames, lit, Place, short } from "./convolution_places.js";
import { idea, PASSES, named, say, sizes, symbol, tiling, typed, unused } from "./convolution_words.js";
import { choice, figureModule, format, h, Live, reducedMotion, slider } from "./kit.js";

const ARITHMETIC = ["operation", "picture", "kernel", "window", "stride", "padding", "dilation", "output_padding", "ceil_mode", "ties", "upstream", "gradients"];
const KEYS = [...ARITHMETIC, "view", "grid", "cell", "spread", "playing", "presets", "pictures", "kernels"];
const STEP = 650; // milliseconds between two cells while it plays
const OPERATIONS = { convolution: "Convolution", transposed_convolution: "Transposed convolution", max_pooling: "Max pooling", average_pooling: "Average pooling" };
const PICTURES = { digit: "Digit 4", edge: "Edge", diagonal: "Diagonal", dot: "Dot", numbers: "1, 2, 3 …", mixed: "Mixed numbers", plateaus: "Plateaus (ties)", small: "Small, 3 × 3", blank: "Blank" };
const KERNELS = { sobel: "Sobel →", sobel_down: "Sobel ↓", laplace: "Edges (Laplace)", sharpen: "Sharpen", blur: "Blur (mean)", gauss: "Blur (Gauss)", identity: "Identity", count: "1, 2, 3 … 9", bilinear: "Bilinear × 2", pair: "Pair, 2 × 2" };
const UPSTREAM = { ones: "all 1 (L = Σ y)", varied: "small whole numbers", output: "y itself (L = ½ Σ y²)", middle: "1 in the middle, else 0", own: "my own numbers" };
const PLACES = { x: "input", w: "kernel", y: "output" };
const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const options = (names) => Object.entries(names);

class ConvolutionBothWays extends Live {
	constructor(model, el) {
		super(model, KEYS);
		this.start(el);
	}

	// --- state -------------------------------------------------------------------------------------------------------------

	get view() {
		return isPooling(this.get("operation")) && this.get("view") === "kernel" ? "input" : this.get("view");
	}

	/** The picture or kernel or ∂L/∂y that a place holds and the reader may change: [trait, values], or null. */
	editable(grid) {
		const { value } = PASSES[this.view];
		if (isPooling(this.get("operation")) && grid === "w") return null;
		return { x: ["picture", this.get("picture")], w: ["kernel", this.get("kernel")], dy: ["gradients", this.solved.dy] }[value[grid]] ?? null;
	}

	/** What is pointed at, inside the grids as they are now. */
	pointed() {
		const grid = isPooling(this.get("operation")) && this.get("grid") === "w" ? "y" : this.get("grid");
		const { rows, columns } = this.solved;
		const sides = { x: [rows.n, columns.n], w: [rows.k, columns.k], y: [rows.out, columns.out] }[grid];
		return { grid, cell: this.get("cell").map((k, axis) => Math.max(0, Math.min(k, sides[axis] - 1))), sides };
	}

	point(grid, cell) {
		if (this.get("grid") === grid && same(this.get("cell"), cell)) return;
		this.set({ grid, cell });
	}

	edit(grid, [r, c], value) {
		const [trait, values] = this.editable(grid);
		if (values[r][c] === value) return;
		const changed = values.map((row, k) => (k === r ? row.map((old, n) => (n === c ? value : old)) : [...row]));
		this.set({ [trait]: changed, ...(trait === "gradients" ? { upstream: "own" } : {}) });
		this.compute();
	}

	reset(operation = this.get("operation")) {
		this.set({ operation, playing: false, ...structuredClone(this.get("presets")[operation]) });
	}

	/** Another pass: the pointer goes to what shows it best. */
	turn(view) {
		if (this.solved.problem) return this.set({ view });
		const { rows, columns } = this.solved;
		const { grid, cell } = this.pointed();
		const middle = [rows.k >> 1, columns.k >> 1];
		const output = grid === "y" ? cell : (this.output ?? [rows.out >> 1, columns.out >> 1]);
		this.output = output;
		this.set(view === "kernel" ? { view, grid: "w", cell: middle } : { view, grid: "y", cell: output });
	}

	/** The next cell of the result; after the last the first, unless that ends a walk. */
	next(walking) {
		if (this.solved.problem) return;
		const { result } = PASSES[this.view];
		const { rows, columns } = this.solved;
		const [, width] = { x: [0, columns.n], w: [0, columns.k], y: [0, columns.out] }[result];
		const length = width * { x: rows.n, w: rows.k, y: rows.out }[result];
		const { grid, cell } = this.pointed();
		const at = grid === result ? cell[0] * width + cell[1] + 1 : 0;
		if (at >= length && walking) this.set({ playing: false });
		else this.set({ grid: result, cell: [Math.floor((at % length) / width), at % width] });
	}

	play() {
		if (reducedMotion()) return this.next(false);
		const playing = !this.get("playing");
		if (playing) {
			this.next(false);
			this.then = performance.now();
		}
		this.set({ playing });
	}

	compute() {
		const key = JSON.stringify(ARITHMETIC.map((name) => this.get(name)));
		if (key === this.key) return;
		this.key = key;
		this.solved = solve(Object.fromEntries(ARITHMETIC.map((name) => [name, this.get(name)])));
	}

	// --- what is on the page -----------------------------------------------------------------------------------------------

	build() {
		this.compute();
		const set = (key) => (value) => this.set({ [key]: value });
		const button = (words, title, onclick) => h("button", { type: "button", title, onclick }, words);
		const check = (words, change) => {
			const box = h("input", { type: "checkbox", onchange: () => change(box.checked) });
			return { root: h("label.check", box, words), box };
		};
		this.choices = {
			operation: choice({ label: "Operation", options: options(OPERATIONS), input: (name) => this.reset(name) }),
			picture: choice({ label: "Picture", options: [...options(PICTURES), ["own", "My own"]], input: (name) => name !== "own" && this.set({ picture: structuredClone(this.get("pictures")[name]) }) }),
			kernel: choice({ label: "Kernel", options: [...options(KERNELS), ["own", "My own"]], input: (name) => name !== "own" && this.set({ kernel: structuredClone(this.get("kernels")[name]) }) }),
			upstream: choice({ label: "∂L/∂y", options: options(UPSTREAM), input: (upstream) => this.set(upstream === "own" ? { upstream, gradients: this.solved.dy } : { upstream }) }),
			ties: choice({ label: "Ties", options: [["first", "the first takes all"], ["shared", "share evenly"]], input: set("ties") }),
		};
		const sides = (trait, change) => (n) => this.set({ [trait]: change(this.get(trait), Math.round(n)) });
		const whole = (label, min, max, input) => slider({ label, min, max, step: 1, input });
		this.sliders = {
			stride: whole("Stride s", 1, 4, set("stride")),
			padding: whole("Padding p", 0, 3, set("padding")),
			dilation: whole("Dilation d", 1, 3, set("dilation")),
			output_padding: whole("Output padding o", 0, 3, set("output_padding")),
			kernel: whole("Kernel size k", 1, 5, sides("kernel", (w, n) => resized(w, n, n, () => 0))),
			window: whole("Window k", 1, 5, set("window")),
			height: whole("Picture height", 2, 12, sides("picture", (x, n) => resized(x, n, x[0].length))),
			width: whole("Picture width", 2, 12, sides("picture", (x, n) => resized(x, x.length, n))),
		};
		this.checks = {
			spread: check("Draw the zeros: between and around", set("spread")),
			ceil_mode: check("A last window may reach over the edge (ceil mode)", set("ceil_mode")),
		};
		const way = `way-${Math.random().toString(36).slice(2)}`;
		this.ways = Object.entries(PASSES).map(([view, { title }]) => {
			const radio = h("input", { type: "radio", name: way, value: view, onchange: () => this.turn(view) });
			return { view, radio, root: h("label", radio, h("span", title)) };
		});
		this.places = Object.fromEntries(Object.keys(PLACES).map((key) => [key, new Place(key)]));
		this.lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
		this.lines.setAttribute("aria-hidden", "true");
		this.board = h("div.board", this.lines, ...Object.values(this.places).map(({ root }) => root));
		this.pointing();

		this.playButton = button("▶ Walk", "Point at the results one after the other", () => this.play());
		this.playButton.className = "play";
		this.painter = button("✎ Paint", "Paint cells with the brush's number", () => this.paint(!this.painting));
		this.brush = h("input", { type: "text", inputmode: "decimal", value: "9", size: 4, "aria-label": "Number of the brush" });
		this.entryName = h("span");
		this.entry = h("input", { type: "text", inputmode: "decimal", size: 6, oninput: () => this.enter(), onkeydown: (event) => this.leave(event), onblur: () => this.request() });
		this.entryRoot = h("label.entry", this.entryName, this.entry);

		this.idea = h("p.idea");
		this.formula = h("p.formula");
		this.sum = h("div.sum", { tabindex: 0, role: "group", "aria-label": "The sum in numbers" });
		this.size = h("div.sizes");
		this.tiling = h("p.tiling");
		this.problem = h("p.problem", { role: "status" });
		this.live = h("p.unseen", { "aria-live": "polite" });
		const resizes = new ResizeObserver(() => this.request());
		resizes.observe(this.board);
		this.stopped.push(() => resizes.disconnect());
		const { operation, picture, kernel, upstream, ties } = this.choices;
		return h(
			"div.unmagic-live.convolution",
			{ role: "group", "aria-label": "Convolution, forwards and backwards, a live figure" },
			h("div.bar", operation.root, picture.root, kernel.root, button("Reset", "This operation's own settings", () => this.reset())),
			h("div.ways", { role: "radiogroup", "aria-label": "Pass" }, ...this.ways.map(({ root }) => root)),
			this.idea,
			this.formula,
			this.problem,
			this.board,
			this.sum,
			h("div.bar.tools", this.playButton, this.entryRoot, this.painter, this.brush, upstream.root, ties.root),
			h("div.settings", ...Object.values(this.sliders).map(({ root }) => root)),
			...Object.values(this.checks).map(({ root }) => root),
			this.size,
			this.tiling,
			h("details", h("summary", "What you see"),
				h("p", "Point at a cell, or move with the arrow keys once a cell has the focus (Tab goes from grid to grid). A cell of the result shows what it is made of; a cell of what is given shows where it goes. Numbers in corners say what a cell is multiplied by (×) or what it adds (+). A click holds on to a cell; Esc, or a click elsewhere, lets go."),
				h("p", "Type a number to change a cell that is given: of the picture, the kernel or ∂L/∂y. Fractions such as 1/9 may be typed. With Paint, drag over the picture; the space bar paints the cell that has the focus."),
				h("p", "Rows and columns count from 0, as in PyTorch. Dashed cells are padding: zeros where they are read, cut off where a result would fall on them. Blue is above zero and orange below, the stronger the larger. Like every deep-learning library the figure calls a correlation a convolution.")),
			this.live,
		);
	}

	/** Mouse, finger and keys on the cells. */
	pointing() {
		const cellOf = (event) => {
			const element = event.target.closest?.(".cell[data-at]");
			return element && { element, grid: element.closest(".place").dataset.grid, cell: element.dataset.at.split(",").map(Number) };
		};
		for (const [key, { root }] of Object.entries(this.places)) root.dataset.grid = key;
		const paintAt = (found) => found?.grid === "x" && this.editable("x") && this.edit("x", found.cell, typed(this.brush.value) ?? 0);
		this.board.addEventListener("pointerover", (event) => {
			const found = cellOf(event);
			const held = this.board.contains(document.activeElement) || document.activeElement === this.entry;
			if (found && event.pointerType === "mouse" && !held && !this.get("playing")) this.point(found.grid, found.cell);
		});
		this.board.addEventListener("pointerdown", (event) => {
			const found = cellOf(event);
			if (!this.painting || event.button !== 0 || found?.grid !== "x") return;
			event.preventDefault();
			this.drag = event.pointerId;
			this.board.setPointerCapture(event.pointerId);
			this.point("x", found.cell);
			paintAt(found);
		});
		this.board.addEventListener("pointermove", (event) => {
			if (event.pointerId !== this.drag) return;
			const found = cellOf({ target: document.elementFromPoint(event.clientX, event.clientY) ?? this.board });
			paintAt(found);
			if (found?.grid === "x") this.point("x", found.cell);
		});
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) this.board.addEventListener(name, () => (this.drag = null));
		this.board.addEventListener("focusin", (event) => {
			const found = cellOf(event);
			if (!found) return;
			if (this.get("playing")) this.set({ playing: false });
			this.point(found.grid, found.cell);
		});
		this.board.addEventListener("click", (event) => cellOf(event)?.element.focus({ preventScroll: true }));
		this.board.addEventListener("keydown", (event) => {
			const found = cellOf(event);
			if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
			const { grid, cell } = found;
			if (WAYS[event.key] || event.key === "Home" || event.key === "End") {
				event.preventDefault();
				this.walk(grid, cell, event.key);
			} else if (event.key === "Escape") event.target.blur();
			else if (event.key === " " && this.painting) {
				event.preventDefault();
				paintAt(found);
			} else if (this.editable(grid) && (event.key === "Enter" || /^[\d.−-]$/.test(event.key))) {
				event.preventDefault();
				this.draw();
				this.entry.focus();
				if (event.key === "Enter") this.entry.select();
				else {
					this.entry.value = event.key;
					this.enter();
				}
			}
		});
	}

	/** The cell that an arrow key goes to, as the grid is drawn. */
	walk(grid, [r, c], key) {
		const { sides } = this.pointed();
		const way = this.drawn[grid].turned ? -1 : 1;
		const end = { Home: way > 0 ? 0 : sides[1] - 1, End: way > 0 ? sides[1] - 1 : 0 }[key];
		const [down, right] = WAYS[key] ?? [0, 0];
		const to = [r + way * down, end ?? c + way * right].map((k, axis) => Math.max(0, Math.min(k, sides[axis] - 1)));
		this.point(grid, to);
		this.draw();
		this.places[grid].element(to).focus({ preventScroll: false });
	}

	paint(on) {
		this.painting = on;
		if (on && this.view === "input") this.turn("forward"); // where x is seen
		this.request();
	}

	/** The number in the entry, into its cell. */
	enter() {
		const value = typed(this.entry.value);
		this.entry.setAttribute("aria-invalid", value === null);
		const { grid, cell } = this.pointed();
		if (value !== null && this.editable(grid)) this.edit(grid, cell, value);
	}

	leave(event) {
		if (event.key !== "Enter" && event.key !== "Escape") return;
		event.preventDefault();
		const { grid, cell } = this.pointed();
		this.places[grid].element(cell)?.focus();
	}

	// --- drawing -----------------------------------------------------------------------------------------------------------

	tick(time) {
		if (this.get("playing") && !this.hidden) {
			if (time - (this.then ?? time) >= STEP) {
				this.then = time;
				this.next(true);
			}
			this.then ??= time;
			this.request();
		}
		this.draw();
	}

	draw() {
		this.compute();
		this.showControls();
		const { solved } = this;
		this.problem.hidden = !solved.problem;
		this.problem.textContent = solved.problem;
		for (const part of [this.board, this.sum, this.formula, this.tiling]) part.hidden = Boolean(solved.problem);
		if (!solved.problem) this.showBoard();
		this.root.dataset.draws = (this.draws = (this.draws ?? 0) + 1);
	}

	showControls() {
		const { solved, view } = this;
		const { settings, rows, columns } = solved;
		const operation = settings.operation;
		const pooling = isPooling(operation);
		const { choices, sliders, checks } = this;
		const preset = (values, all) => Object.keys(all).find((name) => same(all[name], values)) ?? "own";
		choices.operation.show(operation);
		choices.picture.show(preset(this.get("picture"), this.get("pictures")));
		choices.kernel.show(preset(this.get("kernel"), this.get("kernels")));
		choices.upstream.show(this.get("upstream"));
		choices.ties.show(this.get("ties"));
		sliders.padding.limits(0, pooling ? Math.min(3, this.get("window") >> 1) : 3);
		sliders.output_padding.limits(0, Math.max(1, Math.max(settings.stride, settings.dilation) - 1));
		const shown = { ...settings, kernel: Math.max(rows.k, columns.k), window: this.get("window"), height: rows.n, width: columns.n };
		for (const [name, control] of Object.entries(sliders)) control.show(shown[name]);
		const transposed = operation === "transposed_convolution";
		const there = {
			kernel: !pooling,
			window: pooling,
			dilation: operation !== "average_pooling",
			output_padding: transposed && Math.max(settings.stride, settings.dilation) > 1,
		};
		for (const [name, yes] of Object.entries(there)) sliders[name].root.hidden = !yes;
		choices.kernel.root.hidden = pooling;
		choices.upstream.root.hidden = view === "forward";
		choices.ties.root.hidden = operation !== "max_pooling";
		checks.ceil_mode.root.hidden = !pooling;
		checks.ceil_mode.box.checked = settings.ceil_mode;
		checks.spread.root.hidden = Boolean(solved.problem) || !canSpread(solved, view);
		checks.spread.box.checked = this.get("spread");
		for (const way of this.ways) {
			way.radio.checked = way.view === view;
			way.root.hidden = pooling && way.view === "kernel";
		}
		this.playButton.textContent = reducedMotion() ? "Next cell" : this.get("playing") ? "❚❚ Pause" : "▶ Walk";
		this.painter.setAttribute("aria-pressed", Boolean(this.painting));
		this.brush.hidden = !this.painting;
		this.board.classList.toggle("painting", Boolean(this.painting));
		const [sentence, formula] = idea(view, settings);
		this.idea.textContent = sentence;
		this.formula.textContent = formula;
		const [general, ...lines] = sizes(solved);
		this.size.replaceChildren(h("p", h("b", "Size: "), general), ...lines.map((line) => h("p", line)));
		this.tiling.textContent = solved.problem ? "" : tiling(solved);
	}

	showBoard() {
		const { solved, view } = this;
		const { grid, cell } = this.pointed();
		const { value, result } = PASSES[view];
		if (grid === "y") this.output = cell;
		const drawn = (this.drawn = frames(solved, { view, grid, spread: this.get("spread") }));
		const values = { x: solved[value.x], w: solved[value.w] ?? solved.w, y: solved[value.y] };
		if (isPooling(solved.settings.operation)) values.w = this.windowWeights(grid, cell);
		const lights = lit(solved, { view, grid, cell }, drawn, values);
		this.layOut(drawn);
		const idle = unused(solved);
		const big = solved.settings.operation === "transposed_convolution" ? "y" : "x";
		const wins = solved.settings.operation === "max_pooling" ? this.wins() : null;
		for (const [key, place] of Object.entries(this.places)) {
			const { rows, columns, index, filler, turned } = drawn[key];
			const numbers = values[key];
			const most = Math.max(...numbers.flat().map((n) => Math.abs(n ?? 0)), 1e-12);
			const still = key === "w" && isPooling(solved.settings.operation);
			const name = symbol(view, key);
			const size = numbers.length && `${numbers.length} × ${numbers[0].length}`;
			const role = key === result ? "made here" : still ? "" : "given";
			place.root.classList.toggle("result", key === result);
			place.show({
				title: still ? "the window’s weights" : `${name} ${turned ? "turned by 180° ↻" : `· ${PLACES[key]}`} `,
				role: `${size}${role && `, ${role}`}`,
				label: still ? "The weights of the window that is pointed at" : `${name}, ${PLACES[key]}, ${size}, ${role}`,
				rows,
				columns,
				index,
				cells: (R, C) => {
					const at = index(R, C);
					const light = lights[key].get(`${R},${C}`);
					const names = light === undefined ? [] : ["lit"];
					if (!at) {
						const zero = filler === "zero";
						return { text: zero ? "0" : "", t: 0, tag: light ?? "", names: [...names, "pad"].join(" "), label: zero ? "0, padding" : "cut off", at: "", stop: false };
					}
					const number = numbers[at[0]][at[1]];
					const chosen = key === grid && same(at, cell);
					if (chosen) names.push("chosen");
					if (number < 0) names.push("below");
					if (key === big && (idle.rows.includes(at[0]) || idle.columns.includes(at[1]))) names.push("idle");
					if (key === "x" && wins?.[at[0]][at[1]]) names.push("won");
					const stop = chosen || (key !== grid && same(at, [0, 0]));
					const text = number === null ? "" : short(number);
					const label = `row ${at[0]}, column ${at[1]}: ${text}${names.includes("idle") ? ", never used" : ""}`;
					return { text, t: (number ?? 0) / most, tag: light ?? "", names: names.join(" "), label, at: still ? "" : at.join(), stop };
				},
			});
		}
		this.showSum(grid, cell);
		this.connect(grid, cell, lights);
	}

	/** How many windows each input has won: (rows, columns). */
	wins() {
		const won = this.solved.x.map((row) => row.map(() => 0));
		for (const { x, weight } of this.solved.links) if (weight) won[x[0]][x[1]]++;
		return won;
	}

	/** Of pooling: the weight that each place of the window has for what is pointed at; null where there is none. */
	windowWeights(grid, cell) {
		const { links, rows, columns } = this.solved;
		const weights = Array.from({ length: rows.k }, () => new Array(columns.k).fill(null));
		for (const link of links) if (link.inside && same(link[grid], cell)) weights[link.w[0]][link.w[1]] = link.weight;
		return weights;
	}

	/** The size of a cell, and whether the places stand in one row, in two, or below one another. */
	layOut(drawn) {
		const width = this.board.clientWidth;
		const { x, w, y } = drawn;
		const aside = 26; // a place's row labels and edges
		const fits = (...columns) => Math.floor((width - columns.length * aside - (columns.length - 1) * 22) / columns.reduce((a, b) => a + b));
		const ways = [
			["row", fits(x.columns, w.columns, y.columns)],
			["above", Math.min(fits(x.columns), fits(w.columns, y.columns))],
			["below", Math.min(fits(x.columns, w.columns), fits(y.columns))],
			["column", Math.min(fits(x.columns), fits(y.columns))],
		];
		const roomy = ways.find(([, size]) => size >= 34) ?? ways.reduce((best, way) => (way[1] > best[1] * 1.15 ? way : best));
		const size = Math.max(10, Math.min(roomy[1], 46));
		this.board.dataset.layout = roomy[0];
		this.board.classList.toggle("tiny", size < 22);
		this.board.style.setProperty("--cell", `${size}px`);
	}

	showSum(grid, cell) {
		const said = say(this.solved, this.view, grid, cell);
		const parts = said.terms.flatMap(({ text, real, won }, k) => [
			...(k ? [said.join] : []),
			h(won ? "strong" : real ? "span" : "span.pad", real ? {} : { title: "padding" }, text),
		]);
		this.sum.replaceChildren(h("b.head", said.head), " ", ...parts, " ", h("b", said.tail));
		const may = this.editable(grid);
		this.entryRoot.hidden = !may;
		this.entryName.textContent = `${named(this.view, grid, cell)} = `;
		if (may && document.activeElement !== this.entry) {
			this.entry.value = format(may[1][cell[0]][cell[1]]);
			this.entry.setAttribute("aria-invalid", false);
		}
	}

	/** A veil from the cell that is pointed at to what it lights up. */
	connect(grid, cell, lights) {
		const board = this.board.getBoundingClientRect();
		const box = (elements) => {
			const boxes = elements.map((element) => element.getBoundingClientRect());
			if (!boxes.length) return null;
			const [left, top] = [Math.min(...boxes.map((b) => b.left)), Math.min(...boxes.map((b) => b.top))];
			const [right, bottom] = [Math.max(...boxes.map((b) => b.right)), Math.max(...boxes.map((b) => b.bottom))];
			return [[left, top], [right, top], [right, bottom], [left, bottom]].map(([x, y]) => [x - board.left, y - board.top]);
		};
		const from = box([this.places[grid].element(cell)].filter(Boolean));
		const others = (grid === "w" ? ["x", "y"] : [grid === "x" ? "y" : "x"]).filter((key) => lights[key].size);
		const shapes = others.map((key) => hull([...from, ...box([...this.places[key].cells.querySelectorAll(".lit")])]));
		this.lines.innerHTML = shapes.map((shape) => `<polygon points="${shape.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}"/>`).join("");
	}

	/** What a screen reader is told once the reader rests. */
	tell() {
		if (this.get("playing")) return;
		this.compute();
		const { grid, cell } = this.solved.problem ? {} : this.pointed();
		const words = this.solved.problem || say(this.solved, this.view, grid, cell).aloud;
		if (this.live.textContent !== words) this.live.textContent = words;
	}
}

/** The convex hull of points [x, y] (Andrew's monotone chain). */
function hull(points) {
	const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
	const left = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]) > 0;
	const chain = (list) => {
		const out = [];
		for (const point of list) {
			while (out.length > 1 && !left(out.at(-2), out.at(-1), point)) out.pop();
			out.push(point);
		}
		return out.slice(0, -1);
	};
	return [...chain(sorted), ...chain(sorted.reverse())];
}

export default figureModule({
	title: "Convolution both ways",
	keys: KEYS,
	choices: { operation: OPERATIONS, view: PASSES, upstream: UPSTREAM },
	Figure: ConvolutionBothWays,
});
